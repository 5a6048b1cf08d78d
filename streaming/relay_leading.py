"""What the process that follows a venue says to the others: numbered batches, and snapshots.

Without I/O. What waits is conflated to the newest of each channel; trades add up, to a bound.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from typing import Final

from bus.market_relay import Batch, Refusal, RelayedEvent
from domain.market_data import Trade
from streaming.relay_words import channel_of, relayed_event
from venues.connector import FeedState, MarketChannel, MarketEvent, TradesSeen

TRADES_KEPT: Final = 50
TRADES_WAITING_MAX: Final = 1_000
WAITING_MAX: Final = 5_000


class RelayLeader:
    """One reign of one owner of one place."""

    def __init__(self, epoch: str) -> None:
        self._reign = epoch
        self._breaks = 0
        self._sequence = 0
        self._states: dict[str, FeedState] = {}
        self._last: dict[MarketChannel, tuple[MarketEvent, str]] = {}
        self._trades: dict[MarketChannel, deque[Trade]] = {}
        #: By a stretch between two changes of state, and channel: no event passes a change.
        self._waiting: dict[tuple[int, MarketChannel | None], RelayedEvent] = {}
        self._stretch = 0
        #: What was said to whoever wished, and could not be had; said with every batch.
        self.answered: Mapping[str, int] = {}
        self.refused: Collection[Refusal] = ()

    @property
    def is_waiting(self) -> bool:
        """Whether something is to be said."""
        return bool(self._waiting)

    def remember(self, event: MarketEvent, source: str) -> None:
        """Take an event of the venue's feed that nobody else wants yet."""
        if isinstance(event, FeedState):
            self._states[source] = event
            return
        channel = channel_of(event)
        if channel is None:
            return
        self._last[channel] = (event, source)
        if isinstance(event, TradesSeen):
            kept = self._trades.get(channel)
            if kept is None:
                kept = self._trades[channel] = deque(maxlen=TRADES_KEPT)
            kept.extend(event.trades)

    def take(self, event: MarketEvent, source: str) -> None:
        """Take an event of the venue's feed that is to be said."""
        self.remember(event, source)
        said = relayed_event(event, source)
        channel = channel_of(event)
        if isinstance(event, FeedState):
            self._stretch += 2
            self._waiting[self._stretch - 1, None] = said
        elif channel is not None:
            key = (self._stretch, channel)
            self._waiting[key] = _after(self._waiting.get(key), said)
            trades = self._waiting[key].trades
            if trades is not None and len(trades) > TRADES_WAITING_MAX:
                self.broke()
        if len(self._waiting) > WAITING_MAX:
            self.broke()

    def keep(self, channels: Collection[MarketChannel]) -> None:
        """Forget what is followed no more."""
        kept = frozenset(channels)
        for channel in self._last.keys() - kept:
            del self._last[channel]
            self._trades.pop(channel, None)

    def broke(self) -> None:
        """Begin anew: what was said may not have arrived; what waits is in the next snapshot."""
        self._breaks += 1
        self._sequence = 0
        self._waiting.clear()

    def batch(self) -> Batch:
        """Return what waits, or an empty batch, which says that nothing was lost."""
        events, self._waiting = list(self._waiting.values()), {}
        return self._numbered(events, is_snapshot=False)

    def snapshot(self) -> list[Batch]:
        """Return what waits, and after it everything that is known.

        Who is in step passes over what a snapshot repeats, so that nothing may be in it alone.
        """
        batches = [self.batch()] if self._waiting else []
        events = [relayed_event(state, source) for source, state in self._states.items()]
        for channel, (event, source) in self._last.items():
            trades = self._trades.get(channel)
            if trades is None:
                events.append(relayed_event(event, source))
            else:
                # Where there are none yet the market has to be named besides.
                symbol = "" if trades else channel.symbol
                backlog = TradesSeen(trades=tuple(trades), is_backlog=True, symbol=symbol)
                events.append(relayed_event(backlog, source))
        return [*batches, self._numbered(events, is_snapshot=True)]

    def _numbered(self, events: list[RelayedEvent], *, is_snapshot: bool) -> Batch:
        self._sequence += 1
        return Batch(
            epoch=f"{self._reign}.{self._breaks}",
            sequence=self._sequence,
            events=events,
            is_snapshot=is_snapshot,
            answered=dict(self.answered),
            refused=list(self.refused),
        )


def _after(before: RelayedEvent | None, said: RelayedEvent) -> RelayedEvent:
    """Return what is left to say of one channel: the newest, or all trades."""
    if before is None or before.trades is None or said.trades is None:
        return said
    return RelayedEvent(
        source=said.source,
        trades=(*before.trades, *said.trades),
        is_backlog=before.is_backlog and said.is_backlog,
        symbol=said.symbol or before.symbol,
    )
