"""The public feed: books, best prices, trades, prices and rates, candles.

Every channel is checked against the markets before it is asked for: of an unknown name the venue
says nothing. Books come whole, never as changes. Prices are one channel for all markets.

Source: docs.pacifica.fi api/websocket/subscriptions; NOTES.md "WebSocket".
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
from venues.pacifica import translate, wire
from venues.pacifica.stream_session import Session
from venues.pacifica.translate import INTERVALS
from venues.stream import Backoff
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
    """The conversation about markets, without I/O."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._session = Session()
        self.watch = self._session.watch
        self._channels = MarketChannels(
            "pacifica",
            {found.symbol: found.venue_symbol for found in instruments},
            INTERVALS,
            _spell,
            of_a_channel_max=PER_CHANNEL_MAX,
        )
        self._li: dict[tuple[str, str], int] = {}

    def want(self, channels: Iterable[MarketChannel], now: float) -> Step[MarketEvent]:
        """Set the channels to carry. Raises InvalidInput as `MarketChannels.want`."""
        gone, new = self._channels.want(channels)
        if not self.watch.is_connected:
            return Step()
        return Step(
            send=(
                *(self._session.unsubscribe(one) for one in gone),
                *(self._session.subscribe(one, now) for one in new),
            )
        )

    def begin(self, now: float) -> tuple[bytes, ...]:
        """Subscribe to everything wanted."""
        self._li.clear()
        return tuple(self._session.subscribe(one, now) for one in self._channels.all())

    def hear(self, payload: bytes, now: float, at: datetime) -> tuple[MarketEvent, ...]:
        """Read one message. Raises WireError and SessionOver."""
        frame = self._session.read(payload)
        return self._events(frame, at) if frame is not None else self._confirmed()

    def _confirmed(self) -> tuple[MarketEvent, ...]:
        """Say that trades are told from now on: the venue sends nothing until somebody trades."""
        confirmed = self._session.acknowledged
        if confirmed is None or confirmed.source != "trades" or confirmed.symbol is None:
            return ()
        if confirmed.symbol not in self._channels.names_of(MarketChannelKind.TRADES):
            return ()
        symbol = translate.symbol_of(confirmed.symbol)
        return (TradesSeen(trades=(), is_backlog=True, symbol=symbol),)

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
        wanted = self._channels.names_of(MarketChannelKind.TICKER)
        return tuple(
            TickerSeen(ticker=translate.ticker(row, received_time=at))
            for row in rows
            if row.symbol in wanted
        )


def _spell(channel: MarketChannel, name: str) -> tuple[Key, dict[str, Any]]:
    """Return the subscription that carries a channel; one of prices carries them all."""
    source = _SOURCES[channel.kind]
    if channel.kind is MarketChannelKind.TICKER:
        return (source, "", ""), {"source": source}
    parameters: dict[str, Any] = {"source": source, "symbol": name}
    if channel.interval is not None:
        parameters["interval"] = channel.interval
    if channel.kind is MarketChannelKind.BOOK:
        parameters["agg_level"] = 1
    return (source, name, channel.interval or ""), parameters


def market_feed(
    url: str,
    instruments: Iterable[Instrument],
    *,
    connections: ConnectionBudget | None = None,
    backoff: Backoff | None = None,
) -> MarketSocket:
    """Return the public feed at a WebSocket's address over these markets, not yet connected."""
    budget = connections or ConnectionBudget(connections_max=1, opened_per_minute_max=10)
    return MarketSocket("pacifica", url, MarketStream(instruments), budget, backoff=backoff)
