"""A book as the feed tells it: a whole one, then changes. Pure; knows no socket.

A change names the size that a level has afterwards (`c`), so nothing is added up; 0 takes the level
away. What comes out is the best of both sides, a bounded number of levels.

Source: api.docs.extended.exchange, order book stream; recorded 2026-09.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from decimal import Decimal

from domain.market_data import BookLevel
from venues.extended import wire


class Side:
    """One side of a book, its prices in ascending order."""

    def __init__(self) -> None:
        self._sizes: dict[Decimal, Decimal] = {}
        self._prices: list[Decimal] = []

    def replace(self, levels: Iterable[wire.Level]) -> None:
        """Take a whole side."""
        self._sizes = {level.p: level.q for level in levels if level.q > 0}
        self._prices = sorted(self._sizes)

    def change(self, levels: Iterable[wire.Level]) -> None:
        """Take changes.

        Raises:
            WireError: one does not say what the size is now.
        """
        for level in levels:
            if level.c is None:
                raise wire.WireError(f"expected the new size of the level at {level.p}, found none")
            self._set(level.p, level.c)

    def _set(self, price: Decimal, size: Decimal) -> None:
        is_known = price in self._sizes
        if size > 0:
            self._sizes[price] = size
            if not is_known:
                insort(self._prices, price)
        elif is_known:
            del self._sizes[price]
            del self._prices[bisect_left(self._prices, price)]

    def lowest(self, count: int) -> tuple[BookLevel, ...]:
        """Return the lowest prices, ascending: the best of the asks."""
        return self._levels(self._prices[:count])

    def highest(self, count: int) -> tuple[BookLevel, ...]:
        """Return the highest prices, descending: the best of the bids."""
        return self._levels(reversed(self._prices[-count:]))

    def _levels(self, prices: Iterable[Decimal]) -> tuple[BookLevel, ...]:
        return tuple(BookLevel(price=one, quantity=self._sizes[one]) for one in prices)


class LiveBook:
    """Both sides of one market's book."""

    def __init__(self) -> None:
        self.bids = Side()
        self.asks = Side()
        self._is_whole = False

    def apply(self, data: wire.BookData) -> bool:
        """Take a frame; False for a change of a book that is not known yet.

        Raises:
            WireError: it is neither a snapshot nor a change.
        """
        if data.t == "SNAPSHOT":
            self.bids.replace(data.b)
            self.asks.replace(data.a)
            self._is_whole = True
            return True
        if data.t != "DELTA":
            raise wire.WireError(f"expected SNAPSHOT or DELTA, found {data.t[:16]!r}")
        if not self._is_whole:
            return False
        self.bids.change(data.b)
        self.asks.change(data.a)
        return True
