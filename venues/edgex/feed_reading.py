"""What an account's feed has to ask for, because no frame tells it: markets, the account, orders.

Over a session of its own, signed with the API key that the feed was given. Knows no signer key.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from domain.accounts import Account, AccountSummary
from venues.connector import VenueOrder
from venues.edgex.account_queries import AccountQueries
from venues.edgex.budget import RequestBudget
from venues.edgex.catalog import Catalog
from venues.edgex.credential import ApiKey
from venues.edgex.market_queries import MarketQueries
from venues.edgex.rest import Rest
from venues.transport import Transport, utc_now

#: Markets are read again after so long: a new one has orders that are not ours to tell before.
_STALE_S = 900.0


class FeedReading:
    """Questions at one address, for few and rare ones."""

    def __init__(self, base_url: str, *, per_second: float) -> None:
        self._base_url = base_url
        self._budget = RequestBudget(per_second=per_second)
        self._catalog: Catalog | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def catalog(self) -> Catalog:
        """Return the markets.

        Raises:
            VenueUnavailable, VenueRefused: the venue did not say.
        """
        async with self._reading:
            now = asyncio.get_running_loop().time()
            if self._catalog is None or now - self._read_at > _STALE_S:
                async with self._rest() as rest:
                    questions = MarketQueries(rest, self.catalog, utc_now)
                    self._catalog = await questions.read_catalog()
                self._read_at = now
            return self._catalog

    async def summary(self, account: Account, api: ApiKey) -> AccountSummary:
        """Return an account's money and positions. Raises as `catalog`."""
        async with self._rest() as rest:
            return await AccountQueries(rest, self.catalog, utc_now).summary(account, api)

    async def orders(
        self, account: Account, api: ApiKey, order_ids: list[str]
    ) -> tuple[VenueOrder, ...]:
        """Return orders by id, ended ones included. Raises as `catalog`."""
        async with self._rest() as rest:
            queries = AccountQueries(rest, self.catalog, utc_now)
            found = []
            for order_id in order_ids:
                looked = await queries.find_order(
                    account, api, client_order_id=None, venue_order_id=order_id
                )
                found += [looked.order] if looked.order is not None else []
            return tuple(found)

    @asynccontextmanager
    async def _rest(self) -> AsyncIterator[Rest]:
        rest = Rest(Transport(self._base_url), self._budget, utc_now)
        await rest.start()
        try:
            yield rest
        finally:
            await rest.close()
