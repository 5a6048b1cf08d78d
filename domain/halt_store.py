"""The port of halts and kill switches. Each method is one transaction, committed on return.

Errors are those of `domain.errors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.halts import HaltLevel, HaltScope, KillSwitch


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """A halt in force."""

    scope: HaltScope
    reason: str
    set_by: str
    set_at: datetime

    @property
    def account_id(self) -> str | None:
        """The account that is halted, or None for a wider scope."""
        return self.scope.name if self.scope.level is HaltLevel.ACCOUNT else None


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltedAccount:
    """An account that a kill switch has to stop."""

    account_id: str
    venue: str
    owner: str


class HaltBoard(Protocol):
    """Which halts are in force."""

    async def halted(self) -> tuple[Halt, ...]:
        """Return the halts in force, the general one first."""
        ...


class KillSwitchStore(HaltBoard, Protocol):
    """Kill switches: the halt that begins one, and how far each is."""

    async def begin(self, asked: KillSwitch) -> KillSwitch:
        """Halt the scope, and keep `asked` as running, or return the one that runs already.

        The running one is upgraded where `asked` wants positions closed and it did not. Once this
        returns, nothing that raises exposure gets past the ledger.

        Raises:
            NotFound: there is no such account.
        """
        ...

    async def resume(
        self, scope: HaltScope, *, reason: str, by: str, forced: bool
    ) -> KillSwitch | None:
        """Lift a scope's halt; return the kill switch that was stopped for it, if one ran.

        Raises:
            NotFound: there is no such account.
            Conflict: nothing is halted by this scope (code `not_halted`), or its kill switch runs
                still and it is not `forced` (code `kill_switch_running`).
        """
        ...

    async def keep(self, state: KillSwitch) -> KillSwitch:
        """Write how far a kill switch is; return what is kept: one that has ended stays so."""
        ...

    async def get(self, kill_switch_id: str) -> KillSwitch | None:
        """Return a kill switch, or None."""
        ...

    async def running(self) -> tuple[KillSwitch, ...]:
        """Return those that have not ended, oldest first."""
        ...

    async def newest(self, *, limit: int) -> tuple[KillSwitch, ...]:
        """Return kill switches, newest first."""
        ...

    async def accounts(self, scope: HaltScope) -> tuple[HaltedAccount, ...]:
        """Return the accounts of a scope that may have something open, oldest first."""
        ...
