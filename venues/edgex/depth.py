"""A book put together from a snapshot and its changes, without I/O.

Each change begins at the version at which the one before ended (recorded), or at the next (an
older example). What ends at or before what is known was told already; anything else is a gap, and
the book is worth nothing until the next snapshot.

Source: recorded on production 2026-09-28; NOTES.md "WebSocket".
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from domain.market_data import BookLevel
from venues.book_side import BookSide
from venues.edgex import wire
from venues.edgex.translate_markets import levels


class DepthBook:
    """One channel's book."""

    def __init__(self) -> None:
        self._bids = BookSide(bids=True)
        self._asks = BookSide(bids=False)
        self._end: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether there was a snapshot, and no gap since."""
        return self._end is not None

    def bids(self, depth: int) -> tuple[BookLevel, ...]:
        """Return the best bids, highest first."""
        return self._bids.best(depth)

    def asks(self, depth: int) -> tuple[BookLevel, ...]:
        """Return the best asks, lowest first."""
        return self._asks.best(depth)

    def apply(self, depth: wire.Depth, *, is_snapshot: bool) -> bool:
        """Take a snapshot or a change; return whether there is a newer whole book now.

        Raises:
            WireError: versions or levels are no numbers.
        """
        start = wire.integer(depth.start_version, "startVersion")
        end = wire.integer(depth.end_version, "endVersion")
        bids, asks = levels(depth.bids), levels(depth.asks)
        if is_snapshot:
            self._bids.replace(bids.items())
            self._asks.replace(asks.items())
            self._end = end
            return True
        if self._end is None or end <= self._end:
            return False
        if start not in (self._end, self._end + 1):
            self._end = None
            return False
        _change(self._bids, bids)
        _change(self._asks, asks)
        self._end = end
        return True


def _change(side: BookSide, rows: Mapping[Decimal, Decimal]) -> None:
    for price, size in rows.items():
        side.put(price, size)
