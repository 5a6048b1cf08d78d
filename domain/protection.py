"""Who closes a position when it goes wrong: the venue by orders that rest there, a guard, or both.

A target alone protects nothing. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from domain.conditions import ConditionKind, Direction, thresholds
from domain.guarding import GuardState
from domain.positions import Protection


def protections(
    guards: Iterable[GuardState], bracketed: Iterable[str] = ()
) -> dict[str, Protection]:
    """Return by symbol who protects an account's positions.

    `guards` are those that watch or close now, `bracketed` the symbols of brackets whose stop rests
    at the venue.
    """
    guarded, at_venue = set[str](), set(bracketed)
    for state in guards:
        kinds = _stops(state)
        if kinds or state.plan.conditions.at is not None:
            guarded.add(state.plan.symbol)
        if any(order.is_live and order.kind in kinds for order in state.native_orders):
            at_venue.add(state.plan.symbol)
    found: dict[str, Protection] = {}
    for symbol in guarded | at_venue:
        if symbol not in at_venue:
            found[symbol] = Protection.GUARD
        else:
            found[symbol] = Protection.BOTH if symbol in guarded else Protection.VENUE
    return found


def _stops(state: GuardState) -> set[ConditionKind]:
    """Return the conditions that close when the price goes against the position."""
    position = state.position
    if position is None:
        return set()
    against = Direction.BELOW if position.is_long else Direction.ABOVE
    extreme = None if state.extreme is None else state.extreme.price
    return {
        each.kind
        for each in thresholds(state.plan.conditions, position, extreme)
        if each.direction is against
    }
