"""What the API needs of the workflows of credentials and leverage, by structure.

`workflows.rotation_client.Rotations` and `workflows.leverage_client.Leverages` fit these; only
`api.main` knows them by name.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from domain.accounts import Account, LeverageSetting, MarginMode


class RotationAnswer(Protocol):
    """The account after a change of its credential; `refusal` says why it was not changed."""

    @property
    def account(self) -> Account:
        """The account as it is now."""
        ...

    @property
    def refusal(self) -> str | None:
        """Why the new credential was not taken, or None."""
        ...


class RotationDesk(Protocol):
    """Has a worker check an account's new credential."""

    async def rotate(self, account: Account, *, wait_s: float) -> RotationAnswer | None:
        """Return what came of it, or None when it is not done in time and goes on."""
        ...


class LeverageReply(Protocol):
    """What became of a leverage setting."""

    @property
    def setting(self) -> LeverageSetting | None:
        """The venue's setting, where known."""
        ...

    @property
    def refusal(self) -> str | None:
        """Why it cannot be set, or None."""
        ...

    @property
    def settles_at(self) -> datetime | None:
        """Until when a request whose answer was lost may still arrive."""
        ...


class LeverageDesk(Protocol):
    """Has a worker set leverage."""

    async def set(
        self, account: Account, symbol: str, leverage: int, mode: MarginMode, *, wait_s: float
    ) -> LeverageReply | None:
        """Return what came of it, or None when it is not decided in time and goes on."""
        ...
