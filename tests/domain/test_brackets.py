"""What a bracket does next: protect what fills, cancel the other, leave nothing unprotected."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain import bracket_steps
from domain.accounts import PositionSide
from domain.bracket_orders import PlaceLeg, leg_order, trigger_price
from domain.bracket_steps import (
    FAILURES_MAX,
    AwaitNews,
    CancelOrders,
    EnterJointly,
    FinishBracket,
    LookAtBracket,
    StartEntry,
    after_look,
    next_step,
)
from domain.brackets import (
    BracketPlan,
    BracketSight,
    BracketState,
    BracketStatus,
    ExitRule,
    LegKind,
    OnFailure,
    OrderNews,
    leg_order_id,
)
from domain.errors import InvalidInput
from domain.instruments import OrderSide
from domain.orders import OrderStatus, OrderType, Origin, TimeInForce
from tests.domain.building import NOW, ORDER_ID, an_order, later
from tests.domain.closing_building import BTC

TARGET, STOP = ExitRule(price=Decimal(110)), ExitRule(price=Decimal(95))


def a_plan(**changes: Any) -> BracketPlan:
    values: dict[str, Any] = {"entry": an_order(), "take_profit": TARGET, "stop_loss": STOP}
    return BracketPlan(**{**values, **changes})


class Life:
    """A bracket that is led through its steps: the orders' news are what a test says."""

    def __init__(self, **plan: Any) -> None:
        self.state = bracket_steps.entered(BracketState(plan=a_plan(**plan)))
        self.news: dict[str, OrderNews] = {}

    def tell(
        self,
        order_id: str,
        status: OrderStatus,
        filled: str | int = 0,
        *,
        reason: str | None = None,
    ) -> None:
        refused = status in (OrderStatus.REJECTED, OrderStatus.DENIED)
        self.news[order_id] = OrderNews(
            order_id=order_id,
            status=status,
            outcome="rejected" if refused else "accepted",
            filled_quantity=Decimal(filled),
            average_price=Decimal(100) if Decimal(filled) else None,
            reason=reason,
        )

    def entry(self, status: OrderStatus, filled: str | int = 0, **more: Any) -> None:
        self.tell(ORDER_ID, status, filled, **more)

    def leg(self, number: int, status: OrderStatus, filled: str | int = 0, **more: Any) -> None:
        self.tell(leg_order_id(ORDER_ID, number), status, filled, **more)

    def look(self, *, held: int | None = None, at: float = 0) -> None:
        sight = BracketSight(
            at=later(at),
            instrument=BTC,
            orders=tuple(self.news.values()),
            held=None if held is None else Decimal(held),
        )
        self.state = after_look(self.state, sight)

    def step(self, at: float = 0) -> Any:
        return next_step(self.state, later(at))

    def place(self) -> PlaceLeg:
        step = self.step()
        assert isinstance(step, PlaceLeg), step
        self.state = bracket_steps.placing(self.state, step)
        return step

    def cancel(self) -> tuple[str, ...]:
        step = self.step()
        assert isinstance(step, CancelOrders), step
        self.state = bracket_steps.canceling(self.state, step.order_ids)
        return step.order_ids

    def protect(self, filled: str | int = 10, status: OrderStatus = OrderStatus.FILLED) -> None:
        """Have the entry fill and both exits rest."""
        self.entry(status, filled)
        self.look()
        assert self.place().leg is LegKind.STOP_LOSS, "the stop comes first"
        assert self.place().leg is LegKind.TAKE_PROFIT
        self.leg(0, OrderStatus.ACCEPTED)
        self.leg(1, OrderStatus.ACCEPTED)
        self.look()


def test_first_the_entry_then_a_look() -> None:
    state = BracketState(plan=a_plan())
    assert next_step(state, NOW) == StartEntry()
    assert next_step(bracket_steps.entered(state), NOW) == LookAtBracket()


def test_a_bracket_canceled_before_it_began() -> None:
    state = bracket_steps.want_cancel(BracketState(plan=a_plan()))
    assert next_step(state, NOW) == EnterJointly(revision=0, send=False), "closed for good"

    first_rules = replace(state, rules=1)
    assert next_step(first_rules, NOW) == FinishBracket(
        status=BracketStatus.CANCELED, reason="canceled_before_sent"
    )


def test_nothing_filled_nothing_protected() -> None:
    life = Life()
    life.entry(OrderStatus.ACCEPTED)
    life.look()

    assert life.step() == AwaitNews()
    assert life.state.status is BracketStatus.ENTERING


def test_what_fills_is_protected() -> None:
    life = Life()
    life.entry(OrderStatus.PARTIALLY_FILLED, 4)
    life.look()

    stop, target = life.place(), life.place()

    assert (stop.quantity, stop.trigger_price) == (Decimal(4), Decimal(95))
    assert (target.quantity, target.trigger_price) == (Decimal(4), Decimal(110))
    assert life.step() == AwaitNews()


def test_more_fills_get_exits_of_their_own() -> None:
    life = Life()
    life.protect(4, OrderStatus.PARTIALLY_FILLED)
    assert life.step() == AwaitNews()

    life.entry(OrderStatus.FILLED, 10)
    life.look()

    assert life.place().quantity == 6
    assert life.place().quantity == 6
    assert life.state.status is BracketStatus.PROTECTING


def test_small_fills_wait_for_more_and_are_put_together_at_the_end() -> None:
    life = Life()
    life.protect("9.95", OrderStatus.PARTIALLY_FILLED)
    life.entry(OrderStatus.PARTIALLY_FILLED, "9.99")
    life.look()
    assert life.step() == AwaitNews()

    life.entry(OrderStatus.CANCELED, "9.99")
    life.look()
    stop = life.place()
    assert (stop.leg, stop.quantity) == (LegKind.STOP_LOSS, Decimal("9.99"))
    target = life.place()
    assert (target.leg, target.quantity) == (LegKind.TAKE_PROFIT, Decimal("9.99"))
    assert life.step() == AwaitNews(), "the old ones stay until the new ones rest"
    life.leg(2, OrderStatus.ACCEPTED)
    life.look()
    assert life.cancel() == (leg_order_id(ORDER_ID, 0),)
    life.leg(3, OrderStatus.ACCEPTED)
    life.look()
    assert life.cancel() == (leg_order_id(ORDER_ID, 1),)


def test_many_exits_are_put_together() -> None:
    life = Life(take_profit=None)
    for number in range(4):
        life.entry(OrderStatus.PARTIALLY_FILLED, 2 * (number + 1))
        life.look()
        assert life.place().quantity == 2
        life.leg(number, OrderStatus.ACCEPTED)
        life.look()
    life.entry(OrderStatus.FILLED, 10)
    life.look()

    assert life.place().quantity == 10
    life.leg(4, OrderStatus.ACCEPTED)
    life.look()
    assert life.cancel() == tuple(leg_order_id(ORDER_ID, number) for number in range(4))


def test_one_cancels_the_other() -> None:
    life = Life()
    life.protect()

    life.leg(1, OrderStatus.FILLED, 10)
    life.look()

    assert life.cancel() == (leg_order_id(ORDER_ID, 0),)
    assert life.step() == AwaitNews()
    life.leg(0, OrderStatus.CANCELED)
    life.look()
    step = life.step()
    assert step.status is BracketStatus.DONE
    assert step.reason == "closed by TAKE_PROFIT 10"
    end = bracket_steps.finished(life.state, step, NOW)
    assert end.status.is_terminal
    assert not end.needs_attention


def test_a_part_that_one_filled_shrinks_the_other() -> None:
    life = Life()
    life.protect()
    life.leg(1, OrderStatus.PARTIALLY_FILLED, 4)
    life.look()

    stop = life.place()

    assert (stop.leg, stop.quantity) == (LegKind.STOP_LOSS, Decimal(6))
    life.leg(2, OrderStatus.ACCEPTED)
    life.look()
    assert life.cancel() == (leg_order_id(ORDER_ID, 0),)
    assert life.step() == AwaitNews()


def test_an_entry_that_never_filled_ends_it() -> None:
    life = Life()
    life.entry(OrderStatus.REJECTED, reason="insufficient margin")
    life.look()

    step = life.step()

    assert step.status is BracketStatus.NOT_ENTERED
    assert step.reason == "REJECTED: insufficient margin"


def test_ending_it_cancels_entry_and_exits() -> None:
    life = Life()
    life.protect(4, OrderStatus.PARTIALLY_FILLED)
    life.state = bracket_steps.want_cancel(life.state)

    assert set(life.cancel()) == {ORDER_ID, *(leg_order_id(ORDER_ID, n) for n in (0, 1))}
    assert life.step() == AwaitNews()
    life.entry(OrderStatus.CANCELED, 4)
    life.leg(0, OrderStatus.CANCELED)
    life.leg(1, OrderStatus.CANCELED)
    life.look()
    assert life.step().status is BracketStatus.CANCELED


def test_a_refused_exit_is_placed_again_then_closed_at_market() -> None:
    life = Life(take_profit=None)
    life.entry(OrderStatus.FILLED, 10)
    life.look()
    for number in range(FAILURES_MAX):
        assert life.place().leg is LegKind.STOP_LOSS
        life.leg(number, OrderStatus.REJECTED, reason="Invalid TP/SL price.")
        life.look()
        assert life.state.needs_attention
        assert life.step() == LookAtBracket(), "the position is asked for"
        life.look(held=10)

    step = life.place()

    assert (step.leg, step.quantity, step.trigger_price) == (LegKind.CLOSE, Decimal(10), None)
    assert life.step() == AwaitNews()
    life.leg(FAILURES_MAX, OrderStatus.FILLED, 10)
    life.look()
    assert life.step().reason == "closed by CLOSE 10"


def test_a_market_close_that_misses_is_placed_again() -> None:
    life = Life(take_profit=None)
    life.entry(OrderStatus.FILLED, 10)
    life.look()
    life.state = replace(life.state, failures=FAILURES_MAX, failed_at=NOW)
    life.place()
    life.leg(0, OrderStatus.CANCELED, 3)
    life.look()
    assert life.step() == LookAtBracket(), "the position is asked for: there may be none"
    life.look(held=7)

    assert life.place().quantity == 7


def test_or_it_only_calls_and_tries_again() -> None:
    life = Life(take_profit=None, on_failure=OnFailure.ALERT)
    life.entry(OrderStatus.FILLED, 10)
    life.look()
    life.state = replace(life.state, failures=FAILURES_MAX, failed_at=NOW)

    assert life.step() == AwaitNews(until=later(60))
    assert life.step(at=61).leg is LegKind.STOP_LOSS
    assert life.state.needs_attention


def test_an_exit_that_went_away_with_the_position() -> None:
    life = Life()
    life.protect()
    life.leg(0, OrderStatus.CANCELED, reason="reduceOnlyCanceled")
    life.leg(1, OrderStatus.CANCELED, reason="reduceOnlyCanceled")
    life.look()
    assert life.step() == LookAtBracket()

    life.look(held=0)
    assert life.step() == AwaitNews(until=later(2)), "the venue may not show the entry's fill yet"
    life.look(held=0, at=2)

    assert life.step().status is BracketStatus.POSITION_GONE


def test_old_failures_are_forgotten() -> None:
    life = Life(take_profit=None)
    life.entry(OrderStatus.FILLED, 10)
    life.look()
    life.state = replace(life.state, failures=2, failed_at=NOW)
    life.place()
    life.leg(0, OrderStatus.REJECTED)

    life.look(at=61)

    assert life.state.failures == 1


def test_a_failed_look_waits() -> None:
    life = Life()
    life.state = bracket_steps.delayed(life.state, later(3), "no answer")

    assert life.step() == AwaitNews(until=later(3))
    assert life.step(at=3) == LookAtBracket()
    assert bracket_steps.stale(life.state).retry_at is None


@pytest.mark.parametrize(
    ("side", "kind", "percent", "price"),
    [
        (OrderSide.BUY, LegKind.TAKE_PROFIT, "10", "110"),
        (OrderSide.BUY, LegKind.STOP_LOSS, "5", "95"),
        (OrderSide.SELL, LegKind.TAKE_PROFIT, "10", "90"),
        (OrderSide.SELL, LegKind.STOP_LOSS, "5", "105"),
        (OrderSide.SELL, LegKind.STOP_LOSS, "3.33", "103.3"),
    ],
)
def test_percentages_are_of_the_entrys_price(
    side: OrderSide, kind: LegKind, percent: str, price: str
) -> None:
    plan = a_plan(entry=an_order(side=side))
    rule = ExitRule(percent=Decimal(percent))

    assert trigger_price(plan, kind, rule, Decimal(100), BTC) == Decimal(price)


def test_a_percentage_needs_a_price() -> None:
    with pytest.raises(InvalidInput):
        trigger_price(a_plan(), LegKind.STOP_LOSS, ExitRule(percent=Decimal(1)), None, BTC)


def test_the_order_of_an_exit() -> None:
    step = PlaceLeg(leg=LegKind.STOP_LOSS, number=2, quantity=Decimal(4), trigger_price=Decimal(95))

    order = leg_order(a_plan(), step, BTC, created_at=NOW, within=timedelta(seconds=15))

    assert order.order_id == leg_order_id(ORDER_ID, 2)
    assert order.order_type is OrderType.STOP_MARKET
    assert order.side is OrderSide.SELL
    assert order.reduce_only
    assert order.trigger_price == 95
    assert order.price == Decimal("90.2"), "5 % below where it triggers, rounded outward"
    assert (order.origin, order.parent_id) == (Origin.BRACKET, ORDER_ID)
    assert a_plan().position_side is PositionSide.LONG


def test_the_order_of_a_market_close_and_of_a_short() -> None:
    plan = a_plan(entry=an_order(side=OrderSide.SELL))
    step = PlaceLeg(leg=LegKind.CLOSE, number=0, quantity=Decimal(4), trigger_price=None)

    order = leg_order(plan, step, BTC, created_at=NOW, within=timedelta(seconds=15))

    assert (order.side, order.price) == (OrderSide.BUY, None)
    assert order.time_in_force is TimeInForce.IOC
    assert plan.position_side is PositionSide.SHORT
    assert BTC.worst_price(OrderSide.BUY, Decimal("100.3"), 500) == Decimal("105.4")
    assert BTC.worst_price(OrderSide.SELL, Decimal("0.1"), 9_999) == Decimal("0.1")
