"""Exposure: what positions and live orders can come to at worst, and an order as limits see it.

At worst means: every live order of a side fills and none of the other does. Knows no limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from domain.instruments import OrderSide
from domain.net_positions import EXACT
from domain.orders import Order, OrderType


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One account in one market: its signed position and what its live orders may still fill.

    `price` is what a unit is worth: the mark, else the best that is known; None for nothing.
    """

    account_id: str
    symbol: str
    position: Decimal = Decimal(0)
    buys: Decimal = Decimal(0)
    sells: Decimal = Decimal(0)
    price: Decimal | None = None

    @property
    def worst(self) -> Decimal:
        """The greatest quantity, long or short, that can come of it."""
        return max(
            abs(EXACT.add(self.position, self.buys)), abs(EXACT.subtract(self.position, self.sells))
        )

    @property
    def notional(self) -> Decimal | None:
        """What the worst case is worth; None where its price is not known."""
        if not self.worst:
            return Decimal(0)
        return None if self.price is None else EXACT.multiply(self.worst, self.price)


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is known of one scope. `equity` and `day_result` are None where not known.

    `day_result` is what was won since 00:00 UTC, below zero for a loss.
    """

    scope: str
    exposures: tuple[Exposure, ...] = ()
    open_orders: int = 0
    placed_last_minute: int = 0
    equity: Decimal | None = None
    day_result: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An order as the limits see it.

    `price` is the limit price, or the bound of a market order; None where neither is known yet.
    `replaces` is the open quantity of the order's own that this takes the place of.
    """

    account_id: str
    symbol: str
    side: OrderSide
    quantity: Decimal
    price: Decimal | None
    order_type: OrderType = OrderType.LIMIT
    trigger_price: Decimal | None = None
    reduce_only: bool = False
    is_new: bool = True
    replaces: Decimal = Decimal(0)
    mark_price: Decimal | None = None

    @property
    def value_price(self) -> Decimal | None:
        """What a unit of it is counted at: the highest of price, trigger and, sold, the mark."""
        prices = [self.price, self.trigger_price]
        if self.side is OrderSide.SELL or self.price is None:
            prices.append(self.mark_price)
        return max((price for price in prices if price is not None), default=None)


def open_quantity(order: Order) -> Decimal:
    """Return what a live order may still add to a position; 0 for one that only reduces."""
    if order.reduce_only or order.is_terminal:
        return Decimal(0)
    return order.remaining_quantity


def open_price(order: Order) -> Decimal | None:
    """Return the highest price that a live order's remainder is counted at, where one is known."""
    newest = order.current
    prices = (order.price, order.trigger_price, None if newest is None else newest.price)
    return max((price for price in prices if price is not None), default=None)
