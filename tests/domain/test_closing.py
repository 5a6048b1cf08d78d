"""What a close does next: target, rounds, timetable, ends; never more than asked, never the other
side."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import close_steps
from domain.accounts import PositionSide
from domain.close_steps import (
    DENIALS_MAX,
    Await,
    CancelClosing,
    Escalate,
    Finish,
    Look,
    PlaceClosing,
    after_child,
    after_look,
    canceling,
    closing_order,
    escalated,
    finished,
    placing,
    want_cancel,
)
from domain.closing import (
    CloseState,
    CloseStatus,
    Escalation,
    OrderSeen,
    Then,
    closing_order_id,
    rungs,
)
from domain.instruments import OrderSide
from domain.orders import OrderStatus, OrderType, Origin, TimeInForce
from tests.domain.building import NOW, later
from tests.domain.closing_building import (
    BTC,
    CLOSE_ID,
    a_plan,
    a_sight,
    begun,
    step_of,
)


def test_first_the_truth_is_read() -> None:
    assert step_of(CloseState(plan=a_plan())) == Look()


@pytest.mark.parametrize(
    ("percent", "held", "target"),
    [
        ("100", "10", "10"),
        ("50", "10", "5"),
        ("33.3", "10", "3.33"),
        ("12.345", "1", "0.12"),
        ("100", "0.05", "0.05"),
        # Below the venue's minimum, but it is all there is.
        ("100", "10.005", "10"),
    ],
)
def test_the_target_is_a_share_of_the_position_in_whole_lots(
    percent: str, held: str, target: str
) -> None:
    state = begun(a_sight(held), percent=Decimal(percent))

    assert state.status is CloseStatus.RUNNING
    assert state.target == Decimal(target)
    assert state.start_quantity == Decimal(held)
    assert state.side is PositionSide.LONG


def test_a_rest_that_could_never_be_closed_is_closed_with_it() -> None:
    strict = a_sight("1", closes_below_minimum=False)

    assert begun(strict, percent=Decimal(95)).target == 1
    assert begun(a_sight("1"), percent=Decimal(95)).target == Decimal("0.95")
    assert begun(strict, percent=Decimal(50)).target == Decimal("0.5")


@pytest.mark.parametrize(
    ("sight", "plan", "says"),
    [
        (a_sight(0), {}, "no position"),
        (a_sight(), {"side": PositionSide.SHORT}, "shows a LONG position"),
        (a_sight("0.15"), {"percent": Decimal(50)}, "below what the venue takes"),
        (a_sight("0.01"), {"percent": Decimal(10)}, "below what the venue takes"),
    ],
)
def test_a_close_of_nothing_is_refused(sight: Any, plan: dict[str, Any], says: str) -> None:
    state = begun(sight, **plan)

    assert state.status is CloseStatus.REFUSED
    assert says in state.reason
    assert state.target is None
    assert state.ended_at == NOW


def test_a_market_close_asks_for_the_target() -> None:
    step = step_of(begun(percent=Decimal(50)))

    assert step == PlaceClosing(number=0, side=OrderSide.SELL, quantity=Decimal(5), price=None)


def test_a_short_position_is_bought_back_at_the_limit() -> None:
    short = a_sight(10, side=PositionSide.SHORT)

    step = step_of(begun(short, limit_price=Decimal(95)))

    assert step == PlaceClosing(
        number=0, side=OrderSide.BUY, quantity=Decimal(10), price=Decimal(95)
    )


def test_the_order_of_a_step() -> None:
    plan = a_plan(origin=Origin.KILL_SWITCH)
    step = PlaceClosing(number=3, side=OrderSide.SELL, quantity=Decimal(2), price=None)

    order = closing_order(plan, step, created_at=NOW, within=timedelta(seconds=15))

    assert order.order_id == closing_order_id(CLOSE_ID, 3)
    assert order.reduce_only
    assert order.order_type is OrderType.MARKET
    assert order.time_in_force is TimeInForce.IOC
    assert order.max_slippage_bps == 100
    assert order.parent_id == CLOSE_ID
    assert order.origin is Origin.KILL_SWITCH
    assert order.place_by == later(15)
    resting = closing_order(
        plan, replace(step, price=Decimal(90)), created_at=NOW, within=timedelta(seconds=15)
    )
    assert resting.order_type is OrderType.LIMIT
    assert resting.time_in_force is TimeInForce.GTC


def placed(state: CloseState) -> CloseState:
    step = step_of(state)
    assert isinstance(step, PlaceClosing), step
    return placing(state, step)


def seen(state: CloseState, status: OrderStatus, filled: str = "0", **more: Any) -> OrderSeen:
    return OrderSeen(
        order_id=closing_order_id(CLOSE_ID, state.orders - 1),
        status=status,
        filled_quantity=Decimal(filled),
        **more,
    )


def test_nothing_else_is_placed_while_one_order_may_live() -> None:
    state = placed(begun())

    assert step_of(state) == Await(until=None)
    assert step_of(state, later(10_000)) == Await(until=None)


def test_each_round_asks_for_the_rest_of_what_is_there() -> None:
    state = after_child(placed(begun(percent=Decimal(50))))
    assert step_of(state) == Look()

    state = after_look(state, a_sight("8", filled=Decimal(2), orders=1))
    assert step_of(state).quantity == 3

    state = after_look(after_child(placed(state)), a_sight("1", filled=Decimal(2), orders=2))
    assert step_of(state) == PlaceClosing(
        number=2, side=OrderSide.SELL, quantity=Decimal(1), price=None
    )


def test_a_grown_position_is_closed_by_no_more_than_the_target() -> None:
    state = after_look(after_child(placed(begun())), a_sight("50", filled=Decimal(4)))

    assert step_of(state).quantity == 6


@pytest.mark.parametrize(
    ("sight", "status"),
    [
        (a_sight("3", filled=Decimal(10)), CloseStatus.DONE),
        (a_sight(0, filled=Decimal(4)), CloseStatus.FLAT),
        (a_sight("3", side=PositionSide.SHORT, filled=Decimal(4)), CloseStatus.POSITION_CHANGED),
        (a_sight("0.005", filled=Decimal(4)), CloseStatus.DUST),
        # 0.05 of the target is left, worth less than the minimum, and it would not close all.
        (a_sight("3", filled=Decimal("9.95")), CloseStatus.DUST),
    ],
)
def test_how_it_ends(sight: Any, status: CloseStatus) -> None:
    state = after_look(after_child(placed(begun())), sight)

    step = step_of(state)

    assert isinstance(step, Finish)
    assert step.status is status
    end = finished(state, step, state.filled, NOW)
    assert end.status is status
    assert end.ended_at == NOW
    assert end.status.reached_its_aim is (status is not CloseStatus.POSITION_CHANGED)


def test_a_small_rest_that_is_all_there_is_goes_where_the_venue_takes_it() -> None:
    ended = after_child(placed(begun()))

    taken = after_look(ended, a_sight("0.05", filled=Decimal("9.95")))
    strict = after_look(ended, a_sight("0.05", filled=Decimal("9.95"), closes_below_minimum=False))

    assert step_of(taken).quantity == Decimal("0.05")
    assert step_of(strict).status is CloseStatus.DUST
    assert step_of(strict).left == Decimal("0.05")


def test_a_market_sell_is_worth_its_bound() -> None:
    """0.101 × 100 is enough; at 1 % below it is not."""
    state = begun(a_sight("10"), percent=Decimal(50))
    state = after_look(after_child(placed(state)), a_sight("5.1", filled=Decimal("4.9")))

    assert step_of(state).status is CloseStatus.DUST


TIMETABLE = Escalation(reprice_every_s=5, reprices=2, then=Then.MARKET)


def test_the_timetable() -> None:
    kinds = [rung.kind for rung in rungs(a_plan(limit_price=Decimal(110), escalation=TIMETABLE))]
    assert kinds == ["limit", "passive", "passive", "market"]
    stays = rungs(a_plan(escalation=replace(TIMETABLE, then=Then.STAY)))
    assert [rung.kind for rung in stays] == ["passive"] * 3
    assert stays[-1].lasts_s is None
    assert [rung.kind for rung in rungs(a_plan())] == ["market"]
    assert [rung.kind for rung in rungs(a_plan(limit_price=Decimal(1)))] == ["limit"]


def test_it_escalates_when_the_time_is_over() -> None:
    state = placed(begun(limit_price=Decimal(110), escalation=TIMETABLE))
    assert step_of(state) == Await(until=later(5))

    step = step_of(state, later(5))
    assert step == CancelClosing(order_ids=(closing_order_id(CLOSE_ID, 0),))
    state = canceling(state, step.order_ids)
    assert step_of(state, later(5)) == Await(until=None), "its end may take long"

    state = after_child(state)
    assert step_of(state, later(6)) == Escalate()
    state = escalated(state, later(6))
    assert state.rung_ends_at == later(11)
    state = after_look(state, a_sight("9", ask=Decimal("101.27"), filled=Decimal(1), orders=1))
    assert step_of(state, later(6)) == PlaceClosing(
        number=1, side=OrderSide.SELL, quantity=Decimal(9), price=Decimal("101.3")
    )


def test_after_the_last_repricing_comes_the_market() -> None:
    state = begun(limit_price=Decimal(110), escalation=TIMETABLE)
    for seconds in (5, 10, 15):
        assert step_of(state, later(seconds)) == Escalate()
        state = escalated(state, later(seconds))

    state = after_look(state, a_sight())

    assert step_of(state, later(20)).price is None
    assert state.rung_ends_at is None


def test_or_it_stops() -> None:
    timetable = replace(TIMETABLE, reprices=0, then=Then.STOP)
    state = escalated(begun(limit_price=Decimal(110), escalation=timetable), later(5))

    step = step_of(after_look(state, a_sight(filled=Decimal(2))), later(5))

    assert step.status is CloseStatus.STOPPED
    assert "closed 2 of 10" in step.reason


def test_without_a_book_the_mark_is_the_passive_price() -> None:
    state = begun(a_sight(10, side=PositionSide.SHORT), escalation=TIMETABLE)

    assert step_of(state).price == 100
    state = after_look(state, a_sight(10, side=PositionSide.SHORT, bid=Decimal("99.99")))
    assert step_of(state).price == Decimal("99.9")


def test_a_stop_cancels_what_is_live_first() -> None:
    state = want_cancel(placed(begun()))

    step = step_of(state)
    assert step == CancelClosing(order_ids=(closing_order_id(CLOSE_ID, 0),))
    state = canceling(state, step.order_ids)
    assert step_of(state) == Await(until=None)
    step = step_of(after_child(state))
    assert step.status is CloseStatus.CANCELED


def test_what_reached_its_target_is_done_whatever_was_asked() -> None:
    state = want_cancel(begun())

    end = finished(state, step_of(state), Decimal(10), NOW)

    assert end.status is CloseStatus.DONE
    assert end.filled == 10


def test_strays_of_other_closes_are_canceled_before_anything_is_placed() -> None:
    state = begun(a_sight(live=("other",)))

    assert step_of(state) == CancelClosing(order_ids=("other",))
    state = canceling(state, ("other",))
    assert state.sight is None
    assert state.child is None


def test_the_longer_others_orders_live_the_rarer_they_are_looked_for() -> None:
    state = begun()
    for looks in (1, 2, 3):
        state = after_look(state, a_sight(live=("other",)))
        assert close_steps.looks_in_vain(state) == looks
        assert state.attempts == 0
    assert close_steps.looks_in_vain(after_look(state, a_sight())) == 0
    own = closing_order_id(CLOSE_ID, 0)
    followed = close_steps.detached(placed(begun()))
    for _ in range(2):
        followed = after_look(followed, a_sight(live=(own,), orders=1))
    assert close_steps.looks_in_vain(followed) == 2


def test_an_order_of_whose_end_nobody_hears_is_looked_for() -> None:
    state = close_steps.detached(placed(begun()))
    own = closing_order_id(CLOSE_ID, 0)
    assert step_of(state) == Look()

    state = after_look(state, a_sight(live=(own,), orders=1))
    assert state.child is not None
    wanted = want_cancel(state)
    step = step_of(wanted)
    assert step == CancelClosing(order_ids=(own,))
    asked = after_look(canceling(wanted, step.order_ids), a_sight(live=(own,), orders=1))
    assert step_of(asked) == step, "its workflow may have been gone: asked again"
    state = close_steps.delayed(state, later(1))
    assert step_of(state) == Await(until=later(1))
    assert step_of(state, later(1)) == Look()

    state = after_look(state, a_sight("4", filled=Decimal(6), orders=1))
    assert state.child is None
    assert step_of(state).quantity == 4


def test_an_earlier_run_is_gone_on_with() -> None:
    earlier = placed(begun())

    state = close_steps.resumed(want_cancel(CloseState(plan=earlier.plan)), earlier)

    assert state.child is not None
    assert not state.child.attached
    assert state.cancel_wanted
    ended = replace(earlier, status=CloseStatus.DONE)
    assert close_steps.resumed(CloseState(plan=earlier.plan), ended) == ended
    fresh = CloseState(plan=earlier.plan)
    assert close_steps.resumed(fresh, fresh) == fresh
    assert close_steps.detached(fresh) == fresh


def test_an_order_that_an_earlier_run_placed_after_it_was_kept_is_looked_for() -> None:
    """Its fills count, its end is waited for, and what is wanted of the close is wanted of it."""
    kept = begun()
    own = closing_order_id(CLOSE_ID, 0)

    state = close_steps.resumed(CloseState(plan=kept.plan), kept, may_come_until=later(15))

    assert state.child is not None
    assert state.child.order_id == own
    assert not state.child.attached
    assert state.orders == 1
    assert step_of(state) == Look()
    assert step_of(want_cancel(state)) == CancelClosing(order_ids=(own,))
    ended = seen(state, OrderStatus.FILLED, "10")
    flat = after_look(state, a_sight(0, filled=Decimal(10), orders=1, newest=ended))
    assert step_of(flat).status is CloseStatus.DONE
    placed_by_it = after_look(state, a_sight(live=(own,), orders=1))
    assert isinstance(step_of(placed_by_it), Look)


def test_an_order_that_may_still_come_is_waited_for() -> None:
    """Its workflow runs, and has come to nothing yet that the store would show."""
    state = close_steps.detached(placed(begun()), may_come_until=later(15))

    early = after_look(state, a_sight(at=later(14)))
    assert early.child is not None
    assert early.child.looks == 1
    late = after_look(early, a_sight(at=later(15)))
    assert late.child is None
    assert late.attempts == 0, "nothing was attempted"
    assert step_of(late).number == 1
    ended = seen(state, OrderStatus.CANCELED)
    told = after_look(early, a_sight(at=later(14), orders=1, newest=ended))
    assert told.child is None
    assert told.attempts == 1


def test_what_brings_nothing_counts_as_an_attempt() -> None:
    state = placed(begun())
    end = seen(state, OrderStatus.CANCELED, reason="no liquidity")

    state = after_look(after_child(state), a_sight(orders=1, newest=end))

    assert state.attempts == 1
    assert state.last_answer == "CANCELED (no liquidity): filled 0"
    again = after_look(state, a_sight(orders=1, newest=end))
    assert again.attempts == 1, "counted once"
    filled = after_look(
        after_child(placed(again)), a_sight("9", orders=2, filled=Decimal(1), newest=end)
    )
    assert filled.attempts == 0


def test_what_we_canceled_ourselves_is_no_attempt() -> None:
    state = placed(begun())
    state = canceling(state, (closing_order_id(CLOSE_ID, 0),))

    assert after_look(after_child(state), a_sight(orders=1)).attempts == 0


def test_orders_that_we_refuse_ourselves_end_it() -> None:
    state = begun()
    for _ in range(DENIALS_MAX):
        state = placed(state)
        end = seen(state, OrderStatus.DENIED, reason="no such account")
        state = after_look(after_child(state), a_sight(orders=state.orders, newest=end))

    step = step_of(state)

    assert step.status is CloseStatus.REFUSED
    assert "no such account" in step.reason


def test_a_failed_look_waits_and_looks_again() -> None:
    state = close_steps.failed(begun(), "no answer")
    state = close_steps.delayed(state, later(2))

    assert state.attempts == 1
    assert step_of(state, later(1)) == Await(until=later(2))
    assert step_of(state, later(2)) == Look()


def test_two_requests_for_the_same() -> None:
    plan = a_plan()

    assert plan.asks_the_same(replace(plan, close_id="other", reason="again"))
    assert not plan.asks_the_same(replace(plan, percent=Decimal(50)))
    assert not plan.asks_the_same(replace(plan, escalation=TIMETABLE))


quantities = st.integers(0, 2000).map(lambda lots: Decimal(lots) * BTC.lot_size)


@given(
    percent=st.integers(1, 100),
    start=st.integers(1, 2000).map(lambda lots: Decimal(lots) * BTC.lot_size),
    rounds=st.lists(
        st.tuples(quantities, st.sampled_from(PositionSide), st.fractions(0, 1)), max_size=8
    ),
)
def test_no_course_of_events_makes_it_ask_for_more(
    percent: int, start: Decimal, rounds: list[tuple[Decimal, PositionSide, Any]]
) -> None:
    """Whatever the venue shows and fills: never above the target, nor what is there, nor the other
    side."""
    state = begun(a_sight(start), percent=Decimal(percent))
    filled = Decimal(0)
    shown = start
    for held, side, share in rounds:
        step = step_of(state)
        if not isinstance(step, PlaceClosing):
            break
        assert state.target is not None
        assert step.side is OrderSide.SELL
        assert 0 < step.quantity <= state.target - filled
        assert step.quantity <= shown
        part = BTC.floor_quantity(step.quantity * share.numerator / share.denominator)
        filled += part
        assert filled <= state.target
        shown = held
        side = side if held else PositionSide.FLAT
        sight = a_sight(held, side=side, mark_price=Decimal(100), filled=filled)
        state = after_look(after_child(placing(state, step)), sight)
