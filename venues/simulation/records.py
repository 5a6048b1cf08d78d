"""The rows of the exchange: what its log holds and what its tables are rebuilt from.

Mutable structs on purpose: the engine changes them in place and the log takes a copy of each row
that an action touched. Knows no rules; venue spellings (statuses, error texts) are not here.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

ZERO = Decimal(0)

#: The account that stands behind the quotes of the house; it has no row, no margin, no fills.
HOUSE = "house"


class Side(StrEnum):
    """The side of an order."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """Return +1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        """Return the other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class TimeInForce(StrEnum):
    """How long an order works; `ALO` (add liquidity only) is refused instead of crossing."""

    GTC = "gtc"
    IOC = "ioc"
    ALO = "alo"


class OrderStatus(StrEnum):
    """Where an order is in its life."""

    WAITING = "waiting"  # child of an order that is not filled yet
    UNTRIGGERED = "untriggered"  # trigger order whose price has not been reached
    OPEN = "open"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"

    @property
    def is_live(self) -> bool:
        """Tell whether the order can still trade."""
        return self in _LIVE


_LIVE = frozenset({OrderStatus.WAITING, OrderStatus.UNTRIGGERED, OrderStatus.OPEN})


class Reason(StrEnum):
    """Why an order ended, or why it was refused."""

    USER = "user"
    MARGIN = "margin"
    SELF_TRADE = "self_trade"
    REDUCE_ONLY = "reduce_only"
    SIBLING_FILLED = "sibling_filled"
    PARENT_ENDED = "parent_ended"
    LIQUIDATED = "liquidated"
    SCHEDULED = "scheduled"
    EXPIRED = "expired"
    DELISTED = "delisted"
    REPLACED = "replaced"
    UNKNOWN_MARKET = "unknown_market"
    TICK = "tick"
    INVALID_PRICE = "invalid_price"
    INVALID_QUANTITY = "invalid_quantity"
    ZERO_QUANTITY = "zero_quantity"
    MIN_NOTIONAL = "min_notional"
    POST_ONLY_CROSS = "post_only_cross"
    NO_MATCH = "no_match"
    NO_LIQUIDITY = "no_liquidity"
    BAD_TRIGGER = "bad_trigger"
    TOO_MANY_ORDERS = "too_many_orders"
    DUPLICATE_CLIENT_ID = "duplicate_client_id"


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """What makes a trigger order an order: the mark price reaching `price`."""

    price: Decimal
    fires_above: bool
    is_market: bool
    is_take_profit: bool


class Order(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One order, from its arrival until for ever.

    `quantity` is what was asked, `remaining` what still works; a reduce-only order that was cut to
    the position has `remaining` + `filled` < `quantity`. `number` counts the orders of an account,
    `priority` is the place in the queue. `held_margin` is reserved while it rests.
    """

    venue_order_id: int
    account: str
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    remaining: Decimal
    created_ms: int
    updated_ms: int
    number: int
    time_in_force: TimeInForce = TimeInForce.GTC
    status: OrderStatus = OrderStatus.OPEN
    filled: Decimal = ZERO
    filled_notional: Decimal = ZERO
    client_order_id: str | None = None
    reduce_only: bool = False
    trigger: Trigger | None = None
    triggered: bool = False
    parent: int | None = None
    children: tuple[int, ...] = ()
    is_position_tpsl: bool = False
    is_market: bool = False
    priority: int = 0
    held_margin: Decimal = ZERO
    reason: Reason | None = None

    @property
    def is_house(self) -> bool:
        """Tell whether this is a quote of the house."""
        return self.account == HOUSE


class Fill(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One execution of one order; `start_position` is signed and before the fill."""

    trade_id: int
    venue_order_id: int
    account: str
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    closed_pnl: Decimal
    start_position: Decimal
    is_taker: bool
    time_ms: int
    action_hash: str
    client_order_id: str | None = None
    liquidated_account: str | None = None
    liquidation_mark: Decimal | None = None


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One public trade; `side` is the taker's."""

    trade_id: int
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    time_ms: int
    action_hash: str
    buyer: str
    seller: str


class Account(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One trading account; `master` is set for a sub-account.

    `cash` is collateral without unrealized profit and without what isolated positions hold;
    `spot_cash` is the same money put aside, where no position can lose it.
    """

    address: str
    cash: Decimal = ZERO
    spot_cash: Decimal = ZERO
    master: str | None = None
    name: str = ""
    volume: Decimal = ZERO
    maker_volume: Decimal = ZERO
    requests_used: int = 0
    requests_bought: int = 0
    cancel_all_at_ms: int | None = None
    cancel_all_day: int = 0
    cancel_all_count: int = 0
    mode: str = "default"


class Position(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Position and margin setting of one account in one market; `quantity` is signed.

    `entry_notional` is the signed quantity times the average entry price.
    """

    account: str
    symbol: str
    leverage: int
    quantity: Decimal = ZERO
    entry_notional: Decimal = ZERO
    is_isolated: bool = False
    isolated_margin: Decimal = ZERO
    funding_all_time: Decimal = ZERO
    funding_since_open: Decimal = ZERO
    funding_since_change: Decimal = ZERO

    @property
    def entry_price(self) -> Decimal | None:
        """Return the average entry price; None when flat."""
        return self.entry_notional / self.quantity if self.quantity else None


class Agent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A key that may trade for an account until `valid_until_ms`."""

    address: str
    account: str
    valid_until_ms: int
    name: str = ""
    revoked: bool = False


class Market(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What changes about a market; `generation` counts the house's quotes."""

    symbol: str
    mark_price: Decimal
    oracle_price: Decimal
    previous_day_price: Decimal
    funding_rate: Decimal
    changed_ms: int
    generation: int = 0


class FundingPayment(msgspec.Struct, frozen=True, kw_only=True):
    """Funding of one position at one time; `amount` negative was paid."""

    account: str
    symbol: str
    amount: Decimal
    quantity: Decimal
    rate: Decimal
    time_ms: int
    action_hash: str


class FundingRate(msgspec.Struct, frozen=True, kw_only=True):
    """The rate that applied in one market at one time."""

    symbol: str
    rate: Decimal
    premium: Decimal
    time_ms: int


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """Money that came or went other than by trading; `amount` is signed."""

    account: str
    kind: str
    amount: Decimal
    time_ms: int
    action_hash: str
    counterparty: str | None = None


class NonceUsed(msgspec.Struct, frozen=True, kw_only=True):
    """A nonce that a signer has used up."""

    signer: str
    nonce: int


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A value of the exchange itself that must survive a restart."""

    key: str
    value: int


Row = (
    Order
    | Fill
    | Trade
    | Account
    | Position
    | Agent
    | Market
    | FundingPayment
    | FundingRate
    | Transfer
    | NonceUsed
    | Setting
)

#: The name of each kind of row in the log.
TABLES: dict[str, type[Row]] = {
    "order": Order,
    "fill": Fill,
    "trade": Trade,
    "account": Account,
    "position": Position,
    "agent": Agent,
    "market": Market,
    "funding_payment": FundingPayment,
    "funding_rate": FundingRate,
    "transfer": Transfer,
    "nonce": NonceUsed,
    "setting": Setting,
}
TABLE_OF: dict[type[Row], str] = {kind: name for name, kind in TABLES.items()}
