"""What to do next about a bracket: the decisions of its workflow, without workflow or clock.

Exits are reduce-only and together never ask for more than is entered and open, but for the moment
in which one is replaced: the new one is placed before the old one is canceled, so that nothing is
ever unprotected. Reduce-only makes the doubling harmless: the venue lets neither grow nor turn a
position.

Exits that left in the entry's own request sleep until the entry has filled wholly. What fills
before that gets exits of our own, which go when the venue's are awake.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from domain import bracket_silence
from domain.bracket_orders import PROTECTIVE, PlaceLeg, joint_legs, trigger_price
from domain.brackets import (
    BracketSight,
    BracketState,
    BracketStatus,
    ExitRule,
    Leg,
    LegKind,
    OnFailure,
    OrderNews,
    leg_order_id,
    news_of,
    with_news,
)
from domain.instruments import Instrument
from domain.numbers import plain
from domain.orders import Order, OrderStatus

FAILURES_MAX = 3
"""So many protective orders refused or gone within `FAILURE_MEMORY` end the attempts."""
PRICE_EVERY = timedelta(seconds=2)
"""How often the entry's average price is looked for where an exit is a percentage of it."""
FAILURE_MEMORY = timedelta(minutes=1)
LEGS_MAX = 4
"""So many exits of one kind are put together into one when another would be needed."""
GONE_AFTER = timedelta(seconds=2)
"""A position is gone when the venue has shown none for so long: its first word may be older than
the entry's last fill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartEntry:
    """Start the entry's workflow."""

    kind: Literal["enter"] = "enter"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnterJointly:
    """Place entry and exits in one request, each as its revision `revision`.

    Not `send`: only find out whether an earlier attempt did, and close the entry if none did.
    """

    kind: Literal["enter_jointly"] = "enter_jointly"
    revision: int
    send: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAtBracket:
    """Read how the orders stand, and the position where it is in doubt."""

    kind: Literal["look"] = "look"


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


BracketStep = (
    StartEntry | EnterJointly | LookAtBracket | PlaceLeg | CancelOrders | AwaitNews | FinishBracket
)


def next_step(state: BracketState, now: datetime) -> BracketStep:
    """Return what to do now."""
    if not state.entry_started and not state.plan.native:
        if not state.cancel_wanted:
            return StartEntry()
        if state.rules < 2:
            return FinishBracket(status=BracketStatus.CANCELED, reason="canceled_before_sent")
        # Somebody else may have started the entry, or be about to.
        return EnterJointly(revision=0, send=False)
    hurries = state.cancel_wanted and state.rules < 2  # Today a wish itself ends the pause, once.
    if state.retry_at is not None and now < state.retry_at and not hurries:
        return AwaitNews(until=state.retry_at)
    if not state.entry_started:
        return EnterJointly(revision=0, send=not state.cancel_wanted)
    if not state.fresh or state.instrument is None or (state.entry is None and state.rules < 2):
        return LookAtBracket()
    again = _silent(state, now)
    if again is not None:
        return again
    step = AwaitNews() if state.entry is None else _about(state, state.entry, now)
    if isinstance(step, AwaitNews):
        return AwaitNews(until=_earliest(step.until, bracket_silence.silent_until(state)))
    return step


def _about(state: BracketState, entry: OrderNews, now: datetime) -> BracketStep:
    """Return what to do now that all is known."""
    is_closed = state.entry_ended and state.entered and not state.open_quantity
    if state.cancel_wanted and not (is_closed and state.rules >= 2):
        left = "what was entered stays open" if state.open_quantity else "nothing was entered"
        return _end_all(state, BracketStatus.CANCELED, f"canceled; {left}")
    if state.entry_ended and not state.entered:
        why = f": {entry.reason}" if entry.reason else ""
        return _end_all(state, BracketStatus.NOT_ENTERED, f"{entry.status.value}{why}")
    if is_closed:
        return _end_all(state, BracketStatus.DONE, _how_closed(state))
    if state.rules < 2 and state.entry_ended and state.held is not None and not state.held:
        return _end_all(
            state, BracketStatus.POSITION_GONE, "the venue shows no position to protect any more"
        )
    if state.gone_since is not None and state.gone_at is not None:
        if state.gone_at - state.gone_since < GONE_AFTER:
            return AwaitNews(until=state.gone_since + GONE_AFTER)
        return _end_all(
            state, BracketStatus.POSITION_GONE, "the venue shows no position to protect any more"
        )
    again = _entering_again(state, now)
    if again is not None:
        return again
    if state.open_quantity and state.failures >= FAILURES_MAX:
        return _after_failures(state, now)
    step = _protect_all(state)
    if isinstance(step, AwaitNews) and state.open_quantity and _lacks_price(state):
        return AwaitNews(until=now + PRICE_EVERY)
    return step


def _lacks_price(state: BracketState) -> bool:
    """Tell whether an exit is a percentage of a price that the venue has not told yet."""
    rules = [rule for kind in PROTECTIVE if (rule := state.plan.rule(kind)) is not None]
    return _entry_price(state) is None and any(rule.price is None for rule in rules)


def _silent(state: BracketState, now: datetime) -> BracketStep | None:
    """Start again what was started and never heard of; ask again for ends that did not come."""
    if bracket_silence.is_entry_silent(state, now):
        return StartEntry()
    overdue = bracket_silence.overdue_ends(state, now)
    return bracket_silence.silent_exit(state, now) or (
        CancelOrders(order_ids=overdue) if overdue else None
    )


def _earliest(one: datetime | None, other: datetime | None) -> datetime | None:
    known = [at for at in (one, other) if at is not None]
    return min(known) if known else None


def _entering_again(state: BracketState, now: datetime) -> BracketStep | None:
    """Place a joint request anew that provably never reached the venue, in the entry's time."""
    entry = state.entry
    if not state.plan.native or entry is None or entry.absent is None:
        return None
    joint = [leg.news for leg in state.legs if leg.joint]
    all_absent = all(news is not None and news.absent == entry.absent for news in joint)
    if state.entry_ended or not all_absent or now >= state.plan.entry.place_by:
        return None
    return EnterJointly(revision=entry.absent + 1)


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
        return AwaitNews(until=again) if now < again else _protect_all(state)
    closing = state.live(LegKind.CLOSE)
    if closing:
        return AwaitNews()
    return PlaceLeg(
        leg=LegKind.CLOSE, number=len(state.legs), quantity=state.open_quantity, trigger_price=None
    )


def _protect_all(state: BracketState) -> BracketStep:
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
    own = tuple(leg for leg in live if not leg.joint)
    joint = next((leg for leg in live if leg.joint), None)
    if joint is None:
        return _cover(state, kind, rule, instrument, own)
    if state.filled_whole and not joint.is_accepted:
        return None  # Its acceptance, or its end, is told.
    if state.filled_whole and joint.remaining == state.open_quantity:
        return CancelOrders(order_ids=tuple(leg.order_id for leg in own)) if own else None
    step = _cover(state, kind, rule, instrument, own)
    if step is not None or not state.entry_ended or any(not leg.is_accepted for leg in own):
        return step
    # The entry ended in part, or the venue's exit asks for more than is open: ours have it all.
    return CancelOrders(order_ids=(joint.order_id,))


def _cover(
    state: BracketState,
    kind: LegKind,
    rule: ExitRule,
    instrument: Instrument,
    live: tuple[Leg, ...],
) -> BracketStep | None:
    """Return what brings exits of our own to the quantity that is open, or None."""
    wanted = state.open_quantity
    if not wanted:
        return CancelOrders(order_ids=tuple(leg.order_id for leg in live)) if live else None
    if any(not leg.is_accepted for leg in live):
        return None  # Its acceptance, or its end, is told.
    if rule.price is None and _entry_price(state) is None:
        return None  # It is asked for again soon.
    newest = live[-1] if live else None
    if newest is not None and newest.remaining == wanted:
        older = tuple(leg.order_id for leg in live[:-1])
        return CancelOrders(order_ids=older) if older else None
    trigger = trigger_price(state.plan, kind, rule, _entry_price(state), instrument)
    missing = wanted - sum((leg.remaining for leg in live), Decimal(0))
    quantity = wanted
    if missing > 0 and len(live) < LEGS_MAX:
        if not live or not instrument.is_below_minimum(missing, trigger):
            quantity = missing
        elif not state.entry_ended:
            return None  # More fills come; alone these are below what the venue takes.
    elif not missing:
        return None
    return PlaceLeg(leg=kind, number=len(state.legs), quantity=quantity, trigger_price=trigger)


def _entry_price(state: BracketState) -> Decimal | None:
    average = None if state.entry is None else state.entry.average_price
    return state.plan.entry.price if average is None else average


def entered(state: BracketState, at: datetime | None = None) -> BracketState:
    """Return the state with the entry's workflow started."""
    status = BracketStatus.ENTERING if state.status is BracketStatus.REQUESTED else state.status
    return replace(
        state,
        entry_started=True,
        status=status,
        fresh=False,
        entry_started_at=at if state.rules >= 2 else None,
    )


def entered_jointly(state: BracketState, exits: tuple[Order, ...]) -> BracketState:
    """Return the state after entry and `exits` were placed together; none if that was refused.

    Doing it again, of a later revision, changes no leg.
    """
    legs = state.legs
    if not legs and exits and state.plan.native:
        legs = joint_legs(state.plan, exits)
    return replace(entered(state), legs=legs)


def is_in_vain(entry: Order) -> bool:
    """Tell whether a joint placement left its entry provably unsent, to be placed again."""
    return not entry.is_terminal and news_of(entry).absent is not None


def placing(state: BracketState, step: PlaceLeg, at: datetime | None = None) -> BracketState:
    """Return the state with one more exit, or with one that was begun again."""
    leg = Leg(
        kind=step.leg,
        order_id=leg_order_id(state.plan.bracket_id, step.number),
        quantity=step.quantity,
        trigger_price=step.trigger_price,
        started_at=at if state.rules >= 2 else None,
    )
    if step.number == len(state.legs):
        return replace(state, legs=(*state.legs, leg))
    known = state.legs[step.number]
    again = replace(known, started_at=leg.started_at)
    return replace(state, legs=tuple(again if each is known else each for each in state.legs))


def canceling(
    state: BracketState, order_ids: tuple[str, ...], at: datetime | None = None
) -> BracketState:
    """Return the state after the end of orders was asked for."""
    legs = tuple(
        replace(leg, cancel_asked=True) if leg.order_id in order_ids else leg for leg in state.legs
    )
    return replace(
        state,
        legs=legs,
        entry_cancel_asked=state.entry_cancel_asked or state.plan.bracket_id in order_ids,
        cancels_asked_at=at if state.rules >= 2 else None,
    )


def stale(state: BracketState) -> BracketState:
    """Return the state after news: it has to be looked at."""
    return replace(state, fresh=False, retry_at=None)


def unheard(state: BracketState) -> BracketState:
    """Return the state after a long silence: orders may have gone on, and the position away."""
    doubted = state.position_doubted or (bool(state.open_quantity) and state.rules >= 2)
    return replace(stale(state), position_doubted=doubted)


def resumed(state: BracketState, kept: BracketState) -> BracketState:
    """Return the state to go on with, where the store has kept one of an earlier run.

    What was asked since stays asked.
    """
    if kept.status is BracketStatus.REQUESTED:
        return state
    wanted = state.cancel_wanted or kept.cancel_wanted
    return replace(stale(kept), cancel_wanted=wanted, rules=state.rules)


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
    before = {leg.order_id for leg in state.legs if leg.is_terminal}
    state = with_news(state, sight.orders)
    failed = [
        _described(leg)
        for leg in state.legs
        if leg.is_terminal and leg.order_id not in before and _has_failed(state, leg)
    ]
    state = replace(
        state,
        instrument=sight.instrument,
        fresh=True,
        retry_at=None,
        held=sight.held,
        position_doubted=False,
    )
    if state.rules >= 2:
        state = _with_position(state, sight)
    if state.entry_ended and state.entered and state.status is BracketStatus.ENTERING:
        state = replace(state, status=BracketStatus.PROTECTING)
    return _with_failures(state, failed, sight.at) if failed else state


def _with_position(state: BracketState, sight: BracketSight) -> BracketState:
    """Return the state with what the venue shows; one that is gone is asked for until the end."""
    if sight.held is None or sight.held or not state.open_quantity:
        return replace(state, gone_since=None, gone_at=None)
    return replace(
        state,
        gone_since=state.gone_since or sight.at,
        gone_at=sight.at,
        position_doubted=True,
    )


def _described(leg: Leg) -> str:
    news = leg.news
    why = f" ({news.reason})" if news and news.reason else ""
    return f"{leg.kind.value} {news.status.value if news else ''}{why}"


def _has_failed(state: BracketState, leg: Leg) -> bool:
    """Tell whether an ended exit has failed us: it has not filled, and nobody asked it to go.

    One of the entry's own request that sleeps goes with the entry, and an awake one with the first
    fill of the other.
    """
    is_whole = leg.news is not None and leg.news.status is OrderStatus.FILLED
    is_close = leg.kind is LegKind.CLOSE and state.rules < 2
    if is_close or leg.cancel_asked or is_whole:
        return False
    if not leg.joint:
        return True
    other_filled = any(each.joint and each is not leg and each.filled for each in state.legs)
    return state.filled_whole and not other_filled


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
