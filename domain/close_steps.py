"""What to do next about a close: the decisions of its workflow, without workflow or clock.

`next_step` looks at one `CloseState` and the time and names one step; the other functions return
the state that follows from what a step brought. A close never grows nor flips a position: its
target is fixed at the start, each order asks for no more than what is left of it and than the venue
shows now, every order is reduce-only, and no second one is placed while one may be live.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from domain.accounts import PositionSide
from domain.closing import (
    ClosePlan,
    CloseState,
    CloseStatus,
    ClosingOrder,
    OrderSeen,
    Sight,
    closing_order_id,
    closing_side,
)
from domain.instruments import OrderSide
from domain.numbers import plain
from domain.orders import Order, OrderStatus, OrderType, TimeInForce

DENIALS_MAX = 3
"""So many orders that we ourselves refuse, one after the other, end a close."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Read position, open orders and our own fills; the book too where a price is to be found."""

    kind: Literal["look"] = "look"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceClosing:
    """Place closing order number `number`, reduce-only; a market order where `price` is None."""

    kind: Literal["place"] = "place"
    number: int
    side: OrderSide
    quantity: Decimal
    price: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelClosing:
    """Ask for the end of closing orders that are live and may not be any more."""

    kind: Literal["cancel"] = "cancel"
    order_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Await:
    """Wait for the live order's end or a request, at most until a time."""

    kind: Literal["await"] = "await"
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalate:
    """Go to the next step of the timetable."""

    kind: Literal["escalate"] = "escalate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """End the close."""

    kind: Literal["finish"] = "finish"
    status: CloseStatus
    reason: str
    left: Decimal = Decimal(0)


CloseStep = Look | PlaceClosing | CancelClosing | Await | Escalate | Finish


def closing_order(
    plan: ClosePlan, step: PlaceClosing, *, created_at: datetime, within: timedelta
) -> Order:
    """Return the order of a step; it is never sent after `within`."""
    is_market = step.price is None
    return Order(
        order_id=closing_order_id(plan.close_id, step.number),
        owner=plan.owner,
        account_id=plan.account_id,
        venue=plan.venue,
        symbol=plan.symbol,
        side=step.side,
        order_type=OrderType.MARKET if is_market else OrderType.LIMIT,
        quantity=step.quantity,
        time_in_force=TimeInForce.IOC if is_market else TimeInForce.GTC,
        created_at=created_at,
        place_by=created_at + within,
        price=step.price,
        reduce_only=True,
        max_slippage_bps=plan.max_slippage_bps,
        fingerprint=f"close {plan.close_id}",
        idempotency_key=f"{plan.close_id}/{step.number}",
        origin=plan.origin,
        parent_id=plan.close_id,
    )


def next_step(state: CloseState, now: datetime) -> CloseStep:
    """Return what to do now. While an order of ours may be live, nothing else is placed."""
    if state.child is not None:
        return _about_child(state, state.child, now)
    if state.cancel_wanted:
        return Finish(status=CloseStatus.CANCELED, reason="canceled")
    ends_at = state.rung_ends_at
    if ends_at is not None and now >= ends_at:
        return Escalate()
    if state.retry_at is not None and now < state.retry_at:
        return Await(until=state.retry_at if ends_at is None else min(state.retry_at, ends_at))
    if state.sight is None or state.target is None:
        return Look()
    return _from_sight(state, state.sight, state.target)


def _about_child(state: CloseState, child: ClosingOrder, now: datetime) -> CloseStep:
    ends_at = state.rung_ends_at
    is_due = state.cancel_wanted or (ends_at is not None and now >= ends_at)
    if is_due and not child.cancel_asked:
        return CancelClosing(order_ids=(child.order_id,))
    until = None if child.cancel_asked else ends_at
    if child.attached:
        return Await(until=until)
    if state.retry_at is None or now >= state.retry_at:
        return Look()
    return Await(until=state.retry_at if until is None else min(state.retry_at, until))


def _from_sight(state: CloseState, sight: Sight, target: Decimal) -> CloseStep:
    end = _end(state, sight, target)
    if end is not None:
        return end
    if sight.live:
        return CancelClosing(order_ids=sight.live)
    quantity = sight.instrument.floor_quantity(min(target - state.filled, sight.quantity))
    price = _price(state, sight)
    if _is_too_small(state, sight, quantity, price):
        left = min(target - state.filled, sight.quantity)
        return Finish(
            status=CloseStatus.DUST,
            reason=f"what is left, {plain(left)}, is below what the venue takes",
            left=left,
        )
    return PlaceClosing(
        number=state.orders, side=closing_side(sight.side), quantity=quantity, price=price
    )


def _end(state: CloseState, sight: Sight, target: Decimal) -> Finish | None:
    if state.filled >= target:
        return Finish(status=CloseStatus.DONE, reason=f"closed {plain(state.filled)}")
    if sight.side is PositionSide.FLAT:
        return Finish(
            status=CloseStatus.FLAT,
            reason=f"the position is flat; {plain(state.filled)} of it by this close",
        )
    if sight.side is not state.side:
        return Finish(
            status=CloseStatus.POSITION_CHANGED,
            reason=f"the position is {sight.side} now, it was {state.side}",
        )
    if state.denials >= DENIALS_MAX:
        return Finish(status=CloseStatus.REFUSED, reason=state.last_answer)
    if state.current_rung.kind == "stop":
        return Finish(
            status=CloseStatus.STOPPED,
            reason=f"the timetable is over; closed {plain(state.filled)} of {plain(target)}",
        )
    return None


def _price(state: CloseState, sight: Sight) -> Decimal | None:
    """Return the limit price of the next order, or None for a bounded market order."""
    match state.current_rung.kind:
        case "limit":
            return state.plan.limit_price
        case "passive":
            side = closing_side(sight.side)
            best = sight.ask if side is OrderSide.SELL else sight.bid
            price = best or sight.mark_price
            return None if price is None else sight.instrument.safe_price(side, price)
        case _:
            return None


def _is_too_small(
    state: CloseState, sight: Sight, quantity: Decimal, price: Decimal | None
) -> bool:
    """Tell whether the venue would refuse an order of `quantity` for its size."""
    if quantity <= 0:
        return True
    if sight.closes_below_minimum and quantity >= sight.quantity:
        return False
    worth = price
    if worth is None and sight.mark_price is not None:
        worth = sight.mark_price
        if closing_side(sight.side) is OrderSide.SELL:
            # The venue values a market sell at its bound.
            worth *= 1 - Decimal(state.plan.max_slippage_bps) / 10_000
    return sight.instrument.is_below_minimum(quantity, worth)


def resumed(
    state: CloseState, kept: CloseState, *, may_come_until: datetime | None = None
) -> CloseState:
    """Return the state to go on with, where the store has kept one of an earlier run.

    What was asked since stays asked. Of an order that the earlier run placed we do not hear; and as
    a state is kept before its order is placed, the next one may be out too. It is looked for,
    until `may_come_until` even where the store has nothing of it: without that time (histories of
    former versions) its number is taken again.
    """
    if kept.status is CloseStatus.REQUESTED:
        return state
    if kept.status.is_terminal:
        return kept
    wanted = state.cancel_wanted or kept.cancel_wanted
    kept = replace(kept, sight=None, retry_at=None, cancel_wanted=wanted)
    if kept.child is None and may_come_until is not None:
        next_one = closing_order_id(kept.plan.close_id, kept.orders)
        child = ClosingOrder(
            order_id=next_one, quantity=Decimal(0), price=None, filled_before=kept.filled
        )
        kept = replace(kept, child=child, orders=kept.orders + 1)
    return detached(kept, may_come_until=may_come_until)


def begun(state: CloseState, sight: Sight) -> CloseState:
    """Return the state after the first look, with the target fixed, or with its refusal."""
    plan = state.plan
    if sight.side is PositionSide.FLAT:
        return _refused(state, sight, f"the venue shows no position in {plan.symbol}")
    if plan.side is not None and sight.side is not plan.side:
        return _refused(
            state, sight, f"the venue shows a {sight.side} position, the close is of a {plan.side}"
        )
    target = _target(plan, sight)
    begun_state = replace(
        state,
        status=CloseStatus.RUNNING,
        side=sight.side,
        start_quantity=sight.quantity,
        target=target,
        rung_since=sight.at,
        sight=sight,
    )
    if _is_too_small(begun_state, sight, target, _price(begun_state, sight)):
        return _refused(
            state,
            sight,
            f"{plain(plan.percent)} % of {plain(sight.quantity)} {plan.symbol} is "
            f"{plain(target)}, below what the venue takes; close more of it, or all",
        )
    return begun_state


def _refused(state: CloseState, sight: Sight, reason: str) -> CloseState:
    return replace(state, status=CloseStatus.REFUSED, reason=reason, sight=sight, ended_at=sight.at)


def _target(plan: ClosePlan, sight: Sight) -> Decimal:
    """Return what is to be closed: a share of the position, in whole lots.

    All of it where the rest could never be closed: below the venue's minimum, at a venue that
    takes no smaller order even when that closes everything.
    """
    instrument = sight.instrument
    whole = instrument.floor_quantity(sight.quantity)
    if plan.percent >= 100:
        return whole
    target = instrument.floor_quantity(sight.quantity * plan.percent / 100)
    rest = sight.quantity - target
    strands = not sight.closes_below_minimum and sight.mark_price is not None
    if target and strands and instrument.is_below_minimum(rest, sight.mark_price):
        return whole
    return target


def after_look(state: CloseState, sight: Sight) -> CloseState:
    """Return the state that follows from the truth just read.

    An order that ended and brought nothing, though nobody asked for its end, is an attempt more.
    """
    state = replace(
        state,
        filled=max(state.filled, sight.filled),
        orders=max(state.orders, sight.orders),
        retry_at=None,
    )
    if state.target is None:
        return begun(state, sight)
    if state.child is not None:
        if _may_live(state.child, sight):
            # Whoever was asked for its end may have been gone: it is asked for again.
            child = replace(state.child, cancel_asked=False, looks=state.child.looks + 1)
            return replace(state, sight=None, child=child)
        has_come = state.child.may_come_until is None or _is_stored(state.child, sight)
        state = after_child(state) if has_come else replace(state, child=None)
    if state.ended_child is not None:
        state = _judged(state, state.ended_child, sight.newest)
    held_up = state.held_up + 1 if sight.live else 0
    return replace(state, ended_child=None, sight=sight, held_up=held_up)


def _may_live(child: ClosingOrder, sight: Sight) -> bool:
    """Tell whether an order of whose end we do not hear lives, or may still come."""
    if child.order_id in sight.live:
        return True
    is_early = child.may_come_until is not None and sight.at < child.may_come_until
    return is_early and not _is_stored(child, sight)


def _is_stored(child: ClosingOrder, sight: Sight) -> bool:
    """Tell whether the store has the order, which is the newest of its close."""
    return sight.newest is not None and sight.newest.order_id == child.order_id


def _judged(state: CloseState, ended: ClosingOrder, seen: OrderSeen | None) -> CloseState:
    """Return the state with the end of its last order taken into account."""
    if seen is not None and seen.order_id == ended.order_id:
        why = f" ({seen.reason})" if seen.reason else ""
        answer = f"{seen.status.value}{why}: filled {plain(seen.filled_quantity)}"
        is_denied = seen.status is OrderStatus.DENIED
        state = replace(state, last_answer=answer, denials=state.denials + 1 if is_denied else 0)
    if state.filled > ended.filled_before:
        return undelayed(state)
    return state if ended.cancel_asked else replace(state, attempts=state.attempts + 1)


def placing(state: CloseState, step: PlaceClosing) -> CloseState:
    """Return the state with an order under way."""
    child = ClosingOrder(
        order_id=closing_order_id(state.plan.close_id, step.number),
        quantity=step.quantity,
        price=step.price,
        filled_before=state.filled,
    )
    return replace(state, child=child, orders=step.number + 1, sight=None)


def detached(state: CloseState, *, may_come_until: datetime | None = None) -> CloseState:
    """Return the state with an order of whose end the workflow does not hear."""
    if state.child is None:
        return state
    child = replace(state.child, attached=False, may_come_until=may_come_until)
    return replace(state, child=child)


def canceling(state: CloseState, order_ids: tuple[str, ...]) -> CloseState:
    """Return the state after the end of these orders was asked for."""
    if state.child is None or state.child.order_id not in order_ids:
        return replace(state, sight=None)
    return replace(state, child=replace(state.child, cancel_asked=True), sight=None)


def after_child(state: CloseState) -> CloseState:
    """Return the state after the live order has ended: the truth is read anew."""
    return replace(state, child=None, ended_child=state.child, sight=None)


def delayed(state: CloseState, until: datetime, *, answer: str = "") -> CloseState:
    """Return the state that looks again at a time, after something brought nothing."""
    return replace(state, retry_at=until, sight=None, last_answer=answer or state.last_answer)


def looks_in_vain(state: CloseState) -> int:
    """Return how often in a row something was tried, or waited for, that has not come about."""
    looks = 0 if state.child is None else state.child.looks
    return max(state.attempts, state.held_up, looks)


def failed(state: CloseState, answer: str) -> CloseState:
    """Return the state after an attempt that could not be made."""
    return replace(state, attempts=state.attempts + 1, sight=None, last_answer=answer)


def undelayed(state: CloseState) -> CloseState:
    """Return the state after something was achieved."""
    return replace(state, attempts=0, retry_at=None)


def escalated(state: CloseState, now: datetime) -> CloseState:
    """Return the state on the next step of the timetable."""
    return replace(undelayed(state), rung=state.rung + 1, rung_since=now, sight=None)


def want_cancel(state: CloseState) -> CloseState:
    """Return the state with the close's end wanted."""
    return replace(state, cancel_wanted=True, retry_at=None)


def finished(state: CloseState, step: Finish, filled: Decimal, at: datetime) -> CloseState:
    """Return the ended state; `filled` is the last count of our own fills.

    What reached its target is DONE, whatever was asked meanwhile.
    """
    filled = max(state.filled, filled)
    status, reason = step.status, step.reason
    if state.target is not None and filled >= state.target:
        status, reason = CloseStatus.DONE, f"closed {plain(filled)}"
    return replace(state, status=status, reason=reason, filled=filled, left=step.left, ended_at=at)
