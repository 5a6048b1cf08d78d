"""What a stream does, without I/O: bytes and time in, steps out. Knows no venue and no socket.

A step says what happened, what to send, and whether to give the connection up; the shell in
`venues.stream` carries it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

E = TypeVar("E")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Generic[E]):
    """What one input leads to. `close` is the reason to give the connection up, or None."""

    events: tuple[E, ...] = ()
    send: tuple[bytes, ...] = ()
    close: str | None = None


class StreamCore(Protocol[E]):
    """What a shell drives. `now` is a monotonic clock in seconds, `at` our wall clock."""

    def connected(self, now: float, at: datetime) -> Step[E]:
        """A connection stands."""
        ...

    def received(self, payload: bytes, now: float, at: datetime) -> Step[E]:
        """A whole text message came."""
        ...

    def tick(self, now: float, at: datetime) -> Step[E]:
        """Time passed; called about every second."""
        ...

    def disconnected(self, reason: str, at: datetime) -> tuple[E, ...]:
        """The connection is gone, or could not be made."""
        ...
