"""EdgeX's payloads as they come over the wire, spelled as the venue spells them.

Numbers come as strings and stay exact; some are empty or absent where they say nothing, and frames
of the private socket were recorded abridged, so little is required here. Unknown fields are
ignored. Nothing is interpreted; that is `translate` and `answers`.

Source: edgeX gitbook api/** and api-v2/**, edgex-golang-sdk V2 document; recorded payloads
(NOTES.md).
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final, TypeVar

import msgspec

from venues.payloads import Wire as Wire
from venues.payloads import WireError as WireError
from venues.payloads import decode as decode

_EXPONENT_BOUND: Final = 30
_DIGITS_MAX: Final = 120
_NULL: Final = msgspec.Raw(b"null")
SUCCESS: Final = "SUCCESS"
T = TypeVar("T")


class Payload(Wire, frozen=True, rename="camel"):
    """Base of all payloads: the venue spells names in camel case."""


#: A number in a string; empty means that nothing is said.
Number = str
Id = Annotated[str, msgspec.Meta(max_length=64)]


def convert(value: Any, kind: type[T]) -> T:
    """Make `kind` of something decoded already. Raises WireError as `decode`."""
    try:
        return msgspec.convert(value, type=kind)
    except msgspec.ValidationError as error:
        raise WireError(f"expected {getattr(kind, '__name__', kind)}, found: {error}") from None


def number(text: str, what: str) -> Decimal:
    """Return the number that a field spells.

    Raises:
        WireError: it spells none, or one that is not finite and of ordinary size.
    """
    found = number_or_none(text, what)
    if found is None:
        raise WireError(f"expected a number in {what}, found nothing")
    return found


def number_or_none(text: str | None, what: str) -> Decimal | None:
    """Return the number that a field spells, None for an empty one. Raises as `number`."""
    if not text:
        return None
    try:
        found = Decimal(text) if len(text) <= _DIGITS_MAX else Decimal("NaN")
    except InvalidOperation:
        found = Decimal("NaN")
    is_ordinary = found.is_finite() and (
        not found or -_EXPONENT_BOUND <= found.adjusted() <= _EXPONENT_BOUND
    )
    if not is_ordinary:
        raise WireError(f"expected an ordinary number in {what}, found {text[:40]!r}")
    return found


def integer(text: str | int, what: str) -> int:
    """Return a whole number that is spelled in digits. Raises WireError."""
    spelled = str(text)
    if not (spelled.isascii() and spelled.isdigit() and len(spelled) <= 20):
        raise WireError(f"expected digits in {what}, found {spelled[:40]!r}")
    return int(spelled)


class Envelope(Payload, frozen=True):
    """Every answer; `data` may be null."""

    code: str
    data: msgspec.Raw = _NULL
    msg: str | None = None
    error_param: dict[str, Any] | None = None
    response_time: str | None = None
    trace_id: str | None = None


class Page(Payload, frozen=True):
    """`data` of a listing; an empty offset is its end."""

    data_list: list[msgspec.Raw] | None = None
    next_page_offset_data: str | None = None


class OrderNamed(Payload, frozen=True):
    """`data` of a placement's answer."""

    order_id: Id


class CancelResults(Payload, frozen=True):
    """`data` of a cancel's answer: by order, what came of it."""

    cancel_result_map: dict[str, str]


class ServerTime(Payload, frozen=True):
    """`getServerTime`: documented and recorded under two names."""

    time_millis: str | None = None
    server_time: str | None = None


# --- Markets ------------------------------------------------------------------------------------


class Global(Payload, frozen=True):
    """`global` of the metadata."""

    contract_address: str = ""
    native_chain_id: str = ""
    chain_id: str = ""
    maintenance_reason: str | None = None


class Coin(Payload, frozen=True):
    """One coin."""

    coin_id: Id
    coin_name: str
    resolution: str | None = None


class RiskTier(Payload, frozen=True):
    """One tier of margin."""

    position_value_upper_bound: Number
    max_leverage: Number
    maintenance_margin_rate: Number


class Contract(Payload, frozen=True):
    """One contract."""

    contract_id: Id
    contract_name: str
    quote_coin_id: Id
    tick_size: Number
    step_size: Number
    min_order_size: Number
    risk_tier_list: tuple[RiskTier, ...] = ()
    resolution: str | None = None
    display_max_leverage: Number = ""
    default_leverage: Number = ""
    default_taker_fee_rate: Number | None = None
    default_maker_fee_rate: Number | None = None
    enable_trade: bool = True
    enable_open_position: bool = True
    funding_rate_interval_min: Number = ""


class Metadata(Payload, frozen=True):
    """`getMetaData`."""

    coin_list: list[Coin]
    contract_list: list[Contract]
    global_: Global = msgspec.field(name="global")


class TickerRow(Payload, frozen=True):
    """A ticker; frames that change one leave fields out."""

    contract_id: Id
    last_price: Number = ""
    mark_price: Number = ""
    oracle_price: Number = ""
    index_price: Number = ""
    open_interest: Number = ""
    value: Number = ""
    funding_rate: Number = ""


class FundingRateRow(Payload, frozen=True):
    """A rate of `getLatestFundingRate` or `getFundingRatePage`."""

    contract_id: Id
    funding_rate: Number
    funding_time: str = "0"
    funding_timestamp: str = "0"
    oracle_price: Number = ""
    index_price: Number = ""
    funding_rate_interval_min: Number = ""


class Level(Payload, frozen=True):
    """One level of a book; size 0 takes it away."""

    price: Number
    size: Number


class Depth(Payload, frozen=True):
    """A book, or the change of one."""

    contract_id: Id
    start_version: str
    end_version: str
    asks: list[Level]
    bids: list[Level]
    depth_type: str = ""


class BookTicker(Payload, frozen=True):
    """Best prices; price 0 is none."""

    contract_id: Id
    time: str
    best_ask_price: Number
    best_ask_size: Number
    best_bid_price: Number
    best_bid_size: Number


class PublicTrade(Payload, frozen=True):
    """A public trade; it names both accounts, which are not read."""

    ticket_id: Id
    time: str
    price: Number
    size: Number
    contract_id: Id
    is_buyer_maker: bool


class Kline(Payload, frozen=True):
    """A candle; `klineTime` is its first millisecond."""

    contract_id: Id
    kline_type: str
    kline_time: str
    open: Number
    high: Number
    low: Number
    close: Number
    size: Number


# --- Orders and fills ---------------------------------------------------------------------------


class OrderRow(Payload, frozen=True):
    """An order of a look-up, a listing or a frame."""

    id: Id
    contract_id: Id
    side: str
    type: str
    status: str
    size: Number
    updated_time: str
    account_id: Id = ""
    client_order_id: str = ""
    price: Number = ""
    time_in_force: str = ""
    reduce_only: bool = False
    trigger_price: Number = ""
    trigger_time: str = "0"
    cancel_reason: str = ""
    cum_match_size: Number = ""
    cum_match_value: Number = ""
    cum_fail_size: Number = ""
    created_time: str = ""


class FillRow(Payload, frozen=True):
    """A fill of a listing or a frame."""

    id: Id
    order_id: Id
    contract_id: Id
    order_side: str
    fill_size: Number
    fill_value: Number
    fill_fee: Number
    direction: str
    match_time: str
    account_id: Id = ""
    fill_price: Number = ""
    realize_pnl: Number = ""
    is_liquidate: bool = False
    censor_status: str = ""


# --- Accounts -----------------------------------------------------------------------------------


class TradeSetting(Payload, frozen=True):
    """Fees and leverage, of an account or of one of its contracts."""

    is_set_fee_rate: bool = False
    taker_fee_rate: Number = ""
    maker_fee_rate: Number = ""
    is_set_max_leverage: bool = False
    max_leverage: Number = ""


class AccountRow(Payload, frozen=True):
    """An account. `ethAddress` is the wallet that owns it."""

    id: Id
    eth_address: str = ""
    status: str = ""
    default_trade_setting: TradeSetting = TradeSetting()
    contract_id_to_trade_setting: dict[str, TradeSetting] = msgspec.field(default_factory=dict)
    create_order_per_minute_limit: int = 0


class Collateral(Payload, frozen=True):
    """Money after the notionals of positions: buys take from it, sells add to it."""

    coin_id: Id
    amount: Number


class PositionRow(Payload, frozen=True):
    """A position; a negative size is short."""

    contract_id: Id
    open_size: Number
    open_value: Number


class PositionAsset(Payload, frozen=True):
    """What the venue reckons of a position."""

    contract_id: Id
    position_value: Number = ""
    max_leverage: Number = ""
    initial_margin_requirement: Number = ""
    risk_value: Number = ""
    stark_ex_risk_value: Number = ""
    liquidate_price: Number = ""


class CollateralAsset(Payload, frozen=True):
    """What the venue reckons of an account's money."""

    coin_id: Id
    total_equity: Number = ""
    available_amount: Number = ""


class AccountAsset(Payload, frozen=True):
    """`getAccountAsset`."""

    account: AccountRow
    collateral_list: tuple[Collateral, ...] = ()
    position_list: tuple[PositionRow, ...] = ()
    position_asset_list: tuple[PositionAsset, ...] = ()
    collateral_asset_model_list: tuple[CollateralAsset, ...] = ()


class CollateralTransaction(Payload, frozen=True):
    """A movement of money; of those that are funding, for which position."""

    id: Id
    type: str
    delta_amount: Number
    funding_time: str = "0"
    funding_rate: Number = ""
    funding_position_size: Number = ""
    position_contract_id: Id = ""


# --- WebSockets ---------------------------------------------------------------------------------


class Frame(Payload, frozen=True):
    """Any message of both sockets."""

    type: str
    channel: str | None = None
    time: str | int | None = None
    content: msgspec.Raw = _NULL


class QuoteContent(Payload, frozen=True):
    """`content` of a public event; `dataType` says whether it begins anew or changes."""

    channel: str
    data_type: str
    data: tuple[msgspec.Raw, ...] = ()


class ErrorContent(Payload, frozen=True):
    """`content` of an error."""

    code: str = ""
    msg: str | None = None


class TradeData(Payload, frozen=True):
    """`data` of a private event; what is empty or absent did not change."""

    account: list[dict[str, Any]] | None = None
    collateral: list[dict[str, Any]] | None = None
    collateral_transaction: list[CollateralTransaction] | None = None
    position: list[dict[str, Any]] | None = None
    order: list[dict[str, Any]] | None = None
    order_fill_transaction: list[dict[str, Any]] | None = None


class TradeContent(Payload, frozen=True):
    """`content` of a private event. `version` rises, with gaps that mean nothing."""

    event: str
    version: int
    time: int
    data: TradeData
