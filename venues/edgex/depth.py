"""A book put together from a snapshot and its changes, without I/O.

Each change begins at the version at which the one before ended (recorded), or at the next (an
older example). What ends at or before what is known was told already; anything else is a gap, and
the book is worth nothing until the next snapshot.

Source: recorded on production 2026-09-28; NOTES.md "WebSocket".
"""

from __future__ import annotations

from decimal import Decimal

from venues.edgex import wire
from venues.edgex.translate_markets import levels


class DepthBook:
    """One channel's book; `bids` and `asks` are sizes by price."""

    def __init__(self) -> None:
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}
        self._end: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether there was a snapshot, and no gap since."""
        return self._end is not None

    def lose(self) -> None:
        """Know nothing any more."""
        self._end = None
        self.bids.clear()
        self.asks.clear()

    def apply(self, depth: wire.Depth, *, is_snapshot: bool) -> bool:
        """Take a snapshot or a change; return whether there is a newer whole book now.

        Raises:
            WireError: versions or levels are no numbers.
        """
        start = wire.integer(depth.start_version, "startVersion")
        end = wire.integer(depth.end_version, "endVersion")
        bids, asks = levels(depth.bids), levels(depth.asks)
        if is_snapshot:
            self.bids, self.asks = _without_empty(bids), _without_empty(asks)
            self._end = end
            return True
        if self._end is None or end <= self._end:
            return False
        if start not in (self._end, self._end + 1):
            self.lose()
            return False
        _change(self.bids, bids)
        _change(self.asks, asks)
        self._end = end
        return True


def _without_empty(rows: dict[Decimal, Decimal]) -> dict[Decimal, Decimal]:
    return {price: size for price, size in rows.items() if size}


def _change(side: dict[Decimal, Decimal], rows: dict[Decimal, Decimal]) -> None:
    for price, size in rows.items():
        if size:
            side[price] = size
        else:
            side.pop(price, None)
