"""From EdgeX's public words to ours: books, trades, candles, prices. Pure.

Source: edgeX gitbook api/public-api/**; recorded on production 2026-09-28.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from domain.instruments import OrderSide
from domain.market_data import BookLevel, Candle, FundingRate, OrderBook, Ticker, Trade
from venues.book_side import BookSide
from venues.edgex import wire
from venues.edgex.catalog import VENUE
from venues.edgex.times import at_ms

#: Candles' lengths in the venue's words; a month is a calendar's.
KLINE_TYPES: Final = {
    "1m": "MINUTE_1",
    "5m": "MINUTE_5",
    "15m": "MINUTE_15",
    "30m": "MINUTE_30",
    "1h": "HOUR_1",
    "2h": "HOUR_2",
    "4h": "HOUR_4",
    "6h": "HOUR_6",
    "8h": "HOUR_8",
    "12h": "HOUR_12",
    "1d": "DAY_1",
    "1w": "WEEK_1",
    "1M": "MONTH_1",
}
_INTERVALS: Final = {spelled: interval for interval, spelled in KLINE_TYPES.items()}
_UNITS: Final = {"MINUTE": timedelta(minutes=1), "HOUR": timedelta(hours=1)}
_DAYS: Final = {"DAY_1": 1, "WEEK_1": 7}


def levels(rows: Iterable[wire.Level]) -> dict[Decimal, Decimal]:
    """Return sizes by price; size 0 takes a level away. Raises WireError."""
    return {wire.number(row.price, "price"): wire.number(row.size, "size") for row in rows}


def order_book(
    symbol: str,
    bids: tuple[BookLevel, ...],
    asks: tuple[BookLevel, ...],
    *,
    event_time: datetime,
    received_time: datetime,
) -> OrderBook:
    """Return a book of levels, best first."""
    return OrderBook(
        venue=VENUE,
        symbol=symbol,
        bids=bids,
        asks=asks,
        event_time=event_time,
        received_time=received_time,
    )


def whole_book(
    symbol: str, row: wire.Depth, *, depth: int, event_time: datetime, received_time: datetime
) -> OrderBook:
    """Return a book that comes whole, cut to `depth` levels a side. Raises WireError."""
    return order_book(
        symbol,
        _side(row.bids, depth, bids=True),
        _side(row.asks, depth, bids=False),
        event_time=event_time,
        received_time=received_time,
    )


def _side(rows: Iterable[wire.Level], depth: int, *, bids: bool) -> tuple[BookLevel, ...]:
    side = BookSide(bids=bids)
    side.replace(levels(rows).items())
    return side.best(depth)


def top_of_book(symbol: str, row: wire.BookTicker, *, received_time: datetime) -> OrderBook:
    """Return best bid and ask as a book of one level a side; price 0 is an empty side."""
    return order_book(
        symbol,
        _best(row.best_bid_price, row.best_bid_size),
        _best(row.best_ask_price, row.best_ask_size),
        event_time=at_ms(row.time, "time"),
        received_time=received_time,
    )


def _best(price: str, size: str) -> tuple[BookLevel, ...]:
    found = wire.number_or_none(price, "price")
    quantity = wire.number(size, "size") if found else None
    return (BookLevel(price=found, quantity=quantity),) if found and quantity else ()


def trade(symbol: str, row: wire.PublicTrade, *, received_time: datetime) -> Trade:
    """Return a public trade; who was the maker tells the taker's side. Raises WireError."""
    return Trade(
        venue=VENUE,
        symbol=symbol,
        trade_id=row.ticket_id,
        price=wire.number(row.price, "price"),
        quantity=wire.number(row.size, "size"),
        aggressor_side=OrderSide.SELL if row.is_buyer_maker else OrderSide.BUY,
        event_time=at_ms(row.time, "time"),
        received_time=received_time,
    )


def candle(symbol: str, row: wire.Kline) -> Candle:
    """Return a candle. Raises WireError."""
    interval = _INTERVALS.get(row.kline_type)
    if interval is None:
        raise wire.WireError(f"expected a length of a candle, found {row.kline_type[:40]!r}")
    opened = at_ms(row.kline_time, "klineTime")
    return Candle(
        venue=VENUE,
        symbol=symbol,
        interval=interval,
        open_time=opened,
        close_time=_end_of(row.kline_type, opened),
        open=wire.number(row.open, "open"),
        high=wire.number(row.high, "high"),
        low=wire.number(row.low, "low"),
        close=wire.number(row.close, "close"),
        volume=wire.number(row.size, "size"),
    )


def _end_of(kline_type: str, opened: datetime) -> datetime:
    if kline_type == "MONTH_1":
        is_last = opened.month == 12
        return opened.replace(
            year=opened.year + is_last, month=1 if is_last else opened.month + 1, day=1
        )
    days = _DAYS.get(kline_type)
    if days is not None:
        return opened + timedelta(days=days)
    unit, _, count = kline_type.partition("_")
    return opened + int(count) * _UNITS[unit]


def ticker(
    symbol: str, row: wire.TickerRow, *, funding_interval_s: int, received_time: datetime
) -> Ticker:
    """Return a market's prices and rates. The oracle's price, which liquidates, is our mark."""
    return Ticker(
        venue=VENUE,
        symbol=symbol,
        mark_price=_positive(row.oracle_price) or _positive(row.mark_price),
        index_price=_positive(row.index_price),
        mid_price=None,
        funding_rate=wire.number_or_none(row.funding_rate, "fundingRate"),
        funding_interval_s=funding_interval_s,
        open_interest=wire.number_or_none(row.open_interest, "openInterest"),
        volume_24h=wire.number_or_none(row.value, "value"),
        received_time=received_time,
    )


def rates_ticker(
    symbol: str, row: wire.FundingRateRow, *, funding_interval_s: int, received_time: datetime
) -> Ticker:
    """Return what `getLatestFundingRate` tells of a market: prices and rate, no volume."""
    prices = wire.TickerRow(
        contract_id=row.contract_id,
        oracle_price=row.oracle_price,
        index_price=row.index_price,
        funding_rate=row.funding_rate,
    )
    interval = wire.number_or_none(row.funding_rate_interval_min, "fundingRateIntervalMin")
    return ticker(
        symbol,
        prices,
        funding_interval_s=int(interval) * 60 if interval else funding_interval_s,
        received_time=received_time,
    )


def _positive(text: str) -> Decimal | None:
    found = wire.number_or_none(text, "price")
    return found if found is not None and found > 0 else None


def funding_rate(symbol: str, row: wire.FundingRateRow, *, interval_s: int) -> FundingRate:
    """Return one past rate that was settled. Raises WireError."""
    interval = wire.number_or_none(row.funding_rate_interval_min, "fundingRateIntervalMin")
    return FundingRate(
        venue=VENUE,
        symbol=symbol,
        rate=wire.number(row.funding_rate, "fundingRate"),
        interval_s=int(interval) * 60 if interval else interval_s,
        event_time=at_ms(row.funding_time, "fundingTime"),
    )
