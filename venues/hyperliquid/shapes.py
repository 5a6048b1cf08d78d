"""Hyperliquid's payloads as data: a small one of each kind, and the fields that are not read.

Fields that are not read are those of payloads recorded on mainnet 2025-12 and testnet 2026-09.
Source: docs api/info-endpoint, api/exchange-endpoint, api/websocket/subscriptions.
"""

from __future__ import annotations

from typing import Final

from venues.hyperliquid import wire
from venues.shapes import Shape, below

_ORDER = (
    '{"coin":"BTC","side":"B","limitPx":"40000.0","sz":"0.01","oid":7,"timestamp":1700000000000,'
    '"origSz":"0.01","cloid":"0x01","reduceOnly":false,"isTrigger":false,"triggerPx":"0.0",'
    '"triggerCondition":"N/A","isPositionTpsl":false,"orderType":"Limit","tif":"Gtc","children":[]}'
)
_ENTRY = f'{{"order":{_ORDER},"status":"open","statusTimestamp":1700000000000}}'
_FILL = (
    '{"coin":"BTC","px":"40000.0","sz":"0.01","side":"B","time":1700000000000,"startPosition":"0",'
    '"dir":"Open Long","closedPnl":"0.0","hash":"0x00","oid":7,"crossed":true,"fee":"0.1","tid":9,'
    '"feeToken":"USDC","cloid":"0x01","twapId":null}'
)
_LEVELS = '[[{"px":"39999","sz":"1","n":2}],[{"px":"40001","sz":"1","n":2}]]'
_KLINE = '{"t":1,"T":2,"s":"BTC","i":"1m","o":"1","c":"2","h":"3","l":"1","v":"9","n":4}'
_TRADE = (
    '{"coin":"BTC","side":"B","px":"40000","sz":"1","time":1700000000000,"hash":"0x00","tid":3,'
    '"users":["0x01","0x02"]}'
)
_META = (
    '{"universe":[{"name":"BTC","szDecimals":5,"maxLeverage":40,"marginTableId":56,'
    '"marginMode":"strictIsolated","isDelisted":true}],"marginTables":[],"collateralToken":0}'
)
_CONTEXT = (
    '{"funding":"0.0000125","openInterest":"9","prevDayPx":"39000","dayNtlVlm":"9","premium":"0",'
    '"oraclePx":"40000","markPx":"40000","midPx":"40000","impactPxs":["1","2"],"dayBaseVlm":"9"}'
)
_STATE = (
    '{"marginSummary":{"accountValue":"9","totalNtlPos":"1","totalRawUsd":"1","totalMarginUsed":"1"'
    '},"crossMarginSummary":{},"crossMaintenanceMarginUsed":"0","withdrawable":"8","assetPositions"'
    ':[{"type":"oneWay","position":{"coin":"BTC","szi":"0.01","leverage":{"type":"cross","value":20'
    '},"entryPx":"40000","positionValue":"400","unrealizedPnl":"0","returnOnEquity":"0",'
    '"liquidationPx":"1","marginUsed":"20","maxLeverage":40,"cumFunding":{}}}],"time":1700000000000}'
)
_UNREAD_OF_ORDER = ("isPositionTpsl", "triggerCondition")
_UNREAD_OF_FILL = ("dir", "hash", "startPosition", "twapId")
_UNREAD_OF_CONTEXT = ("dayBaseVlm", "impactPxs", "premium", "prevDayPx")
_UNREAD_OF_MARKET = (
    "growthMode",
    "lastGrowthModeChangeTime",
    "marginTableId",
    "onlyIsolated",
)
_UNREAD_OF_STATE = (
    "assetPositions[].type",
    *(
        f"assetPositions[].position.{name}"
        for name in ("cumFunding", "maxLeverage", "returnOnEquity")
    ),
    "crossMarginSummary",
    "marginSummary.totalNtlPos",
    "marginSummary.totalRawUsd",
)


_ORDERS_UNREAD = below("[].", _UNREAD_OF_ORDER) | below("[].children[].", _UNREAD_OF_ORDER)

SHAPES: Final = (
    Shape(
        channel="POST /info meta",
        kind=wire.Meta,
        sample=_META,
        ignored=below("universe[].", _UNREAD_OF_MARKET) | {"collateralToken", "marginTables"},
    ),
    Shape(
        channel="POST /info metaAndAssetCtxs",
        kind=tuple[wire.Meta, list[wire.AssetContext]],
        sample=f"[{_META},[{_CONTEXT}]]",
        ignored=below("[0].universe[].", _UNREAD_OF_MARKET)
        | {"[0].collateralToken", "[0].marginTables"}
        | below("[1][].", _UNREAD_OF_CONTEXT),
    ),
    Shape(
        channel="POST /info orderStatus",
        kind=wire.OrderStatusReply,
        sample=f'{{"status":"order","order":{_ENTRY}}}',
        ignored=below("order.order.", _UNREAD_OF_ORDER),
    ),
    Shape(
        channel="POST /info frontendOpenOrders",
        kind=list[wire.OrderRow],
        sample=f"[{_ORDER}]",
        ignored=_ORDERS_UNREAD,
    ),
    Shape(
        channel="POST /info historicalOrders, socket orderUpdates",
        kind=list[wire.OrderEntry],
        sample=f"[{_ENTRY}]",
        ignored=below("[].order.", _UNREAD_OF_ORDER),
    ),
    Shape(
        channel="POST /info userFillsByTime",
        kind=list[wire.FillRow],
        sample=f"[{_FILL}]",
        ignored=below("[].", _UNREAD_OF_FILL),
    ),
    Shape(
        channel="POST /info activeAssetData",
        kind=wire.ActiveAsset,
        sample='{"user":"0x01","coin":"BTC","leverage":{"type":"cross","value":20},'
        '"maxTradeSzs":["1","1"],"availableToTrade":["1","1"],"markPx":"40000"}',
        ignored=frozenset({"availableToTrade", "leverage.rawUsd", "markPx", "maxTradeSzs", "user"}),
    ),
    Shape(
        channel="POST /info userFees",
        kind=wire.UserFees,
        sample='{"userCrossRate":"0.00045","userAddRate":"0.00015","feeSchedule":{}}',
        ignored=frozenset(
            {
                "activeReferralDiscount",
                "activeStakingDiscount",
                "dailyUserVlm",
                "feeSchedule",
                "feeTrialEscrow",
                "feeTrialReward",
                "nextTrialAvailableTimestamp",
                "stakingLink",
                "trial",
                "userSpotAddRate",
                "userSpotCrossRate",
            }
        ),
    ),
    Shape(
        channel="POST /info userFunding",
        kind=list[wire.FundingRow],
        sample='[{"time":1700000000000,"hash":"0x00","delta":{"type":"funding","coin":"BTC",'
        '"usdc":"-0.1","szi":"0.01","fundingRate":"0.0000125","nSamples":null}}]',
        ignored=frozenset({"[].delta.nSamples", "[].delta.type", "[].hash"}),
    ),
    Shape(
        channel="POST /info l2Book, socket l2Book",
        kind=wire.Book,
        sample=f'{{"coin":"BTC","time":1700000000000,"levels":{_LEVELS}}}',
    ),
    Shape(
        channel="POST /info recentTrades, socket trades",
        kind=list[wire.PublicTrade],
        sample=f"[{_TRADE}]",
        ignored=below(
            "[].",
            (
                "hash",
                "users",
            ),
        ),
    ),
    Shape(
        channel="POST /info candleSnapshot",
        kind=list[wire.Kline],
        sample=f"[{_KLINE}]",
        ignored=frozenset({"[].n"}),
    ),
    Shape(
        channel="POST /info fundingHistory",
        kind=list[wire.FundingEntry],
        sample='[{"coin":"BTC","fundingRate":"0.0000125","premium":"0","time":1700000000000}]',
        ignored=frozenset({"[].premium"}),
    ),
    Shape(
        channel="POST /info clearinghouseState",
        kind=wire.ClearinghouseState,
        sample=_STATE,
        ignored=frozenset(_UNREAD_OF_STATE),
    ),
    Shape(
        channel="POST /info userRole",
        kind=wire.UserRole,
        sample='{"role":"agent","data":{"user":"0x01"}}',
    ),
    Shape(
        channel="POST /info extraAgents",
        kind=list[wire.ExtraAgent],
        sample='[{"name":"main","address":"0x01","validUntil":1700000000000}]',
    ),
    Shape(
        channel="POST /info userRateLimit",
        kind=wire.UserRateLimit,
        sample='{"cumVlm":"1","nRequestsUsed":1,"nRequestsCap":10000,"nRequestsSurplus":0}',
        ignored=frozenset({"nRequestsSurplus"}),
    ),
    Shape(
        channel="POST /exchange",
        kind=wire.ExchangeEnvelope,
        sample='{"status":"ok","response":{"type":"default"}}',
    ),
    Shape(
        channel="POST /exchange, a response",
        kind=wire.OkResponse,
        sample='{"type":"order","data":{"statuses":[{"resting":{"oid":7,"cloid":"0x01"}},'
        '{"filled":{"totalSz":"1","avgPx":"40000","oid":8,"cloid":"0x02"}},"success",'
        '{"error":"Order must have minimum value of $10."}]}}',
    ),
    Shape(channel="socket, any", kind=wire.Frame, sample='{"channel":"pong"}'),
    Shape(
        channel="socket subscriptionResponse",
        kind=wire.SubscriptionReply,
        sample='{"method":"subscribe","subscription":{"type":"candle","coin":"BTC",'
        '"interval":"1m","user":"0x01"}}',
        ignored=below(
            "subscription.",
            (
                "aggregateByTime",
                "dex",
                "fast",
                "ignorePortfolioMargin",
                "isPositionTpsl",
                "mantissa",
                "nLevels",
                "nSigFigs",
            ),
        ),
    ),
    Shape(
        channel="socket bbo",
        kind=wire.TopOfBook,
        sample='{"coin":"BTC","time":1,"bbo":[{"px":"1","sz":"1","n":1},null]}',
    ),
    Shape(
        channel="socket activeAssetCtx",
        kind=wire.CoinContext,
        sample=f'{{"coin":"BTC","ctx":{_CONTEXT}}}',
        ignored=below("ctx.", _UNREAD_OF_CONTEXT),
    ),
    Shape(channel="socket candle", kind=wire.Kline, sample=_KLINE, ignored=frozenset({"n"})),
    Shape(
        channel="socket userFills",
        kind=wire.UserFills,
        sample=f'{{"user":"0x01","isSnapshot":true,"fills":[{_FILL}]}}',
        ignored=below("fills[].", _UNREAD_OF_FILL),
    ),
    Shape(
        channel="socket userFundings",
        kind=wire.UserFundings,
        sample='{"user":"0x01","isSnapshot":true,"fundings":[{"time":1,"coin":"BTC","usdc":"-0.1",'
        '"szi":"0.01","fundingRate":"0.0000125","nSamples":1}]}',
        ignored=frozenset({"fundings[].nSamples"}),
    ),
    Shape(
        channel="socket clearinghouseState",
        kind=wire.AccountFrame,
        sample=f'{{"dex":"","user":"0x01","clearinghouseState":{_STATE}}}',
        ignored=below("clearinghouseState.", _UNREAD_OF_STATE),
    ),
)
