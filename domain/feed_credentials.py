"""The second part of a credential: what a private feed needs, where a venue's feed needs a secret.

The worker makes it from the trading part and seals it for the streaming process, which can open
nothing else.
"""

from __future__ import annotations

from typing import Protocol

from domain.accounts import Account, SecretText
from domain.ports import TradingAccessSource


class FeedCredentials(Protocol):
    """Seals and keeps feed credentials; opens none."""

    async def keep(self, account: Account, secret: SecretText) -> None:
        """Keep what the account's private feed needs from now on, in place of what it needed.

        Raises:
            Unavailable: no streaming process has made its key pair yet; ask again.
            NotFound: there is no such account.
        """
        ...


class FeedCredentialSource(Protocol):
    """Opens what reads of an account: in the streaming process its feed credentials."""

    async def open(self, account: Account) -> SecretText | None:
        """Return what the account's private feed needs, or None when nothing is kept."""
        ...


class TradingSecrets:
    """Implements `FeedCredentialSource` where trading credentials are at hand: in a worker."""

    def __init__(self, access: TradingAccessSource) -> None:
        self._access = access

    async def open(self, account: Account) -> SecretText | None:
        """Return the account's trading credential. Raises as the source of it does."""
        return (await self._access.open(account.account_id)).credential
