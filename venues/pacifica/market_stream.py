"""The public feed: books, best prices, trades, prices and rates, candles.

Every channel is checked against the markets before it is asked for: of an unknown name the venue
says nothing. Books come whole, never as changes. Prices are one channel for all markets.

Source: docs.pacifica.fi api/websocket/subscriptions; NOTES.md "WebSocket".
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any, Final

from domain.errors import InvalidInput
from domain.instruments import Instrument
from venues.connections import ConnectionBudget
from venues.connector import (
    BookSeen,
    CandleSeen,
    FeedState,
    MarketChannel,
    MarketChannelKind,
    MarketEvent,
    TickerSeen,
    TradesSeen,
)
from venues.pacifica import translate, wire
from venues.pacifica.stream_session import Session
from venues.pacifica.translate import INTERVALS
from venues.stream import Backoff, EventQueue, Follower
from venues.stream_core import Step

#: The venue carries so many subscriptions of one channel on one connection.
PER_CHANNEL_MAX: Final = 20
_BOOK_DEPTH: Final = 10

_SOURCES: Final = {
    MarketChannelKind.BOOK: "book",
    MarketChannelKind.TOP: "bbo",
    MarketChannelKind.TRADES: "trades",
    MarketChannelKind.TICKER: "prices",
    MarketChannelKind.CANDLES: "candle",
}


class MarketStream:
    """Core of the public feed, without I/O."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._names = {found.symbol: found.venue_symbol for found in instruments}
        self._session = Session()
        self._wanted: set[MarketChannel] = set()
        self._li: dict[tuple[str, str], int] = {}
        self._is_connected = False
        self._is_live = False
        self._last_reason: str | None = None

    def want(self, channels: Iterable[MarketChannel], now: float) -> Step[MarketEvent]:
        """Set the channels to carry.

        Raises:
            InvalidInput: a channel is for no market of the venue's, or has no such interval, or
                there are more of a kind than the venue carries; nothing is changed.
        """
        wanted = set(channels)
        for channel in wanted:
            self._check(channel)
        spelled = self._spelled(wanted)
        counted = Counter(source for source, _, _ in spelled)
        for source, count in counted.items():
            if count > PER_CHANNEL_MAX:
                raise InvalidInput(
                    "channels",
                    f"expected at most {PER_CHANNEL_MAX} of {source} on pacifica, found {count}",
                )
        before = self._spelled(self._wanted)
        self._wanted = wanted
        if not self._is_connected:
            return Step()
        gone, new = before.keys() - spelled.keys(), spelled.keys() - before.keys()
        return Step(
            send=(
                *(self._session.unsubscribe(before[key]) for key in sorted(gone)),
                *(self._session.subscribe(spelled[key], now) for key in sorted(new)),
            )
        )

    def connected(self, now: float, at: datetime) -> Step[MarketEvent]:
        """Subscribe to everything wanted."""
        self._session.begin(now)
        self._li.clear()
        self._is_connected = True
        self._is_live = False
        spelled = self._spelled(self._wanted)
        frames = tuple(self._session.subscribe(spelled[key], now) for key in sorted(spelled))
        return Step(send=frames, events=self._went_live(at))

    def received(self, payload: bytes, now: float, at: datetime) -> Step[MarketEvent]:
        """Read one message."""
        try:
            frame = self._session.read(payload, now)
            if isinstance(frame, str):
                return Step(close=frame)
            events = self._events(frame, at) if frame is not None else ()
        except wire.WireError as error:
            return Step(close=f"unreadable message: {error}"[:300])
        return Step(events=self._went_live(at) + events)

    def tick(self, now: float, at: datetime) -> Step[MarketEvent]:
        """Ping, and notice a dead connection."""
        ping, dead = self._session.tick(now)
        return Step(send=(ping,) if ping else (), close=dead)

    def disconnected(self, reason: str, at: datetime) -> tuple[MarketEvent, ...]:
        """Say that the feed is stale, once per loss and per new reason."""
        self._is_connected = False
        if not self._is_live and reason == self._last_reason:
            return ()
        self._is_live = False
        self._last_reason = reason
        return (FeedState(account_id=None, live=False, reason=reason, at=at),)

    def _went_live(self, at: datetime) -> tuple[MarketEvent, ...]:
        if self._is_live or not self._session.is_acknowledged:
            return ()
        self._is_live = True
        self._last_reason = None
        return (FeedState(account_id=None, live=True, reason="subscribed", at=at),)

    def _check(self, channel: MarketChannel) -> None:
        if channel.symbol not in self._names:
            raise InvalidInput(
                "symbol", f"expected a market of pacifica, found {channel.symbol[:64]!r}"
            )
        if (channel.kind is MarketChannelKind.CANDLES) != (channel.interval in INTERVALS):
            raise InvalidInput(
                "interval",
                f"expected one of {', '.join(INTERVALS)} for candles and none otherwise, "
                f"found {channel.interval!r} for {channel.kind.name}",
            )

    def _spelled(
        self, channels: Iterable[MarketChannel]
    ) -> dict[tuple[str, str, str], dict[str, Any]]:
        """Return the subscriptions that carry these channels; one of prices carries them all."""
        found: dict[tuple[str, str, str], dict[str, Any]] = {}
        for channel in channels:
            source = _SOURCES[channel.kind]
            if channel.kind is MarketChannelKind.TICKER:
                found[source, "", ""] = {"source": source}
                continue
            name = self._names[channel.symbol]
            parameters: dict[str, Any] = {"source": source, "symbol": name}
            if channel.interval is not None:
                parameters["interval"] = channel.interval
            if channel.kind is MarketChannelKind.BOOK:
                parameters["agg_level"] = 1
            found[source, name, channel.interval or ""] = parameters
        return found

    def _events(self, frame: wire.Frame, at: datetime) -> tuple[MarketEvent, ...]:
        data = bytes(frame.data)
        match frame.channel:
            case "book":
                book = wire.decode(data, wire.Book)
                if self._is_stale("book", book.s, book.li):
                    return ()
                found = translate.order_book(book, depth=_BOOK_DEPTH, received_time=at)
                return (BookSeen(book=found, is_top=False),)
            case "bbo":
                top = wire.decode(data, wire.TopOfBook)
                if self._is_stale("bbo", top.s, top.li):
                    return ()
                return (BookSeen(book=translate.top_of_book(top, received_time=at), is_top=True),)
            case "trades":
                rows = wire.decode(data, list[wire.PublicTrade])
                rows.sort(key=lambda row: (row.t, row.h))
                trades = tuple(translate.trade(row, received_time=at) for row in rows)
                return (TradesSeen(trades=trades, is_backlog=False),) if trades else ()
            case "prices":
                return self._tickers(wire.decode(data, list[wire.PriceRow]), at)
            case "candle":
                return (CandleSeen(candle=translate.candle(wire.decode(data, wire.Kline))),)
            case _:
                return ()

    def _is_stale(self, source: str, name: str, li: int | None) -> bool:
        """Tell whether something newer of the same was seen; equal numbers are one event."""
        if li is None:
            return False
        if li < self._li.get((source, name), -1):
            return True
        self._li[source, name] = li
        return False

    def _tickers(self, rows: list[wire.PriceRow], at: datetime) -> tuple[MarketEvent, ...]:
        wanted = {
            self._names[channel.symbol]
            for channel in self._wanted
            if channel.kind is MarketChannelKind.TICKER
        }
        return tuple(
            TickerSeen(ticker=translate.ticker(row, received_time=at))
            for row in rows
            if row.symbol in wanted
        )


class PacificaMarketFeed:
    """The public feed over one socket; the same shell as the private one."""

    def __init__(
        self,
        url: str,
        instruments: Iterable[Instrument],
        *,
        connections: ConnectionBudget | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._core = MarketStream(instruments)
        self._queue: EventQueue[MarketEvent] = EventQueue()
        budget = connections or ConnectionBudget(connections_max=1, opened_per_minute_max=10)
        self._follower = Follower(url, self._core, self._queue, budget, backoff=backoff)
        self._task: asyncio.Task[None] | None = None

    async def events(self) -> AsyncIterator[MarketEvent]:
        """Yield events until `close`, reconnecting by itself."""
        async for event in self._queue:
            yield event

    async def subscribe(self, channels: Iterable[MarketChannel]) -> None:
        """Set the channels to carry; the first call connects. Raises InvalidInput as `want`."""
        self._follower.apply(self._core.want(channels, asyncio.get_running_loop().time()))
        if self._task is None:
            self._task = asyncio.create_task(self._follower.run(), name="pacifica market feed")
            self._task.add_done_callback(self._queue.fail_with)

    async def close(self) -> None:
        """Close the socket and end the iteration."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._queue.close()
