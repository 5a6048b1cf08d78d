"""EdgeX's payloads as data: a small one of each kind, and the fields that are not read.

Fields that are not read are those of the documents and of payloads recorded on the V2 testnet
2026-03 and in production 2026-09. Source: edgeX gitbook api/** and api-v2/** (NOTES.md).
"""

from __future__ import annotations

from typing import Final

from venues.edgex import wire
from venues.shapes import Shape, below

_ORDER = (
    '{"id":"700000000000000001","accountId":"700000000000000002","contractId":"30000001",'
    '"clientOrderId":"ord-0001","side":"BUY","type":"LIMIT","status":"OPEN","price":"65000.1",'
    '"size":"0.001","timeInForce":"GOOD_TIL_CANCEL","reduceOnly":false,"triggerPrice":"",'
    '"triggerTime":"0","cancelReason":"UNKNOWN_ORDER_CANCEL_REASON","cumMatchSize":"0",'
    '"cumMatchValue":"0","cumFailSize":"0","createdTime":"1790000000000",'
    '"updatedTime":"1790000000000"}'
)
_UNREAD_OF_ORDER = (
    "userId", "coinId", "expireTime", "sourceKey", "triggerPriceType", "triggerPriceTime",
    "triggerPriceValue", "marketLimitPrice", "marketLimitValue", "takerFeeRate", "makerFeeRate",
    "liquidateFeeRate", "isPositionTpsl", "isLiquidate", "isDeleverage", "openTpslParentOrderId",
    "isSetOpenTp", "openTp", "isSetOpenSl", "openSl", "isWithoutMatch", "withoutMatchFillSize",
    "withoutMatchFillValue", "withoutMatchPeerAccountId", "withoutMatchPeerOrderId",
    "maxLeverage", "l2Nonce", "l2Value", "l2Size", "l2LimitFee", "l2ExpireTime", "l2Signature",
    "extraType", "extraDataJson", "cumFillSize", "cumFillValue", "cumFillFee", "maxFillPrice",
    "minFillPrice", "cumLiquidateFee", "cumRealizePnl", "cumMatchFee", "cumFailValue",
    "cumFailFee", "cumApprovedSize", "cumApprovedValue", "cumApprovedFee", "matchSequenceId",
)  # fmt: skip
_UNREAD_OF_FILL = (
    "userId", "coinId", "liquidateFee", "isPositionTpsl", "isDeleverage", "isWithoutMatch",
    "matchSequenceId", "matchIndex", "matchFillId", "matchAccountId", "matchOrderId",
    "positionTransactionId", "collateralTransactionId", "extraType", "extraDataJson",
    "censorFailCode", "censorFailReason", "censorTxId", "censorTime", "l2TxId",
    "l2RejectCode", "l2RejectReason", "l2RejectTime", "l2ApprovedTime", "createdTime",
    "updatedTime",
)  # fmt: skip
_RATE = (
    '{"contractId":"30000001","fundingTime":"1790000000000","fundingTimestamp":"1790000000000",'
    '"oraclePrice":"65001.1","indexPrice":"65001.0","fundingRate":"0.00005",'
    '"fundingRateIntervalMin":"240"}'
)
_UNREAD_OF_RATE = (
    "avgPremiumIndex", "forecastFundingRate", "impactAskPrice", "impactBidPrice",
    "impactMarginNotional", "interestRate", "isSettlement", "predictedFundingRate",
    "premiumIndex", "premiumIndexTimestamp", "previousFundingRate", "previousFundingTimestamp",
    "starkExFundingIndex",
)  # fmt: skip
_DEPTH = (
    '{"contractId":"30000001","startVersion":"7","endVersion":"8","depthType":"SNAPSHOT",'
    '"asks":[{"price":"65000.4","size":"0.500"}],"bids":[{"price":"65000.1","size":"0.250"}]}'
)
_UNREAD_OF_DEPTH = ("contractName", "level")
_SETTING = (
    '{"isSetFeeRate":true,"takerFeeRate":"0.00030","makerFeeRate":"0.00010",'
    '"isSetMaxLeverage":true,"maxLeverage":"50"}'
)
_UNREAD_OF_SETTING = ("isSetFeeDiscount", "takerFeeDiscount", "makerFeeDiscount")
_UNREAD_OF_ACCOUNT = (
    "userId", "clientAccountId", "accountName", "l2Key", "l2KeyYCoordinate", "maxLeverageLimit",
    "createOrderDelayMillis", "extraType", "extraDataJson", "isLiquidating", "isSystemAccount",
    "createdTime", "updatedTime",
)  # fmt: skip
_UNREAD_OF_COLLATERAL = (
    "userId", "accountId", "legacyAmount", "availableAmount", "totalAmount", "lockedAmount",
    "cumDepositAmount", "cumWithdrawAmount", "cumTransferInAmount", "cumTransferOutAmount",
    "cumPositionBuyAmount", "cumPositionSellAmount", "cumFillFeeAmount",
    "cumFundingFeeAmount", "cumFillFeeIncomeAmount", "createdTime", "updatedTime",
)  # fmt: skip
_UNREAD_OF_POSITION = (
    "userId", "accountId", "coinId", "size", "openFee", "fundingFee", "longTermCount",
    "longTermStat", "longTermCreatedTime", "longTermUpdatedTime", "longTotalStat",
    "shortTermCount", "shortTermStat", "shortTermCreatedTime", "shortTermUpdatedTime",
    "shortTotalStat", "createdTime", "updatedTime",
)  # fmt: skip
_UNREAD_OF_POSITION_ASSET = (
    "userId", "accountId", "coinId", "riskRate", "starkExRiskRate", "avgEntryPrice",
    "bankruptPrice", "worstClosePrice", "unrealizePnl", "termRealizePnl", "totalRealizePnl",
)  # fmt: skip
_UNREAD_OF_COLLATERAL_ASSET = (
    "userId", "accountId", "totalPositionValueAbs", "initialMarginRequirement",
    "starkExRiskValue", "pendingWithdrawAmount", "pendingTransferOutAmount",
    "orderFrozenAmount",
)  # fmt: skip
_UNREAD_OF_CONTRACT = (
    "baseCoinId", "maxOrderSize", "maxPositionSize", "maxOrderBuyPriceRatio",
    "minOrderSellPriceRatio", "liquidateFeeRate", "displayMinLeverage", "displayDigitMerge",
    "displayNewIcon", "displayHotIcon", "enableDisplay", "matchServerName",
    "starkExSyntheticAssetId", "starkExResolution", "starkExOraclePriceQuorum",
    "starkExOraclePriceSignedAssetId", "starkExOraclePriceSigner", "fundingInterestRate",
    "fundingImpactMarginNotional", "fundingMaxRate", "fundingMinRate",
)  # fmt: skip
_UNREAD_OF_GLOBAL = (
    "appName", "appEnv", "appOnlySignOn", "feeAccountId", "feeAccountL2Key", "poolAccountId",
    "poolAccountL2Key", "fastWithdrawAccountId", "fastWithdrawAccountL2Key",
    "fastWithdrawMaxAmount", "fastWithdrawRegistryAddress", "starkExChainId",
    "starkExCollateralCoin", "starkExContractAddress", "starkExFundingValidityPeriod",
    "starkExMaxFundingRate", "starkExOrdersTreeHeight", "starkExPositionsTreeHeight",
    "starkExPriceValidityPeriod",
)  # fmt: skip
_MONEY_MOVED = (
    '{"id":"700000000000000003","type":"POSITION_FUNDING","deltaAmount":"-0.1",'
    '"fundingTime":"1790000000000","fundingRate":"0.00005","fundingPositionSize":"0.001",'
    '"positionContractId":"30000001"}'
)
_UNREAD_OF_MONEY = (
    "userId", "accountId", "coinId", "deltaLegacyAmount", "beforeAmount", "beforeLegacyAmount",
    "fillCloseSize", "fillCloseValue", "fillCloseFee", "fillOpenSize", "fillOpenValue",
    "fillOpenFee", "fillPrice", "liquidateFee", "realizePnl", "isLiquidate", "isDeleverage",
    "fundingIndexPrice", "fundingOraclePrice", "depositId", "withdrawId", "transferInId",
    "transferOutId", "transferReason", "orderId", "orderFillTransactionId", "orderAccountId",
    "positionTransactionId", "forceWithdrawId", "forceTradeId", "extraType", "extraDataJson",
    "censorStatus", "censorTxId", "censorTime", "censorFailCode", "censorFailReason", "l2TxId",
    "l2RejectTime", "l2RejectCode", "l2RejectReason", "l2ApprovedTime", "createdTime",
    "updatedTime",
)  # fmt: skip


SHAPES: Final = (
    Shape(
        channel="any answer",
        kind=wire.Envelope,
        sample='{"code":"SUCCESS","data":{},"msg":null,"errorParam":null,'
        '"responseTime":"1790000000000","traceId":"x"}',
        ignored=frozenset({"requestTime"}),
    ),
    Shape(
        channel="a listing, an answer's data",
        kind=wire.Page,
        sample='{"dataList":[],"nextPageOffsetData":""}',
    ),
    Shape(
        channel="POST order/createOrder, an answer's data",
        kind=wire.OrderNamed,
        sample='{"orderId":"700000000000000001"}',
    ),
    Shape(
        channel="POST order/cancelOrderById, cancelOrderByClientOrderId, an answer's data",
        kind=wire.CancelResults,
        sample='{"cancelResultMap":{"700000000000000001":"SUCCESS"}}',
    ),
    Shape(
        channel="GET meta/getServerTime",
        kind=wire.ServerTime,
        sample='{"timeMillis":"1790000000000"}',
    ),
    Shape(
        channel="GET meta/getMetaData",
        kind=wire.Metadata,
        sample='{"global":{"contractAddress":"0x0","nativeChainId":"1","chainId":"1",'
        '"maintenanceReason":""},"coinList":[{"coinId":"1000","coinName":"USDC",'
        '"resolution":"1000000"}],"contractList":[{"contractId":"30000001",'
        '"contractName":"BTCUSDC","quoteCoinId":"1000","tickSize":"0.1","stepSize":"0.001",'
        '"minOrderSize":"0.001","resolution":"10000000000","displayMaxLeverage":"100",'
        '"defaultLeverage":"50","defaultTakerFeeRate":"0.00030","defaultMakerFeeRate":"0.00010",'
        '"enableTrade":true,"enableOpenPosition":true,"fundingRateIntervalMin":"240",'
        '"riskTierList":[{"positionValueUpperBound":"50000","maxLeverage":"100",'
        '"maintenanceMarginRate":"0.005"}]}]}',
        ignored=frozenset({"multiChain"})
        | below("global.", _UNREAD_OF_GLOBAL)
        | below(
            "coinList[].",
            ("iconUrl", "showStepSize", "stepSize", "starkExAssetId", "starkExResolution"),
        )
        | below("contractList[].", _UNREAD_OF_CONTRACT)
        | below("contractList[].riskTierList[].", ("tier", "starkExRisk", "starkExUpperBound")),
    ),
    Shape(
        channel="GET quote/getTicker",
        kind=list[wire.TickerRow],
        sample='[{"contractId":"30000001","lastPrice":"65000.1","markPrice":"64999.0",'
        '"oraclePrice":"65001.1","indexPrice":"65001.0","openInterest":"9","value":"1000",'
        '"fundingRate":"0.00005"}]',
        ignored=below(
            "[].",
            (
                "contractName", "priceChange", "priceChangePercent", "trades", "size", "volume",
                "high", "low", "open", "close", "highTime", "lowTime", "startTime", "endTime",
                "openTime", "closeTime", "fundingTime", "nextFundingTime", "bestAskPrice",
                "bestBidPrice", "lastFundingRate", "lastFundingTime",
            ),
        ),
    ),
    Shape(
        channel="GET funding/getLatestFundingRate",
        kind=list[wire.FundingRateRow],
        sample=f"[{_RATE}]",
        ignored=below("[].", _UNREAD_OF_RATE),
    ),
    Shape(
        channel="GET funding/getFundingRatePage, a row",
        kind=wire.FundingRateRow,
        sample=_RATE,
        ignored=frozenset(_UNREAD_OF_RATE),
    ),
    Shape(
        channel="GET quote/getDepth",
        kind=list[wire.Depth],
        sample=f"[{_DEPTH}]",
        ignored=below("[].", _UNREAD_OF_DEPTH),
    ),
    Shape(
        channel="socket depth, a row",
        kind=wire.Depth,
        sample=_DEPTH,
        ignored=frozenset(_UNREAD_OF_DEPTH),
    ),
    Shape(
        channel="socket bookTicker, a row",
        kind=wire.BookTicker,
        sample='{"contractId":"30000001","time":"1790000007000","bestAskPrice":"65000.4",'
        '"bestAskSize":"0.500","bestBidPrice":"65000.1","bestBidSize":"0.250"}',
        ignored=frozenset({"contractName"}),
    ),
    Shape(
        channel="socket trades, a row",
        kind=wire.PublicTrade,
        sample='{"ticketId":"7","time":"1790000007000","price":"65000.4","size":"0.01",'
        '"contractId":"30000001","isBuyerMaker":false}',
        ignored=frozenset(
            {
                "contractName", "value", "takerOrderId", "makerOrderId", "takerAccountId",
                "makerAccountId", "isBestMatch",
            }
        ),
    ),
    Shape(
        channel="socket kline and GET quote/getKline, a row",
        kind=wire.Kline,
        sample='{"contractId":"30000001","klineType":"MINUTE_1","klineTime":"1790000005000",'
        '"open":"1","high":"3","low":"1","close":"2","size":"9"}',
        ignored=frozenset(
            {
                "klineId", "contractName", "priceType", "trades", "value", "makerBuySize",
                "makerBuyValue",
            }
        ),
    ),
    Shape(
        channel="GET order/getActiveOrderPage, getHistoryOrderPage, a row",
        kind=wire.OrderRow,
        sample=_ORDER,
        ignored=frozenset(_UNREAD_OF_ORDER),
    ),
    Shape(
        channel="GET order/getOrderById, getOrderByClientOrderId",
        kind=list[wire.OrderRow] | None,
        sample=f"[{_ORDER}]",
        ignored=below("[].", _UNREAD_OF_ORDER),
    ),
    Shape(
        channel="GET order/getHistoryOrderFillTransactionPage, a row",
        kind=wire.FillRow,
        sample='{"id":"7","orderId":"700000000000000001","contractId":"30000001",'
        '"accountId":"700000000000000002","orderSide":"BUY","fillSize":"0.001",'
        '"fillValue":"65.0001","fillFee":"0.0200","fillPrice":"65000.1","realizePnl":"0",'
        '"direction":"TAKER","isLiquidate":false,"matchTime":"1790000000000",'
        '"censorStatus":"CENSOR_SUCCESS"}',
        ignored=frozenset(_UNREAD_OF_FILL),
    ),
    Shape(
        channel="GET account/getAccountAsset",
        kind=wire.AccountAsset,
        sample='{"account":{"id":"700000000000000002","ethAddress":"0x0","status":"NORMAL",'
        f'"defaultTradeSetting":{_SETTING},"contractIdToTradeSetting":{{"30000001":{_SETTING}}},'
        '"createOrderPerMinuteLimit":0},"collateralList":[{"coinId":"1000","amount":"18.9"}],'
        '"positionList":[{"contractId":"30000001","openSize":"0.001","openValue":"82.9"}],'
        '"positionAssetList":[{"contractId":"30000001","positionValue":"82.9",'
        '"maxLeverage":"50","initialMarginRequirement":"1.7","riskValue":"0.4",'
        '"starkExRiskValue":"0.4","liquidatePrice":"1"}],"collateralAssetModelList":['
        '{"coinId":"1000","totalEquity":"18.9","availableAmount":"17.2"}]}',
        ignored=frozenset({"version", "oraclePriceList"})
        | below("account.", _UNREAD_OF_ACCOUNT)
        | below("account.defaultTradeSetting.", _UNREAD_OF_SETTING)
        | below("account.contractIdToTradeSetting{}.", _UNREAD_OF_SETTING)
        | below("collateralList[].", _UNREAD_OF_COLLATERAL)
        | below("positionList[].", _UNREAD_OF_POSITION)
        | below("positionAssetList[].", _UNREAD_OF_POSITION_ASSET)
        | below("collateralAssetModelList[].", _UNREAD_OF_COLLATERAL_ASSET),
    ),
    Shape(
        channel="GET account/getCollateralTransactionPage, a row",
        kind=wire.CollateralTransaction,
        sample=_MONEY_MOVED,
        ignored=frozenset(_UNREAD_OF_MONEY),
    ),
    Shape(
        channel="both sockets, any frame",
        kind=wire.Frame,
        sample='{"type":"quote-event","channel":"depth.30000001.15","time":"1","content":{}}',
        ignored=frozenset({"sid", "request"}),
    ),
    Shape(
        channel="public socket, a frame's content",
        kind=wire.QuoteContent,
        sample='{"channel":"depth.30000001.15","dataType":"Snapshot","data":[]}',
    ),
    Shape(
        channel="both sockets, an error's content",
        kind=wire.ErrorContent,
        sample='{"code":"GATEWAY_INVALID_CONTRACT_ID","msg":"invalid contractId : 99999999"}',
    ),
    Shape(
        channel="private socket, a frame's content",
        kind=wire.TradeContent,
        sample='{"event":"FUNDING_SETTLEMENT","version":12345,"time":1790000000000,"data":{'
        f'"account":[],"collateral":[],"collateralTransaction":[{_MONEY_MOVED}],"position":[],'
        '"order":[],"orderFillTransaction":[]}}',
        ignored=frozenset(
            {
                "accountId", "data.positionTransaction", "data.deposit", "data.withdraw",
                "data.transferIn", "data.transferOut",
            }
        )
        | below("data.collateralTransaction[].", _UNREAD_OF_MONEY),
    ),
)  # fmt: skip
