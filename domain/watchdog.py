"""Our own dead man's switch, for venues that have none: when it goes off, and what it leaves alone.

The trading side of an account lives as long as a worker runs, Temporal answers it, and the
account's feed is followed. A worker that sees all three moves the time on; when it stops doing so
the time passes, and the watchdog, a process of its own, cancels. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, TypeVar

from domain.closing import closing_side
from domain.dead_man import DeadManState, DeadManSwitch, Keeper
from domain.external_orders import SeenOrder
from domain.halts import OpenPosition
from domain.orders import Verdict

SeenOrderT = TypeVar("SeenOrderT", bound=SeenOrder)

FEED: Final = "feed"
WATCHDOG: Final = "watchdog"
#: The watchdog says every few seconds that it lives; for so long it is believed.
WATCHDOG_FRESH: Final = timedelta(seconds=15)
#: A wish is not answered before the feed has had so much time to say that it is followed.
FIRST_SIGNS: Final = timedelta(seconds=10)
#: The worker itself cancels when the watchdog has not, so long after the time.
STAND_IN_AFTER: Final = timedelta(seconds=5)

_RENEWALS_IN_TIME: Final = 3
_LOOK_AGAIN: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeSigns:
    """When each part of the trading side was last known to work; None: never."""

    temporal_at: datetime | None
    feed_at: datetime | None
    watchdog_at: datetime | None


def renewed(switch: DeadManSwitch, signs: LifeSigns, now: datetime) -> DeadManSwitch:
    """Return the switch as a worker leaves it that looks at the signs.

    Its time is counted from the last sign of whatever has been silent longest, so that a worker
    that lives alone does not keep an account from being cleared.
    """
    switch = replace(switch, kept_by=Keeper.WATCHDOG)
    if switch.after_s is None:
        return replace(switch, state=DeadManState.OFF, armed_until=None, renew_at=None, reason="")
    after = timedelta(seconds=switch.after_s)
    what, alive_at = _most_silent(signs, now)
    until = None if alive_at is None else alive_at + after
    if until is None or until <= now:
        return _silent(switch, f"{what} has not been seen to work since {_when(alive_at)}", now)
    has_watchdog = signs.watchdog_at is not None and now - signs.watchdog_at <= WATCHDOG_FRESH
    lag = now - (alive_at or now)
    reason = "" if lag < after / _RENEWALS_IN_TIME else f"{what} is silent since {_when(alive_at)}"
    if not has_watchdog:
        reason = "no watchdog runs, or it cannot open the keys: see `perp-dex status`"
    return replace(
        switch,
        state=DeadManState.ARMED if has_watchdog else DeadManState.UNCERTAIN,
        armed_until=until,
        renew_at=now + max((until - now) / _RENEWALS_IN_TIME, _LOOK_AGAIN)
        if not reason
        else now + _LOOK_AGAIN,
        reason=reason,
    )


def is_due(switch: DeadManSwitch, now: datetime, *, grace: timedelta = timedelta(0)) -> bool:
    """Tell whether our watchdog is to cancel now."""
    if switch.after_s is None or switch.armed_until is None:
        return False
    return switch.kept_by is Keeper.WATCHDOG and switch.armed_until + grace <= now


def to_cancel(
    listed: Iterable[SeenOrderT], positions: Iterable[OpenPosition] | None
) -> tuple[SeenOrderT, ...]:
    """Return the orders at the venue that go, which are all but those that protect a position.

    What has a trigger protects if it can only reduce, or if it waits against a position that it
    would not turn, nor turn together with others like it. `positions` None: they are not known, and
    whatever has a trigger is left alone.
    """
    left = {(each.symbol, closing_side(each.side)): each.quantity for each in positions or ()}
    going = []
    for seen in listed:
        if seen.trigger_price is None:
            going.append(seen)
            continue
        if seen.reduce_only or positions is None:
            continue
        place = (seen.symbol, seen.side)
        if seen.verdict is Verdict.ACCEPTED and seen.quantity <= left.get(place, Decimal(0)):
            left[place] -= seen.quantity
        else:
            going.append(seen)
    return tuple(going)


def _silent(switch: DeadManSwitch, reason: str, now: datetime) -> DeadManSwitch:
    """Return a switch whose trading side is gone: its time stays, and passes."""
    is_new = switch.armed_until is None and now - switch.set_at < FIRST_SIGNS
    state = DeadManState.ARMING if is_new else switch.state
    if not is_new and switch.armed_until is None:
        state = DeadManState.UNCERTAIN
    return replace(switch, state=state, renew_at=now + _LOOK_AGAIN, reason=reason)


def _most_silent(signs: LifeSigns, now: datetime) -> tuple[str, datetime | None]:
    seen = (("Temporal", signs.temporal_at), ("the account's feed", signs.feed_at))
    for what, at in seen:
        if at is None:
            return what, None
    return min(
        ((what, min(at, now)) for what, at in seen if at is not None), key=lambda one: one[1]
    )


def _when(at: datetime | None) -> str:
    return "this process began" if at is None else f"{at:%Y-%m-%d %H:%M:%S}Z"
