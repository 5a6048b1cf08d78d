"""What a split order's workflow does next. Pure functions of what is known; no clock, no I/O.

Children are begun once, all together. A child that is refused is said to be; its share goes nowhere
else. Whoever wants the end has every child canceled, and none begun any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from domain.brackets import OrderNews
from domain.splits import SplitSight, SplitState, SplitStatus, ended_in_words


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAtLegs:
    """Read how the children stand."""

    kind: Literal["look"] = "look"


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginLegs:
    """Begin these children."""

    kind: Literal["begin"] = "begin"
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelLegs:
    """Cancel these children."""

    kind: Literal["cancel"] = "cancel"
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitLegs:
    """Wait for news of the children."""

    kind: Literal["await"] = "await"


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishSplit:
    """End: nothing of any child can trade any more."""

    kind: Literal["finish"] = "finish"
    status: SplitStatus
    reason: str


SplitStep = LookAtLegs | BeginLegs | CancelLegs | AwaitLegs | FinishSplit


def next_step(state: SplitState) -> SplitStep:
    """Return what to do next for a split order that has not ended."""
    if not state.fresh:
        return LookAtLegs()
    if state.cancel_wanted:
        to_cancel = tuple(
            leg.number
            for leg in state.legs
            if leg.begun and not leg.has_ended and not leg.cancel_asked
        )
        if to_cancel:
            return CancelLegs(numbers=to_cancel)
    else:
        to_begin = tuple(leg.number for leg in state.legs if not leg.confirmed)
        if to_begin:
            return BeginLegs(numbers=to_begin)
    if all(leg.has_ended or not leg.begun for leg in state.legs):
        status, reason = ended_in_words(state)
        return FinishSplit(status=status, reason=reason)
    return AwaitLegs()


def beginning(state: SplitState, numbers: Collection[int]) -> SplitState:
    """Return the state with children that are being begun."""
    return replace(
        state,
        status=SplitStatus.WORKING,
        legs=tuple(
            replace(leg, begun=True) if leg.number in numbers else leg for leg in state.legs
        ),
    )


def begun(state: SplitState, numbers: Collection[int]) -> SplitState:
    """Return the state with children whose workflows run, or ran."""
    legs = (
        replace(leg, begun=True, confirmed=True) if leg.number in numbers else leg
        for leg in state.legs
    )
    return replace(state, legs=tuple(legs))


def canceling(
    state: SplitState, numbers: Collection[int], unreachable: Collection[int]
) -> SplitState:
    """Return the state with children asked to be canceled; some have no workflow to ask.

    What those are is looked up: an order that has ended is stored.
    """
    return replace(
        state,
        fresh=state.fresh and not unreachable,
        legs=tuple(
            replace(leg, cancel_asked=True, unreachable=leg.number in unreachable)
            if leg.number in numbers
            else leg
            for leg in state.legs
        ),
    )


def with_news(state: SplitState, orders: Iterable[OrderNews]) -> SplitState:
    """Return the state with what the store has of the children."""
    news = {order.order_id: order for order in orders}
    legs = (
        replace(leg, news=news[leg.order_id], begun=True, confirmed=True)
        if leg.order_id in news
        else leg
        for leg in state.legs
    )
    return replace(state, legs=tuple(legs))


def after_look(state: SplitState, sight: SplitSight) -> SplitState:
    """Return the state after a look: nothing newer is known."""
    return replace(with_news(state, sight.orders), fresh=True)


def stale(state: SplitState) -> SplitState:
    """Return the state after news: it has to be looked at."""
    return replace(state, fresh=False)


def overdue(state: SplitState) -> SplitState:
    """Return the state after silence: a child that did not end is asked for it once more."""
    legs = (replace(leg, cancel_asked=leg.cancel_asked and leg.has_ended) for leg in state.legs)
    return replace(state, fresh=False, legs=tuple(legs))


def resumed(kept: SplitState) -> SplitState:
    """Return the state to go on from after an earlier run died; `kept` is what it wrote last.

    A child of which nothing is known may never have been begun: it is begun once more, which does
    nothing to one that runs. Who wants the end asks each that may run to be canceled.
    """
    legs = (
        replace(leg, confirmed=leg.news is not None, cancel_asked=False, unreachable=False)
        for leg in kept.legs
    )
    return replace(kept, legs=tuple(legs), fresh=False)


def want_cancel(state: SplitState) -> SplitState:
    """Return the state with the wish that every child ends."""
    return replace(state, cancel_wanted=True)


def finished(state: SplitState, step: FinishSplit, now: datetime) -> SplitState:
    """Return the ended state."""
    return replace(state, status=step.status, reason=step.reason, ended_at=now)
