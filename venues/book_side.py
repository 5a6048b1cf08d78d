"""One side of a book that a venue tells by changes: kept in order, its best levels at hand. Pure.

A change of a book of thousands names a few levels: those are made anew, all others are told again
as they are. Knows no venue and no numbering of changes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from domain.market_data import BookLevel

_NOTHING: Final = Decimal(0)


class BookSide:
    """The levels of a side by price; the best of `bids` is the highest, of asks the lowest."""

    __slots__ = ("_are_bids", "_levels", "_prices")

    def __init__(self, *, bids: bool) -> None:
        self._are_bids = bids
        #: Ascending on both sides, and `_levels` beside them.
        self._prices: list[Decimal] = []
        self._levels: list[BookLevel] = []

    def replace(self, levels: Iterable[tuple[Decimal, Decimal]]) -> None:
        """Take a whole side, prices with their quantities; of one named twice the last counts."""
        found = dict(levels)
        self._prices = sorted(price for price, quantity in found.items() if quantity > _NOTHING)
        self._levels = [BookLevel(price=each, quantity=found[each]) for each in self._prices]

    def put(self, price: Decimal, quantity: Decimal) -> None:
        """Set what there is at a price from now on; nothing takes the level away."""
        prices = self._prices
        at = bisect_left(prices, price)
        is_there = at < len(prices) and prices[at] == price
        if quantity > _NOTHING:
            level = BookLevel(price=price, quantity=quantity)
            if is_there:
                self._levels[at] = level
            else:
                prices.insert(at, price)
                self._levels.insert(at, level)
        elif is_there:
            del prices[at], self._levels[at]

    def best(self, depth: int) -> tuple[BookLevel, ...]:
        """Return the best levels, best first, at most `depth` (above 0) of them."""
        return tuple(self._levels[: -depth - 1 : -1] if self._are_bids else self._levels[:depth])
