"""What the outside sees of conditional closes. Decimals are strings."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from api.close_views import EscalationView
from api.position_ids import position_id_of
from api.views import View, moment
from domain.conditions import described, thresholds
from domain.guard_steps import is_watched, needs_attention
from domain.guarding import GuardState
from domain.numbers import plain
from domain.positions import Protection


class ThresholdView(View):
    """A mark that closes; `distance_percent` is how far the last mark seen was from it."""

    kind: str
    price: str
    direction: str
    distance_percent: str | None


class WatchView(View):
    """Who evaluates the conditions on fresh marks; `is_fresh` False: nobody just now."""

    by: str
    since: str
    at: str
    is_fresh: bool


class NativeOrderView(View):
    """An order at the venue that protects the position."""

    order_id: str
    kind: str
    trigger_price: str
    quantity: str
    is_live: bool


class ConditionView(View):
    """A conditional close as it is known now. `protected_by`: GUARD, BOTH (the venue too), NONE."""

    condition_id: str
    position_id: str
    account: str
    account_id: str
    venue: str
    symbol: str
    status: str
    reason: str | None
    is_terminal: bool
    needs_attention: bool
    version: int
    conditions: str
    profit_percent: str | None
    loss_percent: str | None
    price: str | None
    direction: str | None
    trail_percent: str | None
    trail_amount: str | None
    at: str | None
    of: str
    percent: str
    max_slippage_bps: int
    escalation: EscalationView | None
    native: bool
    protected_by: str
    native_orders: list[NativeOrderView]
    side: str | None
    quantity: str | None
    entry_price: str | None
    mark_price: str | None
    looked_at: str | None
    thresholds: list[ThresholdView]
    extreme: str | None
    extreme_at: str | None
    watched: WatchView | None
    excursions: int
    last_excursion: str | None
    close_id: str | None
    close_status: str | None
    created_at: str
    ended_at: str | None
    workflow_id: str
    temporal_url: str | None
    client_key: str


class ConditionsView(View):
    """Conditional closes, newest first."""

    conditions: list[ConditionView]


def condition_view(
    state: GuardState, label: str, *, now: datetime, workflow_id: str, temporal_url: str | None
) -> ConditionView:
    """Return a conditional close for the outside."""
    plan, conditions, held = state.plan, state.plan.conditions, state.position
    trail = conditions.trail
    escalation = plan.escalation
    excursion = state.last_excursion
    has_begun = state.crossing is not None or state.close_status is not None
    return ConditionView(
        condition_id=plan.condition_id,
        position_id=position_id_of(plan.account_id, plan.symbol),
        account=label,
        account_id=plan.account_id,
        venue=plan.venue,
        symbol=plan.symbol,
        status=state.status.value,
        reason=state.reason or None,
        is_terminal=state.status.is_terminal,
        needs_attention=needs_attention(state, now),
        version=plan.version,
        conditions=described(conditions),
        profit_percent=_text(conditions.profit_percent),
        loss_percent=_text(conditions.loss_percent),
        price=_text(conditions.price),
        direction=None if conditions.direction is None else conditions.direction.value,
        trail_percent=None if trail is None else _text(trail.percent),
        trail_amount=None if trail is None else _text(trail.amount),
        at=_moment(conditions.at),
        of="margin" if conditions.of_margin else "entry",
        percent=plain(plan.percent),
        max_slippage_bps=plan.max_slippage_bps,
        escalation=None
        if escalation is None
        else EscalationView(
            reprice_every_s=escalation.reprice_every_s,
            reprices=escalation.reprices,
            then=escalation.then.value,
        ),
        native=plan.native != "no",
        protected_by=_protected_by(state).value,
        native_orders=[
            NativeOrderView(
                order_id=order.order_id,
                kind=order.kind,
                trigger_price=plain(order.trigger_price),
                quantity=plain(order.quantity),
                is_live=order.is_live,
            )
            for order in state.native_orders
        ],
        side=None if state.side is None else state.side.value,
        quantity=None if held is None else plain(held.quantity),
        entry_price=None if held is None else plain(held.entry_price),
        mark_price=_text(state.mark),
        looked_at=_moment(state.looked_at),
        thresholds=_thresholds(state),
        extreme=None if state.extreme is None else plain(state.extreme.price),
        extreme_at=None if state.extreme is None else moment(state.extreme.at),
        watched=_watched(state, now),
        excursions=state.excursions,
        last_excursion=None if excursion is None else f"{excursion.what}",
        close_id=state.close_id if has_begun else None,
        close_status=None if state.close_status is None else state.close_status.value,
        created_at=moment(plan.created_at),
        ended_at=_moment(state.ended_at),
        workflow_id=workflow_id,
        temporal_url=temporal_url,
        client_key=plan.idempotency_key,
    )


def _protected_by(state: GuardState) -> Protection:
    if state.status.is_terminal:
        return Protection.NONE
    return Protection.BOTH if state.is_native_live else Protection.GUARD


def _thresholds(state: GuardState) -> list[ThresholdView]:
    if state.position is None:
        return []
    extreme = None if state.extreme is None else state.extreme.price
    return [
        ThresholdView(
            kind=each.kind.value,
            price=plain(each.price),
            direction=each.direction.value,
            distance_percent=None
            if not state.mark
            else plain(((each.price - state.mark) / state.mark * 100).quantize(Decimal("0.01"))),
        )
        for each in thresholds(state.plan.conditions, state.position, extreme)
    ]


def _watched(state: GuardState, now: datetime) -> WatchView | None:
    watch = state.watch
    if watch is None:
        return None
    return WatchView(
        by=watch.by,
        since=moment(watch.since),
        at=moment(watch.at),
        is_fresh=is_watched(watch, now),
    )


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _moment(at: datetime | None) -> str | None:
    return None if at is None else moment(at)
