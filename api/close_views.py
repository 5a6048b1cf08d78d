"""What the outside sees of closes. Decimals are strings."""

from __future__ import annotations

from collections.abc import Sequence

from api.position_ids import position_id_of
from api.views import View, moment
from domain.closing import CloseState
from domain.numbers import plain
from domain.orders import Order


class EscalationView(View):
    """The timetable of a close."""

    reprice_every_s: int
    reprices: int
    then: str


class ShownView(View):
    """What the venue showed of the position when it was last read."""

    side: str
    quantity: str
    mark_price: str | None
    at: str


class ClosingOrderView(View):
    """One order of a close."""

    order_id: str
    status: str
    price: str | None
    quantity: str
    filled_quantity: str


class CloseView(View):
    """A close as it is known now; `target_quantity` is fixed when it begins."""

    close_id: str
    position_id: str
    account: str
    account_id: str
    venue: str
    symbol: str
    percent: str
    side: str | None
    start_quantity: str | None
    target_quantity: str | None
    filled_quantity: str
    remaining_quantity: str | None
    left_quantity: str
    limit_price: str | None
    max_slippage_bps: int
    escalation: EscalationView | None
    step: int
    step_kind: str
    step_ends_at: str | None
    status: str
    reason: str | None
    is_terminal: bool
    shown: ShownView | None
    orders: list[ClosingOrderView]
    created_at: str
    ended_at: str | None
    workflow_id: str
    temporal_url: str | None
    client_key: str


class ClosesView(View):
    """Closes, newest first."""

    closes: list[CloseView]


def close_view(
    state: CloseState,
    label: str,
    *,
    orders: Sequence[Order],
    workflow_id: str,
    temporal_url: str | None,
) -> CloseView:
    """Return a close for the outside; what its orders have filled counts at once."""
    plan = state.plan
    filled = max(state.filled, sum((o.filled_quantity for o in orders), start=state.filled * 0))
    remaining = None if state.target is None else max(state.target - filled, filled * 0)
    ends_at = None if state.status.is_terminal else state.rung_ends_at
    escalation = plan.escalation
    return CloseView(
        close_id=plan.close_id,
        position_id=position_id_of(plan.account_id, plan.symbol),
        account=label,
        account_id=plan.account_id,
        venue=plan.venue,
        symbol=plan.symbol,
        percent=plain(plan.percent),
        side=None if state.side is None else state.side.value,
        start_quantity=None if state.start_quantity is None else plain(state.start_quantity),
        target_quantity=None if state.target is None else plain(state.target),
        filled_quantity=plain(filled),
        remaining_quantity=None if remaining is None else plain(remaining),
        left_quantity=plain(state.left),
        limit_price=None if plan.limit_price is None else plain(plan.limit_price),
        max_slippage_bps=plan.max_slippage_bps,
        escalation=None
        if escalation is None
        else EscalationView(
            reprice_every_s=escalation.reprice_every_s,
            reprices=escalation.reprices,
            then=escalation.then.value,
        ),
        step=state.rung + 1,
        step_kind=state.current_rung.kind,
        step_ends_at=None if ends_at is None else moment(ends_at),
        status=state.status.value,
        reason=state.reason or None,
        is_terminal=state.status.is_terminal,
        shown=_shown(state),
        orders=[_order(order) for order in orders],
        created_at=moment(plan.created_at),
        ended_at=None if state.ended_at is None else moment(state.ended_at),
        workflow_id=workflow_id,
        temporal_url=temporal_url,
        client_key=plan.idempotency_key,
    )


def _shown(state: CloseState) -> ShownView | None:
    sight = state.sight
    if sight is None:
        return None
    return ShownView(
        side=sight.side.value,
        quantity=plain(sight.quantity),
        mark_price=None if sight.mark_price is None else plain(sight.mark_price),
        at=moment(sight.at),
    )


def _order(order: Order) -> ClosingOrderView:
    return ClosingOrderView(
        order_id=order.order_id,
        status=order.status.value,
        price=None if order.price is None else plain(order.price),
        quantity=plain(order.quantity),
        filled_quantity=plain(order.filled_quantity),
    )
