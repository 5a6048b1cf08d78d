"""Extended's payloads as they come over the wire, spelled as the venue spells them.

Decimals come as strings and stay exact; ids are integers above 2^53. Unknown fields are ignored,
missing ones that we need are an error. Nothing is interpreted here; that is `translate` and
`answers`.

Source: api.docs.extended.exchange; PyPI x10-python-trading-starknet 2.6.0, x10/models; recorded on
mainnet 2026-09 by public projects (NOTES.md).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from venues.payloads import Ms, Wire
from venues.payloads import WireError as WireError
from venues.payloads import decode as decode

_NULL: Final = msgspec.Raw(b"null")


class ErrorBody(Wire, frozen=True):
    """What was refused; the code is a number but for a few that are words."""

    code: int | str
    message: str | None = None
    debugInfo: str | None = None


class Pagination(Wire, frozen=True):
    """Where the next page begins."""

    cursor: int | str | None = None
    count: int = 0


class Envelope(Wire, frozen=True):
    """Every answer by HTTP."""

    status: str
    data: msgspec.Raw = _NULL
    error: ErrorBody | None = None
    pagination: Pagination | None = None


class PlacedOrder(Wire, frozen=True):
    """`data` of a placement's answer."""

    id: int
    externalId: str


# --- Markets ------------------------------------------------------------------------------------


class MarketStats(Wire, frozen=True):
    """Prices and rates of a market; `nextFundingRate` is a time."""

    dailyVolume: Decimal
    askPrice: Decimal
    bidPrice: Decimal
    markPrice: Decimal
    indexPrice: Decimal
    fundingRate: Decimal
    openInterest: Decimal
    openInterestBase: Decimal | None = None


class TradingConfig(Wire, frozen=True):
    """What a market takes."""

    minOrderSize: Decimal
    minOrderSizeChange: Decimal
    minPriceChange: Decimal
    maxPositionValue: Decimal
    maxLeverage: Decimal


class L2Config(Wire, frozen=True):
    """How a market's assets are named and counted on chain."""

    collateralId: str
    collateralResolution: int
    syntheticId: str
    syntheticResolution: int


class MarketHead(Wire, frozen=True):
    """What kind of market it is, before the rest is read: spot markets are made otherwise."""

    name: str
    type: str = "PERPETUAL"
    isRfq: bool = False


class MarketRow(MarketHead, frozen=True, kw_only=True):
    """One perpetual market of `/info/markets`."""

    assetName: str
    active: bool
    status: str
    marketStats: MarketStats
    tradingConfig: TradingConfig
    l2Config: L2Config


class BookLevelRow(Wire, frozen=True):
    """A level of `/info/markets/{m}/orderbook`."""

    qty: Decimal
    price: Decimal


class BookRow(Wire, frozen=True):
    """A whole book, best first."""

    market: str
    bid: list[BookLevelRow]
    ask: list[BookLevelRow]


class PublicTrade(Wire, frozen=True):
    """A public trade, by HTTP and on the feed; `S` is the taker's side."""

    i: int
    m: str
    S: str
    T: Ms
    p: Decimal
    q: Decimal
    tT: str = "TRADE"


class CandleRow(Wire, frozen=True):
    """A candle; `T` is its first millisecond."""

    T: Ms
    o: Decimal
    h: Decimal
    l: Decimal  # noqa: E741 - the venue's spelling
    c: Decimal
    v: Decimal = Decimal(0)


class FundingRateRow(Wire, frozen=True):
    """A rate that was applied at `T`."""

    m: str
    f: Decimal
    T: Ms


# --- Accounts -----------------------------------------------------------------------------------


class AccountInfo(Wire, frozen=True):
    """`/user/account/info`: whose API key it is."""

    status: str
    l2Key: str
    l2Vault: int | str
    accountId: int | None = None


class Leg(Wire, frozen=True):
    """A take-profit or stop-loss of an order."""

    triggerPrice: Decimal
    price: Decimal | None = None
    priceType: str | None = None
    status: str | None = None


class TriggerPart(Wire, frozen=True):
    """What a conditional order waits for."""

    triggerPrice: Decimal


class OrderRow(Wire, frozen=True):
    """An order, in listings, look-ups and on the feed."""

    id: int
    externalId: str
    market: str
    status: str
    type: str
    side: str
    qty: Decimal
    createdTime: Ms
    updatedTime: Ms | None = None
    statusReason: str | None = None
    price: Decimal | None = None
    averagePrice: Decimal | None = None
    filledQty: Decimal | None = None
    cancelledQty: Decimal | None = None
    reduceOnly: bool = False
    postOnly: bool = False
    timeInForce: str = "GTT"
    trigger: TriggerPart | None = None
    tpSlType: str | None = None
    takeProfit: Leg | None = None
    stopLoss: Leg | None = None


class FillRow(Wire, frozen=True):
    """An execution of one of our orders; the feed names the external id besides."""

    id: int
    orderId: int
    market: str
    side: str
    price: Decimal
    qty: Decimal
    fee: Decimal
    isTaker: bool
    createdTime: Ms
    tradeType: str = "TRADE"
    externalOrderId: str | None = None
    externalId: str | None = None


class BalanceRow(Wire, frozen=True):
    """An account's money; `marginRatio` is maintenance margin over equity."""

    equity: Decimal
    availableForTrade: Decimal
    updatedTime: Ms
    balance: Decimal = Decimal(0)
    initialMargin: Decimal = Decimal(0)
    marginRatio: Decimal = Decimal(0)


class PositionRow(Wire, frozen=True):
    """A position; `size` has no sign, a closed one is CLOSED or of no size."""

    market: str
    side: str
    leverage: Decimal
    size: Decimal
    value: Decimal
    openPrice: Decimal
    markPrice: Decimal
    status: str = "OPENED"
    margin: Decimal | None = None
    unrealisedPnl: Decimal = Decimal(0)
    liquidationPrice: Decimal | None = None
    updatedAt: Ms | None = None
    updatedTime: Ms | None = None


class LeverageRow(Wire, frozen=True):
    """The leverage of one market."""

    market: str
    leverage: Decimal


class FeeRow(Wire, frozen=True):
    """The account's fees in one market."""

    market: str
    makerFeeRate: Decimal
    takerFeeRate: Decimal


class FundingRow(Wire, frozen=True):
    """A payment of funding; `size` has no sign."""

    id: int
    market: str
    side: str
    size: Decimal
    fundingFee: Decimal
    fundingRate: Decimal
    paidTime: Ms


# --- WebSocket ----------------------------------------------------------------------------------


class Level(Wire, frozen=True):
    """A level of a book's frame: `q` is the size, or in a delta the change; `c` the new size."""

    p: Decimal
    q: Decimal
    c: Decimal | None = None


class BookData(Wire, frozen=True):
    """A book or its changes; `d` is the depth, `f` for all of it."""

    t: str
    m: str
    b: list[Level]
    a: list[Level]
    d: str = "f"


class PriceData(Wire, frozen=True):
    """A mark or index price."""

    m: str
    p: Decimal


class Frame(Wire, frozen=True):
    """Any message of the market socket (JSON-RPC): data of a subscription, or an answer."""

    type: str | None = None
    data: msgspec.Raw = _NULL
    ts: Ms | None = None
    seq: int | None = None
    subscription: str | None = None
    id: str | None = None
    result: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL


class AccountData(Wire, frozen=True):
    """What an account's frame may hold; a frame may have several sections."""

    orders: list[OrderRow] | None = None
    trades: list[FillRow] | None = None
    balance: BalanceRow | None = None
    positions: list[PositionRow] | None = None


class AccountFrame(Wire, frozen=True):
    """A message of an account's socket."""

    seq: int
    type: str | None = None
    data: AccountData | None = None
    ts: Ms | None = None
