"""The ports of routing: choices that are fixed before anything is sent, and split orders.

Each method is one transaction, and what it returned is committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.parent_orders import ParentOrderStore
from domain.route_places import Exclusion
from domain.routing import Figures
from domain.splits import SplitShare, SplitState


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where an order goes, fixed for ever, with the figures it was chosen by.

    One share: an order; with `is_split` several, or one, of a split order. `candidates` could have
    taken it whole, best first; of a split `shares` come with `parts`, their own figures.
    """

    order_id: str
    owner: str
    fingerprint: str
    made_at: datetime
    shares: tuple[SplitShare, ...]
    candidates: tuple[Figures, ...]
    exclusions: tuple[Exclusion, ...]
    is_split: bool = False
    parts: tuple[Figures, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSituation:
    """What our own books say of an account in a market; None: nothing forbids.

    `blocked` is why new exposure is refused there, `reconcile_due` since when it waits for being
    compared with its venue.
    """

    open_orders: int = 0
    blocked: str | None = None
    reconcile_due: datetime | None = None
    credential_expires_at: datetime | None = None


class RouteStore(Protocol):
    """Choices. The first one that is kept for an order is the one, whoever chose besides."""

    async def keep(self, route: Route) -> Route:
        """Keep a choice, or return the one that is there."""
        ...

    async def get(self, order_id: str) -> Route | None:
        """Return the choice of an order, or None."""
        ...

    async def situations(
        self, account_ids: Sequence[str], symbol: str
    ) -> dict[str, AccountSituation]:
        """Return what our own books say of accounts in a market."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFilter:
    """Which split orders a listing shows, newest first; None means any."""

    owner: str
    symbol: str | None = None
    running: bool | None = None
    limit: int = 100


SplitStore = ParentOrderStore[SplitState, SplitFilter]
