"""Responses: what the outside sees of orders, accounts and markets. Decimals are strings.

One function per view turns a domain object into its model; nothing secret has a field here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict

from domain.accounts import Account
from domain.fills import Fill
from domain.latest_prices import LatestPrice
from domain.market_data import BookLevel, OrderBook
from domain.numbers import plain
from domain.orders import Order
from domain.timeline import TimelineEvent


class View(BaseModel):
    """Common rules of all responses."""

    model_config = ConfigDict(frozen=True)

    def json_ready(self) -> dict[str, Any]:
        """Return what goes into the response."""
        return self.model_dump()


class OrderView(View):
    """An order as it is known now.

    `outcome` answers "was it placed?" (pending, not_sent, accepted, rejected, unknown); `source`
    says who was asked: the database, or the running workflow. `routed` says why it went to its
    account, where that was chosen.
    """

    order_id: str
    client_order_id: str | None
    venue_order_id: str | None
    account: str
    account_id: str
    venue: str
    symbol: str
    side: str
    order_type: str
    time_in_force: str
    quantity: str
    filled_quantity: str
    remaining_quantity: str
    average_price: str | None
    price: str | None
    trigger_price: str | None
    trigger_type: str | None
    post_only: bool
    reduce_only: bool
    max_slippage_bps: int | None
    status: str
    outcome: str
    reason: str | None
    is_terminal: bool
    created_at: str
    updated_at: str
    place_by: str
    workflow_id: str
    revision: int | None
    client_key: str
    source: str
    origin: str
    parent_id: str | None
    routed: str | None


class OrderPageView(View):
    """A page of orders, newest first."""

    orders: list[OrderView]
    next_cursor: str | None
    has_more: bool


class BatchAnswerView(View):
    """One order's own answer in a batch: the order, or the problem with its reason."""

    status: int
    order: OrderView | None
    problem: dict[str, Any] | None


class BatchView(View):
    """The answers of a batch, in the order asked."""

    results: list[BatchAnswerView]


class DryRunView(View):
    """What would be asked of the venue, rounded to what the market takes; nothing was sent.

    `problems` says what would be refused as given. `fee_estimate` is None where the account was
    named: fee rates are the venue's to say, and then a dry run does not ask it.
    """

    dry_run: bool = True
    would_be_taken_as_given: bool
    problems: list[dict[str, str]]
    action: dict[str, str | bool | int | None]
    notional: str | None
    initial_margin_at_max_leverage: str | None
    fee_estimate: str | None = None


class EventView(View):
    """One entry of an order's timeline."""

    kind: str
    text: str
    at: str
    detail: dict[str, str] | None


class FillView(View):
    """One execution of an order."""

    trade_id: str
    venue_order_id: str
    client_order_id: str | None
    symbol: str
    side: str
    price: str
    quantity: str
    fee: str
    fee_currency: str
    liquidity_side: str
    realized_pnl: str | None
    event_time: str


class HistoryView(View):
    """An order with everything that happened to it."""

    order: OrderView
    workflow_id: str
    temporal_url: str | None
    events: list[EventView]
    fills: list[FillView]


class AccountView(View):
    """An account; its credential is never shown."""

    account_id: str
    venue: str
    label: str
    network: str
    address: str
    signer: str | None
    state: str
    state_reason: str | None
    is_default: bool
    halted: bool
    created_at: str


class AccountsView(View):
    """All accounts of the caller, oldest first."""

    accounts: list[AccountView]


class LevelView(View):
    """One price level of a book."""

    price: str
    quantity: str
    order_count: int | None


class BookView(View):
    """An order book; bids descend, asks ascend."""

    venue: str
    symbol: str
    network: str
    bids: list[LevelView]
    asks: list[LevelView]
    mid_price: str | None
    event_time: str
    received_time: str


class TickerView(View):
    """A market's present prices, how they came, and how old they are."""

    venue: str
    symbol: str
    network: str
    mark_price: str | None
    index_price: str | None
    mid_price: str | None
    best_bid: str | None
    best_ask: str | None
    event_time: str | None
    received_time: str
    age_ms: int
    source: str


def moment(at: datetime) -> str:
    """Return a time as RFC 3339 in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def workflow_id(order_id: str) -> str:
    """Return the id of an order's workflow, as operators find it in Temporal."""
    return f"order-{order_id}"


def order_view(order: Order, label: str, *, source: str = "database") -> OrderView:
    """Return an order's view; `label` is its account's."""
    triggered = order.trigger_price is not None
    return OrderView(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        account=label,
        account_id=order.account_id,
        venue=order.venue,
        symbol=order.symbol,
        side=order.side.value,
        order_type=order.order_type.value,
        time_in_force=order.time_in_force.value,
        quantity=plain(order.quantity),
        filled_quantity=plain(order.filled_quantity),
        remaining_quantity=plain(order.remaining_quantity),
        average_price=_plain(order.average_price),
        price=_plain(order.price),
        trigger_price=_plain(order.trigger_price),
        trigger_type=order.trigger_type.value if triggered else None,
        post_only=order.post_only,
        reduce_only=order.reduce_only,
        max_slippage_bps=order.max_slippage_bps if order.order_type.is_market else None,
        status=order.status.value,
        outcome=order.outcome,
        reason=order.reason,
        is_terminal=order.is_terminal,
        created_at=moment(order.created_at),
        updated_at=moment(order.updated_at or order.created_at),
        place_by=moment(order.place_by),
        workflow_id=workflow_id(order.order_id),
        revision=order.current.number if order.current else None,
        client_key=order.idempotency_key,
        source=source,
        origin=order.origin.value,
        parent_id=order.parent_id,
        routed=order.routed,
    )


def event_view(event: TimelineEvent) -> EventView:
    """Return a timeline entry's view."""
    return EventView(
        kind=event.kind.value, text=event.text, at=moment(event.at), detail=event.detail
    )


def fill_view(fill: Fill) -> FillView:
    """Return a fill's view."""
    return FillView(
        trade_id=fill.trade_id,
        venue_order_id=fill.venue_order_id,
        client_order_id=fill.client_order_id,
        symbol=fill.symbol,
        side=fill.side.value,
        price=plain(fill.price),
        quantity=plain(fill.quantity),
        fee=plain(fill.fee),
        fee_currency=fill.fee_currency,
        liquidity_side=fill.liquidity_side.value,
        realized_pnl=_plain(fill.realized_pnl),
        event_time=moment(fill.event_time),
    )


def account_view(account: Account) -> AccountView:
    """Return an account's view."""
    return AccountView(
        account_id=account.account_id,
        venue=account.venue,
        label=account.label,
        network=account.network.value,
        address=account.address,
        signer=account.signer or None,
        state=account.state.value,
        state_reason=account.state_reason,
        is_default=account.is_default,
        halted=account.halted,
        created_at=moment(account.created_at),
    )


def book_view(book: OrderBook, network: str) -> BookView:
    """Return a book's view."""
    return BookView(
        venue=book.venue,
        symbol=book.symbol,
        network=network,
        bids=_levels(book.bids),
        asks=_levels(book.asks),
        mid_price=_plain(book.mid_price),
        event_time=moment(book.event_time),
        received_time=moment(book.received_time),
    )


def ticker_view(price: LatestPrice, now: datetime) -> TickerView:
    """Return the view of a market's prices."""
    return TickerView(
        venue=price.venue,
        symbol=price.symbol,
        network=price.network.value,
        mark_price=_plain(price.mark_price),
        index_price=_plain(price.index_price),
        mid_price=_plain(price.mid_price),
        best_bid=_plain(price.best_bid),
        best_ask=_plain(price.best_ask),
        event_time=None if price.event_time is None else moment(price.event_time),
        received_time=moment(price.received_time),
        age_ms=round(price.age_s(now) * 1000),
        source=price.source,
    )


def history_view(
    order: OrderView,
    events: Sequence[TimelineEvent],
    fills: Sequence[Fill],
    *,
    temporal_url: str | None,
) -> HistoryView:
    """Return an order with its timeline and fills."""
    return HistoryView(
        order=order,
        workflow_id=order.workflow_id,
        temporal_url=temporal_url,
        events=[event_view(event) for event in events],
        fills=[fill_view(fill) for fill in fills],
    )


def batch_answer(status: int, content: Mapping[str, Any]) -> BatchAnswerView:
    """Return one order's answer in a batch from its own status and content."""
    if status < 400:
        return BatchAnswerView(status=status, order=OrderView(**content), problem=None)
    return BatchAnswerView(status=status, order=content.get("order"), problem=dict(content))


def _levels(levels: Sequence[BookLevel]) -> list[LevelView]:
    return [
        LevelView(
            price=plain(level.price),
            quantity=plain(level.quantity),
            order_count=level.order_count,
        )
        for level in levels
    ]


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
