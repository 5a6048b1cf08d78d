"""How many sockets may be open, and how often one may be opened: venues limit both per IP address.

Sans I/O: time comes in as seconds of a monotonic clock. Knows no venue.
"""

from __future__ import annotations

from collections import deque


class ConnectionBudget:
    """How many sockets may be opened, and when the next one may: limits per IP address."""

    def __init__(self, *, connections_max: int = 10, opened_per_minute_max: int = 30) -> None:
        self._connections_max = connections_max
        self._opened_max = opened_per_minute_max
        self._open = 0
        self._opened: deque[float] = deque()

    def acquire(self, now: float) -> float:
        """Take the right to open a socket: 0, or the seconds to wait before asking again."""
        while self._opened and self._opened[0] <= now - 60.0:
            self._opened.popleft()
        if self._open >= self._connections_max:
            return 5.0
        if len(self._opened) >= self._opened_max:
            return self._opened[0] + 60.0 - now
        self._open += 1
        self._opened.append(now)
        return 0.0

    def release(self) -> None:
        """Give back the right to one socket after it was closed."""
        self._open -= 1
