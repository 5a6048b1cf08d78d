"""Our own dead man's switch: what keeps it from going off, and which orders it leaves alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from domain.accounts import PositionSide
from domain.dead_man import DeadManState, DeadManSwitch, Keeper
from domain.halts import OpenPosition
from domain.instruments import OrderSide
from domain.orders import Verdict
from domain.watchdog import LifeSigns, is_due, renewed, to_cancel

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
AFTER_S = 60
SWITCH = DeadManSwitch(
    account_id="a",
    after_s=AFTER_S,
    state=DeadManState.ARMING,
    set_by="local",
    set_at=NOW,
)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def signs(
    temporal: float | None = 0, feed: float | None = 0, watchdog: float | None = 0
) -> LifeSigns:
    at = [None if each is None else ago(each) for each in (temporal, feed, watchdog)]
    return LifeSigns(temporal_at=at[0], feed_at=at[1], watchdog_at=at[2])


def test_while_all_lives_the_time_moves_on() -> None:
    armed = renewed(SWITCH, signs(), NOW)
    assert (armed.state, armed.kept_by, armed.reason) == (DeadManState.ARMED, Keeper.WATCHDOG, "")
    assert armed.armed_until == NOW + timedelta(seconds=AFTER_S)
    assert armed.renew_at == NOW + timedelta(seconds=AFTER_S / 3)
    assert armed.is_armed(NOW)
    assert not is_due(armed, NOW)
    assert is_due(armed, NOW + timedelta(seconds=AFTER_S))


def test_the_time_is_counted_from_what_has_been_silent_longest() -> None:
    for found, what in (
        (signs(temporal=30), "Temporal"),
        (signs(feed=30), "the account's feed"),
        (signs(temporal=10, feed=30), "the account's feed"),
    ):
        armed = renewed(SWITCH, found, NOW)
        assert armed.armed_until == NOW + timedelta(seconds=30)
        assert armed.reason.startswith(f"{what} is silent")
        assert armed.renew_at == NOW + timedelta(seconds=1)


def test_a_worker_that_lives_alone_keeps_nothing_from_going_off() -> None:
    armed = renewed(SWITCH, signs(), NOW)
    for later in (20, 40, 59, 61):
        at = NOW + timedelta(seconds=later)
        found = LifeSigns(temporal_at=NOW, feed_at=at, watchdog_at=at)
        armed = renewed(armed, found, at)
        assert armed.armed_until == NOW + timedelta(seconds=AFTER_S)
    assert is_due(armed, NOW + timedelta(seconds=61))
    back = renewed(armed, signs(feed=-62, temporal=-62, watchdog=-62), NOW + timedelta(seconds=62))
    assert back.state is DeadManState.ARMED
    assert not is_due(back, NOW + timedelta(seconds=62))


def test_without_a_watchdog_it_is_never_told_as_armed() -> None:
    for found in (signs(watchdog=None), signs(watchdog=60)):
        alone = renewed(SWITCH, found, NOW)
        assert alone.state is DeadManState.UNCERTAIN
        assert not alone.is_armed(NOW)
        assert "no watchdog runs" in alone.reason
        # The worker would still stand in.
        assert is_due(alone, NOW + timedelta(seconds=AFTER_S))


def test_a_new_wish_waits_a_while_for_the_first_signs() -> None:
    waiting = renewed(SWITCH, signs(feed=None), NOW + timedelta(seconds=1))
    assert (waiting.state, waiting.armed_until) == (DeadManState.ARMING, None)
    late = renewed(SWITCH, signs(feed=None), NOW + timedelta(seconds=20))
    assert (late.state, late.armed_until) == (DeadManState.UNCERTAIN, None)
    assert "the account's feed" in late.reason
    assert not is_due(late, NOW + timedelta(days=1))


def test_off_is_off() -> None:
    off = renewed(replace(SWITCH, after_s=None, armed_until=ago(5)), signs(), NOW)
    assert (off.state, off.armed_until, off.renew_at) == (DeadManState.OFF, None, None)
    assert not is_due(off, NOW)


def test_only_our_own_are_due_and_the_stand_in_waits() -> None:
    gone = replace(SWITCH, kept_by=Keeper.WATCHDOG, armed_until=ago(3))
    assert is_due(gone, NOW)
    assert not is_due(gone, NOW, grace=timedelta(seconds=5))
    assert not is_due(replace(gone, kept_by=Keeper.VENUE), NOW)
    assert not is_due(replace(gone, kept_by=None), NOW)


# Which orders go


@dataclass(frozen=True, kw_only=True)
class Seen:
    venue_order_id: str = "1"
    client_order_id: str | None = None
    symbol: str = "BTC-PERP"
    side: OrderSide = OrderSide.SELL
    quantity: Decimal = Decimal(1)
    price: Decimal | None = None
    verdict: Verdict = Verdict.ACCEPTED
    filled_quantity: Decimal | None = Decimal(0)
    reduce_only: bool = False
    trigger_price: Decimal | None = None
    created_at: datetime | None = None


LONG = OpenPosition(symbol="BTC-PERP", side=PositionSide.LONG, quantity=Decimal(1))
STOP = Seen(trigger_price=Decimal(30_000))


def test_what_rests_goes_whether_or_not_it_reduces() -> None:
    resting = Seen(price=Decimal(50_000))
    target = Seen(price=Decimal(50_000), reduce_only=True)
    assert to_cancel([resting, target], [LONG]) == (resting, target)


def test_what_can_only_reduce_and_waits_stays_with_or_without_a_position() -> None:
    stop = replace(STOP, reduce_only=True)
    triggered = replace(stop, verdict=Verdict.TRIGGERED)
    assert to_cancel([stop, triggered], []) == ()
    assert to_cancel([stop, triggered], None) == ()


def test_a_stop_that_may_turn_the_position_goes() -> None:
    fits, more = replace(STOP, quantity=Decimal(1)), replace(STOP, quantity=Decimal(2))
    assert to_cancel([fits], [LONG]) == ()
    assert to_cancel([more], [LONG]) == (more,)
    assert to_cancel([fits, fits], [LONG]) == (fits,)
    assert to_cancel([fits], []) == (fits,)
    assert to_cancel([replace(fits, side=OrderSide.BUY)], [LONG]) != ()
    assert to_cancel([replace(fits, symbol="ETH-PERP")], [LONG]) != ()
    assert to_cancel([replace(fits, verdict=Verdict.TRIGGERED)], [LONG]) != ()


def test_where_positions_are_not_known_whatever_waits_stays() -> None:
    assert to_cancel([STOP, Seen(price=Decimal(1))], None) == (Seen(price=Decimal(1)),)
