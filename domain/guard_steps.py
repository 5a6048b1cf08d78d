"""What to do next about a guard: the decisions of its workflow, without workflow or clock.

`next_step` names one step; the other functions return the state that follows from what a step
brought. A guard acts only on a look of its own at the venue that shows the position, on the same
side, and a believable mark that meets a condition then; it begins one close at most.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from domain.closing import CloseStatus
from domain.conditions import (
    ConditionKind,
    Crossing,
    better,
    evaluate,
    is_due,
    thresholds,
    validate,
)
from domain.errors import InvalidInput
from domain.guarding import (
    Excursion,
    Extreme,
    GuardPlan,
    GuardSight,
    GuardState,
    GuardStatus,
    Watch,
)
from domain.numbers import plain

POLL_WATCHED = timedelta(seconds=60)
POLL_UNWATCHED = timedelta(seconds=15)
WATCH_FRESH = timedelta(seconds=15)
"""A proof of watching older than this is none."""

GAP = timedelta(seconds=45)
"""After so long without watch or look, candles tell what was missed."""

CONFIRMED_FOR = timedelta(seconds=15)
"""A crossing confirmed longer ago begins no close: the present may be another."""

ATTENTION_AFTER = timedelta(seconds=120)
HELD_UP_ATTENTION_AFTER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAtGuard:
    """Read position, mark and watch; candles since a time where nobody watched."""

    kind: Literal["look"] = "look"
    gap_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginClose:
    """Begin the close, or hear how the one of this guard ended."""

    kind: Literal["close"] = "close"
    crossing: Crossing


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitForCrossing:
    """Wait for a crossing, a change, or until a time."""

    kind: Literal["wait"] = "wait"
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishGuard:
    """End the guard."""

    kind: Literal["finish"] = "finish"
    status: GuardStatus
    reason: str


GuardStep = LookAtGuard | BeginClose | WaitForCrossing | FinishGuard


def next_step(state: GuardState, now: datetime) -> GuardStep:
    """Return what to do next about a guard that has not ended."""
    if state.status is GuardStatus.CLOSING and state.crossing is not None:
        if state.retry_at is not None and now < state.retry_at:
            return WaitForCrossing(until=state.retry_at)
        return BeginClose(crossing=state.crossing)
    if state.cancel_wanted:
        return FinishGuard(status=GuardStatus.CANCELED, reason="canceled on request")
    if state.retry_at is not None and now < state.retry_at:
        return WaitForCrossing(until=state.retry_at)
    if state.look_due or state.looked_at is None or now >= due_at(state):
        return LookAtGuard(gap_since=_gap_since(state, now))
    return WaitForCrossing(until=due_at(state))


def due_at(state: GuardState) -> datetime:
    """Return when the next look is due: a poll, or the time to close."""
    looked_at = state.looked_at or state.plan.created_at
    pause = POLL_WATCHED if is_watched(state.watch, looked_at) else POLL_UNWATCHED
    at = state.plan.conditions.at
    poll = looked_at + pause
    return poll if at is None else min(poll, max(at, looked_at))


def is_watched(watch: Watch | None, now: datetime) -> bool:
    """Tell whether somebody evaluates the conditions on fresh marks."""
    return watch is not None and now - watch.at <= WATCH_FRESH


def needs_attention(state: GuardState, now: datetime) -> bool:
    """Tell whether neither stream nor poll has worked for long, or another close is in the way."""
    if state.status.is_terminal:
        return False
    held_up, failing = state.held_up_since, state.failing_since
    if held_up is not None and now - held_up > HELD_UP_ATTENTION_AFTER:
        return True
    return (
        failing is not None and now - failing > ATTENTION_AFTER and not is_watched(state.watch, now)
    )


def _gap_since(state: GuardState, now: datetime) -> datetime | None:
    """Return since when nobody has seen the price, if that is long."""
    watched_at = None if state.watch is None else state.watch.at
    seen = [at for at in (state.priced_at or state.looked_at, watched_at) if at is not None]
    if not seen or state.status is not GuardStatus.WATCHING:
        return None
    return max(seen) if now - max(seen) > GAP else None


# What a look brings


def after_look(state: GuardState, sight: GuardSight, now: datetime) -> GuardState:
    """Return the state that follows from a look."""
    state = replace(
        state,
        watch=sight.watch or state.watch,
        attempts=0,
        retry_at=None,
        look_due=False,
    )
    if sight.closed is not None:
        # An earlier run of this guard closed: never again.
        return after_close(state, sight.closed, now, is_flat=sight.position is None)
    position = sight.position
    if position is None:
        return _without_position(state, sight, now)
    if state.side is not None and position.side is not state.side:
        return finished(
            replace(state, position=position),
            GuardStatus.POSITION_FLIPPED,
            f"expected a {state.side} position, found {position.side}: conditions on one side "
            "mean nothing on the other",
            now,
        )
    state = replace(state, position=position, looked_at=sight.at)
    if sight.mark is None:
        return _in_doubt(state, sight, now)
    state = replace(state, mark=sight.mark, priced_at=sight.at, failing_since=None, last_answer="")
    if state.status is GuardStatus.REQUESTED:
        return _accepted(state, sight.mark, now)
    return _judged(state, sight, sight.mark, now)


def _without_position(state: GuardState, sight: GuardSight, now: datetime) -> GuardState:
    state = replace(state, position=None, looked_at=sight.at)
    if state.status is GuardStatus.REQUESTED:
        reason = f"there is no position in {state.plan.symbol} to watch"
        return finished(state, GuardStatus.REFUSED, reason, now)
    if sight.filled_native:
        reason = "the order that rested at the venue closed the position"
        return finished(state, GuardStatus.CLOSED, reason, now)
    return finished(state, GuardStatus.POSITION_GONE, "the position is gone", now)


def _in_doubt(state: GuardState, sight: GuardSight, now: datetime) -> GuardState:
    if state.status is GuardStatus.WATCHING and is_due(state.plan.conditions, now):
        return _triggered(state, _time_crossing(state, now))
    return replace(
        state,
        look_due=True,
        retry_at=now + timedelta(seconds=1),
        failing_since=state.failing_since or now,
        last_answer=f"no price to go by: {sight.doubt}",
    )


def _accepted(state: GuardState, mark: Decimal, now: datetime) -> GuardState:
    """Check the conditions against the present: the first look decides whether they are taken."""
    position = state.position
    assert position is not None  # noqa: S101 - the caller has it
    try:
        conditions = validate(state.plan.conditions, position, mark, now)
    except InvalidInput as error:
        return finished(state, GuardStatus.REFUSED, str(error), now)
    return replace(
        state,
        plan=replace(state.plan, conditions=conditions),
        status=GuardStatus.WATCHING,
        side=position.side,
        extreme=None if conditions.trail is None else Extreme(price=mark, at=now),
    )


def _judged(state: GuardState, sight: GuardSight, mark: Decimal, now: datetime) -> GuardState:
    """Act on a condition that is met now; report one that was met and is not any more."""
    position = state.position
    assert position is not None  # noqa: S101 - the caller has it
    reported, conditions = state.reported, state.plan.conditions
    state = replace(state, reported=None)
    if conditions.trail is not None:
        state = replace(state, extreme=_best(state, sight, reported, mark, now))
    extreme = None if state.extreme is None else state.extreme.price
    source = "poll" if reported is None else reported.source
    crossing = evaluate(conditions, position, mark, extreme=extreme, at=now, source=source)
    if crossing is None and is_due(conditions, now):
        crossing = _time_crossing(state, now)
    if crossing is not None:
        return _triggered(state, crossing)
    state = replace(state, held_up_since=None)
    if reported is not None:
        return with_excursion(state, f"{reported}, not confirmed: mark {plain(mark)}", now)
    missed = _missed(state, sight)
    return state if missed is None else with_excursion(state, missed, now)


def _best(
    state: GuardState,
    sight: GuardSight,
    reported: Crossing | None,
    mark: Decimal,
    now: datetime,
) -> Extreme:
    """Return the best mark known: ours, the stream's, trading's while nobody watched."""
    position = state.position
    assert position is not None  # noqa: S101 - the caller has it
    known = state.extreme or Extreme(price=mark, at=now)
    traded = sight.high if position.is_long else sight.low
    stored = None if sight.extreme is None else sight.extreme.price
    told = None if reported is None else reported.extreme
    for price in (stored, told, traded, mark):
        best = better(position, known.price, price)
        if best is not None and best != known.price:
            known = Extreme(price=best, at=now)
    return known


def _missed(state: GuardState, sight: GuardSight) -> str | None:
    """Return which fixed condition trading met while nobody watched, if one."""
    position = state.position
    if position is None or sight.high is None or sight.low is None:
        return None
    for threshold in thresholds(state.plan.conditions, position, None):
        if threshold.is_met(sight.high) or threshold.is_met(sight.low):
            return (
                f"{threshold} was met while nobody watched (traded {plain(sight.low)} to "
                f"{plain(sight.high)}), and is not any more"
            )
    return None


def _time_crossing(state: GuardState, now: datetime) -> Crossing:
    return Crossing(kind=ConditionKind.TIME, at=now, source="clock")


def _triggered(state: GuardState, crossing: Crossing) -> GuardState:
    return replace(
        state, status=GuardStatus.CLOSING, crossing=crossing, reason=str(crossing), retry_at=None
    )


def with_excursion(state: GuardState, what: str, now: datetime) -> GuardState:
    """Return the state with an excursion kept: it is reported, not acted on."""
    return replace(
        state,
        excursions=state.excursions + 1,
        last_excursion=Excursion(what=what, at=now),
    )


def failed(state: GuardState, answer: str, retry_at: datetime, now: datetime) -> GuardState:
    """Return the state after a look that brought nothing."""
    return replace(
        state,
        attempts=state.attempts + 1,
        retry_at=retry_at,
        look_due=True,
        failing_since=state.failing_since or now,
        last_answer=answer,
    )


# What comes in


def told_of(state: GuardState, crossing: Crossing) -> GuardState:
    """Return the state once the stream has told of a crossing: look at once."""
    if state.status is not GuardStatus.WATCHING:
        return state
    return replace(state, reported=crossing, look_due=True, retry_at=None)


def nudged(state: GuardState) -> GuardState:
    """Return the state once somebody has told that the position changed: look at once."""
    return replace(state, look_due=True)


def taken_up(state: GuardState, kept: GuardState) -> GuardState:
    """Return the state to go on with, where the store has kept one of an earlier run."""
    if kept.status is GuardStatus.REQUESTED:
        return state
    return replace(kept, look_due=True, retry_at=None)


def is_outdated(state: GuardState, now: datetime) -> bool:
    """Tell whether a guard would close by what was seen too long ago: everything was down."""
    crossing = state.crossing
    if state.status is not GuardStatus.CLOSING or crossing is None:
        return False
    return now - crossing.at > CONFIRMED_FOR


def unconfirmed(state: GuardState) -> GuardState:
    """Return the state of a guard that looks anew before it closes.

    A close that it began already is found out by the same look, or by the close's name.
    """
    return replace(
        state, status=GuardStatus.WATCHING, crossing=None, reason="", look_due=True, retry_at=None
    )


def can_change(state: GuardState, sight: GuardSight) -> bool:
    """Tell whether changes can be judged after a look: by its price, not by an older one."""
    return state.status is not GuardStatus.WATCHING or sight.mark is not None


def want_cancel(state: GuardState) -> GuardState:
    """Return the state once its end is asked for; what has triggered already is not stopped."""
    if state.status in (GuardStatus.REQUESTED, GuardStatus.WATCHING):
        return replace(state, cancel_wanted=True)
    return state


def changed(state: GuardState, plan: GuardPlan, now: datetime) -> GuardState:
    """Return the state with another plan, checked against the present price.

    Raises:
        InvalidInput: the new conditions cannot be taken; the old ones go on.
    """
    if state.position is None or state.mark is None:
        raise InvalidInput("conditions", "expected a price to check them by; try again")
    conditions = validate(plan.conditions, state.position, state.mark, now)
    before = state.plan.conditions
    extreme = state.extreme
    if conditions.trail is None:
        extreme = None
    elif before.trail is None or extreme is None:
        extreme = Extreme(price=state.mark, at=now)
    elif evaluate(
        conditions, state.position, state.mark, extreme=extreme.price, at=now, source="change"
    ):
        raise InvalidInput(
            "trail",
            f"it is true already: the best mark was {plain(extreme.price)}, now it is "
            f"{plain(state.mark)}",
        )
    return replace(
        state,
        plan=replace(plan, conditions=conditions, version=state.plan.version + 1),
        extreme=extreme,
        reported=None,
    )


# The close


def after_close(
    state: GuardState, status: CloseStatus, now: datetime, *, is_flat: bool = True, why: str = ""
) -> GuardState:
    """Return the state once the guard's close has ended; `is_flat`: there is no position then."""
    state = replace(state, close_status=status)
    if status.reached_its_aim:
        return finished(state, GuardStatus.CLOSED, state.reason or "it closed", now)
    if status is CloseStatus.POSITION_CHANGED:
        return finished(
            state, GuardStatus.POSITION_FLIPPED, "the position changed sides while closing", now
        )
    if status is CloseStatus.REFUSED and is_flat:
        return finished(
            state, GuardStatus.POSITION_GONE, "the position was gone when the close began", now
        )
    because = f": {why}" if why else ""
    return finished(state, GuardStatus.CLOSE_ENDED, f"the close ended {status}{because}", now)


def held_up(state: GuardState, retry_at: datetime, why: str, now: datetime) -> GuardState:
    """Return the state while another close of the position runs: look again, then decide."""
    return replace(
        state,
        status=GuardStatus.WATCHING,
        crossing=None,
        look_due=True,
        retry_at=retry_at,
        last_answer=why,
        reason="",
        held_up_since=state.held_up_since or now,
    )


def finished(state: GuardState, status: GuardStatus, reason: str, now: datetime) -> GuardState:
    """Return the ended state."""
    return replace(
        state, status=status, reason=reason, ended_at=now, retry_at=None, failing_since=None
    )
