"""What a native bracket does next: entry and exits together, exits of ours where those sleep."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain import bracket_steps, lifecycle
from domain.bracket_orders import PlaceLeg, joint_exits, joint_order_ids
from domain.bracket_steps import (
    AwaitNews,
    CancelOrders,
    EnterJointly,
    FinishBracket,
    LookAtBracket,
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
    OrderNews,
    ProtectedBy,
    leg_order_id,
    news_of,
)
from domain.errors import InvalidInput
from domain.lifecycle import Close, Lifecycle, Wait
from domain.order_fold import with_absence, with_revision
from domain.orders import Order, OrderStatus, OrderType, Revision, Verdict
from tests.domain.building import NOW, ORDER_ID, an_order, later
from tests.domain.closing_building import BTC

TARGET, STOP = ExitRule(price=Decimal(110)), ExitRule(price=Decimal(95))
STOP_ID, TARGET_ID = leg_order_id(ORDER_ID, 0), leg_order_id(ORDER_ID, 1)


def a_plan(**changes: Any) -> BracketPlan:
    values: dict[str, Any] = {
        "entry": an_order(joint=True),
        "take_profit": TARGET,
        "stop_loss": STOP,
        "native": True,
    }
    return BracketPlan(**{**values, **changes})


class Life:
    """A native bracket that is led through its steps, once entry and exits are placed."""

    def __init__(self, **plan: Any) -> None:
        asked = a_plan(**plan)
        exits = joint_exits(asked, BTC, created_at=NOW)
        self.state = bracket_steps.entered_jointly(BracketState(plan=asked), exits)
        self.news: dict[str, OrderNews] = {}

    def tell(
        self, order_id: str, status: OrderStatus, filled: int = 0, *, absent: int | None = None
    ) -> None:
        unplaced = status in (OrderStatus.REJECTED, OrderStatus.DENIED) or absent is not None
        self.news[order_id] = OrderNews(
            order_id=order_id,
            status=status,
            outcome="rejected" if unplaced else "accepted",
            filled_quantity=Decimal(filled),
            average_price=Decimal(100) if filled else None,
            absent=absent,
        )

    def entry(self, status: OrderStatus, filled: int = 0) -> None:
        self.tell(ORDER_ID, status, filled)

    def exits(self, status: OrderStatus) -> None:
        self.tell(STOP_ID, status)
        self.tell(TARGET_ID, status)

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

    def kept_by(self) -> ProtectedBy | None:
        return self.state.protected_by

    def place(self) -> PlaceLeg:
        step = self.step()
        assert isinstance(step, PlaceLeg), step
        self.state = bracket_steps.placing(self.state, step)
        self.tell(self.state.legs[-1].order_id, OrderStatus.ACCEPTED)
        return step

    def cancel(self) -> tuple[str, ...]:
        step = self.step()
        assert isinstance(step, CancelOrders), step
        self.state = bracket_steps.canceling(self.state, step.order_ids)
        return step.order_ids

    def partly(self) -> None:
        """Have a part of the entry fill, and exits of ours protect it."""
        self.entry(OrderStatus.PARTIALLY_FILLED, 4)
        self.exits(OrderStatus.ACCEPTED)
        self.look()
        assert [self.place().quantity, self.place().quantity] == [4, 4]
        self.look()
        assert self.step() == AwaitNews()


def test_entry_and_exits_are_placed_together() -> None:
    state = BracketState(plan=a_plan())
    assert next_step(state, NOW) == EnterJointly(revision=0)

    waiting = bracket_steps.delayed(state, later(1), "not placed")
    assert next_step(waiting, NOW) == AwaitNews(until=later(1))
    unwanted = bracket_steps.want_cancel(waiting)
    assert next_step(unwanted, NOW) == EnterJointly(revision=0, send=False)


def test_the_exits_are_of_the_whole_and_have_names_of_their_own() -> None:
    plan = a_plan()

    stop, target = joint_exits(plan, BTC, created_at=NOW)

    assert (stop.order_id, target.order_id) == joint_order_ids(plan) == (STOP_ID, TARGET_ID)
    assert (stop.order_type, target.order_type) == (
        OrderType.STOP_MARKET,
        OrderType.TAKE_PROFIT_MARKET,
    )
    for order, trigger in ((stop, Decimal(95)), (target, Decimal(110))):
        assert (order.quantity, order.trigger_price) == (plan.entry.quantity, trigger)
        assert order.reduce_only
        assert order.joint
        assert order.place_by == plan.entry.place_by
        assert order.side is plan.entry.side.opposite
    assert joint_order_ids(a_plan(stop_loss=None)) == (STOP_ID,), "numbered without gaps"


def test_a_percentage_is_one_of_the_entrys_price() -> None:
    rules = {"take_profit": None, "stop_loss": ExitRule(percent=Decimal(10))}
    (stop,) = joint_exits(a_plan(**rules), BTC, created_at=NOW)
    assert stop.trigger_price == 90

    market = an_order(order_type=OrderType.MARKET, price=None)
    with pytest.raises(InvalidInput, match="percentage"):
        joint_exits(a_plan(entry=market, **rules), BTC, created_at=NOW)


def test_what_was_refused_has_no_exits() -> None:
    state = bracket_steps.entered_jointly(BracketState(plan=a_plan()), ())
    assert state.legs == ()
    assert next_step(state, NOW) == LookAtBracket()


def test_nothing_is_to_do_while_all_of_it_rests() -> None:
    life = Life()
    life.entry(OrderStatus.ACCEPTED)
    life.exits(OrderStatus.ACCEPTED)
    life.look()

    assert life.step() == AwaitNews()
    assert life.kept_by() is ProtectedBy.VENUE


def test_a_whole_fill_is_kept_by_the_venue() -> None:
    life = Life()
    life.entry(OrderStatus.FILLED, 10)
    life.exits(OrderStatus.ACCEPTED)
    life.look()

    assert life.step() == AwaitNews()
    assert life.state.status is BracketStatus.PROTECTING
    assert life.kept_by() is ProtectedBy.VENUE

    life.tell(TARGET_ID, OrderStatus.FILLED, 10)
    life.tell(STOP_ID, OrderStatus.CANCELED)
    life.look()
    end = life.step()
    assert isinstance(end, FinishBracket)
    assert (end.status, end.reason) == (BracketStatus.DONE, "closed by TAKE_PROFIT 10")
    assert life.state.failures == 0, "the venue took the other away"


def test_an_exit_in_doubt_is_waited_for() -> None:
    life = Life()
    life.entry(OrderStatus.FILLED, 10)
    life.look()

    assert life.step() == AwaitNews(), "its acceptance, or its end, is told"
    assert life.kept_by() is ProtectedBy.WORKFLOW


def test_a_part_is_protected_by_us_until_the_rest_has_filled() -> None:
    life = Life()
    life.partly()
    assert life.kept_by() is ProtectedBy.WORKFLOW

    life.entry(OrderStatus.FILLED, 10)
    life.look()
    assert life.kept_by() is ProtectedBy.VENUE
    own = [leg.order_id for leg in life.state.legs if not leg.joint]
    assert life.cancel() + life.cancel() == tuple(own)
    assert life.step() == AwaitNews()


def test_sleeping_exits_go_with_an_entry_that_ended_in_part() -> None:
    life = Life()
    life.partly()

    life.entry(OrderStatus.CANCELED, 4)
    life.look()

    assert life.cancel() == (STOP_ID,), "asked to go, so that their end is proven"
    assert life.cancel() == (TARGET_ID,)
    life.exits(OrderStatus.CANCELED)
    life.look()
    assert life.step() == AwaitNews()
    assert life.state.failures == 0
    assert life.kept_by() is ProtectedBy.WORKFLOW


def test_they_stay_until_ours_rest() -> None:
    """The venue may have woken them: of an entry that it cut for lack of margin."""
    life = Life()
    life.entry(OrderStatus.CANCELED, 4)
    life.exits(OrderStatus.ACCEPTED)
    life.look()
    stop = life.step()
    assert isinstance(stop, PlaceLeg)
    life.state = bracket_steps.placing(life.state, stop)

    target = life.step()
    assert isinstance(target, PlaceLeg), "not yet the end of the venue's stop"
    assert (target.leg, target.quantity) == (LegKind.TAKE_PROFIT, Decimal(4))


def test_awake_ones_that_ask_for_more_than_is_open_are_replaced() -> None:
    life = Life(take_profit=None)
    life.entry(OrderStatus.PARTIALLY_FILLED, 4)
    life.tell(STOP_ID, OrderStatus.ACCEPTED)
    life.look()
    own = life.place()
    life.tell(leg_order_id(ORDER_ID, own.number), OrderStatus.FILLED, 4)
    life.entry(OrderStatus.FILLED, 10)
    life.look()

    assert life.place().quantity == 6, "the venue's stop would close 10"
    life.look()
    assert life.cancel() == (STOP_ID,)
    assert life.kept_by() is ProtectedBy.WORKFLOW


def test_an_awake_exit_that_goes_away_is_a_failure_and_replaced() -> None:
    life = Life()
    life.entry(OrderStatus.FILLED, 10)
    life.exits(OrderStatus.ACCEPTED)
    life.look()

    life.tell(STOP_ID, OrderStatus.CANCELED)
    life.look()
    assert life.state.failures == 1
    assert life.step() == LookAtBracket()
    life.look(held=10)
    again = life.place()
    assert (again.leg, again.quantity) == (LegKind.STOP_LOSS, Decimal(10))


def test_a_sleeping_exit_that_goes_away_is_none() -> None:
    life = Life()
    life.entry(OrderStatus.ACCEPTED)
    life.tell(STOP_ID, OrderStatus.REJECTED)
    life.tell(TARGET_ID, OrderStatus.ACCEPTED)
    life.look()

    assert life.state.failures == 0
    assert life.kept_by() is ProtectedBy.WORKFLOW, "its stop will be ours"
    assert life.step() == AwaitNews()
    life.entry(OrderStatus.FILLED, 10)
    life.look()
    assert life.place().leg is LegKind.STOP_LOSS
    assert life.step() == AwaitNews()


def test_its_end_takes_all_along() -> None:
    life = Life()
    life.entry(OrderStatus.ACCEPTED)
    life.exits(OrderStatus.ACCEPTED)
    life.look()
    life.state = bracket_steps.want_cancel(life.state)

    assert set(life.cancel()) == {ORDER_ID, STOP_ID, TARGET_ID}
    life.entry(OrderStatus.CANCELED)
    life.exits(OrderStatus.CANCELED)
    life.look()
    end = life.step()
    assert isinstance(end, FinishBracket)
    assert end.status is BracketStatus.CANCELED
    ended = bracket_steps.finished(life.state, end, NOW)
    assert ended.protected_by is None


def test_what_never_arrived_is_placed_again_as_a_whole() -> None:
    life = Life()
    for order_id in (ORDER_ID, STOP_ID):
        life.tell(order_id, OrderStatus.SUBMITTED, absent=0)
    life.look()
    assert life.step() == AwaitNews(), "what became of the target is not known yet"

    life.tell(TARGET_ID, OrderStatus.SUBMITTED, absent=0)
    life.look()
    assert life.step() == EnterJointly(revision=1)
    place_by = (life.state.plan.entry.place_by - NOW).total_seconds()
    assert life.step(at=place_by) == AwaitNews(), "past its time each ends itself"


def test_an_entry_that_was_ended_is_not_placed_again() -> None:
    life = Life()
    for order_id in (ORDER_ID, STOP_ID, TARGET_ID):
        life.tell(order_id, OrderStatus.EXPIRED, absent=0)
    life.look()

    end = life.step()
    assert isinstance(end, FinishBracket)
    assert end.status is BracketStatus.NOT_ENTERED


# The order's own part.


def a_joint_order(**changes: Any) -> Order:
    return an_order(joint=True, parent_id=ORDER_ID, **changes)


def absent(order: Order) -> Order:
    revision = Revision(number=0, client_order_id="0x1", quantity=order.quantity)
    return with_absence(with_revision(order, revision), 0, "the nonce is burnt")


@pytest.mark.parametrize("order", [a_joint_order(), absent(a_joint_order())])
def test_its_own_workflow_never_places_it(order: Order) -> None:
    life = Lifecycle(order=order)

    assert lifecycle.next_step(life, NOW) == Wait(until=order.place_by)
    end = lifecycle.next_step(life, order.place_by)
    assert isinstance(end, Close)
    assert end.closure.verdict is Verdict.EXPIRED
    assert end.closure.reason.startswith("not_sent")
    unwanted = lifecycle.next_step(lifecycle.want_cancel(life), NOW)
    assert isinstance(unwanted, Close)
    assert unwanted.closure.reason == "canceled_before_sent"


def test_it_is_not_modified() -> None:
    refusal = lifecycle.refuse_modify(Lifecycle(order=a_joint_order()), Decimal(20))

    assert refusal is not None
    assert "one request" in refusal


def test_news_of_what_never_arrived() -> None:
    assert news_of(a_joint_order()).absent is None
    order = absent(a_joint_order())
    assert news_of(order).absent == 0
    assert bracket_steps.is_in_vain(order)
    ended = replace(order, denied="a halt")
    assert not bracket_steps.is_in_vain(ended)
    assert order.place_by - NOW > timedelta(0)
