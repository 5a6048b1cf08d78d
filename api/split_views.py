"""Responses about split orders: the parent, its children, and what became of each share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from api.routing_views import PLACES, RouteView
from api.views import OrderView, View, moment, order_view
from domain.brackets import news_of
from domain.numbers import plain
from domain.orders import Order
from domain.routing import EXACT
from domain.split_steps import with_news
from domain.splits import SplitState


class LegView(View):
    """One child; `order` None: it is not in the database yet, or was never begun."""

    order_id: str
    account: str
    account_id: str
    venue: str
    quantity: str
    filled_quantity: str
    status: str
    outcome: str
    reason: str | None
    why: str
    order: OrderView | None


class SplitView(View):
    """A split order as it is known now.

    `lost_quantity` is what refused or unsent children were to take: it is sent nowhere else.
    """

    split_id: str
    symbol: str
    side: str
    order_type: str
    time_in_force: str
    quantity: str
    price: str | None
    post_only: bool
    reduce_only: bool
    status: str
    reason: str | None
    is_terminal: bool
    cancel_wanted: bool
    filled_quantity: str
    remaining_quantity: str
    lost_quantity: str
    average_price: str | None
    legs: list[LegView]
    created_at: str
    ended_at: str | None
    client_key: str
    source: str
    workflow_id: str
    temporal_url: str | None


class PlacedSplitView(SplitView):
    """A split order that was placed, and why it was split so."""

    routing: RouteView


class SplitsView(View):
    """Split orders, newest first."""

    splits: list[SplitView]


def split_view(
    state: SplitState,
    orders: Sequence[Order],
    labels: Mapping[str, str],
    *,
    temporal_url: str | None,
    source: str = "database",
) -> SplitView:
    """Return the view of a split order; `orders` are its stored children."""
    plan, now = state.plan, with_news(state, map(news_of, orders))
    known = {order.order_id: order for order in orders}
    lost = [plan.shares[leg.number].quantity - leg.filled for leg in now.legs if leg.is_refused]
    average = now.average_price
    return SplitView(
        split_id=plan.split_id,
        symbol=plan.symbol,
        side=plan.side.value,
        order_type=plan.order_type.value,
        time_in_force=plan.time_in_force.value,
        quantity=plain(plan.quantity),
        price=None if plan.price is None else plain(plan.price),
        post_only=plan.post_only,
        reduce_only=plan.reduce_only,
        status=state.status.value,
        reason=state.reason or None,
        is_terminal=state.status.is_terminal,
        cancel_wanted=state.cancel_wanted,
        filled_quantity=plain(now.filled),
        remaining_quantity=plain(max(plan.quantity - now.filled, Decimal(0))),
        lost_quantity=plain(sum(lost, Decimal(0))),
        average_price=None if average is None else plain(average.quantize(PLACES, context=EXACT)),
        legs=_legs(now, known, labels),
        created_at=moment(plan.created_at),
        ended_at=_moment(state.ended_at),
        client_key=plan.idempotency_key,
        source=source,
        workflow_id=workflow_id(plan.split_id),
        temporal_url=temporal_url,
    )


def workflow_id(split_id: str) -> str:
    """Return the id of a split order's workflow, as operators find it in Temporal."""
    return f"split-{split_id}"


def _moment(at: datetime | None) -> str | None:
    return None if at is None else moment(at)


def _legs(
    state: SplitState, known: Mapping[str, Order], labels: Mapping[str, str]
) -> list[LegView]:
    views: list[LegView] = []
    for leg in state.legs:
        share, order = state.plan.shares[leg.number], known.get(leg.order_id)
        label = labels.get(share.account_id, share.account_id)
        views.append(
            LegView(
                order_id=leg.order_id,
                account=label,
                account_id=share.account_id,
                venue=share.venue,
                quantity=plain(share.quantity),
                filled_quantity=plain(leg.filled),
                status="PENDING" if order is None else order.status.value,
                outcome="pending" if order is None else order.outcome,
                reason=None if order is None else order.reason,
                why=share.why,
                order=None if order is None else order_view(order, label),
            )
        )
    return views
