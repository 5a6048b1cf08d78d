"""What all venues' streams share, without I/O: one connection kept alive, and said to be live.

A venue writes a `Conversation`: what to say on a fresh connection, and what it makes of a message.
`LiveStream` makes a `StreamCore` of it: it notices silence and what was never answered, and tells
once per change whether the feed is live. Knows no venue and no socket.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from venues.connector import FeedState
from venues.payloads import WireError
from venues.stream_core import Step

E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)


class SessionOver(Exception):
    """The venue said something after which the connection is of no use; the text is the reason."""


class SessionWatch:
    """Whether one connection is alive, and what was asked for on it and is not answered yet.

    `ping` is sent every `ping_every_s` seconds; None where the client says nothing by itself. What
    was heard of the venue longer than `silence_max_s` ago, or asked longer than `answer_within_s`
    ago, ends the connection.
    """

    def __init__(
        self,
        *,
        silence_max_s: float,
        answer_within_s: float,
        ping: bytes | None = None,
        ping_every_s: float = math.inf,
    ) -> None:
        self._silence_max_s = silence_max_s
        self._answer_within_s = answer_within_s
        self._ping = ping
        self._ping_every_s = ping_every_s
        self._waiting: dict[Hashable, tuple[float, str]] = {}
        self._replies: list[bytes] = []
        self._heard_at = 0.0
        self._pinged_at = 0.0
        self._is_connected = False

    @property
    def is_connected(self) -> bool:
        """Whether a connection stands."""
        return self._is_connected

    @property
    def is_waiting(self) -> bool:
        """Whether something asked for is not answered yet."""
        return bool(self._waiting)

    def begin(self, now: float) -> None:
        """Start anew on a fresh connection."""
        self._waiting.clear()
        self._replies.clear()
        self._heard_at = self._pinged_at = now
        self._is_connected = True

    def end(self) -> None:
        """The connection is gone."""
        self._is_connected = False

    def heard(self, now: float) -> None:
        """The venue said something."""
        self._heard_at = now

    def expect(self, name: Hashable, lacking: str, now: float) -> None:
        """Wait for an answer; `lacking` says what is missing ("trades BTC not acknowledged")."""
        self._waiting[name] = (now, lacking)

    def answered(self, name: Hashable) -> None:
        """Wait for it no longer; also where it is wanted no longer."""
        self._waiting.pop(name, None)

    def reply(self, frame: bytes) -> None:
        """Have a frame sent once the present message is read: the answer to a venue's ping."""
        self._replies.append(frame)

    def replies(self) -> tuple[bytes, ...]:
        """Return what is to be sent now, once."""
        found = tuple(self._replies)
        self._replies.clear()
        return found

    def tick(self, now: float) -> tuple[bytes | None, str | None]:
        """Return a ping if one is due, and a reason to close if the connection seems dead."""
        if now - self._heard_at >= self._silence_max_s:
            return None, f"nothing heard for {self._silence_max_s:g} s"
        asked_at, lacking = min(
            self._waiting.values(), key=lambda waiting: waiting[0], default=(math.inf, "")
        )
        if now - asked_at >= self._answer_within_s:
            return None, f"{lacking} within {self._answer_within_s:g} s"
        if self._ping is not None and now - self._pinged_at >= self._ping_every_s:
            self._pinged_at = now
            return self._ping, None
        return None, None


class Conversation(Protocol[E_co]):
    """What a venue says and hears on one connection. `now` is monotonic, `at` our wall clock."""

    @property
    def watch(self) -> SessionWatch:
        """What this connection waits for; nothing open means that the feed is live."""
        ...

    def begin(self, now: float) -> tuple[bytes, ...]:
        """Forget the last connection and return what to send first on a fresh one."""
        ...

    def hear(self, payload: bytes, now: float, at: datetime) -> tuple[E_co, ...]:
        """Read one message.

        Raises:
            WireError: it is not what the venue documents.
            SessionOver: the venue said something that ends the connection.
        """
        ...


class LiveStream(Generic[E]):
    """Implements `StreamCore` by a conversation; `account_id` is None for a public feed."""

    def __init__(self, conversation: Conversation[E], account_id: str | None = None) -> None:
        self._conversation = conversation
        self._watch = conversation.watch
        self._account_id = account_id
        self._is_live = False
        self._last_reason: str | None = None

    def connected(self, now: float, at: datetime) -> Step[E | FeedState]:
        """Say what the conversation begins with."""
        self._is_live = False
        self._watch.begin(now)
        return Step(send=self._conversation.begin(now), events=self._went_live(at))

    def received(self, payload: bytes, now: float, at: datetime) -> Step[E | FeedState]:
        """Read one message; a snapshot comes before the word that the feed is live."""
        self._watch.heard(now)
        before = self._went_live(at)
        try:
            events = self._conversation.hear(payload, now, at)
        except SessionOver as over:
            return Step(events=before, close=str(over)[:300])
        except (WireError, OverflowError) as error:
            # A time or a number that nobody can calculate with is no message either.
            return Step(events=before, close=f"unreadable message: {error}"[:300])
        found: tuple[E | FeedState, ...] = (*before, *events, *self._went_live(at))
        return Step(events=found, send=self._watch.replies())

    def tick(self, now: float, at: datetime) -> Step[E | FeedState]:
        """Ping, and notice a dead connection or an answer that never came."""
        ping, dead = self._watch.tick(now)
        return Step(send=(ping,) if ping else (), close=dead)

    def disconnected(self, reason: str, at: datetime) -> tuple[E | FeedState, ...]:
        """Say that the feed is not live, once per loss and per new reason."""
        self._watch.end()
        if not self._is_live and reason == self._last_reason:
            return ()
        self._is_live = False
        self._last_reason = reason
        return (FeedState(account_id=self._account_id, live=False, reason=reason, at=at),)

    def _went_live(self, at: datetime) -> tuple[FeedState, ...]:
        if self._is_live or self._watch.is_waiting:
            return ()
        self._is_live = True
        self._last_reason = None
        return (FeedState(account_id=self._account_id, live=True, reason="subscribed", at=at),)
