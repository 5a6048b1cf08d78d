"""What a process that does not follow a venue makes of what the one that does says.

Without I/O. A batch that is missing makes everything of the place stale until a snapshot: then a
connection is said to be lost and to be back, as the venue's own feed would say it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from bus.market_relay import Batch
from streaming.relay_words import channel_of, event_in
from venues.connector import FeedState, MarketChannel, MarketChannelKind, MarketEvent

#: Longer silence of the owner, who says something each second, is a loss.
SILENT_S: Final = 3.0

Said = tuple[MarketEvent, str]


class RelayFollowing:
    """The relay of one place, as heard by one process."""

    def __init__(self, now: Callable[[], datetime], clock: Callable[[], float]) -> None:
        self._now = now
        self._clock = clock
        self._wanted: frozenset[MarketChannel] = frozenset()
        self._begun: set[MarketChannel] = set()
        self._live: set[str] = set()
        self._epoch: str | None = None
        self._next = 0
        self._in_step = False
        self._heard_at = clock()

    @property
    def needs_snapshot(self) -> bool:
        """Whether a snapshot has to be asked for: something is missing, or not begun."""
        return not self._in_step or not self._begun >= self._wanted

    def want(self, channels: frozenset[MarketChannel]) -> None:
        """Set what is to be heard."""
        self._wanted = channels
        self._begun &= channels

    def receive(self, batch: Batch) -> list[Said]:
        """Return what a batch brings."""
        self._heard_at = self._clock()
        if self._in_step and batch.epoch == self._epoch:
            if batch.sequence < self._next:
                return []
            if batch.sequence == self._next:
                self._next += 1
                return self._in_order(batch)
        found = self.lost("messages between processes were lost")
        if batch.is_snapshot:
            self._epoch, self._next, self._in_step = batch.epoch, batch.sequence + 1, True
            found += self._in_order(batch)
        return found

    def lost(self, reason: str) -> list[Said]:
        """Return what says that nothing of the place is live any more."""
        self._in_step = False
        self._begun.clear()
        live, self._live = sorted(self._live), set()
        at = self._now()
        return [
            (FeedState(account_id=None, live=False, reason=reason, at=at), source)
            for source in live
        ]

    def silent(self) -> list[Said]:
        """Return what a look at the clock brings: the owner has said nothing for too long."""
        if self._live and self._clock() - self._heard_at > SILENT_S:
            return self.lost("the process that follows the venue is silent")
        return []

    def _in_order(self, batch: Batch) -> list[Said]:
        found: list[Said] = []
        for relayed in batch.events:
            event = event_in(relayed)
            if event is None:
                continue
            if isinstance(event, FeedState):
                if self._changes(event, relayed.source):
                    found.append((event, relayed.source))
            elif self._is_heard(event, is_snapshot=batch.is_snapshot):
                found.append((event, relayed.source))
        if batch.is_snapshot:
            # Of what the owner knows nothing yet, all that comes is a beginning.
            self._begun |= self._wanted
        return found

    def _changes(self, state: FeedState, source: str) -> bool:
        if state.live == (source in self._live):
            return False
        if state.live:
            self._live.add(source)
        else:
            self._live.discard(source)
        return True

    def _is_heard(self, event: MarketEvent, *, is_snapshot: bool) -> bool:
        channel = channel_of(event)
        if channel is None or channel not in self._wanted:
            return False
        if is_snapshot:
            # Who is in step knows this already, but for what was only wished for now.
            return channel not in self._begun
        # Trades are continued from a backlog; anything else is whole by itself.
        return channel in self._begun or channel.kind is not MarketChannelKind.TRADES
