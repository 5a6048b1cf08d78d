"""What waits to be sent to one client: bounded, and conflated rather than grown.

While the client keeps up, messages go straight through. Pure: time is given in, sending is a sink.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Protocol

from streaming.protocol import Limits


class Sink(Protocol):
    """Where a client's messages go."""

    def send(self, data: bytes) -> None:
        """Send one message now."""
        ...

    def send_frames(self, frames: bytes) -> None:
        """Send messages now that are frames already."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Close the connection."""
        ...


class Outbox:
    """One client's queue. A message with a topic may be left out, one without never is.

    `is_clear`: a message may be given to the sink at once, because nothing waits and the
    connection takes messages. `blocked` hears each time that it takes none any more.
    """

    __slots__ = (
        "_blocked",
        "_blocked_since",
        "_limits",
        "_sink",
        "_waiting",
        "_waiting_bytes",
        "is_clear",
    )

    def __init__(
        self, sink: Sink, limits: Limits, blocked: Callable[[], None] = lambda: None
    ) -> None:
        self._sink = sink
        self._limits = limits
        self._blocked = blocked
        self._waiting: deque[tuple[Hashable | None, bytes]] = deque()
        self._waiting_bytes = 0
        self._blocked_since: float | None = None
        self.is_clear = True

    @property
    def waiting(self) -> int:
        """How many messages wait."""
        return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait."""
        return self._waiting_bytes

    @property
    def is_blocked(self) -> bool:
        """Whether the client's connection takes nothing at the moment."""
        return self._blocked_since is not None

    def blocked_s(self, now: float) -> float:
        """Return for how long the connection has taken nothing."""
        return 0.0 if self._blocked_since is None else now - self._blocked_since

    def pause(self, now: float) -> None:
        """The connection takes nothing more."""
        if self._blocked_since is None:
            self._blocked_since = now
            self.is_clear = False
            self._blocked()

    def resume(self, now: float) -> None:
        """The connection takes messages again: send what waits, as far as it goes."""
        self._blocked_since = None
        while self._waiting and not self.is_blocked:
            _, data = self._waiting.popleft()
            self._waiting_bytes -= len(data)
            # Sending may block the connection again (`pause` is called inside).
            self._sink.send(data)
        self.is_clear = not self._waiting and not self.is_blocked

    def stop(self) -> None:
        """The client is gone: nothing waits and nothing is clear any more."""
        self._waiting.clear()
        self._waiting_bytes = 0
        self.is_clear = False

    def push(self, data: bytes, topic: Hashable | None = None) -> frozenset[Hashable]:
        """Send or queue a message; return the topics of which messages had to be left out.

        Raises:
            OverflowError: even without all that may be left out, too much waits.
        """
        if self.is_clear:
            self._sink.send(data)
            return frozenset()
        self._waiting.append((topic, data))
        self._waiting_bytes += len(data)
        if not self._is_over():
            return frozenset()
        left_out = frozenset(topic for topic, _ in self._waiting if topic is not None)
        for one in left_out:
            self.leave_out(one)
        if self._is_over():
            raise OverflowError(f"{len(self._waiting)} messages wait that cannot be left out")
        return left_out

    def leave_out(self, topic: Hashable) -> None:
        """Forget what waits of a topic."""
        if not self._waiting:
            return
        self._waiting = deque(item for item in self._waiting if item[0] != topic)
        self._waiting_bytes = sum(len(data) for _, data in self._waiting)
        self.is_clear = not self._waiting and not self.is_blocked

    def _is_over(self) -> bool:
        return (
            len(self._waiting) > self._limits.queued_messages_max
            or self._waiting_bytes > self._limits.queued_bytes_max
        )
