"""What the exchange tells its listeners once an action is on the disk.

Rows are copies, taken when the thing happened: the live ones go on changing.
"""

from __future__ import annotations

from dataclasses import dataclass

from venues.simulation.records import Fill, FundingPayment, Order, Trade


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChanged:
    """An order began, rests, was triggered or ended."""

    order: Order
    time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """An account's order was executed."""

    fill: Fill


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """Something was traded, as the public sees it."""

    trade: Trade


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingPaid:
    """An account paid or received funding."""

    payment: FundingPayment


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketMoved:
    """A market's book or mark price changed."""

    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChanged:
    """An account's balance, margin or positions changed."""

    address: str


Event = OrderChanged | Filled | Traded | FundingPaid | MarketMoved | AccountChanged
