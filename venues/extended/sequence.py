"""The numbers of one connection's frames: each is one more than the last. Sans I/O.

A number that was seen is a frame that came twice; a greater one than the next is a loss, after
which the connection is of no use: the venue repeats nothing.

Source: api.docs.extended.exchange, WebSocket streams; recorded 2026-09.
"""

from __future__ import annotations

from venues.stream_session import SessionOver


class Sequence:
    """What came on one connection; `first` is the number of its first frame."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._next = first

    def begin(self) -> None:
        """Start anew on a fresh connection."""
        self._next = self._first

    def is_new(self, number: int) -> bool:
        """Tell whether a frame is to be read.

        Raises:
            SessionOver: frames before it are missing.
        """
        if number > self._next:
            raise SessionOver(f"expected frame {self._next}, found {number}: frames are missing")
        if number < self._next:
            return False
        self._next += 1
        return True
