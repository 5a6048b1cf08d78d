"""What an account's feed has to ask for, because no channel tells it: markets, and funding.

Over a session of its own, for few and rare questions: once for each connection, and once for each
payment of funding. Is given a token, and knows no key.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from domain.accounts import Account, FundingPayment
from domain.errors import VenueUnavailable
from venues.lighter import translate, wire
from venues.lighter.account_stream import MarketFacts
from venues.lighter.limits import STANDARD_PER_MINUTE, RequestBudget, Tier
from venues.lighter.queries import Queries
from venues.lighter.rest import Rest
from venues.lighter.signing import Signer
from venues.lighter.tokens import Tokens
from venues.lighter.translate import MarketNames
from venues.transport import Transport, utc_now


class FeedReading:
    """Implements `account_stream.Reading` at one address."""

    def __init__(
        self,
        base_url: str,
        *,
        tier: Tier = Tier.STANDARD,
        per_minute: float = STANDARD_PER_MINUTE,
    ) -> None:
        self._base_url = base_url
        self.budget = RequestBudget(tier=tier, per_minute=per_minute)
        self._facts = MarketFacts(names=MarketNames(()))

    async def markets(self) -> MarketFacts:
        """Return the markets.

        Raises:
            VenueUnavailable, VenueRefused: the venue did not say.
        """
        async with self._rest() as rest:
            found = await rest.get("/orderBookDetails", wire.Markets, filter="perp")
        try:
            markets = translate.instruments(found.order_book_details)
            maintenance = translate.maintenance_of(found.order_book_details)
        except wire.WireError as error:
            raise VenueUnavailable(f"lighter's markets cannot be read: {error}") from None
        self._facts = MarketFacts(names=MarketNames(markets), maintenance=maintenance)
        return self._facts

    async def funding(
        self, account: Account, token: str, since: datetime
    ) -> tuple[FundingPayment, ...]:
        """Return payments of funding since a time, oldest first. Raises as `markets`."""
        async with self._rest() as rest:
            # Nothing is signed here: the token is given, and no key is at hand.
            tokens = Tokens(Signer(0), utc_now)
            tokens.keep(account, token)
            queries = Queries(rest, tokens, utc_now, lambda: self._facts.names)
            return await queries.funding_payments(account, since)

    @asynccontextmanager
    async def _rest(self) -> AsyncIterator[Rest]:
        rest = Rest(Transport(self._base_url), self.budget)
        await rest.start()
        try:
            yield rest
        finally:
            await rest.close()
