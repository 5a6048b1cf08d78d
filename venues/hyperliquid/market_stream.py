"""The public feed: books, best prices, trades, prices and rates, candles.

Every channel is checked against the markets before it is asked for: one unknown name makes the
venue drop the socket and with it all other subscriptions.

Source: docs api/websocket/subscriptions; NOTES.md "WebSocket".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from domain.instruments import Instrument
from venues.addresses import socket_url
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
from venues.hyperliquid import translate, wire
from venues.hyperliquid.queries import INTERVALS
from venues.hyperliquid.stream_session import Session
from venues.market_channels import Key, MarketChannels
from venues.stream import Backoff
from venues.stream_core import Step

_SUBSCRIPTIONS_MAX: Final = 1000
_BOOK_DEPTH: Final = 20


_TYPES: Final = {
    MarketChannelKind.BOOK: "l2Book",
    MarketChannelKind.TOP: "bbo",
    MarketChannelKind.TRADES: "trades",
    MarketChannelKind.TICKER: "activeAssetCtx",
    MarketChannelKind.CANDLES: "candle",
}


class MarketStream:
    """The conversation about markets, without I/O.

    `fast_books` chooses 5 levels about every half second instead of 20 about every five; one
    socket carries one form only, because both have the same name.
    """

    def __init__(self, instruments: Iterable[Instrument], *, fast_books: bool = True) -> None:
        self._fast_books = fast_books
        self._session = Session()
        self.watch = self._session.watch
        self._channels = MarketChannels(
            "hyperliquid",
            {found.symbol: found.venue_symbol for found in instruments},
            INTERVALS,
            self._spell,
            count_max=_SUBSCRIPTIONS_MAX,
        )
        self._had_trades: set[str] = set()

    def want(self, channels: Iterable[MarketChannel], now: float) -> Step[MarketEvent]:
        """Set the channels to carry. Raises InvalidInput as `MarketChannels.want`."""
        gone, new = self._channels.want(channels)
        if not self.watch.is_connected:
            return Step()
        self._had_trades -= {one["coin"] for one in gone if one["type"] == "trades"}
        return Step(
            send=(
                *(self._session.unsubscribe(one) for one in gone),
                *(self._session.subscribe(one, now) for one in new),
            )
        )

    def begin(self, now: float) -> tuple[bytes, ...]:
        """Subscribe to everything wanted."""
        self._had_trades.clear()
        return tuple(self._session.subscribe(one, now) for one in self._channels.all())

    def hear(self, payload: bytes, now: float, at: datetime) -> tuple[MarketEvent, ...]:
        """Read one message. Raises WireError and SessionOver."""
        frame = self._session.read(payload)
        return self._events(frame, at) if frame is not None else self._confirmed()

    def _confirmed(self) -> tuple[MarketEvent, ...]:
        """Say that trades are told from now on: where nobody ever traded nothing else comes."""
        confirmed = self._session.acknowledged
        if confirmed is None or confirmed.type != "trades" or confirmed.coin is None:
            return ()
        if confirmed.coin not in self._channels.names_of(MarketChannelKind.TRADES):
            return ()
        symbol = translate.symbol_of(confirmed.coin)
        return (TradesSeen(trades=(), is_backlog=True, symbol=symbol),)

    def _spell(self, channel: MarketChannel, coin: str) -> tuple[Key, dict[str, Any]]:
        kind = _TYPES[channel.kind]
        subscription: dict[str, Any] = {"type": kind, "coin": coin}
        if channel.interval is not None:
            subscription["interval"] = channel.interval
        if channel.kind is MarketChannelKind.BOOK and self._fast_books:
            subscription["fast"] = True
        return (kind, coin, channel.interval or ""), subscription

    def _events(self, frame: wire.Frame, at: datetime) -> tuple[MarketEvent, ...]:
        data = bytes(frame.data)
        match frame.channel:
            case "l2Book":
                book = wire.decode(data, wire.Book)
                found = translate.order_book(book, depth=_BOOK_DEPTH, received_time=at)
                return (BookSeen(book=found, is_top=False),)
            case "bbo":
                top = wire.decode(data, wire.TopOfBook)
                return (BookSeen(book=translate.top_of_book(top, received_time=at), is_top=True),)
            case "trades":
                return self._trades(wire.decode(data, list[wire.PublicTrade]), at)
            case "activeAssetCtx":
                seen = wire.decode(data, wire.CoinContext)
                ticker = translate.ticker(seen.coin, seen.ctx, received_time=at)
                return (TickerSeen(ticker=ticker),)
            case "candle":
                return (CandleSeen(candle=translate.candle(wire.decode(data, wire.Kline))),)
            case _:
                return ()

    def _trades(self, rows: list[wire.PublicTrade], at: datetime) -> tuple[MarketEvent, ...]:
        """The first message after a subscription holds what was traded before it."""
        if not rows:
            return ()
        is_backlog = rows[0].coin not in self._had_trades
        self._had_trades.add(rows[0].coin)
        rows.sort(key=lambda row: row.time)
        trades = tuple(translate.trade(row, received_time=at) for row in rows)
        return (TradesSeen(trades=trades, is_backlog=is_backlog),)


def market_feed(
    base_url: str,
    instruments: Iterable[Instrument],
    *,
    fast_books: bool = True,
    connections: ConnectionBudget | None = None,
    backoff: Backoff | None = None,
) -> MarketSocket:
    """Return the public feed at an address over these markets, not yet connected."""
    stream = MarketStream(instruments, fast_books=fast_books)
    # What the accounts' feed leaves of the venue's limits for one IP address.
    budget = connections or ConnectionBudget(connections_max=1, opened_per_minute_max=6)
    return MarketSocket("hyperliquid", socket_url(base_url), stream, budget, backoff=backoff)
