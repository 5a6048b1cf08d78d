"""Market data as messages: what was received last, as snapshots and updates of one venue. Pure.

Books are sent as changed levels where that is shorter, else whole. Knows no session and no feed.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from domain.book_building import LevelChange, changes_between
from domain.market_data import BookLevel, Candle, OrderBook, Ticker, Trade
from domain.numbers import plain
from streaming.market_board import Latest
from streaming.market_messages import (
    BookSnapshot,
    BookUpdate,
    CandlesSnapshot,
    CandlesUpdate,
    CandleView,
    Level,
    TickerSnapshot,
    TickerUpdate,
    TickerView,
    TopSnapshot,
    TopUpdate,
    TradesSnapshot,
    TradesUpdate,
    TradeView,
)
from streaming.market_names import MarketName
from streaming.protocol import encode
from streaming.schema import rfc3339
from venues.connector import MarketChannelKind


def named(name: MarketName) -> dict[str, Any]:
    """Return the fields that every message about a market begins with."""
    return {
        "channel": name.kind.value,
        "venue": name.venue,
        "network": name.network.value,
        "symbol": name.symbol,
    }


def snapshot_of(name: MarketName, seq: int, latest: Latest) -> bytes:
    """Return the present state of a channel as a message."""
    told = named(name) | {"seq": seq}
    match name.kind:
        case MarketChannelKind.BOOK:
            book = _book(latest)
            bids, asks = levels(book.bids), levels(book.asks)
            return encode(BookSnapshot(bids=bids, asks=asks, **told, **_timed(latest)))
        case MarketChannelKind.TOP:
            bid, ask = _best(_book(latest))
            return encode(TopSnapshot(bid=bid, ask=ask, **told, **_timed(latest)))
        case MarketChannelKind.TRADES:
            trades = [_trade(trade) for trade in latest.trades]
            return encode(TradesSnapshot(trades=trades, source=latest.source, **told))
        case MarketChannelKind.TICKER:
            return encode(TickerSnapshot(ticker=_ticker(latest), **told, **_timed(latest)))
        case MarketChannelKind.CANDLES:
            ordered = sorted(latest.candles.values(), key=lambda candle: candle.open_time)
            candles = [_candle(candle) for candle in ordered]
            interval = name.interval or ""
            return encode(
                CandlesSnapshot(interval=interval, candles=candles, **told, **_timed(latest))
            )


def update_of(name: MarketName, seq: int, latest: Latest, before: OrderBook | None) -> bytes | None:
    """Return what is new of a channel as a message, or None where nothing is.

    `before` is the book that the channel's followers have.
    """
    told = named(name) | {"seq": seq, "prev_seq": seq - 1}
    match name.kind:
        case MarketChannelKind.BOOK:
            return _book_update(latest, before, told)
        case MarketChannelKind.TOP:
            bid, ask = _best(_book(latest))
            return encode(TopUpdate(bid=bid, ask=ask, **told, **_timed(latest)))
        case MarketChannelKind.TRADES:
            if not latest.new_trades:
                return None
            trades = [_trade(trade) for trade in latest.new_trades]
            source, backlog = latest.source, latest.is_backlog
            return encode(TradesUpdate(trades=trades, source=source, backlog=backlog, **told))
        case MarketChannelKind.TICKER:
            return encode(TickerUpdate(ticker=_ticker(latest), **told, **_timed(latest)))
        case MarketChannelKind.CANDLES:
            if latest.new_candle is None:
                return None
            candle, interval = _candle(latest.new_candle), name.interval or ""
            return encode(CandlesUpdate(interval=interval, candle=candle, **told, **_timed(latest)))


def levels(side: Iterable[BookLevel | LevelChange]) -> list[Level]:
    """Return levels as they are told."""
    return [(plain(level.price), plain(level.quantity)) for level in side]


def _book_update(latest: Latest, before: OrderBook | None, told: dict[str, Any]) -> bytes:
    book = _book(latest)
    changes = None if before is None else changes_between(before, book)
    if changes is None or changes.count >= len(book.bids) + len(book.asks):
        full, bids, asks = True, levels(book.bids), levels(book.asks)
    else:
        full, bids, asks = False, levels(changes.bids), levels(changes.asks)
    return encode(BookUpdate(full=full, bids=bids, asks=asks, **told, **_timed(latest)))


def _book(latest: Latest) -> OrderBook:
    if latest.book is None:
        raise ValueError("expected a book to have been received")
    return latest.book


def _best(book: OrderBook) -> tuple[Level | None, Level | None]:
    bids, asks = levels(book.bids[:1]), levels(book.asks[:1])
    return (bids[0] if bids else None), (asks[0] if asks else None)


def _timed(latest: Latest) -> dict[str, Any]:
    at = latest.event_time
    return {
        "event_time": None if at is None else rfc3339(at),
        "received_time": rfc3339(latest.received_time),
        "source": latest.source,
    }


def _trade(trade: Trade) -> TradeView:
    return TradeView(
        trade_id=trade.trade_id,
        price=plain(trade.price),
        quantity=plain(trade.quantity),
        aggressor_side=trade.aggressor_side and trade.aggressor_side.value,
        event_time=rfc3339(trade.event_time),
        received_time=rfc3339(trade.received_time),
    )


def _ticker(latest: Latest) -> TickerView:
    ticker = latest.ticker
    if ticker is None:
        raise ValueError("expected a ticker to have been received")
    return ticker_view(ticker)


def ticker_view(ticker: Ticker) -> TickerView:
    """Return a ticker as it is told."""
    return TickerView(
        mark_price=_optional(ticker.mark_price),
        index_price=_optional(ticker.index_price),
        mid_price=_optional(ticker.mid_price),
        funding_rate=_optional(ticker.funding_rate),
        funding_interval_s=ticker.funding_interval_s,
        open_interest=_optional(ticker.open_interest),
        volume_24h=_optional(ticker.volume_24h),
    )


def _candle(candle: Candle) -> CandleView:
    return CandleView(
        open_time=rfc3339(candle.open_time),
        close_time=rfc3339(candle.close_time),
        open=plain(candle.open),
        high=plain(candle.high),
        low=plain(candle.low),
        close=plain(candle.close),
        volume=plain(candle.volume),
    )


def _optional(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
