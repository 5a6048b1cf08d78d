"""Vest's payloads as data: a small one of each kind, and the fields that are not read.

Source: the examples of the official v2 API page.
"""

from __future__ import annotations

from typing import Final

from venues.shapes import Shape, below
from venues.vest import wire

_WHOLE_ORDER = (
    '{"id":"0x0","nonce":7,"symbol":"BTC-PERP","isBuy":true,"orderType":"LIMIT",'
    '"limitPrice":"30000.00","markPrice":"30000.00","size":"0.1000","status":"FILLED",'
    '"reduceOnly":false,"initMarginRatio":"0.1250","code":null,"lastFilledSize":"0.1000",'
    '"lastFilledPrice":"30000.00","lastFilledTime":1790000001000,"avgFilledPrice":"30000.00",'
    '"settledFunding":"0.100000","cumFunding":"0.100000","fees":"0.010000",'
    '"realizedPnl":"0.200000","postTime":1790000001000,"tpPrice":null,"slPrice":null}'
)
_UNREAD_OF_ORDER = (
    "markPrice", "initMarginRatio", "settledFunding", "cumFunding", "tpPrice", "slPrice",
)  # fmt: skip
_TICKER = (
    '{"symbol":"BTC-PERP","markPrice":"34000.1","indexPrice":"34000.0","imbalance":"123.12",'
    '"oneHrFundingRate":"0.0001","cumFunding":"1.23","status":"TRADING","priceChange":"-94.9",'
    '"priceChangePercent":"-95.96"}'
)
_UNREAD_OF_TICKER = ("imbalance", "cumFunding", "priceChange", "priceChangePercent")
_KLINE = (
    '[1790000002000,"0.098837","0.098837","0.098769","0.098769",1790000003000,"20000",'
    '"10000.000000",34]'
)
_TRADE = '{"id":7,"price":"30000.00","qty":"0.1000","quoteQty":"3000.000000","time":1790000001000}'
_UNREAD_OF_DAY = (
    "openPrice", "closePrice", "highPrice", "lowPrice", "volume", "priceChange",
    "priceChangePercent", "openTime", "closeTime",
)  # fmt: skip


SHAPES: Final = (
    Shape(
        channel="GET /exchangeInfo",
        kind=wire.ExchangeInfo,
        sample='{"symbols":[{"symbol":"BTC-PERP","displayName":"BTC-PERP","base":"BTC",'
        '"quote":"USDC","sizeDecimals":4,"priceDecimals":2,"initMarginRatio":"0.1",'
        '"maintMarginRatio":"0.05","takerFee":"0.0001","isolated":false}],'
        '"exchange":{"lp":"100000.000000","insurance":"1.000000","collateralDecimals":6}}',
        ignored=frozenset({"exchange"})
        | below("symbols[].", ("displayName", "base", "quote", "maintMarginRatio")),
    ),
    Shape(
        channel="GET /ticker/latest",
        kind=wire.Tickers,
        sample=f'{{"tickers":[{_TICKER}]}}',
        ignored=below("tickers[].", _UNREAD_OF_TICKER),
    ),
    Shape(
        channel="GET /ticker/24hr",
        kind=wire.Days,
        sample='{"tickers":[{"symbol":"BTC-PERP","openPrice":"1","closePrice":"1","highPrice":"1",'
        '"lowPrice":"1","quoteVolume":"9","volume":"9","priceChange":"0","priceChangePercent":"0",'
        '"openTime":1,"closeTime":2}]}',
        ignored=below("tickers[].", _UNREAD_OF_DAY),
    ),
    Shape(
        channel="GET /depth, socket @depth",
        kind=wire.Depth,
        sample='{"bids":[["4.00","431.0000"]],"asks":[["4.02","12.0000"]]}',
    ),
    Shape(
        channel="GET /trades",
        kind=list[wire.TradeRow],
        sample=f"[{_TRADE}]",
        ignored=below("[].", ("quoteQty",)),
    ),
    Shape(
        channel="socket @trades",
        kind=wire.TradeRow,
        sample=_TRADE,
        ignored=frozenset({"quoteQty"}),
    ),
    Shape(channel="GET /klines", kind=list[wire.Kline], sample=f"[{_KLINE}]"),
    Shape(channel="socket @kline", kind=wire.Kline, sample=_KLINE),
    Shape(
        channel="GET /funding/history",
        kind=list[wire.FundingRateRow],
        sample='[{"symbol":"ETH-PERP","time":1790000001000,"oneHrFundingRate":"0.001000"}]',
    ),
    Shape(
        channel="socket tickers",
        kind=list[wire.TickerRow],
        sample=f"[{_TICKER}]",
        ignored=below("[].", _UNREAD_OF_TICKER),
    ),
    Shape(
        channel="GET /orders",
        kind=list[wire.OrderRow],
        sample=f"[{_WHOLE_ORDER}]",
        ignored=below("[].", _UNREAD_OF_ORDER),
    ),
    Shape(
        channel="socket account_private, an order",
        kind=wire.OrderRow,
        sample=_WHOLE_ORDER,
        ignored=frozenset(_UNREAD_OF_ORDER),
    ),
    Shape(
        channel="socket account_private, an order's end",
        kind=wire.OrderEnd,
        sample='{"id":"0x0","status":"REJECTED","nonce":7,"postTime":1790000001000,"code":3002}',
    ),
    Shape(
        channel="socket account_private",
        kind=wire.PrivateEvent,
        sample='{"event":"LP","args":{}}',
    ),
    Shape(
        channel="POST /orders, POST /orders/cancel",
        kind=wire.OrderNamed,
        sample='{"id":"0x0"}',
    ),
    Shape(
        channel="GET /account",
        kind=wire.AccountRow,
        sample='{"address":"0x3d4f","balances":[{"asset":"USDC","total":"1","locked":"0"}],'
        '"collateral":"1333.000000","withdrawable":"1.000000","totalAccountValue":"2.000000",'
        '"openOrderMargin":"1.000000","totalMaintMargin":"1.000000","positions":[{'
        '"symbol":"BTC-PERP","isLong":true,"size":"0.1000","entryPrice":"30.00",'
        '"entryFunding":"1.230000000000","unrealizedPnl":"-30.000000","settledFunding":"30.000000",'
        '"markPrice":"30.00","indexPrice":"34.00","liqPrice":"20.00","initMargin":"1200.000000",'
        '"maintMargin":"600.000000","initMarginRatio":"0.2000"}],'
        '"leverages":[{"symbol":"BTC-PERP","value":20}],"lp":{"balance":"1","shares":"1",'
        '"unrealizedPnl":"1"},"time":1790000000000,"twitterUsername":null,"discordUsername":null}',
        ignored=frozenset({"balances", "collateral", "lp", "twitterUsername", "discordUsername"})
        | below("positions[].", ("entryFunding", "settledFunding", "indexPrice")),
    ),
    Shape(
        channel="POST /account/leverage",
        kind=wire.LeverageRow,
        sample='{"symbol":"BTC-PERP","value":10}',
    ),
    Shape(
        channel="POST /account/listenKey",
        kind=wire.ListenKey,
        sample='{"listenKey":"an hour"}',
    ),
    Shape(
        channel="POST /register",
        kind=wire.Registered,
        sample='{"apiKey":"abcde","accGroup":0}',
    ),
    Shape(
        channel="socket, any message",
        kind=wire.Frame,
        sample='{"result":null,"id":1,"channel":"tickers","data":[],"code":1121,"msg":"x",'
        '"detail":null}',
        ignored=frozenset({"result"}),
    ),
)
