"""The port of closes: what was asked, how far it is, how it ended; kept for ever.

Each method is one transaction, and what it returned is committed. Errors are those of
`domain.errors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.closing import ClosePlan, CloseState
from domain.orders import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseFilter:
    """Which closes a listing shows, newest first; None means any."""

    owner: str
    account_id: str | None = None
    symbol: str | None = None
    running: bool | None = None
    limit: int = 100


class CloseStore(Protocol):
    """Closes, and the orders that they gave."""

    async def request(self, plan: ClosePlan) -> CloseState:
        """Keep a close that is asked for, or return what is known of the one of that id."""
        ...

    async def withdraw(self, close_id: str) -> None:
        """Forget a close that was asked for and provably never begun."""
        ...

    async def join(self, close_id: str, running_id: str) -> None:
        """Have a close that was asked for stand for the one that runs already."""
        ...

    async def keep(self, state: CloseState) -> CloseState:
        """Write how far a close is, unless it has ended already; return what is kept."""
        ...

    async def get(self, close_id: str) -> CloseState | None:
        """Return a close (the one it joined, if it joined one), or None."""
        ...

    async def plan(self, close_id: str) -> ClosePlan | None:
        """Return what was asked under this id itself, joined or not, or None."""
        ...

    async def unfinished(self, *, before: datetime) -> tuple[CloseState, ...]:
        """Return those of all owners that have not ended and were last written before a time."""
        ...

    async def page(self, wanted: CloseFilter) -> tuple[CloseState, ...]:
        """Return closes, newest first."""
        ...

    async def orders(self, close_id: str, count: int) -> tuple[Order, ...]:
        """Return the first `count` orders of a close that are stored, oldest first."""
        ...

    async def live_orders(self, account_id: str, symbol: str) -> tuple[Order, ...]:
        """Return the closing orders of an account and symbol that have not ended."""
        ...
