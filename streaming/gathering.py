"""What a topic's followers are told in one turn of the loop, sent to each of them at once.

While a message is sent to thousands of clients the next ones come in. Sent one by one each of them
costs every client a call of the operating system, which is nearly all that a delivery costs: a
server that has fallen behind would stay behind. Sent together they cost one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from streaming.hub import Hub, Topic

#: More than so many messages, or bytes, of a topic do not wait for the end of the turn.
MESSAGES_MAX: Final = 32
BYTES_MAX: Final = 32 * 1024

#: Has a function called when the present turn of the loop is over.
Later = Callable[[Callable[[], None]], object]


@dataclass(slots=True)
class _Run:
    """A topic's messages that wait, numbered from `first` without gap."""

    first: int
    messages: list[bytes]
    size_bytes: int


class Gathering:
    """Publishes on a hub at the end of each turn; without `later` at once.

    Before anything else is done to a topic of the hub, `flush` it: its followers see the same
    messages in the same order as if nothing had waited.
    """

    def __init__(self, hub: Hub, later: Later | None = None) -> None:
        self._hub = hub
        self._later = later
        self._waiting: dict[Topic, _Run] = {}
        self._is_due = False

    def publish(self, topic: Topic, sequence: int, data: bytes) -> None:
        """Send the topic's next message to all that follow it, soon."""
        if self._later is None:
            self._hub.publish(topic, sequence, data)
            return
        run = self._waiting.get(topic)
        if run is not None and sequence != run.first + len(run.messages):
            self.flush(topic)
            run = None
        if run is None:
            self._waiting[topic] = _Run(sequence, [data], len(data))
            self._plan()
            return
        run.messages.append(data)
        run.size_bytes += len(data)
        if len(run.messages) >= MESSAGES_MAX or run.size_bytes >= BYTES_MAX:
            self.flush(topic)

    def flush(self, topic: Topic) -> None:
        """Send now what waits of a topic."""
        run = self._waiting.pop(topic, None)
        if run is not None:
            self._hub.publish_together(topic, run.first, run.messages)

    def forget(self, topic: Topic) -> None:
        """Nobody follows a topic any more."""
        self._waiting.pop(topic, None)

    def _plan(self) -> None:
        if not self._is_due and self._later is not None:
            self._is_due = True
            self._later(self._turn_is_over)

    def _turn_is_over(self) -> None:
        self._is_due = False
        for topic in tuple(self._waiting):
            self.flush(topic)
