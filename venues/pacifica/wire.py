"""Pacifica's payloads as they come over the wire, spelled as the venue spells them.

How JSON becomes payloads is in `venues.payloads`. Unknown fields are ignored, missing ones that we
need are an error. Nothing is interpreted here; that is `translate` and `answers`.

Source: docs.pacifica.fi api/rest-api, api/websocket; recorded on testnet 2026-06 (NOTES.md).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from venues.payloads import Ms
from venues.payloads import Wire as Wire
from venues.payloads import WireError as WireError
from venues.payloads import decode as decode

_NULL: Final = msgspec.Raw(b"null")


class Envelope(Wire, frozen=True):
    """Every answer; `order_id` and `cancelled_count` stand in the flat forms of older pages.

    `success` None: the flat form, in which an error is an error and everything else succeeded.
    """

    success: bool | None = None
    data: msgspec.Raw = _NULL
    error: str | None = None
    code: int | None = None
    error_id: str | None = None
    last_order_id: int | None = None
    next_cursor: str | None = None
    has_more: bool | None = None
    order_id: int | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the venue says that it did what was asked."""
        return self.error is None if self.success is None else self.success


class OrderNamed(Wire, frozen=True):
    """`data` of a placement's or an edit's answer."""

    order_id: int


# --- Markets ------------------------------------------------------------------------------------


class MarketRow(Wire, frozen=True):
    """One market of `/info`; older answers have no `instrument_type` and only perpetuals."""

    symbol: str
    tick_size: Decimal
    lot_size: Decimal
    max_leverage: int
    min_order_size: Decimal
    max_order_size: Decimal
    isolated_only: bool = False
    instrument_type: str = "perpetual"


class PriceRow(Wire, frozen=True):
    """One market's prices and rates, in `/info/prices` and the channel `prices`."""

    symbol: str
    timestamp: Ms
    funding: Decimal
    mark: Decimal
    mid: Decimal
    oracle: Decimal
    open_interest: Decimal
    volume_24h: Decimal


class Level(Wire, frozen=True):
    """A price level of a book; `n` orders make it."""

    p: Decimal
    a: Decimal
    n: int | None = None


class Book(Wire, frozen=True):
    """A whole book: bids, then asks."""

    s: str
    l: tuple[list[Level], list[Level]]  # noqa: E741 - the venue's spelling
    t: Ms
    li: int | None = None


class TopOfBook(Wire, frozen=True):
    """Best bid and ask; the capital letters are the quantities."""

    s: str
    b: Decimal
    B: Decimal
    a: Decimal
    A: Decimal
    t: Ms
    li: int | None = None


class PublicTradeRow(Wire, frozen=True):
    """A trade of `/trades`; `history_id` is not documented there, and used where it comes."""

    price: Decimal
    amount: Decimal
    side: str
    created_at: Ms
    cause: str = "normal"
    history_id: int | None = None


class PublicTrade(Wire, frozen=True):
    """A trade of the channel `trades`; `d` is the taker's side, such as `open_long`."""

    h: int
    s: str
    a: Decimal
    p: Decimal
    d: str
    t: Ms
    tc: str = "normal"
    li: int | None = None


class Kline(Wire, frozen=True):
    """A candle; `t` its first millisecond, `T` that of the next."""

    t: Ms
    T: Ms
    s: str
    i: str
    o: Decimal
    c: Decimal
    h: Decimal
    l: Decimal  # noqa: E741
    v: Decimal
    n: int = 0


class FundingRateRow(Wire, frozen=True):
    """One past rate."""

    funding_rate: Decimal
    created_at: Ms


# --- Orders and fills ---------------------------------------------------------------------------


class OrderRow(Wire, frozen=True):
    """An order in `/orders`, `/orders/history` or `/orders/history_by_id`: each leaves some out."""

    order_id: int
    symbol: str
    side: str
    filled_amount: Decimal
    order_type: str
    created_at: Ms
    client_order_id: str | None = None
    price: Decimal | None = None
    initial_price: Decimal | None = None
    average_filled_price: Decimal | None = None
    amount: Decimal | None = None
    initial_amount: Decimal | None = None
    cancelled_amount: Decimal | None = None
    stop_price: Decimal | None = None
    reduce_only: bool = False
    order_status: str = "open"
    event_type: str | None = None
    reason: str | None = None
    updated_at: Ms | None = None
    history_id: int | None = None


class OrderUpdate(Wire, frozen=True):
    """An order in the channel `account_order_updates`; `li` orders events across channels."""

    i: int
    u: str
    s: str
    d: str
    ip: Decimal
    p: Decimal
    a: Decimal
    f: Decimal
    oe: str
    os: str
    ot: str
    r: bool
    ct: Ms
    ut: Ms
    I: str | None = None  # noqa: E741
    sp: Decimal | None = None
    li: int | None = None


class FillRow(Wire, frozen=True):
    """A fill of `/trades/history`."""

    history_id: int
    order_id: int
    symbol: str
    amount: Decimal
    price: Decimal
    fee: Decimal
    pnl: Decimal
    event_type: str
    side: str
    created_at: Ms
    client_order_id: str | None = None
    cause: str = "normal"


class FillFrame(Wire, frozen=True):
    """A fill in the channel `account_trades`."""

    h: int
    i: int
    u: str
    s: str
    p: Decimal
    a: Decimal
    te: str
    ts: str
    f: Decimal
    n: Decimal
    t: Ms
    I: str | None = None  # noqa: E741
    tc: str = "normal"
    li: int | None = None


# --- Accounts -----------------------------------------------------------------------------------


class AccountRow(Wire, frozen=True):
    """`/account`."""

    account_equity: Decimal
    available_to_spend: Decimal
    total_margin_used: Decimal
    cross_mmr: Decimal
    updated_at: Ms
    maker_fee: Decimal | None = None
    taker_fee: Decimal | None = None


class PositionRow(Wire, frozen=True):
    """One position; `margin` is what an isolated one holds."""

    symbol: str
    side: str
    amount: Decimal
    entry_price: Decimal
    margin: Decimal
    isolated: bool
    updated_at: Ms
    liquidation_price: Decimal | None = None


class AccountFrame(Wire, frozen=True):
    """An account's money in the channel `account_info`."""

    ae: Decimal
    available: Decimal = msgspec.field(name="as")
    mu: Decimal
    cm: Decimal
    t: Ms


class PositionFrame(Wire, frozen=True):
    """A position in the channel `account_positions`; the frame holds all there are."""

    s: str
    d: str
    a: Decimal
    p: Decimal
    m: Decimal
    i: bool
    t: Ms
    f: Decimal = Decimal(0)
    l: Decimal | None = None  # noqa: E741


class LeverageFrame(Wire, frozen=True):
    """A changed leverage in the channel `account_leverage`."""

    u: str
    s: str
    l: int | str  # noqa: E741 - the documented example has a string


class SettingRow(Wire, frozen=True):
    """An account's leverage and margin mode in one market that is not on its defaults."""

    symbol: str
    isolated: bool
    leverage: int


class Settings(Wire, frozen=True):
    """`/account/settings` of 2026; before, it was the list itself."""

    margin_settings: list[SettingRow]


class FundingRow(Wire, frozen=True):
    """A payment of `/funding/history`; a negative payout was paid."""

    history_id: int
    symbol: str
    side: str
    amount: Decimal
    payout: Decimal
    rate: Decimal
    created_at: Ms


# --- WebSocket ----------------------------------------------------------------------------------


class Frame(Wire, frozen=True):
    """Any message of the socket. Errors have no channel, but a code."""

    channel: str | None = None
    data: msgspec.Raw = _NULL
    li: int | None = None
    code: int | None = None
    err: str | None = None
    error: str | None = None


class Subscription(Wire, frozen=True):
    """What a subscription, and its acknowledgement, names."""

    source: str
    symbol: str | None = None
    account: str | None = None
    interval: str | None = None
