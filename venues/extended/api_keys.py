"""Which API key answers questions about an account, by whatever part of its credential there is.

Opened when an account is first asked about, and anew after the venue refused a key. Knows no
transport.
"""

from __future__ import annotations

from domain.accounts import Account
from domain.errors import VenueRefused
from domain.feed_credentials import FeedCredentialSource
from venues.extended.credential import api_key_in


class ApiKeys:
    """API keys by account, kept while the process lives."""

    def __init__(self) -> None:
        self._source: FeedCredentialSource | None = None
        self._known: dict[str, str] = {}

    def use(self, source: FeedCredentialSource) -> None:
        """Take credentials from `source` from now on."""
        self._source = source
        self._known.clear()

    async def of(self, account: Account) -> str:
        """Return an account's API key.

        Raises:
            VenueRefused: none is at hand; the venue would tell nothing.
        """
        found = self._known.get(account.account_id)
        if found is not None:
            return found
        secret = await self._source.open(account) if self._source is not None else None
        if secret is None:
            raise VenueRefused(
                f"expected a credential of account {account.label!r}, found none: extended tells "
                "of an account only to its API key"
            )
        found = self._known[account.account_id] = api_key_in(secret.reveal())
        return found

    def forget(self, account: Account) -> None:
        """Open the account's credential again when it is asked about next."""
        self._known.pop(account.account_id, None)
