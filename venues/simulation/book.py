"""A price-time order book: the best price first, at one price the oldest first, the house last.

Holds orders; does not match, settle or check anything.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from decimal import Decimal

from venues.simulation.records import ZERO, Order, Side


class Level:
    """The orders at one price, with their sum kept up to date.

    Quotes of the house stand behind everybody else's at the same price, whenever they came: the
    queue is then the same after a restart, though house quotes are not in the log.
    """

    __slots__ = ("house", "orders", "price", "quantity")

    def __init__(self, price: Decimal) -> None:
        self.price = price
        self.quantity = ZERO
        self.orders: dict[int, Order] = {}
        self.house: dict[int, Order] = {}

    @property
    def count(self) -> int:
        """Return the number of orders."""
        return len(self.orders) + len(self.house)

    def first(self) -> Order:
        """Return the order that trades next."""
        return next(iter(self.orders.values())) if self.orders else next(iter(self.house.values()))


class Ladder:
    """One side of a book, its levels sorted from the best price on."""

    def __init__(self, side: Side) -> None:
        self.side = side
        # Sorted ascending; bids are kept negated so that the best is always at the front.
        self._keys: list[Decimal] = []
        self._levels: dict[Decimal, Level] = {}

    def best(self) -> Level | None:
        """Return the best level."""
        return self._levels[self._keys[0]] if self._keys else None

    def best_price(self) -> Decimal | None:
        """Return the best price."""
        level = self.best()
        return level.price if level else None

    def crossing(self, price: Decimal) -> Level | None:
        """Return the best level if an order of the other side at `price` would trade with it."""
        if self._keys and self._keys[0] <= self._key(price):
            return self._levels[self._keys[0]]
        return None

    def crosses(self, price: Decimal) -> bool:
        """Tell whether an order of the other side at `price` would trade."""
        return self.crossing(price) is not None

    def levels(self, depth: int | None = None) -> Iterator[Level]:
        """Yield levels, best first."""
        for key in self._keys[:depth]:
            yield self._levels[key]

    def add(self, order: Order) -> None:
        """Put an order at the end of its price's queue."""
        key = self._key(order.price)
        level = self._levels.get(key)
        if level is None:
            level = self._levels[key] = Level(order.price)
            insort(self._keys, key)
        (level.house if order.is_house else level.orders)[order.venue_order_id] = order
        level.quantity += order.remaining

    def reduce(self, order: Order, quantity: Decimal) -> None:
        """Take `quantity` off a resting order; one with nothing left leaves the book."""
        level = self._levels[self._key(order.price)]
        order.remaining -= quantity
        level.quantity -= quantity
        if not order.remaining:
            self._drop(level, order)

    def remove(self, order: Order) -> None:
        """Take an order out of the book, leaving its remaining quantity as it is."""
        level = self._levels[self._key(order.price)]
        level.quantity -= order.remaining
        self._drop(level, order)

    def _drop(self, level: Level, order: Order) -> None:
        del (level.house if order.is_house else level.orders)[order.venue_order_id]
        if not level.count:
            key = self._key(order.price)
            del self._levels[key]
            del self._keys[bisect_left(self._keys, key)]

    def _key(self, price: Decimal) -> Decimal:
        return -price if self.side is Side.BUY else price


class Book:
    """Both sides of one market."""

    def __init__(self) -> None:
        self.bids = Ladder(Side.BUY)
        self.asks = Ladder(Side.SELL)

    def side(self, side: Side) -> Ladder:
        """Return the ladder on which orders of `side` rest."""
        return self.bids if side is Side.BUY else self.asks

    def mid_price(self) -> Decimal | None:
        """Return the middle of the best prices; None unless both sides have orders."""
        bid, ask = self.bids.best_price(), self.asks.best_price()
        return None if bid is None or ask is None else (bid + ask) / 2
