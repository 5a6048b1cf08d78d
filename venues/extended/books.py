"""A book as the feed tells it: a whole one, then changes. Pure; knows no socket.

A change names the size that a level has afterwards (`c`), so nothing is added up; 0 takes the level
away. What comes out is the best of both sides, a bounded number of levels.

Source: api.docs.extended.exchange, order book stream; recorded 2026-09.
"""

from __future__ import annotations

from collections.abc import Iterable

from domain.market_data import BookLevel
from venues.book_side import BookSide
from venues.extended import wire


class LiveBook:
    """Both sides of one market's book."""

    def __init__(self) -> None:
        self._bids = BookSide(bids=True)
        self._asks = BookSide(bids=False)
        self._is_whole = False

    def apply(self, data: wire.BookData) -> bool:
        """Take a frame; False for a change of a book that is not known yet.

        Raises:
            WireError: it is neither a snapshot nor a change, or does not say what the size is now.
        """
        if data.t == "SNAPSHOT":
            self._bids.replace((level.p, level.q) for level in data.b)
            self._asks.replace((level.p, level.q) for level in data.a)
            self._is_whole = True
            return True
        if data.t != "DELTA":
            raise wire.WireError(f"expected SNAPSHOT or DELTA, found {data.t[:16]!r}")
        if not self._is_whole:
            return False
        _change(self._bids, data.b)
        _change(self._asks, data.a)
        return True

    def bids(self, depth: int) -> tuple[BookLevel, ...]:
        """Return the best bids, highest first."""
        return self._bids.best(depth)

    def asks(self, depth: int) -> tuple[BookLevel, ...]:
        """Return the best asks, lowest first."""
        return self._asks.best(depth)


def _change(side: BookSide, levels: Iterable[wire.Level]) -> None:
    for level in levels:
        if level.c is None:
            raise wire.WireError(f"expected the new size of the level at {level.p}, found none")
        side.put(level.p, level.c)
