"""What to do next about a bracket: the decisions of its workflow, without workflow or clock.

Exits are reduce-only and together never ask for more than is entered and open, but for the moment
in which one is replaced: the new one is placed before the old one is canceled, so that nothing is
ever unprotected. Reduce-only makes the doubling harmless: the venue lets neither grow nor turn a
position.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from domain.brackets import (
    BracketPlan,
    BracketSight,
    BracketState,
    BracketStatus,
    ExitRule,
    Leg,
    LegKind,
    OnFailure,
    leg_order_id,
)
from domain.errors import InvalidInput
from domain.instruments import Instrument, OrderSide
from domain.numbers import plain
from domain.orders import Order, OrderStatus, Origin, TimeInForce

FAILURES_MAX = 3
"""So many protective orders refused or gone within `FAILURE_MEMORY` end the attempts."""
FAILURE_MEMORY = timedelta(minutes=1)
LEGS_MAX = 4
"""So many exits of one kind are put together into one when another would be needed."""
PROTECTIVE = (LegKind.STOP_LOSS, LegKind.TAKE_PROFIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartEntry:
    """Start the entry's workflow."""

    kind: Literal["enter"] = "enter"


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAtBracket:
    """Read how the orders stand, and the position where it is in doubt."""

    kind: Literal["look"] = "look"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceLeg:
    """Place one exit."""

    kind: Literal["place"] = "place"
    leg: LegKind
    number: int
    quantity: Decimal
    trigger_price: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrders:
    """Ask for the end of orders."""

    kind: Literal["cancel"] = "cancel"
    order_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitNews:
    """Wait for news of the orders or a request, at most until a time."""

    kind: Literal["await"] = "await"
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishBracket:
    """End the bracket; nothing of it is live."""

    kind: Literal["finish"] = "finish"
    status: BracketStatus
    reason: str


BracketStep = StartEntry | LookAtBracket | PlaceLeg | CancelOrders | AwaitNews | FinishBracket


def next_step(state: BracketState, now: datetime) -> BracketStep:
    """Return what to do now."""
    if not state.entry_started:
        if state.cancel_wanted:
            return FinishBracket(status=BracketStatus.CANCELED, reason="canceled_before_sent")
        return StartEntry()
    if state.retry_at is not None and now < state.retry_at and not state.cancel_wanted:
        return AwaitNews(until=state.retry_at)
    if not state.fresh or state.entry is None or state.instrument is None:
        return LookAtBracket()
    if state.cancel_wanted:
        return _end_all(state, BracketStatus.CANCELED, "canceled; what was entered stays open")
    if state.entry_ended and not state.entered:
        why = f": {state.entry.reason}" if state.entry.reason else ""
        return _end_all(state, BracketStatus.NOT_ENTERED, f"{state.entry.status.value}{why}")
    if state.entry_ended and not state.open_quantity:
        return _end_all(state, BracketStatus.DONE, _how_closed(state))
    if state.entry_ended and state.held is not None and not state.held:
        return _end_all(
            state, BracketStatus.POSITION_GONE, "the venue shows no position to protect any more"
        )
    if state.open_quantity and state.failures >= FAILURES_MAX:
        return _after_failures(state, now)
    for kind in PROTECTIVE:
        rule = state.plan.rule(kind)
        step = None if rule is None else _protect(state, kind, rule, state.instrument)
        if step is not None:
            return step
    return AwaitNews()


def _how_closed(state: BracketState) -> str:
    closed = {kind: Decimal(0) for kind in LegKind}
    for leg in state.legs:
        closed[leg.kind] += leg.filled
    return "closed by " + ", ".join(
        f"{kind.value} {plain(quantity)}" for kind, quantity in closed.items() if quantity
    )


def _end_all(state: BracketState, status: BracketStatus, reason: str) -> BracketStep:
    """Cancel what is live, and end once nothing is."""
    live = [leg for leg in state.legs if not leg.is_terminal]
    wanted = [leg.order_id for leg in live if not leg.cancel_asked]
    if not state.entry_ended and not state.entry_cancel_asked:
        wanted.insert(0, state.plan.bracket_id)
    if wanted:
        return CancelOrders(order_ids=tuple(wanted))
    if live or not state.entry_ended:
        return AwaitNews()
    return FinishBracket(status=status, reason=reason)


def _after_failures(state: BracketState, now: datetime) -> BracketStep:
    """Close at market, or wait and try again, as the plan says."""
    if state.plan.on_failure is OnFailure.ALERT:
        again = (state.failed_at or now) + FAILURE_MEMORY
        return AwaitNews(until=again) if now < again else _protect_again(state)
    closing = state.live(LegKind.CLOSE)
    if closing:
        return AwaitNews()
    return PlaceLeg(
        leg=LegKind.CLOSE, number=len(state.legs), quantity=state.open_quantity, trigger_price=None
    )


def _protect_again(state: BracketState) -> BracketStep:
    for kind in PROTECTIVE:
        rule = state.plan.rule(kind)
        if rule is not None and state.instrument is not None:
            step = _protect(state, kind, rule, state.instrument)
            if step is not None:
                return step
    return AwaitNews()


def _protect(
    state: BracketState, kind: LegKind, rule: ExitRule, instrument: Instrument
) -> BracketStep | None:
    """Return what brings the exits of a kind to the quantity that is open, or None."""
    live = state.live(kind)
    wanted = state.open_quantity
    if not wanted:
        return CancelOrders(order_ids=tuple(leg.order_id for leg in live)) if live else None
    if any(not leg.is_accepted for leg in live):
        return None  # Its acceptance, or its end, is told.
    newest = live[-1] if live else None
    if newest is not None and newest.remaining == wanted:
        older = tuple(leg.order_id for leg in live[:-1])
        return CancelOrders(order_ids=older) if older else None
    trigger = trigger_price(state.plan, kind, rule, _entry_price(state), instrument)
    missing = wanted - sum((leg.remaining for leg in live), Decimal(0))
    quantity = wanted
    if missing > 0 and len(live) < LEGS_MAX:
        if not live or missing * trigger >= instrument.min_notional:
            quantity = missing
        elif not state.entry_ended:
            return None  # More fills come; alone these are below what the venue takes.
    elif not missing:
        return None
    return PlaceLeg(leg=kind, number=len(state.legs), quantity=quantity, trigger_price=trigger)


def _entry_price(state: BracketState) -> Decimal | None:
    average = None if state.entry is None else state.entry.average_price
    return state.plan.entry.price if average is None else average


def trigger_price(
    plan: BracketPlan,
    kind: LegKind,
    rule: ExitRule,
    entry_price: Decimal | None,
    instrument: Instrument,
) -> Decimal:
    """Return the valid price at which an exit triggers.

    Raises:
        InvalidInput: the rule is a percentage and the entry's price is not known.
    """
    side = plan.exit_side
    if rule.price is not None:
        return instrument.safe_price(side, rule.price)
    if rule.percent is None or entry_price is None:
        raise InvalidInput("percent", "expected an entry price to take the percentage of")
    gains = kind is LegKind.TAKE_PROFIT
    above = gains is (side is OrderSide.SELL)
    share = rule.percent / 100
    return instrument.safe_price(side, entry_price * (1 + share if above else 1 - share))


def leg_order(
    plan: BracketPlan,
    step: PlaceLeg,
    instrument: Instrument,
    *,
    created_at: datetime,
    within: timedelta,
) -> Order:
    """Return the order of an exit. A trigger order's bound is taken from where it triggers."""
    entry, side = plan.entry, plan.exit_side
    price = None
    if step.trigger_price is not None:
        price = instrument.worst_price(side, step.trigger_price, plan.max_slippage_bps)
    number = step.number
    return Order(
        order_id=leg_order_id(plan.bracket_id, number),
        owner=entry.owner,
        account_id=entry.account_id,
        venue=entry.venue,
        symbol=entry.symbol,
        side=side,
        order_type=step.leg.order_type,
        quantity=step.quantity,
        time_in_force=TimeInForce.IOC if step.leg is LegKind.CLOSE else TimeInForce.GTC,
        created_at=created_at,
        place_by=created_at + within,
        price=price,
        trigger_price=step.trigger_price,
        reduce_only=True,
        max_slippage_bps=plan.max_slippage_bps,
        fingerprint=f"bracket {plan.bracket_id}",
        idempotency_key=f"{plan.bracket_id}/exit {number}",
        origin=Origin.BRACKET,
        parent_id=plan.bracket_id,
    )


def entered(state: BracketState) -> BracketState:
    """Return the state with the entry's workflow started."""
    return replace(state, entry_started=True, status=BracketStatus.ENTERING, fresh=False)


def placing(state: BracketState, step: PlaceLeg) -> BracketState:
    """Return the state with one more exit."""
    leg = Leg(
        kind=step.leg,
        order_id=leg_order_id(state.plan.bracket_id, step.number),
        quantity=step.quantity,
        trigger_price=step.trigger_price,
    )
    return replace(state, legs=(*state.legs, leg))


def canceling(state: BracketState, order_ids: tuple[str, ...]) -> BracketState:
    """Return the state after the end of orders was asked for."""
    legs = tuple(
        replace(leg, cancel_asked=True) if leg.order_id in order_ids else leg for leg in state.legs
    )
    entry = state.entry_cancel_asked or state.plan.bracket_id in order_ids
    return replace(state, legs=legs, entry_cancel_asked=entry)


def stale(state: BracketState) -> BracketState:
    """Return the state after news: it has to be looked at."""
    return replace(state, fresh=False, retry_at=None)


def delayed(state: BracketState, until: datetime, answer: str) -> BracketState:
    """Return the state that looks again at a time."""
    return replace(state, fresh=False, retry_at=until, last_answer=answer)


def want_cancel(state: BracketState) -> BracketState:
    """Return the state with the bracket's end wanted."""
    return replace(state, cancel_wanted=True, retry_at=None)


def after_look(state: BracketState, sight: BracketSight) -> BracketState:
    """Return the state that follows from what was just read.

    A protective order that ended though nobody asked, and has not filled, is a failure; so is one
    that filled in part: what is left of it protects nothing any more.
    """
    news = {each.order_id: each for each in sight.orders}
    legs: list[Leg] = []
    failed: list[str] = []
    for leg in state.legs:
        now_known = news.get(leg.order_id, leg.news)
        after = replace(leg, news=now_known)
        if after.is_terminal and not leg.is_terminal and _has_failed(after):
            why = f" ({now_known.reason})" if now_known and now_known.reason else ""
            status = now_known.status.value if now_known else ""
            failed.append(f"{leg.kind.value} {status}{why}")
        legs.append(after)
    state = replace(
        state,
        entry=news.get(state.plan.bracket_id, state.entry),
        legs=tuple(legs),
        instrument=sight.instrument,
        fresh=True,
        retry_at=None,
        held=sight.held,
        position_doubted=False,
    )
    if state.entry_ended and state.entered and state.status is BracketStatus.ENTERING:
        state = replace(state, status=BracketStatus.PROTECTING)
    return _with_failures(state, failed, sight.at) if failed else state


def _has_failed(leg: Leg) -> bool:
    is_whole = leg.news is not None and leg.news.status is OrderStatus.FILLED
    return leg.kind is not LegKind.CLOSE and not leg.cancel_asked and not is_whole


def _with_failures(state: BracketState, failed: list[str], at: datetime) -> BracketState:
    """Count failures, forget old ones, and have the position read before anything else."""
    recent = state.failed_at is not None and at - state.failed_at < FAILURE_MEMORY
    return replace(
        state,
        failures=(state.failures if recent else 0) + len(failed),
        failed_at=at,
        last_answer="; ".join(failed),
        position_doubted=True,
        fresh=False,
    )


def finished(state: BracketState, step: FinishBracket, at: datetime) -> BracketState:
    """Return the ended state."""
    return replace(state, status=step.status, reason=step.reason, ended_at=at)
