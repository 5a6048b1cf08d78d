"""What an account's feed has to ask for, because no channel tells it: leverage, and funding.

Over a session of its own, for few and rare questions: once for each account that is followed, and
once for each payment of funding. Knows no key.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

from domain.accounts import Account, FundingPayment, LeverageSetting
from venues.pacifica.credits import CreditBudget
from venues.pacifica.queries import Queries
from venues.pacifica.rest import Rest
from venues.transport import Transport, utc_now


class FeedReading:
    """Implements `account_stream.Reading` at one address."""

    def __init__(self, base_url: str, *, headers: Mapping[str, str] | None = None) -> None:
        self._base_url = base_url
        self._headers = headers
        self._budget = CreditBudget()

    async def leverage(self, account: Account) -> Mapping[str, LeverageSetting]:
        """Return an account's leverage settings by symbol.

        Raises:
            VenueUnavailable, VenueRefused: the venue did not say.
        """
        async with self._queries() as queries:
            return await queries.leverage_settings(account, await queries.instruments())

    async def funding(self, account: Account, since: datetime) -> tuple[FundingPayment, ...]:
        """Return payments of funding since a time, oldest first. Raises as `leverage`."""
        async with self._queries() as queries:
            return await queries.funding_payments(account, since)

    @asynccontextmanager
    async def _queries(self) -> AsyncIterator[Queries]:
        rest = Rest(Transport(self._base_url, headers=self._headers), self._budget)
        await rest.start()
        try:
            yield Queries(rest, utc_now)
        finally:
            await rest.close()
