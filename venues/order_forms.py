"""What a placement's form must be at every venue, checked before anything is signed. Pure.

What one venue wants besides is its own `actions`. Knows no venue and no wire.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Final

from domain.commands import PlaceOrder
from domain.errors import InvalidInput, VenueRefused
from domain.instruments import Instrument, OrderSide
from domain.market_data import OrderBook
from domain.orders import OrderType, TimeInForce, TriggerType

_MARK: Final = (TriggerType.MARK,)
_RESTING_OR_NOT: Final = (TimeInForce.GTC, TimeInForce.IOC)
_SLIPPAGE_UNIT: Final = 10_000


def bound_price(
    instrument: Instrument, side: OrderSide, book: OrderBook, slippage_bps: int
) -> Decimal:
    """Return the worst valid price within `slippage_bps` of the book's middle.

    With one side empty the best price of the side that would be hit is taken instead.

    Raises:
        InvalidInput: no such slippage, or one that leaves no price.
        VenueRefused: there is nothing to trade with.
    """
    if not 0 <= slippage_bps < _SLIPPAGE_UNIT:
        raise InvalidInput(
            "max_slippage_bps", f"expected 0 to 9999 basis points, found {slippage_bps}"
        )
    opposite = book.asks if side is OrderSide.BUY else book.bids
    if not opposite:
        raise VenueRefused(
            f"{instrument.venue} has no liquidity to {side} {instrument.symbol} against"
        )
    share = Decimal(slippage_bps) / _SLIPPAGE_UNIT
    factor = 1 + share if side is OrderSide.BUY else 1 - share
    price = instrument.safe_price(side, (book.mid_price or opposite[0].price) * factor)
    if price <= 0:
        raise InvalidInput(
            "max_slippage_bps",
            f"expected a bound above zero for {instrument.symbol}, found none",
        )
    return price


def check_amounts(instrument: Instrument, order: PlaceOrder) -> None:
    """Check quantity and prices against the market's steps and its minimum value.

    The minimum value is checked only where the limit price tells it: a market sell's price is a
    bound below the market, and whether a minimum applies to reduce-only orders is left to the
    venue.

    Raises:
        InvalidInput: naming the field.
    """
    instrument.check_open(reduce_only=order.reduce_only)
    instrument.check_quantity("quantity", order.quantity)
    instrument.check_price("price", order.price)
    if order.trigger_price is not None:
        instrument.check_price("trigger_price", order.trigger_price)
    is_bound_below = order.order_type.is_market and order.side is OrderSide.SELL
    if not order.reduce_only and not is_bound_below:
        instrument.check_notional(order.quantity, order.price)


def check_kind(
    venue: str,
    order: PlaceOrder,
    *,
    times_in_force: Collection[TimeInForce] = _RESTING_OR_NOT,
    trigger_types: Collection[TriggerType] = _MARK,
) -> None:
    """Check that type, time in force, flags and trigger fit each other, and the venue.

    Raises:
        InvalidInput: naming the field.
    """
    kind = order.order_type
    if order.time_in_force not in times_in_force:
        raise InvalidInput(
            "time_in_force",
            f"expected {' or '.join(times_in_force)} on {venue}, found {order.time_in_force}",
        )
    if order.post_only and (kind is not OrderType.LIMIT or order.time_in_force is TimeInForce.IOC):
        raise InvalidInput("post_only", "expected a limit order that may rest (LIMIT, GTC)")
    if order.position_bound and not (order.reduce_only and kind.is_trigger):
        raise InvalidInput("position_bound", "expected a reduce-only trigger order")
    if kind.is_trigger != (order.trigger_price is not None):
        expected = "a trigger price" if kind.is_trigger else "no trigger price"
        raise InvalidInput("trigger_price", f"expected {expected} for {kind}")
    if kind.is_trigger and order.trigger_type not in trigger_types:
        raise InvalidInput(
            "trigger_type",
            f"expected {' or '.join(trigger_types)} on {venue}, found {order.trigger_type}",
        )
    if kind.is_trigger and not kind.is_market and order.time_in_force is TimeInForce.IOC:
        raise InvalidInput("time_in_force", f"expected GTC for {kind} on {venue}, found IOC")
