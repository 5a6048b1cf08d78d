"""What is measured of the venues' feeds: how late their words come, and how often they fail.

Kept by whoever follows a feed, read when somebody scrapes. Pure; bounded by venues, networks and
kinds of messages, never by markets or accounts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from domain.accounts import Network
from domain.distributions import Distribution

#: A venue's feed of what its accounts do, or of what everybody may see.
Side = Literal["private", "public"]


@dataclass(slots=True)
class ChannelMeter:
    """One kind of message. `last_at` by the monotonic clock; None before the first."""

    lag: Distribution = field(default_factory=Distribution)
    messages: int = 0
    last_at: float | None = None


class FeedMeter:
    """One feed of one venue and network."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        #: By the kind of message.
        self.channels: dict[str, ChannelMeter] = {}
        #: How often it was live no more; of a private feed each account for itself.
        self.losses = 0
        #: How often it failed or ended and was made anew by us.
        self.restarts = 0
        #: How often a book had a gap and was asked for again.
        self.resyncs = 0
        self._live: set[str | None] = set()

    def heard(
        self,
        channel: str,
        event_time: datetime | None = None,
        received_time: datetime | None = None,
    ) -> None:
        """Count a message, and how late it came where the venue says when it happened."""
        meter = self.channels.get(channel)
        if meter is None:
            meter = self.channels[channel] = ChannelMeter()
        meter.messages += 1
        meter.last_at = self._clock()
        if event_time is not None and received_time is not None:
            meter.lag.add((received_time - event_time).total_seconds())

    def went(self, account_id: str | None, *, live: bool) -> None:
        """Take note that one account, or (None) the whole feed, is live or is not any more."""
        if live:
            self._live.add(account_id)
            return
        lost = self._live if account_id is None else self._live & {account_id}
        self.losses += bool(lost)
        self._live = self._live - lost

    def keep(self, account_ids: Collection[str]) -> None:
        """Forget the accounts that are followed no more; nothing was lost of them."""
        self._live &= set(account_ids)

    @property
    def live(self) -> int:
        """How many accounts are live; of a public feed 1 or 0."""
        return len(self._live)

    def silences(self) -> dict[str, float]:
        """Return for each kind of message how many seconds ago the last one came."""
        now = self._clock()
        return {
            channel: now - meter.last_at
            for channel, meter in self.channels.items()
            if meter.last_at is not None
        }


class FeedMeters:
    """The meters of all feeds of this process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.meters: dict[tuple[str, Network, Side], FeedMeter] = {}

    def of(self, venue: str, network: Network, side: Side) -> FeedMeter:
        """Return the meter of a feed, the same one each time."""
        key = (venue, network, side)
        if key not in self.meters:
            self.meters[key] = FeedMeter(self._clock)
        return self.meters[key]
