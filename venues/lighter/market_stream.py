"""The public feed: books, best prices, trades, prices and rates, candles.

Books come whole once and as changes after that; where one is missing, the book is asked for anew.

Source: docs websocket-reference; NOTES.md "WebSocket".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from domain.instruments import Instrument
from domain.market_data import BookLevel
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
from venues.lighter import translate, wire
from venues.lighter.book_fold import BookFold, Folded
from venues.lighter.proofs import INTERVALS
from venues.lighter.stream_session import Heard, Session
from venues.lighter.translate import MarketNames, at
from venues.market_channels import Key, MarketChannels
from venues.stream import Backoff
from venues.stream_core import Step
from venues.stream_session import SessionOver

#: The venue carries so many subscriptions on one connection.
SUBSCRIPTIONS_MAX: Final = 500
_CHANNELS: Final = {
    MarketChannelKind.BOOK: "order_book",
    MarketChannelKind.TOP: "ticker",
    MarketChannelKind.TRADES: "trade",
    MarketChannelKind.TICKER: "market_stats",
    MarketChannelKind.CANDLES: "candle",
}


class MarketStream:
    """The conversation about markets, without I/O."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        markets = tuple(instruments)
        self._session = Session()
        self.watch = self._session.watch
        self._names = MarketNames(markets)
        self._channels = MarketChannels(
            translate.VENUE,
            {market.symbol: str(market.asset_index) for market in markets},
            INTERVALS,
            _spell,
            count_max=SUBSCRIPTIONS_MAX,
        )
        self._books: dict[str, BookFold] = {}
        self._tops: dict[str, int] = {}

    def want(self, channels: Iterable[MarketChannel], now: float) -> Step[MarketEvent]:
        """Set the channels to carry. Raises InvalidInput as `MarketChannels.want`."""
        gone, new = self._channels.want(channels)
        for one in gone:
            self._forget(one["channel"])
        if not self.watch.is_connected:
            return Step()
        return Step(
            send=(
                *(self._session.unsubscribe(one["channel"]) for one in gone),
                *(self._session.subscribe(one["channel"], now) for one in new),
            )
        )

    def begin(self, now: float) -> tuple[bytes, ...]:
        """Subscribe to everything wanted."""
        self._books.clear()
        self._tops.clear()
        return tuple(self._session.subscribe(one["channel"], now) for one in self._channels.all())

    def hear(self, payload: bytes, now: float, at: datetime) -> tuple[MarketEvent, ...]:
        """Read one message. Raises WireError and SessionOver."""
        heard = self._session.read(payload)
        if heard is None:
            return ()
        market, _, interval = heard.subject.partition(":")
        symbol = self._names.symbol(int(market)) if market.isdigit() else None
        if symbol is None:
            return ()
        match heard.name:
            case "order_book":
                return self._book(payload, heard, symbol, now, at)
            case "ticker":
                return self._top(payload, symbol, at)
            case "trade":
                return self._trades(payload, heard, symbol, at)
            case "market_stats":
                stats = wire.decode(payload, wire.StatsFrame).market_stats
                return (TickerSeen(ticker=translate.ticker(symbol, stats, received_time=at)),)
            case "candle":
                rows = wire.decode(payload, wire.CandleFrame).candles
                found = (translate.candle(symbol, interval, row) for row in rows)
                return tuple(CandleSeen(candle=one) for one in found if one is not None)
            case _:
                return ()

    def _book(
        self, payload: bytes, heard: Heard, symbol: str, now: float, received: datetime
    ) -> tuple[MarketEvent, ...]:
        frame = wire.decode(payload, wire.BookFrame)
        fold = self._books.setdefault(heard.subject, BookFold())
        if heard.is_snapshot:
            fold.begin(frame.order_book)
        else:
            folded = fold.change(frame.order_book)
            if folded is Folded.GAP:
                channel = f"order_book/{heard.subject}"
                self.watch.reply(self._session.unsubscribe(channel))
                self.watch.reply(self._session.subscribe(channel, now))
            if folded is not Folded.TAKEN:
                return ()
        bids, asks = fold.bids(), fold.asks()
        if bids and asks and bids[0].price >= asks[0].price:
            raise SessionOver(f"the book of {symbol} crosses itself")
        event_time = _time(frame.order_book.last_updated_at, frame.timestamp, received)
        book = translate.order_book(
            symbol, bids, asks, event_time=event_time, received_time=received
        )
        return (BookSeen(book=book, is_top=False),)

    def _top(self, payload: bytes, symbol: str, received: datetime) -> tuple[MarketEvent, ...]:
        frame = wire.decode(payload, wire.BestFrame)
        if frame.nonce is not None:
            if frame.nonce < self._tops.get(symbol, 0):
                return ()
            self._tops[symbol] = frame.nonce
        best = frame.ticker
        book = translate.order_book(
            symbol,
            _side(best.b),
            _side(best.a),
            event_time=_time(best.last_updated_at, frame.timestamp, received),
            received_time=received,
        )
        return (BookSeen(book=book, is_top=True),)

    def _trades(
        self, payload: bytes, heard: Heard, symbol: str, received: datetime
    ) -> tuple[MarketEvent, ...]:
        frame = wire.decode(payload, wire.TradeFrame)
        rows = {row.trade_id: row for row in frame.trades or ()}
        rows |= {row.trade_id: row for row in frame.liquidation_trades or ()}
        trades = [translate.trade(symbol, row, received_time=received) for row in rows.values()]
        trades.sort(key=lambda trade: (trade.event_time, int(trade.trade_id)))
        if not trades:
            return ()
        return (TradesSeen(trades=tuple(trades), is_backlog=heard.is_snapshot),)

    def _forget(self, channel: str) -> None:
        name, _, subject = channel.partition("/")
        if name == "order_book":
            self._books.pop(subject, None)


def _spell(channel: MarketChannel, number: str) -> tuple[Key, dict[str, Any]]:
    name = _CHANNELS[channel.kind]
    subject = number if channel.interval is None else f"{number}/{channel.interval}"
    return (name, number, channel.interval or ""), {"channel": f"{name}/{subject}"}


def _side(level: wire.Level | None) -> tuple[BookLevel, ...]:
    if level is None or not level.size:
        return ()
    return (BookLevel(price=level.price, quantity=level.size),)


def _time(updated: int | None, sent: int | None, received: datetime) -> datetime:
    told = updated or sent
    return received if told is None else at(told)


def market_feed(
    url: str,
    instruments: Iterable[Instrument],
    *,
    connections: ConnectionBudget | None = None,
    backoff: Backoff | None = None,
) -> MarketSocket:
    """Return the public feed at a WebSocket's address over these markets, not yet connected."""
    budget = connections or ConnectionBudget(connections_max=1, opened_per_minute_max=10)
    return MarketSocket(translate.VENUE, url, MarketStream(instruments), budget, backoff=backoff)
