"""What a bracket does when its orders are silent, its position is gone, or its first run died."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from domain import bracket_steps
from domain.bracket_orders import PlaceLeg
from domain.bracket_steps import (
    FAILURES_MAX,
    AwaitNews,
    CancelOrders,
    LookAtBracket,
    StartEntry,
    next_step,
)
from domain.brackets import BracketState, BracketStatus, ExitRule, LegKind, leg_order_id
from domain.orders import OrderStatus, OrderType
from tests.domain.building import NOW, ORDER_ID, an_order, later
from tests.domain.test_brackets import Life, a_plan

STOP_ID, TARGET_ID = leg_order_id(ORDER_ID, 0), leg_order_id(ORDER_ID, 1)


def test_an_entry_that_is_not_stored_yet_is_waited_for_and_begun_again() -> None:
    life = Life()
    life.state = bracket_steps.entered(BracketState(plan=a_plan()), NOW)
    life.look()

    assert life.step() == AwaitNews(until=later(30)), "it does not look again and again"
    assert life.step(at=30) == StartEntry(), "its workflow may have been terminated"
    life.state = bracket_steps.entered(life.state, later(30))
    life.look()
    assert life.step(at=30) == AwaitNews(until=later(60))


def test_an_exit_that_nobody_heard_of_is_begun_again_without_being_sent() -> None:
    life = Life(take_profit=None)
    life.entry(OrderStatus.FILLED, 10)
    life.look()
    first = life.step()
    assert isinstance(first, PlaceLeg)
    life.state = bracket_steps.placing(life.state, first, NOW)
    assert life.step() == AwaitNews(until=later(30))

    again = life.step(at=30)

    assert again == replace(first, begun_at=NOW), "of the same number: the ledger knows it"
    life.state = bracket_steps.placing(life.state, again, later(30))
    assert len(life.state.legs) == 1
    assert life.step(at=30) == AwaitNews(until=later(60))
    life.leg(0, OrderStatus.EXPIRED)
    life.look()
    life.look(held=10)
    assert life.place().number == 1, "another protects what is open"


def test_an_end_that_does_not_come_is_asked_for_again() -> None:
    life = Life()
    life.protect()
    life.leg(1, OrderStatus.FILLED, 10)
    life.look()
    step = life.step()
    assert step == CancelOrders(order_ids=(STOP_ID,))
    life.state = bracket_steps.canceling(life.state, step.order_ids, NOW)

    assert life.step() == AwaitNews(until=later(30))
    assert life.step(at=30) == CancelOrders(order_ids=(STOP_ID,))


def test_the_end_of_the_entry_is_asked_for_again_too() -> None:
    life = Life()
    life.entry(OrderStatus.ACCEPTED)
    life.look()
    life.state = bracket_steps.want_cancel(life.state)
    step = life.step()
    life.state = bracket_steps.canceling(life.state, step.order_ids, NOW)

    assert life.step(at=31) == CancelOrders(order_ids=(ORDER_ID,))


def test_a_position_that_is_gone_stays_gone_while_its_exits_end() -> None:
    life = Life()
    life.protect()
    life.leg(0, OrderStatus.CANCELED)
    life.look()
    life.look(held=0)
    assert life.state.position_doubted, "asked for again"
    life.look(held=0, at=2)

    assert life.cancel() == (TARGET_ID,)
    life.leg(1, OrderStatus.CANCELED)
    life.look(held=0, at=3)

    assert life.step().status is BracketStatus.POSITION_GONE, "nothing new is placed for it"


def test_a_position_that_is_shown_after_all_is_protected() -> None:
    life = Life()
    life.protect()
    life.leg(0, OrderStatus.REJECTED)
    life.look()
    life.look(held=0)
    life.look(held=10, at=2)

    assert life.place().leg is LegKind.STOP_LOSS


def test_a_position_gone_under_a_resting_entry_ends_that_too() -> None:
    life = Life()
    life.protect(4, OrderStatus.PARTIALLY_FILLED)
    life.leg(0, OrderStatus.CANCELED)
    life.look()
    life.look(held=0)
    life.look(held=0, at=2)

    assert set(life.cancel()) == {ORDER_ID, TARGET_ID}


def test_a_silent_bracket_asks_for_its_position() -> None:
    """Not every venue ends reduce-only orders of a position that somebody else has closed."""
    life = Life()
    life.protect()

    life.state = bracket_steps.unheard(life.state)

    assert life.step() == LookAtBracket()
    assert life.state.position_doubted
    resting = bracket_steps.entered(BracketState(plan=a_plan()))
    assert not bracket_steps.unheard(resting).position_doubted, "it costs the venue a question"


def test_a_market_close_of_a_position_that_is_gone_is_not_placed_for_ever() -> None:
    life = Life(take_profit=None)
    life.entry(OrderStatus.FILLED, 10)
    life.look()
    life.state = replace(life.state, failures=FAILURES_MAX, failed_at=NOW)
    assert life.place().leg is LegKind.CLOSE
    life.leg(0, OrderStatus.REJECTED, reason="reduce only order would increase position")
    life.look()
    assert life.state.failures == FAILURES_MAX + 1, "so that there is a pause"

    life.look(held=0)
    life.look(held=0, at=2)

    assert life.step().status is BracketStatus.POSITION_GONE


def test_what_ended_before_its_end_was_wished_is_told_as_it_ended() -> None:
    life = Life(take_profit=None)
    life.entry(OrderStatus.FILLED, 10)
    life.look()
    life.place()
    life.leg(0, OrderStatus.FILLED, 10)
    life.look()
    life.state = bracket_steps.want_cancel(life.state)
    assert life.step().status is BracketStatus.DONE

    life = Life()
    life.entry(OrderStatus.CANCELED)
    life.look()
    life.state = bracket_steps.want_cancel(life.state)
    step = life.step()
    assert (step.status, step.reason) == (BracketStatus.CANCELED, "canceled; nothing was entered")


def test_looks_that_fail_have_their_pauses_while_its_end_is_wished() -> None:
    life = Life()
    life.protect()
    life.state = bracket_steps.delayed(life.state, later(3), "look failed")
    life.state = bracket_steps.want_cancel(life.state)
    assert life.step() == LookAtBracket(), "the wish itself waits for nothing"

    life.state = bracket_steps.delayed(life.state, later(3), "look failed")

    assert life.step() == AwaitNews(until=later(3))
    hurrying = replace(life.state, rules=1)
    assert next_step(hurrying, NOW) == LookAtBracket()


def test_a_wish_to_end_it_outlives_the_taking_up_of_what_is_kept() -> None:
    life = Life()
    life.protect()
    fresh = bracket_steps.want_cancel(BracketState(plan=a_plan()))

    state = bracket_steps.resumed(fresh, life.state)

    assert state.cancel_wanted
    assert state.legs == life.state.legs
    assert next_step(state, NOW) == LookAtBracket()
    assert bracket_steps.resumed(fresh, BracketState(plan=a_plan())) is fresh


def test_a_percentage_waits_for_the_price_it_is_of() -> None:
    """Some venues tell how much has filled before they tell at which price."""
    market = an_order(order_type=OrderType.MARKET, price=None)
    life = Life(entry=market, stop_loss=ExitRule(percent=Decimal(5)))
    life.entry(OrderStatus.FILLED, 10)
    life.news[ORDER_ID] = replace(life.news[ORDER_ID], average_price=None)
    life.look()

    assert life.place().leg is LegKind.TAKE_PROFIT, "whose price is fixed"
    assert life.step() == AwaitNews(until=later(2))
    life.entry(OrderStatus.FILLED, 10)
    life.look()
    stop = life.place()
    assert (stop.leg, stop.trigger_price) == (LegKind.STOP_LOSS, Decimal(95))


def test_earlier_decisions_go_on_in_histories_that_have_them() -> None:
    life = Life()
    life.state = replace(life.state, rules=1)
    life.look()
    assert life.step() == LookAtBracket()
    life.protect()
    assert not bracket_steps.unheard(life.state).position_doubted
    life.leg(0, OrderStatus.CANCELED)
    life.leg(1, OrderStatus.CANCELED)
    life.look()
    life.look(held=0)
    assert life.step().status is BracketStatus.POSITION_GONE
