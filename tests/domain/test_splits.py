"""What a split order does next: every child begun once, refusals said, nobody left behind."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.brackets import OrderNews
from domain.instruments import OrderSide
from domain.orders import OrderStatus, OrderType, Origin, TimeInForce
from domain.split_steps import (
    AwaitLegs,
    BeginLegs,
    CancelLegs,
    FinishSplit,
    LookAtLegs,
    after_look,
    beginning,
    begun,
    canceling,
    finished,
    next_step,
    overdue,
    resumed,
    stale,
    want_cancel,
)
from domain.splits import (
    SplitPlan,
    SplitShare,
    SplitSight,
    SplitState,
    SplitStatus,
    leg_order,
    leg_order_id,
    requested,
)
from tests.domain.routing_building import NOW

MOVES = [OrderStatus.ACCEPTED, OrderStatus.FILLED]
ID = "6f1d3c5e-6f0b-5c43-9f0e-0d9a6f8c2b11"


def a_plan(*quantities: str) -> SplitPlan:
    shares = tuple(
        SplitShare(account_id=f"a{number}", venue=f"venue-{number}", quantity=Decimal(text))
        for number, text in enumerate(quantities)
    )
    return SplitPlan(
        split_id=ID,
        owner="local",
        symbol="BTC-PERP",
        side=OrderSide.BUY,
        quantity=sum((share.quantity for share in shares), Decimal(0)),
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        created_at=NOW,
        shares=shares,
        price=Decimal(100),
    )


def news(number: int, status: OrderStatus, filled: str = "0", **more: str) -> OrderNews:
    outcome = more.pop("outcome", "accepted")
    price = Decimal(99) if Decimal(filled) else None
    return OrderNews(
        order_id=leg_order_id(ID, number),
        status=status,
        outcome=outcome,
        filled_quantity=Decimal(filled),
        average_price=price,
        reason=more.get("reason"),
    )


def seen(state: SplitState, *orders: OrderNews) -> SplitState:
    return after_look(state, SplitSight(at=NOW, orders=orders))


def test_children_are_ordinary_orders_with_ids_of_their_own_for_ever() -> None:
    plan = a_plan("0.3", "0.2")
    first, second = (leg_order(plan, number, NOW) for number in range(2))
    assert first.order_id == leg_order_id(ID, 0)
    assert leg_order_id(ID, 1) == "16e9ac8b-35e0-5be9-967c-be10115d3c81"
    assert first.order_id != second.order_id
    assert (first.quantity, second.quantity) == (Decimal("0.3"), Decimal("0.2"))
    assert (first.venue, second.account_id) == ("venue-0", "a1")
    assert (first.origin, first.parent_id) == (Origin.SPLIT, ID)
    assert (first.place_by - NOW).total_seconds() == 15


def test_all_begin_together_and_once() -> None:
    state = requested(a_plan("0.3", "0.2"))
    assert next_step(state) == LookAtLegs()
    state = seen(state)
    assert next_step(state) == BeginLegs(numbers=(0, 1))
    state = begun(beginning(state, (0, 1)), (0, 1))
    assert state.status is SplitStatus.WORKING
    assert next_step(state) == AwaitLegs()


def test_one_that_ended_does_not_end_the_others() -> None:
    state = begun(beginning(seen(requested(a_plan("0.3", "0.2"))), (0, 1)), (0, 1))
    state = seen(state, news(0, OrderStatus.FILLED, "0.3"), news(1, OrderStatus.ACCEPTED))
    assert next_step(state) == AwaitLegs()
    assert (state.filled, state.average_price) == (Decimal("0.3"), Decimal(99))
    state = seen(stale(state), news(1, OrderStatus.CANCELED, "0.1"))
    step = next_step(state)
    assert isinstance(step, FinishSplit)
    assert step.status is SplitStatus.PARTLY_FILLED
    assert step.reason == "filled 0.4 of 0.5; leg 2 at venue-1 CANCELED: 0.1 not filled"
    assert finished(state, step, NOW).ended_at == NOW


def test_the_average_is_unknown_while_that_of_a_fill_is() -> None:
    state = seen(requested(a_plan("0.3")), replace(news(0, OrderStatus.FILLED, "0.3")))
    [leg] = state.legs
    assert leg.news is not None
    blank = replace(leg, news=replace(leg.news, average_price=None))
    assert replace(state, legs=(blank,)).average_price is None
    assert requested(a_plan("0.3")).average_price is None


def test_whoever_wants_the_end_begins_nothing_more() -> None:
    state = want_cancel(seen(requested(a_plan("0.3", "0.2"))))
    step = next_step(state)
    assert isinstance(step, FinishSplit)
    assert step.status is SplitStatus.CANCELED
    assert "leg 1 at venue-0 was never begun: 0.3 not placed" in step.reason


def test_children_are_asked_to_end_and_asked_again_after_silence() -> None:
    state = begun(beginning(seen(requested(a_plan("0.3", "0.2"))), (0, 1)), (0, 1))
    state = want_cancel(seen(state, news(0, OrderStatus.CANCELED), news(1, OrderStatus.ACCEPTED)))
    assert next_step(state) == CancelLegs(numbers=(1,))
    state = canceling(state, (1,), ())
    assert next_step(state) == AwaitLegs()
    state = overdue(state)
    assert next_step(state) == LookAtLegs()
    assert next_step(seen(state)) == CancelLegs(numbers=(1,))


def test_one_without_workflow_is_looked_up_before_it_counts_as_never_begun() -> None:
    state = want_cancel(seen(beginning(requested(a_plan("0.3")), (0,))))
    assert next_step(state) == CancelLegs(numbers=(0,))
    state = canceling(state, (0,), (0,))
    assert next_step(state) == LookAtLegs()
    assert isinstance(next_step(seen(state)), FinishSplit)
    assert next_step(seen(state, news(0, OrderStatus.ACCEPTED))) == AwaitLegs()


def test_after_a_death_what_may_run_is_begun_again_or_asked_to_end() -> None:
    dead = seen(beginning(requested(a_plan("0.3", "0.2")), (0, 1)), news(0, OrderStatus.ACCEPTED))
    again = seen(resumed(dead))
    assert next_step(again) == BeginLegs(numbers=(1,))
    assert next_step(want_cancel(again)) == CancelLegs(numbers=(0, 1))


@given(st.data())
def test_how_it_ended_says_every_share(data: st.DataObject) -> None:
    plan = a_plan("0.3", "0.2", "0.1")
    ends = st.sampled_from(
        [OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED, OrderStatus.FILLED]
    )
    orders = []
    for number, share in enumerate(plan.shares):
        status = data.draw(ends)
        filled = {OrderStatus.FILLED: share.quantity, OrderStatus.REJECTED: Decimal(0)}.get(
            status, data.draw(st.sampled_from([Decimal(0), Decimal("0.05")]))
        )
        outcome = "rejected" if status is OrderStatus.REJECTED else "accepted"
        orders.append(news(number, status, str(filled), outcome=outcome))
    step = next_step(seen(begun(requested(plan), (0, 1, 2)), *orders))
    assert isinstance(step, FinishSplit)
    total = sum(order.filled_quantity for order in orders)
    assert (step.status is SplitStatus.FILLED) == (total == plan.quantity)
    assert (step.status is SplitStatus.REFUSED) == all(o.outcome == "rejected" for o in orders)
    for number, order in enumerate(orders):
        short = order.filled_quantity < plan.shares[number].quantity
        assert (f"leg {number + 1} at" in step.reason) == short


class ParentAndWorld(RuleBasedStateMachine):
    """A parent that dies at any moment, and children that live on by themselves."""

    @initialize()
    def start(self) -> None:
        self.plan = a_plan("0.3", "0.2")
        self.state = requested(self.plan)
        self.kept = self.state
        self.running: set[int] = set()
        self.stored: dict[int, OrderStatus] = {}
        self.starts = [0, 0]
        self.canceled_at_end: set[int] = set()

    @precondition(lambda self: not self.state.status.is_terminal)
    @rule(dies=st.booleans())
    def step(self, dies: bool) -> None:
        found = next_step(self.state)
        match found.kind:
            case "look":
                orders = [news(number, status) for number, status in self.stored.items()]
                self.state = seen(self.state, *orders)
                self.kept = self.state
            case "begin":
                self.state = beginning(self.state, found.numbers)
                self.kept = self.state
                if dies:
                    self.die()
                    return
                for number in found.numbers:
                    if number not in self.running and number not in self.stored:
                        self.starts[number] += 1
                        self.running.add(number)
                self.state = begun(self.state, found.numbers)
            case "cancel":
                gone = [number for number in found.numbers if number not in self.running]
                for number in found.numbers:
                    if number in self.running:
                        self.ends(number, OrderStatus.CANCELED)
                self.state = canceling(self.state, found.numbers, gone)
            case "await":
                self.state = overdue(self.state)
            case "finish":
                self.state = finished(self.state, found, NOW)

    @rule()
    def die(self) -> None:
        """Another run takes up what was kept."""
        wanted = self.state.cancel_wanted
        if self.state.status.is_terminal:
            return
        fresh = requested(self.plan)
        known = self.kept.status is not SplitStatus.REQUESTED
        self.state = resumed(self.kept) if known else fresh
        if wanted:
            # Who asked for the end asked Temporal, which asks every run again.
            self.state = want_cancel(self.state)

    @rule()
    def cancel(self) -> None:
        self.state = want_cancel(self.state)

    @rule(number=st.integers(0, 1), status=st.sampled_from(MOVES))
    def moves(self, number: int, status: OrderStatus) -> None:
        if number not in self.running:
            return
        if status is OrderStatus.FILLED:
            self.ends(number, status)
        else:
            self.stored[number] = status
        if not self.state.status.is_terminal:
            self.state = stale(self.state)

    def ends(self, number: int, status: OrderStatus) -> None:
        self.running.discard(number)
        self.stored[number] = status

    @invariant()
    def no_child_is_begun_twice(self) -> None:
        assert all(count <= 1 for count in getattr(self, "starts", []))

    @invariant()
    def nobody_is_left_behind(self) -> None:
        if getattr(self, "state", None) is not None and self.state.status.is_terminal:
            assert not self.running


TestParentAndWorld = ParentAndWorld.TestCase
