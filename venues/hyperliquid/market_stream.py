"""The public feed: books, best prices, trades, prices and rates, candles.

Every channel is checked against the markets before it is asked for: one unknown name makes the
venue drop the socket and with it all other subscriptions.

Source: docs api/websocket/subscriptions; NOTES.md "WebSocket".
"""

from __future__ import annotations

import asyncio
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
from venues.hyperliquid import translate, wire
from venues.hyperliquid.queries import INTERVALS
from venues.hyperliquid.settings import socket_url
from venues.hyperliquid.stream_session import Session
from venues.stream import Backoff, EventQueue, Follower
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
    """Core of the public feed, without I/O.

    `fast_books` chooses 5 levels about every half second instead of 20 about every five; one
    socket carries one form only, because both have the same name.
    """

    def __init__(self, instruments: Iterable[Instrument], *, fast_books: bool = True) -> None:
        self._coins = {found.symbol: found.venue_symbol for found in instruments}
        self._fast_books = fast_books
        self._session = Session()
        self._wanted: set[MarketChannel] = set()
        self._had_trades: set[str] = set()
        self._is_connected = False
        self._is_live = False
        self._last_reason: str | None = None

    def want(self, channels: Iterable[MarketChannel], now: float) -> Step[MarketEvent]:
        """Set the channels to carry.

        Raises:
            InvalidInput: a channel is for no market of the venue's, or has no such interval, or
                there are more than the venue carries; nothing is changed.
        """
        wanted = set(channels)
        for channel in wanted:
            self._check(channel)
        if len(wanted) > _SUBSCRIPTIONS_MAX:
            raise InvalidInput(
                "channels", f"expected at most {_SUBSCRIPTIONS_MAX}, found {len(wanted)}"
            )
        gone, new = self._wanted - wanted, wanted - self._wanted
        self._wanted = wanted
        if not self._is_connected:
            return Step()
        self._had_trades -= {
            self._coins[c.symbol] for c in gone if c.kind is MarketChannelKind.TRADES
        }
        return Step(
            send=(
                *(self._session.unsubscribe(self._spell(channel)) for channel in _ordered(gone)),
                *(self._session.subscribe(self._spell(channel), now) for channel in _ordered(new)),
            )
        )

    def connected(self, now: float, at: datetime) -> Step[MarketEvent]:
        """Subscribe to everything wanted."""
        self._session.begin(now)
        self._had_trades.clear()
        self._is_connected = True
        self._is_live = False
        frames = tuple(
            self._session.subscribe(self._spell(channel), now) for channel in _ordered(self._wanted)
        )
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
        if channel.symbol not in self._coins:
            raise InvalidInput(
                "symbol", f"expected a market of hyperliquid, found {channel.symbol[:64]!r}"
            )
        if (channel.kind is MarketChannelKind.CANDLES) != (channel.interval in INTERVALS):
            raise InvalidInput(
                "interval",
                f"expected one of {', '.join(INTERVALS)} for candles and none otherwise, "
                f"found {channel.interval!r} for {channel.kind.name}",
            )

    def _spell(self, channel: MarketChannel) -> dict[str, Any]:
        subscription: dict[str, Any] = {
            "type": _TYPES[channel.kind],
            "coin": self._coins[channel.symbol],
        }
        if channel.interval is not None:
            subscription["interval"] = channel.interval
        if channel.kind is MarketChannelKind.BOOK and self._fast_books:
            subscription["fast"] = True
        return subscription

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


def _ordered(channels: set[MarketChannel]) -> list[MarketChannel]:
    return sorted(channels, key=lambda c: (c.symbol, _TYPES[c.kind], c.interval or ""))


class HyperliquidMarketFeed:
    """The public feed over one socket; the same shell as the private one."""

    def __init__(
        self,
        base_url: str,
        instruments: Iterable[Instrument],
        *,
        fast_books: bool = True,
        connections: ConnectionBudget | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._core = MarketStream(instruments, fast_books=fast_books)
        self._queue: EventQueue[MarketEvent] = EventQueue()
        # What the accounts' feed leaves of the venue's limits for one IP address.
        budget = connections or ConnectionBudget(connections_max=1, opened_per_minute_max=6)
        self._follower = Follower(
            socket_url(base_url), self._core, self._queue, budget, backoff=backoff
        )
        self._task: asyncio.Task[None] | None = None

    async def events(self) -> AsyncIterator[MarketEvent]:
        """Yield events until `close`, reconnecting by itself."""
        async for event in self._queue:
            yield event

    async def subscribe(self, channels: Iterable[MarketChannel]) -> None:
        """Set the channels to carry; the first call connects. Raises InvalidInput as `want`."""
        self._follower.apply(self._core.want(channels, asyncio.get_running_loop().time()))
        if self._task is None:
            self._task = asyncio.create_task(self._follower.run(), name="hyperliquid market feed")
            self._task.add_done_callback(self._queue.fail_with)

    async def close(self) -> None:
        """Close the socket and end the iteration."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._queue.close()
