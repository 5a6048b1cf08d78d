"""The public feed: books, best prices, trades, prices and rates, candles.

Books come whole and without a number; the best prices are the first levels of the same channel.
Prices are one channel for all markets.

Source: the official v2 API page, WebSocket; NOTES.md "WebSocket".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from domain.instruments import Instrument
from venues.connections import ConnectionBudget
from venues.connector import (
    BookSeen,
    CandleSeen,
    MarketChannel,
    MarketChannelKind,
    MarketEvent,
    TickerSeen,
    TradesSeen,
)
from venues.feeds import MarketSocket
from venues.market_channels import Key, MarketChannels
from venues.stream import Backoff
from venues.stream_core import Step
from venues.vest import translate, wire
from venues.vest.stream_session import Session, address
from venues.vest.translate import INTERVALS, VENUE

_BOOK_DEPTH: Final = 20
_TICKERS: Final = "tickers"
_KLINE: Final = "kline_"
_NAMES: Final = {
    MarketChannelKind.BOOK: "depth",
    MarketChannelKind.TOP: "depth",
    MarketChannelKind.TRADES: "trades",
    MarketChannelKind.CANDLES: "kline",
}


class MarketStream:
    """The conversation about markets, without I/O."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._session = Session()
        self.watch = self._session.watch
        self._channels = MarketChannels(
            VENUE, {found.symbol: found.venue_symbol for found in instruments}, INTERVALS, _spell
        )

    def want(self, channels: Iterable[MarketChannel], now: float) -> Step[MarketEvent]:
        """Set the channels to carry. Raises InvalidInput as `MarketChannels.want`."""
        gone, new = self._channels.want(channels)
        if not self.watch.is_connected:
            return Step()
        send = []
        if gone:
            send.append(self._session.unsubscribe(_names(gone)))
        if new:
            send.append(self._session.subscribe(_names(new), now))
        return Step(send=tuple(send))

    def begin(self, now: float) -> tuple[bytes, ...]:
        """Subscribe to everything wanted."""
        wanted = _names(self._channels.all())
        return (self._session.subscribe(wanted, now),) if wanted else ()

    def hear(self, payload: bytes, now: float, at: datetime) -> tuple[MarketEvent, ...]:
        """Read one message. Raises WireError and SessionOver."""
        frame = self._session.read(payload)
        return self._events(frame, at) if frame is not None else ()

    def _events(self, frame: wire.Frame, at: datetime) -> tuple[MarketEvent, ...]:
        data, channel = bytes(frame.data), frame.channel or ""
        if channel == _TICKERS:
            return self._tickers(wire.decode(data, list[wire.TickerRow]), at)
        symbol, _, what = channel.partition("@")
        if what == "depth":
            return self._books(symbol, wire.decode(data, wire.Depth), at)
        if what == "trades":
            trade = translate.trade(symbol, wire.decode(data, wire.TradeRow), received_time=at)
            return (TradesSeen(trades=(trade,), is_backlog=False),)
        if what.startswith(_KLINE):
            row = wire.decode(data, wire.Kline)
            interval = what.removeprefix(_KLINE)
            return (CandleSeen(candle=translate.candle(symbol, interval, row)),)
        return ()

    def _books(self, symbol: str, depth: wire.Depth, at: datetime) -> tuple[MarketEvent, ...]:
        """Tell of a book as whole and as its best prices, whichever is wanted."""
        events: list[MarketEvent] = []
        for kind, levels in ((MarketChannelKind.BOOK, _BOOK_DEPTH), (MarketChannelKind.TOP, 1)):
            if symbol in self._channels.names_of(kind):
                book = translate.order_book(
                    symbol, depth, levels=levels, event_time=at, received_time=at
                )
                events.append(BookSeen(book=book, is_top=kind is MarketChannelKind.TOP))
        return tuple(events)

    def _tickers(self, rows: list[wire.TickerRow], at: datetime) -> tuple[MarketEvent, ...]:
        wanted = self._channels.names_of(MarketChannelKind.TICKER)
        return tuple(
            TickerSeen(ticker=translate.ticker(row, received_time=at))
            for row in rows
            if row.symbol in wanted
        )


def _spell(channel: MarketChannel, name: str) -> tuple[Key, dict[str, Any]]:
    """Return the subscription that carries a channel; one of prices carries them all."""
    if channel.kind is MarketChannelKind.TICKER:
        return (_TICKERS, "", ""), {"channel": _TICKERS}
    what = _NAMES[channel.kind]
    spelled = f"{name}@{what}" + (f"_{channel.interval}" if channel.interval else "")
    return (what, name, channel.interval or ""), {"channel": spelled}


def _names(subscriptions: Iterable[dict[str, Any]]) -> list[str]:
    return [one["channel"] for one in subscriptions]


def market_feed(
    socket_url: str, instruments: Iterable[Instrument], *, backoff: Backoff | None = None
) -> MarketSocket:
    """Return the public feed over one socket; no account's group is in it."""
    budget = ConnectionBudget(connections_max=1, opened_per_minute_max=10)
    conversation = MarketStream(instruments)
    return MarketSocket(VENUE, address(socket_url, 0), conversation, budget, backoff=backoff)
