"""Which orders at the venue protect a guarded position: what the conditions ask for, as orders.

Fixed prices only: a trailing stop or a time has no form at the venues known here. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from domain.accounts import PositionSide
from domain.closing import closing_side
from domain.conditions import ConditionKind, Conditions, Direction, Threshold, thresholds
from domain.errors import InvalidInput
from domain.guarding import (
    GuardPlan,
    GuardSight,
    GuardState,
    GuardStatus,
    Native,
    NativeOrder,
    native_order_id,
)
from domain.instruments import Instrument, OrderSide
from domain.numbers import plain
from domain.orders import Order, OrderType, Origin, TimeInForce

ON_ITS_WAY = timedelta(seconds=20)
"""So long an order that is not seen yet counts as live."""

ORDERS_MAX = 20
"""So many orders a guard places at the venue at most; then its own evaluation has to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """One order that the conditions ask for."""

    kind: ConditionKind
    order_type: OrderType
    trigger_price: Decimal
    quantity: Decimal


def check_native(plan: GuardPlan) -> None:
    """Check that the venue can protect a position so.

    Raises:
        InvalidInput: it has no form for these conditions, or for a part of a position.
    """
    if plan.native is Native.NO:
        return
    conditions = plan.conditions
    if conditions.trail is not None:
        raise InvalidInput(
            "native", "a trailing stop has no form at the venue: expected no trail, or no native"
        )
    if not _has_fixed_price(conditions):
        raise InvalidInput("native", "a time has no form at the venue: expected a price condition")
    if plan.percent != 100:
        raise InvalidInput(
            "native",
            f"orders tied to a position close all of it: expected 100 %, found "
            f"{plain(plan.percent)} %",
        )


def _has_fixed_price(conditions: Conditions) -> bool:
    fixed = (conditions.profit_percent, conditions.loss_percent, conditions.price)
    return any(price is not None for price in fixed)


def seen(state: GuardState, sight: GuardSight) -> tuple[GuardState, tuple[str, ...]]:
    """Return the state with what rests now, and the orders that are not wanted any more."""
    wanted = None if sight.instrument is None else _wanted(state, sight.instrument)
    orders: list[NativeOrder] = []
    obsolete: list[str] = []
    for order in state.native_orders:
        is_young = sight.at - order.placed_at < ON_ITS_WAY
        is_live = order.is_live and (is_young or order.order_id in sight.live_native)
        if is_live and wanted is not None and not any(_is(order, each) for each in wanted):
            obsolete.append(order.order_id)
            is_live = False
        orders.append(replace(order, is_live=is_live))
    return replace(state, native_orders=tuple(orders)), tuple(obsolete)


def _is(order: NativeOrder, wanted: Exit) -> bool:
    return (
        order.kind == wanted.kind.value
        and order.trigger_price == wanted.trigger_price
        and order.quantity == wanted.quantity
    )


def _wanted(state: GuardState, instrument: Instrument) -> tuple[Exit, ...]:
    position = state.position
    is_watching = state.status is GuardStatus.WATCHING
    if state.plan.native is Native.NO or position is None or not is_watching:
        return ()
    return tuple(
        Exit(
            kind=threshold.kind,
            order_type=_order_type(threshold, position.side),
            trigger_price=_trigger(threshold, instrument),
            quantity=position.quantity,
        )
        for threshold in thresholds(state.plan.conditions, position, None)
    )


def _order_type(threshold: Threshold, side: PositionSide) -> OrderType:
    gains = (threshold.direction is Direction.ABOVE) == (side is PositionSide.LONG)
    return OrderType.TAKE_PROFIT_MARKET if gains else OrderType.STOP_MARKET


def _trigger(threshold: Threshold, instrument: Instrument) -> Decimal:
    """Return the valid price at the threshold or just beyond: never before it."""
    rule = instrument.price_rule
    is_above = threshold.direction is Direction.ABOVE
    return rule.ceiling(threshold.price) if is_above else rule.floor(threshold.price)


def to_place(
    state: GuardState, instrument: Instrument, *, now: datetime, within: timedelta
) -> tuple[GuardState, tuple[Order, ...]]:
    """Return the state with the orders that are missing, and those orders."""
    if state.plan.native is Native.NO:
        return state, ()
    placed: list[Order] = []
    for wanted in _wanted(state, instrument):
        if any(order.is_live and _is(order, wanted) for order in state.native_orders):
            continue
        if state.native_orders_placed >= ORDERS_MAX:
            note = f"gave up after {ORDERS_MAX} orders; the guard closes by itself"
            return replace(state, native_note=note), tuple(placed)
        order = _order(state, wanted, instrument, now, within)
        placed.append(order)
        state = replace(
            state,
            native_orders_placed=state.native_orders_placed + 1,
            native_orders=(
                *(each for each in state.native_orders if each.is_live),
                NativeOrder(
                    order_id=order.order_id,
                    kind=wanted.kind.value,
                    trigger_price=wanted.trigger_price,
                    quantity=wanted.quantity,
                    placed_at=now,
                ),
            ),
        )
    return replace(state, native_note=_note(state)), tuple(placed)


def _order(
    state: GuardState, wanted: Exit, instrument: Instrument, now: datetime, within: timedelta
) -> Order:
    plan, number = state.plan, state.native_orders_placed
    side = closing_side(state.side or PositionSide.LONG)
    return Order(
        order_id=native_order_id(plan.condition_id, number),
        owner=plan.owner,
        account_id=plan.account_id,
        venue=plan.venue,
        symbol=plan.symbol,
        side=side,
        order_type=wanted.order_type,
        quantity=wanted.quantity,
        time_in_force=TimeInForce.GTC,
        created_at=now,
        place_by=now + within,
        price=_bound(instrument, side, wanted.trigger_price, plan.max_slippage_bps),
        trigger_price=wanted.trigger_price,
        reduce_only=True,
        max_slippage_bps=plan.max_slippage_bps,
        fingerprint=f"condition {plan.condition_id}",
        idempotency_key=f"{plan.condition_id}/native {number}",
        origin=Origin.CONDITION,
        parent_id=plan.condition_id,
        position_bound=True,
    )


def _bound(instrument: Instrument, side: OrderSide, trigger: Decimal, slippage_bps: int) -> Decimal:
    """Return the worst valid price of a market order that triggers at `trigger`."""
    share = Decimal(slippage_bps) / 10_000
    rule = instrument.price_rule
    if side is OrderSide.BUY:
        return rule.ceiling(trigger * (1 + share))
    worst = trigger * (1 - share)
    return max(rule.floor(worst), rule.step_at(worst))


def _note(state: GuardState) -> str:
    live = [
        f"{order.kind} at {plain(order.trigger_price)}"
        for order in state.native_orders
        if order.is_live
    ]
    return f"{', '.join(live)} rests" if live else "nothing rests"


def without_exits(state: GuardState) -> GuardState:
    """Return the state of an ended guard: nothing of it is left at the venue."""
    gone = tuple(replace(order, is_live=False) for order in state.native_orders)
    return replace(state, native_orders=gone, native_note="")
