"""The exchange's clock: the machine's time plus an offset, or a time that only tests move.

Knows nothing but time. All times are milliseconds since the Unix epoch.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where the exchange reads its time from."""

    offset_ms: int

    def now_ms(self) -> int:
        """Return the exchange's present time."""
        ...


class SystemClock:
    """The machine's clock, shifted by `offset_ms` (a venue whose clock is wrong, time travel)."""

    def __init__(self, offset_ms: int = 0) -> None:
        self.offset_ms = offset_ms

    def now_ms(self) -> int:
        """Return the machine's time plus the offset."""
        return time.time_ns() // 1_000_000 + self.offset_ms


class ManualClock:
    """A clock that stands still until it is moved; for tests."""

    def __init__(self, start_ms: int) -> None:
        self._start_ms = start_ms
        self.offset_ms = 0

    def now_ms(self) -> int:
        """Return the start plus what was added to the offset."""
        return self._start_ms + self.offset_ms
