"""What an account's feed has to ask for beside its socket: its listen key, its money, its orders.

Over a session of its own and with the API key alone: nothing here can sign.
"""

from __future__ import annotations

import asyncio

from domain.accounts import Account, AccountSummary
from domain.feed_credentials import FeedCredentialSource
from venues.transport import Transport, utc_now
from venues.vest import wire
from venues.vest.credential import Reader
from venues.vest.queries import Queries, Readers
from venues.vest.rate_budget import RateBudget
from venues.vest.rest import Rest


class FeedReading:
    """Implements `account_feed.Reading` at one address."""

    def __init__(self, base_url: str, requests_per_minute: float) -> None:
        self._readers = Readers()
        self._rest = Rest(Transport(base_url), RateBudget(per_minute=requests_per_minute))
        self._queries = Queries(self._rest, self._readers, utc_now)
        self._started = asyncio.Lock()
        self._is_started = False

    def use(self, source: FeedCredentialSource) -> None:
        """Take API keys from `source`."""
        self._readers.use(source)

    async def close(self) -> None:
        """Close the session."""
        await self._rest.close()
        self._is_started = False

    async def reader(self, account: Account) -> Reader:
        """Return who asks about an account, opened anew. Raises VenueRefused: nobody may."""
        self._readers.forget(account)
        return await self._readers.of(account)

    async def listen_key(self, account: Account) -> str:
        """Return the key of the account's private socket, valid for an hour from now.

        Raises:
            VenueUnavailable, VenueRefused: the venue gave none.
        """
        await self._start()
        return await self._rest.listen_key(await self._readers.of(account))

    async def summary(self, account: Account) -> AccountSummary:
        """Return money and positions. Raises as `listen_key`."""
        await self._start()
        return await self._queries.account_summary(account)

    async def order(self, account: Account, venue_order_id: str) -> wire.OrderRow | None:
        """Return one order, or None where the venue shows none. Raises as `listen_key`."""
        await self._start()
        reader = await self._readers.of(account)
        return await self._queries.order_row(reader, venue_order_id=venue_order_id)

    async def _start(self) -> None:
        async with self._started:
            if not self._is_started:
                await self._rest.start()
                # Which markets are isolated, for the positions.
                await self._queries.instruments()
                self._is_started = True
