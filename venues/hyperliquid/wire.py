"""Hyperliquid's payloads as they come over the wire, spelled as the venue spells them.

How JSON becomes payloads is in `venues.payloads`. Unknown fields are ignored, missing ones that we
need are an error. Nothing is interpreted here; that is `translate` and `answers`.

Source: docs api/info-endpoint, api/exchange-endpoint, api/websocket/subscriptions.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from venues.payloads import Ms
from venues.payloads import Wire as Wire
from venues.payloads import WireError as WireError
from venues.payloads import decode as decode

# --- POST /exchange -----------------------------------------------------------------------------


class ExchangeEnvelope(Wire, frozen=True):
    """`{"status":"ok","response":{…}}` or `{"status":"err","response":"text"}`."""

    status: str
    response: msgspec.Raw


class Resting(Wire, frozen=True):
    """An order that rests."""

    oid: int
    cloid: str | None = None


class Filled(Wire, frozen=True):
    """An order that met the book; `totalSz` may be less than asked."""

    totalSz: Decimal
    avgPx: Decimal
    oid: int
    cloid: str | None = None


class StatusObject(Wire, frozen=True):
    """One element of `statuses` that is an object: exactly one field is set."""

    resting: Resting | None = None
    filled: Filled | None = None
    error: str | None = None


Status = str | StatusObject


class StatusesData(Wire, frozen=True):
    """`data` of an order or cancel answer."""

    statuses: list[Status]


class OkResponse(Wire, frozen=True):
    """`response` of an ok answer; `type` is order, cancel or default."""

    type: str
    data: StatusesData | None = None


class SignedOrderType(Wire, frozen=True):
    """`t` of a signed order: one of both is set."""

    limit: dict[str, str] | None = None
    trigger: dict[str, str | bool] | None = None


class SignedOrder(Wire, frozen=True):
    """One element of `orders` in an action of ours."""

    a: int
    b: bool
    p: Decimal
    s: Decimal
    r: bool
    t: SignedOrderType
    c: str | None = None


# --- POST /info: markets ------------------------------------------------------------------------


class PerpMarket(Wire, frozen=True):
    """One entry of `universe`; its position is the asset id, delisted entries included."""

    name: str
    szDecimals: int
    maxLeverage: int
    isDelisted: bool = False
    marginMode: str | None = None


class Meta(Wire, frozen=True):
    """`meta`."""

    universe: list[PerpMarket]


class AssetContext(Wire, frozen=True):
    """`ctx` of one perpetual; null where there is no book."""

    funding: Decimal
    openInterest: Decimal
    dayNtlVlm: Decimal
    oraclePx: Decimal
    markPx: Decimal
    midPx: Decimal | None = None


MetaAndContexts = tuple[Meta, list[AssetContext]]


class Level(Wire, frozen=True):
    """One price level."""

    px: Decimal
    sz: Decimal
    n: int | None = None


class Book(Wire, frozen=True):
    """`l2Book`: bids, asks."""

    coin: str
    time: Ms
    levels: tuple[list[Level], list[Level]]


class TopOfBook(Wire, frozen=True):
    """`bbo` of the socket."""

    coin: str
    time: Ms
    bbo: tuple[Level | None, Level | None]


class PublicTrade(Wire, frozen=True):
    """A public trade; `side` is the taker's."""

    coin: str
    side: str
    px: Decimal
    sz: Decimal
    time: Ms
    tid: int


class Kline(Wire, frozen=True):
    """A candle."""

    t: Ms
    T: Ms
    s: str
    i: str
    o: Decimal
    c: Decimal
    h: Decimal
    l: Decimal  # noqa: E741 - the venue's spelling
    v: Decimal


class FundingEntry(Wire, frozen=True):
    """One row of `fundingHistory`."""

    coin: str
    fundingRate: Decimal
    time: Ms


class CoinContext(Wire, frozen=True):
    """`activeAssetCtx` of the socket."""

    coin: str
    ctx: AssetContext


# --- POST /info: accounts -----------------------------------------------------------------------


class OrderRow(Wire, frozen=True):
    """An order in open orders, history, orderStatus and orderUpdates.

    The socket leaves most fields out. `sz` is what remains, `origSz` what was asked.
    """

    coin: str
    side: str
    limitPx: Decimal
    sz: Decimal
    oid: int
    origSz: Decimal | None = None
    timestamp: Ms | None = None
    cloid: str | None = None
    reduceOnly: bool = False
    isTrigger: bool = False
    triggerPx: Decimal | None = None
    orderType: str | None = None
    tif: str | None = None
    children: list[OrderRow] = msgspec.field(default_factory=list)


class OrderEntry(Wire, frozen=True):
    """An order with its status, in history, orderStatus and orderUpdates."""

    order: OrderRow
    status: str
    statusTimestamp: Ms


class OrderStatusReply(Wire, frozen=True):
    """`orderStatus`: status `order` with an order, or `unknownOid` without."""

    status: str
    order: OrderEntry | None = None


class FillRow(Wire, frozen=True):
    """One fill; `crossed` means taker, a negative `fee` is a rebate."""

    coin: str
    px: Decimal
    sz: Decimal
    side: str
    time: Ms
    oid: int
    tid: int
    crossed: bool
    fee: Decimal
    closedPnl: Decimal | None = None
    feeToken: str = "USDC"
    cloid: str | None = None
    liquidation: dict[str, object] | None = None


class MarginSummary(Wire, frozen=True):
    """`marginSummary`."""

    accountValue: Decimal
    totalMarginUsed: Decimal


class Leverage(Wire, frozen=True):
    """`leverage` of a position: type cross or isolated."""

    type: str
    value: Decimal


class PositionRow(Wire, frozen=True):
    """`position`; `szi` is signed."""

    coin: str
    szi: Decimal
    leverage: Leverage
    positionValue: Decimal
    unrealizedPnl: Decimal
    marginUsed: Decimal
    entryPx: Decimal | None = None
    liquidationPx: Decimal | None = None


class AssetPosition(Wire, frozen=True):
    """One element of `assetPositions`."""

    position: PositionRow


class ClearinghouseState(Wire, frozen=True):
    """`clearinghouseState`; `time` is the venue's clock."""

    marginSummary: MarginSummary
    crossMaintenanceMarginUsed: Decimal
    withdrawable: Decimal
    assetPositions: list[AssetPosition]
    time: Ms


class ActiveAsset(Wire, frozen=True):
    """`activeAssetData`: an account's setting in one market."""

    coin: str
    leverage: Leverage


class UserFees(Wire, frozen=True):
    """`userFees`: present rates of the account."""

    userCrossRate: Decimal
    userAddRate: Decimal


class FundingDelta(Wire, frozen=True):
    """`delta` of a funding payment; `usdc` negative is paid."""

    coin: str
    usdc: Decimal
    szi: Decimal
    fundingRate: Decimal


class FundingRow(Wire, frozen=True):
    """One row of `userFunding`."""

    time: Ms
    delta: FundingDelta


class FundingFrameRow(FundingDelta, frozen=True):
    """One payment in `userFundings`: the fields of a delta, with its time."""

    time: Ms


class UserFundings(Wire, frozen=True):
    """A frame of the `userFundings` channel."""

    user: str
    fundings: list[FundingFrameRow]
    isSnapshot: bool = False


class AccountFrame(Wire, frozen=True):
    """A frame of the `clearinghouseState` channel."""

    user: str
    clearinghouseState: ClearinghouseState
    dex: str = ""


class RoleData(Wire, frozen=True):
    """`data` of a role: the master of an agent or of a sub-account."""

    user: str | None = None
    master: str | None = None


class UserRole(Wire, frozen=True):
    """`userRole`: user, agent, vault, subAccount or missing."""

    role: str
    data: RoleData | None = None


class ExtraAgent(Wire, frozen=True):
    """One row of `extraAgents`; `validUntil` in ms."""

    name: str
    address: str
    validUntil: Ms | None = None


class UserRateLimit(Wire, frozen=True):
    """`userRateLimit`."""

    cumVlm: Decimal
    nRequestsUsed: int
    nRequestsCap: int


# --- WebSocket ----------------------------------------------------------------------------------


class Frame(Wire, frozen=True):
    """Any incoming frame."""

    channel: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class Subscription(Wire, frozen=True):
    """`subscription` as the venue echoes it."""

    type: str
    coin: str | None = None
    user: str | None = None
    interval: str | None = None


class SubscriptionReply(Wire, frozen=True):
    """`data` of `subscriptionResponse`."""

    method: str
    subscription: Subscription


class UserFills(Wire, frozen=True):
    """`data` of `userFills`."""

    user: str
    fills: list[FillRow]
    isSnapshot: bool = False
