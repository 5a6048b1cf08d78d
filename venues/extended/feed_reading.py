"""What an account's feed has to ask for, because no frame tells it: funding.

Over a session of its own, for few and rare questions. Knows no trading key.
"""

from __future__ import annotations

from datetime import datetime

from domain.accounts import Account, FundingPayment, SecretText
from venues.extended.api_keys import ApiKeys
from venues.extended.queries import Queries
from venues.extended.rest import Rest
from venues.rate_budget import RateBudget
from venues.transport import Transport, utc_now


class _One:
    """The API key of the one account that is asked about."""

    def __init__(self, api_key: str) -> None:
        self._secret = SecretText(api_key)

    async def open(self, account: Account) -> SecretText:
        del account
        return self._secret


class FeedReading:
    """Implements `account_feed.Reading` at one address."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        # A small share of what the venue allows an address: worker and reader have the rest.
        self._budget = RateBudget(per_minute=100.0)

    async def funding(
        self, account: Account, api_key: str, since: datetime
    ) -> tuple[FundingPayment, ...]:
        """Return payments of funding since a time, oldest first.

        Raises:
            VenueUnavailable, VenueRefused: the venue did not say.
        """
        rest, keys = Rest(Transport(self._base_url), self._budget), ApiKeys()
        keys.use(_One(api_key))
        await rest.start()
        try:
            return await Queries(rest, keys, utc_now).funding_payments(account, since)
        finally:
            await rest.close()
