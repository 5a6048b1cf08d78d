"""Fills: single executions of our own orders, and the cumulative truth they add up to.

A fill is a fact and is booked once; its key is the venue's. Knows no venue.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from domain.instruments import OrderSide

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PRICE_STEP = Decimal("0.000000000001")


class LiquiditySide(StrEnum):
    """Whether our order rested (MAKER) or took (TAKER)."""

    MAKER = "MAKER"
    TAKER = "TAKER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution, as the venue numbers it.

    `fee` is what was paid (negative for a rebate) in `fee_currency`; `realized_pnl` excludes
    fees. `order_id` and `revision` are ours and None until the fill is matched to an order.

    `is_total`: the venue lists no single fills. This one is derived from the order and stands for
    all that had filled of it by then, so what is booked is what is missing to it (`missing_to`).
    """

    account_id: str
    venue: str
    symbol: str
    trade_id: str
    venue_order_id: str
    client_order_id: str | None
    side: OrderSide
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_currency: str
    liquidity_side: LiquiditySide
    event_time: datetime
    realized_pnl: Decimal | None = None
    is_liquidation: bool = False
    order_id: str | None = None
    revision: int | None = None
    is_total: bool = False

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        """What makes the fill unique: venue, account, venue order id, trade id, time in ms."""
        # Whole numbers: through a float the millisecond would come out one short at times.
        time_ms = (self.event_time - _EPOCH) // timedelta(milliseconds=1)
        return (
            self.venue,
            self.account_id,
            self.venue_order_id,
            self.trade_id,
            time_ms,
        )

    @property
    def place(self) -> tuple[datetime, int, str]:
        """What fills of a market are put in order by: their time, then the venue's numbering.

        Several share a millisecond, and what one realises depends on those before it, so their
        order must not depend on which of them was heard first. A longer number is a later one.
        """
        return (self.event_time, len(self.trade_id), self.trade_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class FillTotal:
    """What a set of fills adds up to. `average_price` is None for no fills."""

    quantity: Decimal
    average_price: Decimal | None
    fees: Decimal


def total(fills: Iterable[Fill]) -> FillTotal:
    """Return the sum of `fills`, each key counted once."""
    unique = {fill.key: fill for fill in fills}.values()
    quantity = sum((f.quantity for f in unique), Decimal(0))
    value = sum((f.quantity * f.price for f in unique), Decimal(0))
    fees = sum((f.fee for f in unique), Decimal(0))
    average = value / quantity if quantity else None
    return FillTotal(quantity=quantity, average_price=average, fees=fees)


def missing_to(derived: Fill, booked: Iterable[Fill]) -> Fill | None:
    """Return what a derived total adds to the booked fills of its order; None: nothing.

    Totals may come late and in any order: one that says less than is booked says nothing new. The
    price is the one that makes the sums agree, to a trillionth.
    """
    known = total(booked)
    quantity = derived.quantity - known.quantity
    if quantity <= 0:
        return None
    value = derived.quantity * derived.price
    if known.average_price is not None:
        value -= known.quantity * known.average_price
    price = (value / quantity).quantize(_PRICE_STEP)
    return replace(
        derived,
        quantity=quantity,
        price=price if price > 0 else derived.price,
        fee=derived.fee - known.fees,
        realized_pnl=derived.realized_pnl if not known.quantity else None,
        is_total=False,
    )
