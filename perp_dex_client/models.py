"""What the API answers with, typed: exact decimals, aware times. Unknown members are ignored.

Members that the API may add later have defaults here, so an older server is understood too.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from domain.orders import OrderStatus
from perp_dex_client.routing import Routing

_TERMINAL = frozenset(status.value for status in OrderStatus if status.is_terminal)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the API knows it; `account` is its account's label.

    `routed` says why it went to its account, where that was chosen; the answer to placing it has
    all figures in `routing`.

    `outcome` answers "was it placed?": pending, not_sent, accepted, rejected or unknown. `source`
    says who was asked: the database, or the running workflow. `change_pending`, in the answer to a
    modify: whether it is done is not known yet, and the order is shown as it was.
    """

    order_id: str
    account_id: str
    venue: str
    symbol: str
    side: str
    order_type: str
    time_in_force: str
    quantity: Decimal
    filled_quantity: Decimal
    remaining_quantity: Decimal
    status: str
    outcome: str
    created_at: datetime
    updated_at: datetime
    client_order_id: str | None = None
    venue_order_id: str | None = None
    account: str | None = None
    average_price: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    trigger_type: str | None = None
    post_only: bool = False
    reduce_only: bool = False
    max_slippage_bps: int | None = None
    reason: str | None = None
    place_by: datetime | None = None
    workflow_id: str | None = None
    revision: int | None = None
    client_key: str | None = None
    source: str = "database"
    origin: str = "USER"
    parent_id: str | None = None
    routed: str | None = None
    routing: Routing | None = None
    change_pending: bool = False

    @property
    def is_terminal(self) -> bool:
        """Whether the order has ended."""
        return self.status in _TERMINAL

    @property
    def is_decided(self) -> bool:
        """Whether it is known that the order was placed, or that it never will be."""
        return self.outcome in ("accepted", "rejected", "not_sent")


class OrderPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of orders, newest first."""

    orders: tuple[Order, ...]
    next_cursor: str | None = None
    has_more: bool = False


class BatchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One order's own answer: the order, or the problem (its members as the API sent them)."""

    status: int
    order: Order | None = None
    problem: dict[str, object] | None = None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """The answers of a batch, in the order asked."""

    results: tuple[BatchAnswer, ...]


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """What would be asked of the venue, rounded; nothing was sent."""

    would_be_taken_as_given: bool
    problems: tuple[dict[str, str], ...]
    action: dict[str, str | bool | int | None]
    notional: Decimal | None = None
    initial_margin_at_max_leverage: Decimal | None = None
    fee_estimate: Decimal | None = None
    routing: Routing | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of an order's timeline; `text` is for people."""

    kind: str
    text: str
    at: datetime
    detail: dict[str, str] | None = None


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of an order; `fee` is what was paid, negative for a rebate."""

    trade_id: str
    venue_order_id: str
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_currency: str
    liquidity_side: str
    event_time: datetime
    client_order_id: str | None = None
    realized_pnl: Decimal | None = None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """An order with everything that happened to it."""

    order: Order
    workflow_id: str
    events: tuple[Event, ...]
    fills: tuple[Fill, ...]
    temporal_url: str | None = None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account; its credential is never shown."""

    account_id: str
    venue: str
    label: str
    network: str
    address: str
    state: str
    created_at: datetime
    signer: str | None = None
    state_reason: str | None = None
    is_default: bool = False
    halted: bool = False


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """A market and the steps it trades in; `venue_symbol` is the venue's own name of it.

    `experimental`: its venue is not for money that matters; None while no worker tells.

    Fees are fractions for an account without discount, None where the venue publishes none.
    """

    venue: str
    symbol: str
    venue_symbol: str
    network: str
    state: str
    lot_size: Decimal
    min_notional: Decimal
    max_leverage: int
    tick_size: Decimal | None = None
    price_significant_figures: int | None = None
    price_max_decimals: int = 8
    min_quantity: Decimal | None = None
    maker_fee: Decimal | None = None
    taker_fee: Decimal | None = None
    experimental: bool | None = None
    seen_at: datetime | None = None


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """One price level of a book."""

    price: Decimal
    quantity: Decimal
    order_count: int | None = None


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """An order book; bids descend, asks ascend."""

    venue: str
    symbol: str
    network: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    event_time: datetime
    received_time: datetime
    mid_price: Decimal | None = None


class Ticker(msgspec.Struct, frozen=True, kw_only=True):
    """A market's present prices; `age_ms` when they were answered, `source` how they came."""

    venue: str
    symbol: str
    network: str
    mark_price: Decimal | None = None
    index_price: Decimal | None = None
    mid_price: Decimal | None = None
    best_bid: Decimal | None = None
    best_ask: Decimal | None = None
    event_time: datetime | None = None
    received_time: datetime
    age_ms: int
    source: str


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Where the parts of the installation are reached."""

    api: str
    streaming: str | None = None
    temporal_ui: str | None = None
    temporal_namespace: str = "default"
    simulator: str | None = None
    venues: tuple[str, ...] = ()


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """A one-time ticket for the operator's interface, and the address that takes it."""

    ticket: str
    url: str
