"""The conversation about markets, without I/O, by JSON-RPC: many channels on one connection.

Every channel is checked against the markets before it is asked for: of what does not exist the
venue may say nothing. All frames of a connection are numbered together; one that is missing ends
it. A ticker is put together of mark price, index price and funding rate, each a channel of its own.

Source: api.docs.extended.exchange, WebSocket v2; frames recorded 2026-09; NOTES.md "WebSocket".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from domain.instruments import Instrument
from domain.market_data import OrderBook, Ticker
from venues.connector import (
    BookSeen,
    CandleSeen,
    MarketChannel,
    MarketChannelKind,
    MarketEvent,
    TickerSeen,
    TradesSeen,
)
from venues.extended import translate, wire
from venues.extended.books import LiveBook
from venues.extended.sequence import Sequence
from venues.extended.translate import INTERVALS, at_ms, symbol_of, venue_interval
from venues.market_channels import Key, MarketChannels
from venues.stream_core import Step
from venues.stream_session import SessionOver, SessionWatch

_PING_EVERY_S: Final = 15.0
_SILENCE_MAX_S: Final = 45.0
_ANSWER_WITHIN_S: Final = 10.0
_FIRST: Final = 0
_PING: Final = b'{"method":"ping","id":"ping","jsonrpc":"2.0"}'
#: Levels a side that are passed on of a book of thousands.
BOOK_DEPTH: Final = 50


class MarketStream:
    """The conversation about markets."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self.watch = SessionWatch(
            silence_max_s=_SILENCE_MAX_S,
            answer_within_s=_ANSWER_WITHIN_S,
            ping=_PING,
            ping_every_s=_PING_EVERY_S,
        )
        self._channels = MarketChannels(
            "extended",
            {found.symbol: found.venue_symbol for found in instruments},
            INTERVALS,
            _spell,
        )
        self._sequence = Sequence(_FIRST)
        self._calls = 0
        self._intervals = {venue_interval(one): one for one in INTERVALS}
        self._books: dict[str, LiveBook] = {}
        self._tickers: dict[str, dict[str, Decimal]] = {}
        self._backlogs: set[str] = set()

    def want(self, channels: Iterable[MarketChannel], now: float) -> Step[MarketEvent]:
        """Set the channels to carry. Raises InvalidInput as `MarketChannels.want`."""
        gone, new = self._channels.want(channels)
        if not self.watch.is_connected:
            return Step()
        frames = [
            *(self._call("unsubscribe", topic, None) for one in gone for topic in one["topics"]),
            *(self._call("subscribe", topic, now) for one in new for topic in one["topics"]),
        ]
        return Step(send=tuple(frames))

    def begin(self, now: float) -> tuple[bytes, ...]:
        """Subscribe to everything wanted."""
        self._sequence.begin()
        self._books.clear()
        self._tickers.clear()
        self._backlogs.clear()
        wanted = self._channels.all()
        return tuple(
            self._call("subscribe", topic, now) for one in wanted for topic in one["topics"]
        )

    def hear(self, payload: bytes, now: float, at: datetime) -> tuple[MarketEvent, ...]:
        """Read one message. Raises WireError and SessionOver."""
        frame = wire.decode(payload, wire.Frame)
        if frame.subscription is None or frame.seq is None:
            self._answered(frame)
            return ()
        if not self._sequence.is_new(frame.seq):
            return ()
        return self._events(frame, frame.subscription, at)

    def _call(self, method: str, parameters: dict[str, Any], now: float | None) -> bytes:
        """Write a call; what is subscribed to has to be answered."""
        self._calls += 1
        call_id = str(self._calls)
        if now is not None:
            self.watch.expect(call_id, f"{parameters['scope']} not acknowledged", now)
        call = {"method": method, "id": call_id, "jsonrpc": "2.0", "params": parameters}
        return msgspec.json.encode(call)

    def _answered(self, frame: wire.Frame) -> None:
        if bytes(frame.error) != b"null":
            raise SessionOver(f"the venue says: {bytes(frame.error)[:200]!r}")
        if frame.id is not None:
            self.watch.answered(frame.id)

    def _events(
        self, frame: wire.Frame, subscription: str, at: datetime
    ) -> tuple[MarketEvent, ...]:
        data = bytes(frame.data)
        match subscription.split("."):
            case ["orderbooks", "1", _]:
                return self._top(wire.decode(data, wire.BookData), frame, at)
            case ["orderbooks", _]:
                return self._book(wire.decode(data, wire.BookData), frame, at)
            case ["trades", _]:
                return self._trades(wire.decode(data, list[wire.PublicTrade]), subscription, at)
            case ["prices", kind, _]:
                price = wire.decode(data, wire.PriceData)
                return self._ticker(price.m, kind, price.p, at)
            case ["funding-rates", _]:
                rate = wire.decode(data, wire.FundingRateRow)
                return self._ticker(rate.m, "funding", rate.f, at)
            case ["candles", _, name, interval]:
                rows = wire.decode(data, list[wire.CandleRow])
                symbol, ours = symbol_of(name), self._intervals.get(interval)
                if ours is None:
                    return ()
                return tuple(
                    CandleSeen(candle=translate.candle(symbol, ours, row))
                    for row in sorted(rows, key=lambda row: row.T)
                )
        return ()

    def _book(
        self, data: wire.BookData, frame: wire.Frame, at: datetime
    ) -> tuple[MarketEvent, ...]:
        book = self._books.setdefault(data.m, LiveBook())
        if not book.apply(data):
            return ()
        return (BookSeen(book=_told(book, data.m, BOOK_DEPTH, frame, at), is_top=False),)

    def _top(self, data: wire.BookData, frame: wire.Frame, at: datetime) -> tuple[MarketEvent, ...]:
        book = LiveBook()
        if not book.apply(data):
            raise wire.WireError("expected the best prices as a snapshot, found a change")
        return (BookSeen(book=_told(book, data.m, 1, frame, at), is_top=True),)

    def _trades(
        self, rows: list[wire.PublicTrade], subscription: str, at: datetime
    ) -> tuple[MarketEvent, ...]:
        """Pass trades on; the first frame of a connection repeats those from before it."""
        is_backlog = subscription not in self._backlogs
        self._backlogs.add(subscription)
        rows.sort(key=lambda row: (row.T, row.i))
        trades = tuple(translate.trade(row, received_time=at) for row in rows)
        return (TradesSeen(trades=trades, is_backlog=is_backlog),) if trades else ()

    def _ticker(
        self, name: str, what: str, value: Decimal, at: datetime
    ) -> tuple[MarketEvent, ...]:
        known = self._tickers.setdefault(name, {})
        known[what] = value
        if name not in self._channels.names_of(MarketChannelKind.TICKER) or "mark" not in known:
            return ()
        ticker = Ticker(
            venue=translate.VENUE,
            symbol=symbol_of(name),
            mark_price=known["mark"],
            index_price=known.get("index"),
            mid_price=None,
            funding_rate=known.get("funding"),
            funding_interval_s=translate.FUNDING_INTERVAL_S,
            open_interest=None,
            volume_24h=None,
            received_time=at,
        )
        return (TickerSeen(ticker=ticker),)


def _told(book: LiveBook, name: str, depth: int, frame: wire.Frame, at: datetime) -> OrderBook:
    return OrderBook(
        venue=translate.VENUE,
        symbol=symbol_of(name),
        bids=book.bids(depth),
        asks=book.asks(depth),
        event_time=at_ms(frame.ts) if frame.ts is not None else at,
        received_time=at,
    )


def _spell(channel: MarketChannel, name: str) -> tuple[Key, dict[str, Any]]:
    """Return the subscriptions that carry a channel."""
    selector: dict[str, Any] = {"market": name}
    match channel.kind:
        case MarketChannelKind.BOOK | MarketChannelKind.TOP:
            depth = "1" if channel.kind is MarketChannelKind.TOP else "full"
            book = {**selector, "depth": depth, "rfqOnly": False}
            topics = [{"scope": "orderbooks", "selector": book}]
        case MarketChannelKind.TRADES:
            topics = [{"scope": "trades", "selector": selector}]
        case MarketChannelKind.TICKER:
            topics = [
                {"scope": "funding-rates", "selector": selector},
                {"scope": "prices", "selector": {"type": "index", **selector}},
                {"scope": "prices", "selector": {"type": "mark", **selector}},
            ]
        case MarketChannelKind.CANDLES:
            spelled = venue_interval(channel.interval or "")
            candles = {"type": "last", **selector, "interval": spelled}
            topics = [{"scope": "candles", "selector": candles}]
    return (channel.kind.value, name, channel.interval or ""), {"topics": topics}
