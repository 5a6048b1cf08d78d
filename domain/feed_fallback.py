"""Which way each public channel comes while a venue's stream is down or silent. Pure; time in.

In this order: the stream makes itself a new connection; a second stream of the same venue takes
over; what is left is asked for. A channel goes back to the stream when the stream has spoken of it
again. Never another venue's data.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

C = TypeVar("C", bound=Hashable)

#: So long a new connection is waited for before the second stream is asked, or the venue.
SECOND_AFTER_S = 2.0
#: So long also the second stream is waited for before the venue is asked.
POLL_AFTER_S = 5.0
#: A stream with a silent channel is renewed at most so often.
RENEW_AGAIN_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways(Generic[C]):
    """What to do now. `renew` is a silent channel for which the stream is to be connected anew."""

    renew: C | None
    second: frozenset[C]
    poll: frozenset[C]


@dataclass(slots=True)
class _Line(Generic[C]):
    """One stream: whether it is live, since when that is so, and when it spoke of what."""

    live: bool = False
    since: float = 0.0
    heard: dict[C, float] = field(default_factory=dict)


class Fallback(Generic[C]):
    """Follows one place's streams and says which way each channel is to come.

    `silence_max_s` gives how long a channel may be silent on a live connection, None: for ever.
    """

    def __init__(
        self, silence_max_s: Callable[[C], float | None], *, has_second: bool, now: float
    ) -> None:
        self._silence_max_s = silence_max_s
        self._has_second = has_second
        self._channels: frozenset[C] = frozenset()
        self._wanted_since: dict[C, float] = {}
        self._first = _Line[C](since=now)
        self._second = _Line[C](since=now)
        #: Since when the stream carries a wanted channel no more.
        self._lost: dict[C, float] = {}
        #: The lost channels of which another way has told something.
        self._told_otherwise: set[C] = set()
        self._renewed_at = float("-inf")

    def follow(self, channels: Collection[C], now: float) -> None:
        """Set the channels that are wanted."""
        for channel in frozenset(channels) - self._channels:
            self._wanted_since[channel] = now
            self._first.heard.pop(channel, None)
            self._second.heard.pop(channel, None)
            if not self._first.live:
                self._lost[channel] = now
        for channel in self._channels - frozenset(channels):
            self._wanted_since.pop(channel, None)
            self._found(channel)
        self._channels = frozenset(channels)

    def first_state(self, now: float, *, live: bool) -> None:
        """Hear that the stream is live, or is not."""
        if live == self._first.live:
            return
        before, self._first.since = self._first.since, now
        self._first.live = live
        if not live:
            for channel in self._channels:
                self._lost.setdefault(channel, now)
            return
        for channel in tuple(self._lost):
            spoke = self._first.heard.get(channel, before) > before
            # What nobody else has told of may be quiet: that is no reason to look elsewhere.
            if spoke or channel not in self._told_otherwise:
                self._found(channel)

    def first_heard(self, channel: C, now: float) -> None:
        """Hear that the stream spoke of a channel."""
        self._first.heard[channel] = now
        if self._first.live:
            self._found(channel)

    def second_state(self, now: float, *, live: bool) -> None:
        """Hear that the second stream is live, or is not."""
        if live != self._second.live:
            self._second.live, self._second.since = live, now

    def second_heard(self, channel: C, now: float) -> None:
        """Hear that the second stream spoke of a channel."""
        self._second.heard[channel] = now
        self._tell(channel)

    def polled(self, channel: C) -> None:
        """Hear that a channel was asked for, and answered."""
        self._tell(channel)

    def comes_otherwise(self, channel: C) -> bool:
        """Tell whether another way's word on a channel counts now."""
        return channel in self._lost

    def ways(self, now: float) -> Ways[C]:
        """Return which way each channel is to come now."""
        renew = self._find_silent(now)
        second: set[C] = set()
        poll: set[C] = set()
        for channel, lost_at in self._lost.items():
            waited = now - lost_at
            if waited < SECOND_AFTER_S:
                continue
            if not self._has_second:
                poll.add(channel)
                continue
            second.add(channel)
            if waited >= POLL_AFTER_S and not self._second_carries(channel, now):
                poll.add(channel)
        return Ways(renew=renew, second=frozenset(second), poll=frozenset(poll))

    def _find_silent(self, now: float) -> C | None:
        """Take note of silent channels; return one if the stream is to be renewed for it."""
        if not self._first.live:
            return None
        silent: list[C] = []
        for channel in self._channels:
            bound = self._silence_max_s(channel)
            if bound is not None and now - self._heard_at(self._first, channel) > bound:
                self._lost.setdefault(channel, now)
                silent.append(channel)
        if not silent or now - max(self._renewed_at, self._first.since) < RENEW_AGAIN_S:
            return None
        self._renewed_at = now
        return silent[0]

    def _second_carries(self, channel: C, now: float) -> bool:
        if not self._second.live or self._second.heard.get(channel, -1.0) < self._second.since:
            return False
        bound = self._silence_max_s(channel)
        return bound is None or now - self._heard_at(self._second, channel) <= bound

    def _heard_at(self, line: _Line[C], channel: C) -> float:
        """Return since when a line owes a word: its last one, or when it could have begun."""
        began = max(line.since, self._wanted_since.get(channel, line.since))
        return max(began, line.heard.get(channel, began))

    def _tell(self, channel: C) -> None:
        if channel in self._lost:
            self._told_otherwise.add(channel)

    def _found(self, channel: C) -> None:
        self._lost.pop(channel, None)
        self._told_otherwise.discard(channel)
