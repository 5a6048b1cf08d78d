"""Vest's payloads as they come over the wire, spelled as the venue spells them.

How JSON becomes payloads is in `venues.payloads`. Unknown fields are ignored, missing ones that we
need are an error. Nothing is interpreted here; that is `translate` and `answers`.

Source: the official v2 API page (NOTES.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import msgspec

from venues.payloads import Ms
from venues.payloads import Wire as Wire
from venues.payloads import WireError as WireError
from venues.payloads import decode as decode

#: Below the origin, in front of every path.
PREFIX: Final = "/v2"
ROUTING_HEADER: Final = "xrestservermm"
KEY_HEADER: Final = "X-API-KEY"
_NULL: Final = msgspec.Raw(b"null")


def routing(acc_group: int) -> str:
    """Return the value of the routing header, and of the routing parameters of a socket."""
    return f"restserver{acc_group}"


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as the venue says it; `code` None: it gave no number of its own."""

    code: int | None
    text: str


class _Coded(Wire, frozen=True, rename="camel"):
    code: int | None = None
    msg: str | None = None
    detail: msgspec.Raw = _NULL


def failure_in(body: bytes) -> Failure | None:
    """Return the error that a body is, or None for one that is none.

    It comes as the page shows it, in `detail` as clients have seen it, or as the list of what does
    not fit that the venue's framework writes by itself; with any HTTP status, 200 included.
    """
    try:
        found = msgspec.json.decode(body, type=_Coded)
        detail: Any = msgspec.json.decode(bytes(found.detail)) if bytes(found.detail) else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if found.code is not None:
        return Failure(found.code, found.msg or "")
    if detail is None:
        return None
    if isinstance(detail, dict) and isinstance(detail.get("code"), int):
        return Failure(detail["code"], str(detail.get("msg", "")))
    return Failure(None, str(detail)[:300])


class OrderNamed(Wire, frozen=True, rename="camel"):
    """The answer to a placement and to a cancel: taken for processing."""

    id: str


# --- Markets ------------------------------------------------------------------------------------


class MarketRow(Wire, frozen=True, rename="camel"):
    """One market of `/exchangeInfo`."""

    symbol: str
    size_decimals: int
    price_decimals: int
    init_margin_ratio: Decimal
    taker_fee: Decimal
    isolated: bool = False


class ExchangeInfo(Wire, frozen=True, rename="camel"):
    """`/exchangeInfo`."""

    symbols: list[MarketRow]


class TickerRow(Wire, frozen=True, rename="camel"):
    """One market's prices and rates, in `/ticker/latest` and the channel `tickers`."""

    symbol: str
    mark_price: Decimal
    index_price: Decimal
    one_hr_funding_rate: Decimal
    status: str = "TRADING"


class Tickers(Wire, frozen=True, rename="camel"):
    """`/ticker/latest`."""

    tickers: list[TickerRow]


class DayRow(Wire, frozen=True, rename="camel"):
    """One market's last day, in `/ticker/24hr`."""

    symbol: str
    quote_volume: Decimal


class Days(Wire, frozen=True, rename="camel"):
    """`/ticker/24hr`."""

    tickers: list[DayRow]


class Depth(Wire, frozen=True, rename="camel"):
    """A whole book: price and quantity of each level."""

    bids: list[tuple[Decimal, Decimal]]
    asks: list[tuple[Decimal, Decimal]]


class TradeRow(Wire, frozen=True, rename="camel"):
    """A public trade, without a side; its id is a number by REST and a string by socket."""

    id: int | str
    price: Decimal
    qty: Decimal
    time: Ms


class FundingRateRow(Wire, frozen=True, rename="camel"):
    """One past rate."""

    symbol: str
    time: Ms
    one_hr_funding_rate: Decimal


class Kline(Wire, frozen=True, array_like=True):
    """A candle; `trades` is a number by REST and a string by socket."""

    open_time: Ms
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    close_time: Ms
    volume: Decimal
    quote_volume: Decimal = Decimal(0)
    trades: int | str = 0


# --- Orders -------------------------------------------------------------------------------------


class OrderRow(Wire, frozen=True, rename="camel"):
    """An order of `/orders`, or a whole one of an ORDER event.

    The fill fields are documented for FILLED; how an order that filled in parts has them is not.
    """

    id: str
    nonce: int
    symbol: str
    is_buy: bool
    order_type: str
    size: Decimal
    status: str
    post_time: Ms
    limit_price: Decimal | None = None
    reduce_only: bool = False
    code: int | None = None
    last_filled_size: Decimal | None = None
    last_filled_price: Decimal | None = None
    last_filled_time: Ms | None = None
    avg_filled_price: Decimal | None = None
    fees: Decimal | None = None
    realized_pnl: Decimal | None = None


class OrderEnd(Wire, frozen=True, rename="camel"):
    """What an ORDER event says of an order that was canceled or rejected: no more than this."""

    id: str
    status: str
    nonce: int
    post_time: Ms
    code: int | None = None


# --- Accounts -----------------------------------------------------------------------------------


class PositionRow(Wire, frozen=True, rename="camel"):
    """One position; `size` has no sign, and `unrealizedPnl` includes funding not settled yet."""

    symbol: str
    is_long: bool
    size: Decimal
    entry_price: Decimal
    mark_price: Decimal
    init_margin: Decimal
    init_margin_ratio: Decimal
    maint_margin: Decimal = Decimal(0)
    unrealized_pnl: Decimal = Decimal(0)
    liq_price: Decimal | None = None


class LeverageRow(Wire, frozen=True, rename="camel"):
    """An account's leverage in one market."""

    symbol: str
    value: int


class AccountRow(Wire, frozen=True, rename="camel"):
    """`/account`."""

    address: str
    total_account_value: Decimal
    withdrawable: Decimal
    total_maint_margin: Decimal
    time: Ms
    open_order_margin: Decimal = Decimal(0)
    positions: list[PositionRow] = msgspec.field(default_factory=list)
    leverages: list[LeverageRow] = msgspec.field(default_factory=list)


class ListenKey(Wire, frozen=True, rename="camel"):
    """`/account/listenKey`."""

    listen_key: str


class Registered(Wire, frozen=True, rename="camel"):
    """`/register`."""

    api_key: str
    acc_group: int


# --- WebSocket ----------------------------------------------------------------------------------


class Frame(Wire, frozen=True, rename="camel"):
    """Any message of the socket: data of a channel, or the answer to a request by its `id`."""

    channel: str | None = None
    data: msgspec.Raw = _NULL
    id: int | None = None
    code: int | None = None
    msg: str | None = None
    detail: msgspec.Raw = _NULL


class PrivateEvent(Wire, frozen=True, rename="camel"):
    """What the channel `account_private` carries."""

    event: str
    args: msgspec.Raw
