"""Extended's payloads as data: a small one of each kind, and the fields that are not read.

Fields that are not read are those of payloads recorded on mainnet 2026-09 and of the documents.
Source: api.docs.extended.exchange; x10-python-trading-starknet 2.6.0, x10/models.
"""

from __future__ import annotations

from typing import Final

from venues.extended import wire
from venues.shapes import Shape, below

_STATS = (
    '{"dailyVolume":"9","askPrice":"84078","bidPrice":"84077","markPrice":"84058.5",'
    '"indexPrice":"84105","fundingRate":"0.000013","openInterest":"42","openInterestBase":"5"}'
)
_MARKET = (
    '{"name":"BTC-USD","type":"PERPETUAL","assetName":"BTC","active":true,"isRfq":false,'
    f'"status":"ACTIVE","marketStats":{_STATS},"tradingConfig":{{"minOrderSize":"0.0001",'
    '"minOrderSizeChange":"0.00001","minPriceChange":"1","maxPositionValue":"60000000",'
    '"maxLeverage":"50.00"},"l2Config":{"collateralId":"0x1","collateralResolution":1000000,'
    '"syntheticId":"0x4254","syntheticResolution":1000000}}'
)
_ORDER = (
    '{"id":2100000000000000007,"externalId":"ext-1","market":"BTC-USD","status":"NEW",'
    '"type":"LIMIT","side":"BUY","qty":"0.5","createdTime":1,"updatedTime":2,'
    '"statusReason":"NONE","price":"60000","averagePrice":null,"filledQty":"0",'
    '"cancelledQty":"0","reduceOnly":false,"postOnly":false,"timeInForce":"GTT",'
    '"trigger":{"triggerPrice":"1"},"tpSlType":"ORDER","takeProfit":{"triggerPrice":"1",'
    '"price":"1","priceType":"LIMIT","status":"UNTRIGGERED"},"stopLoss":{"triggerPrice":"1",'
    '"price":"1","priceType":"LIMIT","status":"UNTRIGGERED"}}'
)
_FILL = (
    '{"id":7,"orderId":8,"market":"BTC-USD","side":"BUY","price":"1","qty":"1","fee":"0.1",'
    '"isTaker":true,"createdTime":1,"tradeType":"TRADE","externalOrderId":"ext-1",'
    '"externalId":"ext-1"}'
)
_BALANCE = (
    '{"equity":"120","availableForTrade":"3","updatedTime":1,"balance":"100",'
    '"initialMargin":"5","marginRatio":"0.2"}'
)
_POSITION = (
    '{"market":"BTC-USD","side":"LONG","leverage":"10","size":"0.1","value":"4000",'
    '"openPrice":"39000","markPrice":"40000","status":"OPENED","margin":"400",'
    '"unrealisedPnl":"100","liquidationPrice":"0","updatedAt":1,"updatedTime":1}'
)
_CANDLE = '{"T":1,"o":"1","h":"3","l":"1","c":"2","v":"9"}'
_TRADE = '{"i":1,"m":"BTC-USD","S":"BUY","T":1,"p":"1","q":"1","tT":"TRADE"}'
_RATE = '{"m":"BTC-USD","f":"0.00001","T":1}'

_UNREAD_OF_STATS = (
    "dailyVolumeBase", "dailyPriceChange", "dailyPriceChangePercentage", "dailyLow", "dailyHigh",
    "lastPrice", "nextFundingRate", "deleverageLevels",
)  # fmt: skip
_UNREAD_OF_MARKET = (
    "uiName", "category", "subCategory", "assetPrecision", "collateralAssetName",
    "collateralAssetPrecision", "description", "isOffHours", "tradingHours", "visibleOnUi",
    "createdAt", "referenceMarket", "isAvailableForUsers", "uPnlWithdrawable",
    "postWithdrawalMarginFactor",
)  # fmt: skip
_UNREAD_OF_CONFIG = (
    "maxMarketOrderValue", "maxLimitOrderValue", "maxNumOrders", "limitPriceCap",
    "limitPriceFloor", "riskFactorConfig", "hourlyFundingRateCap", "openInterestLimit",
)  # fmt: skip
_UNREAD_OF_ORDER = (
    "accountId", "payedFee", "expireTime", "expiryTime", "rfqStartPrice", "chaseOrder",
    "trigger.triggerPriceType", "trigger.triggerPriceDirection", "trigger.direction",
    "trigger.executionPriceType", "takeProfit.triggerPriceType", "stopLoss.triggerPriceType",
)  # fmt: skip
_UNREAD_OF_FILL = ("accountId", "value")
_UNREAD_OF_BALANCE = (
    "collateralName", "status", "spotEquity", "spotEquityForAvailableForTrade",
    "collateralReservedForSpotOrders", "availableForWithdrawal", "unrealisedPnl", "exposure",
    "leverage",
)  # fmt: skip
_UNREAD_OF_POSITION = (
    "id", "accountId", "midPriceUnrealisedPnl", "realisedPnl", "createdAt", "createdTime", "adl",
    "tpTriggerPrice", "tpLimitPrice", "slTriggerPrice", "slLimitPrice", "tpPrice", "slPrice",
)  # fmt: skip


_IN_MARKET: Final = (
    below("", _UNREAD_OF_MARKET)
    | below("marketStats.", _UNREAD_OF_STATS)
    | below("tradingConfig.", _UNREAD_OF_CONFIG)
    | {"l2Config.type"}
)

SHAPES: Final = (
    Shape(
        channel="any answer",
        kind=wire.Envelope,
        sample='{"status":"OK","data":[],"error":{"code":1140,"message":"no","debugInfo":"x"},'
        '"pagination":{"cursor":7,"count":1}}',
    ),
    Shape(
        channel="POST /user/order, an answer's data",
        kind=wire.PlacedOrder,
        sample='{"id":2100000000000000007,"externalId":"ext-1"}',
    ),
    Shape(
        channel="GET /info/markets, each market",
        kind=wire.MarketRow,
        sample=_MARKET,
        ignored=_IN_MARKET,
    ),
    Shape(
        channel="GET /info/markets/{market}/stats",
        kind=wire.MarketStats,
        sample=_STATS,
        ignored=below("", _UNREAD_OF_STATS),
    ),
    Shape(
        channel="GET /info/markets/{market}/orderbook",
        kind=wire.BookRow,
        sample='{"market":"BTC-USD","bid":[{"qty":"1","price":"1"}],'
        '"ask":[{"qty":"1","price":"2"}]}',
    ),
    Shape(
        channel="public trades, by HTTP and socket",
        kind=list[wire.PublicTrade],
        sample=f"[{_TRADE}]",
    ),
    Shape(
        channel="candles, by HTTP and socket",
        kind=list[wire.CandleRow],
        sample=f"[{_CANDLE}]",
    ),
    Shape(
        channel="GET /info/{market}/funding",
        kind=list[wire.FundingRateRow],
        sample=f"[{_RATE}]",
    ),
    Shape(channel="socket funding-rates", kind=wire.FundingRateRow, sample=_RATE),
    Shape(
        channel="GET /user/account/info",
        kind=wire.AccountInfo,
        sample='{"status":"ACTIVE","l2Key":"0x1","l2Vault":"500343","accountId":3342}',
        ignored=below(
            "",
            (
                "description",
                "accountIndex",
                "bridgeStarknetAddress",
                "apiKeys",
                "accountIndexForKeyGeneration",
            ),
        ),
    ),
    Shape(
        channel="GET /user/orders/{id}",
        kind=wire.OrderRow,
        sample=_ORDER,
        ignored=below("", _UNREAD_OF_ORDER),
    ),
    Shape(
        channel="GET /user/orders, history and by external id",
        kind=list[wire.OrderRow],
        sample=f"[{_ORDER}]",
        ignored=below("[].", _UNREAD_OF_ORDER),
    ),
    Shape(
        channel="GET /user/trades",
        kind=list[wire.FillRow],
        sample=f"[{_FILL}]",
        ignored=below("[].", _UNREAD_OF_FILL),
    ),
    Shape(
        channel="GET /user/balance",
        kind=wire.BalanceRow,
        sample=_BALANCE,
        ignored=below("", _UNREAD_OF_BALANCE),
    ),
    Shape(
        channel="GET /user/positions",
        kind=list[wire.PositionRow],
        sample=f"[{_POSITION}]",
        ignored=below("[].", _UNREAD_OF_POSITION),
    ),
    Shape(
        channel="GET /user/leverage",
        kind=list[wire.LeverageRow],
        sample='[{"market":"BTC-USD","leverage":"10"}]',
    ),
    Shape(
        channel="GET /user/fees",
        kind=list[wire.FeeRow],
        sample='[{"market":"BTC-USD","makerFeeRate":"0","takerFeeRate":"0.00025"}]',
        ignored=frozenset({"[].builderFeeRate"}),
    ),
    Shape(
        channel="GET /user/funding/history",
        kind=list[wire.FundingRow],
        sample='[{"id":1,"market":"BTC-USD","side":"LONG","size":"1","fundingFee":"-0.1",'
        '"fundingRate":"0.00001","paidTime":1}]',
        ignored=below("[].", ("accountId", "positionId", "value", "markPrice")),
    ),
    Shape(
        channel="market socket, any message",
        kind=wire.Frame,
        sample='{"type":"TRADES","data":[],"ts":1,"seq":0,"subscription":"trades.BTC-USD",'
        '"id":"1","result":{},"error":null}',
        ignored=frozenset({"jsonrpc"}),
    ),
    Shape(
        channel="socket orderbooks",
        kind=wire.BookData,
        sample='{"t":"DELTA","m":"BTC-USD","b":[{"p":"1","q":"1","c":"1"}],'
        '"a":[{"p":"2","q":"1","c":"1"}],"d":"f"}',
    ),
    Shape(
        channel="socket prices",
        kind=wire.PriceData,
        sample='{"m":"BTC-USD","p":"65000.500000000005"}',
        ignored=frozenset({"ts"}),
    ),
    Shape(
        channel="account socket, any message",
        kind=wire.AccountFrame,
        sample=f'{{"seq":1,"type":"ORDER","ts":1,"data":{{"orders":[{_ORDER}],'
        f'"trades":[{_FILL}],"balance":{_BALANCE},"positions":[{_POSITION}]}}}}',
        ignored=below("data.orders[].", _UNREAD_OF_ORDER)
        | below("data.trades[].", _UNREAD_OF_FILL)
        | below("data.balance.", _UNREAD_OF_BALANCE)
        | below("data.positions[].", _UNREAD_OF_POSITION)
        | below(
            "data.",
            ("spotBalances", "deposit", "deposits", "transfers", "withdrawals", "isSnapshot"),
        ),
    ),
)
