"""The port of brackets: what was asked, how far it is, how it ended; kept for ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.brackets import BracketState
from domain.orders import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class BracketFilter:
    """Which brackets a listing shows, newest first; None means any."""

    owner: str
    account_id: str | None = None
    symbol: str | None = None
    running: bool | None = None
    limit: int = 100


class BracketStore(Protocol):
    """Brackets. Each method is one transaction."""

    async def keep(self, state: BracketState) -> BracketState:
        """Write how far a bracket is, unless it has ended already; return what is kept."""
        ...

    async def get(self, bracket_id: str) -> BracketState | None:
        """Return a bracket, or None."""
        ...

    async def unfinished(self, *, before: datetime) -> tuple[BracketState, ...]:
        """Return those of all owners that have not ended and were last written before a time."""
        ...

    async def page(self, wanted: BracketFilter) -> tuple[BracketState, ...]:
        """Return brackets, newest first."""
        ...

    async def orders(self, order_ids: Sequence[str]) -> tuple[Order, ...]:
        """Return those of these orders that are stored."""
        ...
