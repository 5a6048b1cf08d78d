"""How the simulated venue writes public data: books, best prices, trades, tickers, candles.

Source: edgeX gitbook api/public-api/**, api/websocket-api; recorded on production 2026-09-28.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from venues.edgex.simulator_markets import CONTRACT_IDS, name_of
from venues.edgex.simulator_views import number
from venues.simulation.book import Ladder
from venues.simulation.candles import Candle
from venues.simulation.exchange import Exchange
from venues.simulation.records import Side, Trade

Json = dict[str, Any]
_DAY_MS: Final = 86_400_000
_HOUR_MS: Final = 3_600_000


def depth_levels(exchange: Exchange, symbol: str, depth: int) -> tuple[list[Json], list[Json]]:
    """Write bids and asks, best first."""
    book = exchange.tables.books[symbol]
    return _levels(book.bids, depth), _levels(book.asks, depth)


def _levels(ladder: Ladder, depth: int) -> list[Json]:
    return [
        {"price": number(level.price), "size": number(level.quantity)}
        for level in ladder.levels(depth)
    ]


def book_ticker(exchange: Exchange, symbol: str) -> Json:
    """Write best prices; an empty side is 0."""
    book = exchange.tables.books[symbol]
    ask, bid = book.asks.best(), book.bids.best()
    return {
        "contractId": CONTRACT_IDS[symbol],
        "contractName": name_of(symbol),
        "time": str(exchange.now_ms()),
        "bestAskPrice": number(ask.price) if ask else "0",
        "bestAskSize": number(ask.quantity) if ask else "0",
        "bestBidPrice": number(bid.price) if bid else "0",
        "bestBidSize": number(bid.quantity) if bid else "0",
    }


def ticker_row(exchange: Exchange, symbol: str) -> Json:
    """Write a market's day, prices and rates."""
    tables, now_ms = exchange.tables, exchange.now_ms()
    market = tables.markets[symbol]
    trades = [one for one in tables.trades.get(symbol, ()) if one.time_ms >= now_ms - _DAY_MS]
    size = sum((one.quantity for one in trades), Decimal(0))
    value = sum((one.quantity * one.price for one in trades), Decimal(0))
    held = sum((abs(one.quantity) for one in tables.holders.get(symbol, {}).values()), Decimal(0))
    last = trades[-1].price if trades else market.mark_price
    funded = now_ms - now_ms % _HOUR_MS
    best = book_ticker(exchange, symbol)
    return {
        "contractId": CONTRACT_IDS[symbol],
        "contractName": name_of(symbol),
        "trades": str(len(trades)),
        "size": number(size),
        "value": number(value),
        "open": number(market.previous_day_price),
        "high": number(max((one.price for one in trades), default=last)),
        "low": number(min((one.price for one in trades), default=last)),
        "close": number(last),
        "lastPrice": number(last),
        "indexPrice": number(market.oracle_price),
        "oraclePrice": number(market.oracle_price),
        "markPrice": number(market.oracle_price),
        "openInterest": number(held),
        "fundingRate": number(market.funding_rate),
        "fundingTime": str(funded),
        "nextFundingTime": str(funded + _HOUR_MS),
        "startTime": str(now_ms - _DAY_MS),
        "endTime": str(now_ms),
        "bestAskPrice": best["bestAskPrice"],
        "bestBidPrice": best["bestBidPrice"],
        "marketOpen": True,
    }


def kline_row(symbol: str, kind: str, candle: Candle) -> Json:
    """Write a candle."""
    return {
        "klineId": str(candle.start_ms),
        "contractId": CONTRACT_IDS[symbol],
        "contractName": name_of(symbol),
        "klineType": kind,
        "klineTime": str(candle.start_ms),
        "priceType": "LAST_PRICE",
        "trades": str(candle.count),
        "size": number(candle.volume),
        "value": "0",
        "high": number(candle.high),
        "low": number(candle.low),
        "open": number(candle.open),
        "close": number(candle.close),
    }


def trade_row(trade: Trade) -> Json:
    """Write a public trade."""
    return {
        "ticketId": f"{trade.trade_id:032x}",
        "time": str(trade.time_ms),
        "price": number(trade.price),
        "size": number(trade.quantity),
        "value": number(trade.price * trade.quantity),
        "takerOrderId": "0",
        "makerOrderId": "0",
        "takerAccountId": "0",
        "makerAccountId": "0",
        "contractId": CONTRACT_IDS[trade.symbol],
        "contractName": name_of(trade.symbol),
        "isBestMatch": True,
        "isBuyerMaker": trade.side is Side.SELL,
    }
