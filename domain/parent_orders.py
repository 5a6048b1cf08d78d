"""Parent orders: intents that child orders carry out, and the port that keeps how far each is.

Brackets, split orders and closes are such. Knows none of them by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from domain.orders import Order

REQUESTED = "REQUESTED"
"""The status, whatever the kind, of one that was asked for and of which nothing was begun."""


class ParentStatus(Protocol):
    """How a parent order stands, or how it ended; its text is `REQUESTED` or the kind's own."""

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended, and with it all of its children."""
        ...


class ParentState(Protocol):
    """All that the workflow of a parent order knows."""

    @property
    def status(self) -> ParentStatus:
        """How it stands."""
        ...


class ParentFilter(Protocol):
    """Which parent orders of one kind a listing shows, newest first; None means any."""

    @property
    def owner(self) -> str:
        """Whose."""
        ...

    @property
    def symbol(self) -> str | None:
        """Of which market."""
        ...

    @property
    def running(self) -> bool | None:
        """Those that go on, or those that have ended."""
        ...

    @property
    def limit(self) -> int:
        """How many at the most."""
        ...


S = TypeVar("S", bound=ParentState)
F = TypeVar("F", bound=ParentFilter, contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndAnswer(Generic[S]):
    """What became, within the wait, of asking a parent order to end.

    `decided`: nothing of it can trade any more, and `state` is how it ended.
    """

    state: S | None
    decided: bool


class ParentOrderStore(Protocol[S, F]):
    """Parent orders of one kind: what was asked, how far each is, how it ended; kept for ever.

    Each method is one transaction, and what it returned is committed.
    """

    async def keep(self, state: S) -> S:
        """Write how far a parent order is; return what is kept.

        One that has ended stays as it is, and a mere request never overwrites what was begun.
        """
        ...

    async def get(self, parent_id: str) -> S | None:
        """Return a parent order, or None."""
        ...

    async def unfinished(self, *, before: datetime) -> tuple[S, ...]:
        """Return those of all owners that have not ended and were last written before a time."""
        ...

    async def page(self, wanted: F) -> tuple[S, ...]:
        """Return parent orders, newest first."""
        ...

    async def orders(self, order_ids: Sequence[str]) -> tuple[Order, ...]:
        """Return those of these orders that are stored."""
        ...
