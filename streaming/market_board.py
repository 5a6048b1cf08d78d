"""The latest of every wanted market channel: what was received, when, which way, how fresh.

One place that feeds write and sockets and answers read. Keeps only what somebody wants; knows no
socket of ours.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from domain.market_data import Candle, OrderBook, Ticker, Trade
from domain.market_freshness import HeardLast, MarketFreshness, freshness_of
from streaming.market_feeds import POLL, MarketFeeds, Place
from venues.connector import (
    BookSeen,
    CandleSeen,
    FeedState,
    MarketChannel,
    MarketChannelKind,
    MarketEvent,
    TickerSeen,
    TradesSeen,
    VenueSpec,
)

TRADES_KEPT: Final = 100
TRADE_IDS_KEPT: Final = 1_000
CANDLES_KEPT: Final = 100
CHANNELS_REMEMBERED: Final = 4_096
#: A book may come so much later than one that is newer, in seconds.
LATE_MAX_S: Final = 10.0

#: How long a kind of channel may be silent on a live connection, in seconds; missing: for ever.
Silences = Mapping[MarketChannelKind, float]


@dataclass(frozen=True, slots=True)
class ChannelKey:
    """Names one channel of one place."""

    place: Place
    channel: MarketChannel


@dataclass(slots=True, kw_only=True)
class Latest:
    """What is known of one channel. The field of the channel's kind is filled.

    `trades` and `candles` are the last ones, oldest first; `news` are those of the last event.
    `event_time` is the venue's where it gives one. `heard_at` is monotonic.
    """

    source: str
    event_time: datetime | None
    received_time: datetime
    heard_at: float
    generation: int
    book: OrderBook | None = None
    ticker: Ticker | None = None
    trades: deque[Trade] = field(default_factory=lambda: deque(maxlen=TRADES_KEPT))
    trade_ids: OrderedDict[str, None] = field(default_factory=OrderedDict)
    candles: OrderedDict[datetime, Candle] = field(default_factory=OrderedDict)
    new_trades: tuple[Trade, ...] = ()
    new_candle: Candle | None = None
    is_backlog: bool = False


Listener = Callable[[ChannelKey, Latest], None]
PlaceListener = Callable[[Place], None]


class MarketBoard:
    """The present state of all wanted channels."""

    def __init__(
        self,
        feeds: MarketFeeds,
        silences: Callable[[str], Silences] = lambda venue: {},
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._feeds = feeds
        self._silences_of = silences
        self._silences: dict[str, Silences] = {}
        self._clock = clock
        self._now = now
        self._latest: dict[Place, dict[MarketChannel, Latest]] = {}
        self._generations: dict[tuple[Place, str], int] = {}
        self._live: set[tuple[Place, str]] = set()
        self._listeners: list[Listener] = []
        self._place_listeners: list[PlaceListener] = []
        feeds.listen(self._take)
        feeds.listen_dropped(self._dropped)

    def listen(self, listener: Listener) -> None:
        """Have `listener` told of everything new; it must be quick and never raise."""
        self._listeners.append(listener)

    def listen_places(self, listener: PlaceListener) -> None:
        """Have `listener` told when a connection to a place came or went."""
        self._place_listeners.append(listener)

    def latest(self, key: ChannelKey) -> Latest | None:
        """Return what was received last of a wanted channel, however long ago, or None."""
        return self._latest.get(key.place, {}).get(key.channel)

    def freshness(self, key: ChannelKey) -> MarketFreshness:
        """Return how fresh a channel is now."""
        latest = self.latest(key)
        if latest is None:
            return freshness_of(None)
        return freshness_of(
            HeardLast(
                source=latest.source,
                age_s=max(0.0, self._clock() - latest.heard_at),
                is_polled=latest.source == POLL,
                is_connected=(key.place, latest.source) in self._live
                and self._is_of_now(key.place, latest),
                silence_max_s=self._silence_max_s(key),
            )
        )

    def _silence_max_s(self, key: ChannelKey) -> float | None:
        venue = key.place.venue
        if venue not in self._silences:
            self._silences[venue] = self._silences_of(venue)
        return self._silences[venue].get(key.channel.kind)

    def fresh_book(self, key: ChannelKey) -> OrderBook | None:
        """Return a channel's book if it is fresh."""
        latest = self.latest(key)
        if latest is None or latest.book is None or self.freshness(key).stale:
            return None
        return latest.book

    def _take(self, place: Place, event: MarketEvent, source: str) -> None:
        if isinstance(event, FeedState):
            self._state_changed(place, event, source)
            return
        channel = channel_of(event)
        if not self._feeds.is_wanted(place, channel):
            return
        of_place = self._latest.setdefault(place, {})
        latest = of_place.get(channel)
        if latest is None:
            latest = of_place[channel] = Latest(
                source=source, event_time=None, received_time=self._now(), heard_at=0, generation=0
            )
        overtaken = is_late(latest, event) and self._is_of_now(place, latest)
        if overtaken and source == latest.source:
            return
        if not overtaken:
            _fill(latest, event, self._now)
        # By another way the first word may be a little older than the last one by the former. The
        # newer one stays, but it is this way now that says when it is not true any more.
        latest.source = source
        latest.heard_at = self._clock()
        latest.generation = self._generations.get((place, source), 0)
        if overtaken:
            return
        key = ChannelKey(place, channel)
        for listener in self._listeners:
            listener(key, latest)

    def _is_of_now(self, place: Place, latest: Latest) -> bool:
        """Tell whether the connection that something came by was not lost since."""
        return self._generations.get((place, latest.source), 0) == latest.generation

    def _state_changed(self, place: Place, state: FeedState, source: str) -> None:
        connection = (place, source)
        if state.live:
            self._live.add(connection)
        else:
            self._live.discard(connection)
            # What came before is from a connection that is gone, whenever there is a new one.
            self._generations[connection] = self._generations.get(connection, 0) + 1
        for listener in self._place_listeners:
            listener(place)

    def _dropped(self, place: Place, channel: MarketChannel) -> None:
        self._latest.get(place, {}).pop(channel, None)


def channel_of(event: BookSeen | TradesSeen | TickerSeen | CandleSeen) -> MarketChannel:
    """Return the channel an event belongs to."""
    match event:
        case BookSeen():
            kind = MarketChannelKind.TOP if event.is_top else MarketChannelKind.BOOK
            return _channel(kind, event.book.symbol)
        case TradesSeen():
            return _channel(MarketChannelKind.TRADES, event.market)
        case TickerSeen():
            return _channel(MarketChannelKind.TICKER, event.ticker.symbol)
        case CandleSeen():
            candle = event.candle
            return _channel(MarketChannelKind.CANDLES, candle.symbol, candle.interval)


@lru_cache(maxsize=CHANNELS_REMEMBERED)
def _channel(kind: MarketChannelKind, symbol: str, interval: str | None = None) -> MarketChannel:
    """Return a channel, the same one each time: it is looked up by it with every event."""
    return MarketChannel(kind=kind, symbol=symbol, interval=interval)


def is_late(latest: Latest, event: MarketEvent) -> bool:
    """Tell whether a book is one that a newer one overtook on its way.

    One that is older by more is believed: the venue's clock was set back.
    """
    if not isinstance(event, BookSeen) or latest.book is None:
        return False
    behind_s = (latest.book.event_time - event.book.event_time).total_seconds()
    return 0 < behind_s <= LATE_MAX_S


def _fill(latest: Latest, event: MarketEvent, now: Callable[[], datetime]) -> None:
    """Write an event into `latest`."""
    match event:
        case BookSeen():
            latest.book = event.book
            latest.event_time = event.book.event_time
            latest.received_time = event.book.received_time
        case TickerSeen():
            latest.ticker = event.ticker
            latest.received_time = event.ticker.received_time
        case TradesSeen():
            _fill_trades(latest, event)
        case CandleSeen():
            latest.candles[event.candle.open_time] = event.candle
            while len(latest.candles) > CANDLES_KEPT:
                latest.candles.popitem(last=False)
            latest.new_candle = event.candle
            latest.received_time = now()


def _fill_trades(latest: Latest, event: TradesSeen) -> None:
    """Keep the trades that were not there yet: a backlog repeats what was seen before a gap."""
    new = tuple(trade for trade in event.trades if trade.trade_id not in latest.trade_ids)
    for trade in new:
        latest.trade_ids[trade.trade_id] = None
        latest.trades.append(trade)
        latest.event_time, latest.received_time = trade.event_time, trade.received_time
    while len(latest.trade_ids) > TRADE_IDS_KEPT:
        latest.trade_ids.popitem(last=False)
    latest.new_trades, latest.is_backlog = new, event.is_backlog


def silences_of(spec: VenueSpec) -> Silences:
    """Return how long a venue's channels may be silent."""
    return dict(spec.capabilities.market_silence_max_s)
