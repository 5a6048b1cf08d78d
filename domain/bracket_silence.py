"""Which orders of a bracket have been silent too long: their workflows may have been terminated.

What is done about it is decided in `domain.bracket_steps`. Knows no workflow, venue or clock.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from domain.bracket_orders import PlaceLeg
from domain.brackets import BracketState

ASK_AGAIN = timedelta(seconds=30)
"""So long an order may be silent. Longer than an exit has to be sent, so that one that is begun
again is not sent any more: it may be of a quantity that nobody wants now."""


def is_entry_silent(state: BracketState, now: datetime) -> bool:
    """Tell whether the entry was started long ago and nothing is known of it."""
    return state.entry is None and _is_over(state.entry_started_at, now)


def silent_exit(state: BracketState, now: datetime) -> PlaceLeg | None:
    """Return the first exit that was started long ago and that nothing is known of."""
    for number, leg in enumerate(state.legs):
        if leg.news is None and not leg.joint and _is_over(leg.started_at, now):
            return PlaceLeg(
                leg=leg.kind,
                number=number,
                quantity=leg.quantity,
                trigger_price=leg.trigger_price,
                begun_at=leg.started_at,
            )
    return None


def overdue_ends(state: BracketState, now: datetime) -> tuple[str, ...]:
    """Return the orders whose end was asked for long ago and is not known."""
    return _ending(state) if _is_over(state.cancels_asked_at, now) else ()


def silent_until(state: BracketState) -> datetime | None:
    """Return when the first silence becomes too long; None: nothing is silent."""
    since = [
        leg.started_at
        for leg in state.legs
        if leg.news is None and not leg.joint and leg.started_at is not None
    ]
    if state.entry is None and state.entry_started_at is not None:
        since.append(state.entry_started_at)
    if state.cancels_asked_at is not None and _ending(state):
        since.append(state.cancels_asked_at)
    return min(since) + ASK_AGAIN if since else None


def _is_over(since: datetime | None, now: datetime) -> bool:
    return since is not None and now - since >= ASK_AGAIN


def _ending(state: BracketState) -> tuple[str, ...]:
    legs = [leg.order_id for leg in state.legs if leg.cancel_asked and not leg.is_terminal]
    is_entry = state.entry_cancel_asked and not state.entry_ended
    return (state.plan.bracket_id, *legs) if is_entry else tuple(legs)
