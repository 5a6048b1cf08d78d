"""The port of conditional closes: what is watched, by whom, and how it ended; kept for ever.

Each method is one transaction, and what it returned is committed. Errors are those of
`domain.errors`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from domain.closing import CloseStatus
from domain.guarding import GuardPlan, GuardState


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionFilter:
    """Which guards a listing shows, newest first; None means any."""

    owner: str
    account_id: str | None = None
    symbol: str | None = None
    running: bool | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedExtreme:
    """A trailing extreme that moved, of a guard's version."""

    condition_id: str
    version: int
    price: Decimal
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveGuard:
    """A guard to be watched, and our own count of the position (signed; None: never counted)."""

    state: GuardState
    held: Decimal | None


class ConditionStore(Protocol):
    """Guards, and the proofs that they are watched."""

    async def keep(self, state: GuardState) -> GuardState:
        """Write how far a guard is, unless it has ended already; return what is kept.

        Its watch is as the watcher wrote it, its extreme the better of both.
        """
        ...

    async def withdraw(self, condition_id: str) -> None:
        """Forget a guard that was asked for and provably never begun."""
        ...

    async def get(self, condition_id: str) -> GuardState | None:
        """Return a guard, or None."""
        ...

    async def page(self, wanted: ConditionFilter) -> tuple[GuardState, ...]:
        """Return guards, newest first."""
        ...

    async def active(self) -> tuple[ActiveGuard, ...]:
        """Return every guard that watches now."""
        ...

    async def silent(self, *, before: datetime) -> tuple[GuardPlan, ...]:
        """Return the plans of guards that have not ended and that nobody has written since."""
        ...

    async def watched(self, condition_ids: Collection[str], *, by: str, at: datetime) -> None:
        """Prove that guards are evaluated on fresh marks."""
        ...

    async def move_extremes(self, moved: Collection[MovedExtreme]) -> None:
        """Keep trailing extremes; one that is no better, or of another version, changes nothing."""
        ...

    async def how_it_closed(self, close_id: str) -> CloseStatus | None:
        """Return how a guard's close ended; None: it has not begun, or not ended."""
        ...

    async def live_orders(self, order_ids: Collection[str]) -> tuple[str, ...]:
        """Return which of these orders are ours and have not ended."""
        ...
