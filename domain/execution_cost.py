"""What an order would cost at a book: how much executes now, at which prices, and after fees. Pure.

Costs are *burdens*: what a buy pays after fees, or what a sell brings after fees below zero, so
that of two the smaller one is always the better one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from domain.instruments import OrderSide
from domain.market_data import BookLevel, OrderBook


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a book gives of a quantity within a limit: how much, and its value before fees."""

    quantity: Decimal
    value: Decimal

    @property
    def average_price(self) -> Decimal | None:
        """The price per unit, or None where nothing is taken."""
        return self.value / self.quantity if self.quantity else None


def opposite_levels(book: OrderBook, side: OrderSide) -> tuple[BookLevel, ...]:
    """Return the levels that an order of a side trades with, best first."""
    return book.asks if side is OrderSide.BUY else book.bids


def is_within(side: OrderSide, price: Decimal, limit: Decimal) -> bool:
    """Tell whether an order of a side may trade at `price` under its `limit`."""
    return price <= limit if side is OrderSide.BUY else price >= limit


def levels_within(book: OrderBook, side: OrderSide, limit: Decimal) -> Iterator[BookLevel]:
    """Yield the levels that an order may take, best first."""
    for level in opposite_levels(book, side):
        if not is_within(side, level.price, limit):
            return
        yield level


def take(book: OrderBook, side: OrderSide, quantity: Decimal, limit: Decimal) -> Taken:
    """Return what walking the book for `quantity` up to `limit` gives."""
    left, value = quantity, Decimal(0)
    for level in levels_within(book, side, limit):
        part = min(left, level.quantity)
        left -= part
        value += part * level.price
        if not left:
            break
    return Taken(quantity=quantity - left, value=value)


def after_taking(book: OrderBook, side: OrderSide, quantity: Decimal) -> OrderBook:
    """Return the book as it is once `quantity` of what an order of a side trades with is taken."""
    left, levels = quantity, list[BookLevel]()
    for level in opposite_levels(book, side):
        part = min(left, level.quantity)
        left -= part
        if part < level.quantity:
            levels.append(replace(level, quantity=level.quantity - part, order_count=None))
    if side is OrderSide.BUY:
        return replace(book, asks=tuple(levels))
    return replace(book, bids=tuple(levels))


def burden(side: OrderSide, value: Decimal, fee_rate: Decimal) -> Decimal:
    """Return what trading a value costs, the fee included; the smaller, the better.

    Below zero for a sell: what it brings. A rebate is a fee rate below zero.
    """
    sign = 1 if side is OrderSide.BUY else -1
    return value * (sign + fee_rate)
