"""A bracket's life against an exchange, children and a store that fail whenever they like.

Hypothesis drives `domain.bracket_steps` as `BracketWorkflow` does: one step at a time, while fills
come in parts, exits are refused or go away, others trade the position, workflows are terminated and
what they told is lost. What must hold, holds after every rule; and once all is quiet, what is open
has its exits, or the bracket has ended and said the truth.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain import bracket_steps
from domain.bracket_orders import PlaceLeg, joint_exits
from domain.bracket_steps import AwaitNews, BracketStep, CancelOrders, EnterJointly, next_step
from domain.brackets import (
    BracketPlan,
    BracketSight,
    BracketState,
    BracketStatus,
    ExitRule,
    LegKind,
    OnFailure,
    leg_order_id,
)
from domain.orders import OrderStatus
from tests.domain.bracket_venue import ZERO, Venue, VenueOrder
from tests.domain.building import NOW, ORDER_ID, an_order
from tests.domain.closing_building import BTC

TARGET, STOP = ExitRule(price=Decimal(110)), ExitRule(price=Decimal(95))
SHARE = ExitRule(percent=Decimal(5))
LOOK_EVERY = timedelta(minutes=2)
PAUSE = timedelta(seconds=1)
STEPS_UNTIL_QUIET = 120
SMALL = Decimal("0.11")
"""Less than this is below the market's minimum: it waits for more fills."""

LOOKS = ("told", "told", "failed", "kept and failed", "overtaken", "old")
"""What a look may come to; overtaken: both exits are hit between its two readings, old: the venue
shows the position from before the entry's last fill, for less than two seconds."""
quantities = st.sampled_from([Decimal("0.05"), Decimal(1), Decimal(3), Decimal(10)])


class BracketLife(RuleBasedStateMachine):
    """One bracket: its workflow, the store, its orders' workflows, the exchange."""

    @initialize(
        native=st.booleans(),
        rules=st.sampled_from([(TARGET, STOP), (None, STOP), (TARGET, None), (TARGET, SHARE)]),
        on_failure=st.sampled_from(OnFailure),
        drops_exits=st.booleans(),
        entry_first=st.booleans(),
    )
    def start(
        self,
        native: bool,
        rules: tuple[ExitRule | None, ExitRule | None],
        on_failure: OnFailure,
        drops_exits: bool,
        entry_first: bool,
    ) -> None:
        self.plan = BracketPlan(
            entry=an_order(
                joint=native,
                place_by=NOW + timedelta(hours=1),
                price=Decimal(100) if native else None,
            ),
            take_profit=rules[0],
            stop_loss=rules[1],
            on_failure=on_failure,
            native=native,
        )
        self.now = NOW
        self.venue = Venue()
        self.drops_exits = drops_exits
        self.state = BracketState(plan=self.plan)
        self.kept = self.state
        self.news = False
        self.waits_until: datetime | None = None
        self.looks_at_once = 0
        self.held_before, self.filled_at = ZERO, NOW
        self.wished = False
        self.done = False
        if entry_first and not native:
            self.start_child(VenueOrder(ORDER_ID, self.plan.entry.quantity, "ENTRY"))
            self.news = False

    # The workflow's loop, step by step

    @precondition(lambda self: not self.done)
    @rule(looks=st.lists(st.sampled_from(LOOKS), min_size=1, max_size=4), lucky=st.booleans())
    def work(self, looks: list[str], lucky: bool) -> None:
        for look in looks:
            self.step(look, lucky)

    def step(self, look: str = "told", lucky: bool = True) -> None:
        if self.done or self.is_waiting():
            return
        if self.news:
            self.news, self.looks_at_once = False, 0
            self.state = bracket_steps.stale(self.state)
        self.perform(next_step(self.state, self.now), look, lucky)

    def is_waiting(self) -> bool:
        """Tell whether the workflow waits still; a wait that is over without news asks to look."""
        if self.waits_until is None:
            return False
        if not self.news and self.now < self.waits_until:
            return True
        self.waits_until = None
        if not self.news:
            self.state = bracket_steps.unheard(self.state)
        return False

    def perform(self, step: BracketStep, look: str, lucky: bool) -> None:
        match step.kind:
            case "enter":
                self.start_child(VenueOrder(ORDER_ID, self.plan.entry.quantity, "ENTRY"))
                self.state = bracket_steps.entered(self.state, self.now)
            case "enter_jointly":
                self.enter_jointly(step, lucky)
            case "look":
                self.look(look)
            case "place":
                self.place(step)
            case "cancel":
                self.cancel(step)
            case "await":
                self.wait(step)
            case "finish":
                self.state = bracket_steps.finished(self.state, step, self.now)
                self.keep(self.state)
                self.done = True
                self.check_end()

    def wait(self, step: AwaitNews) -> None:
        self.looks_at_once = 0
        pause = LOOK_EVERY
        if step.until is not None:
            pause = min(pause, max(step.until - self.now, PAUSE / 4))
        self.waits_until = self.now + pause

    def enter_jointly(self, step: EnterJointly, lucky: bool) -> None:
        if not lucky:
            self.state = bracket_steps.delayed(self.state, self.now + PAUSE, "not placed")
            return
        entry = self.venue.entry
        if not step.send and (entry is None or entry.is_on_its_way):
            closed = VenueOrder(ORDER_ID, self.plan.entry.quantity, "ENTRY")
            closed.end(OrderStatus.CANCELED)
            closed.heard = closed.news()
            self.venue.add(closed)
            self.state = bracket_steps.entered_jointly(self.state, ())
            return
        exits = joint_exits(self.plan, BTC, created_at=self.now) if self.plan.native else ()
        if entry is None:
            self.venue.add(VenueOrder(ORDER_ID, self.plan.entry.quantity, "ENTRY"))
            kinds = [k.value for k in (LegKind.STOP_LOSS, LegKind.TAKE_PROFIT) if self.plan.rule(k)]
            for kind, order in zip(kinds, exits, strict=True):
                self.venue.add(
                    VenueOrder(order.order_id, order.quantity, kind, joint=True, sleeps=True)
                )
            for each in self.venue.orders.values():
                self.venue.arrive(each, takes=True)
        self.state = bracket_steps.entered_jointly(self.state, exits)
        self.news = True

    def look(self, fate: str) -> None:
        if fate == "failed":
            self.state = bracket_steps.delayed(self.state, self.now + PAUSE, "look failed")
            return
        self.looks_at_once += 1
        assert self.looks_at_once <= 3, "it looks again and again, and nothing was told"
        state = self.keep(self.state)
        ids = (self.plan.bracket_id, *(leg.order_id for leg in state.legs))
        known = [self.venue.orders[each] for each in ids if each in self.venue.orders]
        orders = tuple(order.heard for order in known if order.heard is not None)
        if fate == "overtaken":
            self.both_exits_are_hit()
        is_old = fate == "old" and self.now - self.filled_at < bracket_steps.GONE_AFTER
        shown = self.held_before if is_old else self.venue.held
        held = max(shown, ZERO) if state.position_doubted else None
        sight = BracketSight(at=self.now, instrument=BTC, orders=orders, held=held)
        self.keep(bracket_steps.after_look(state, sight))
        if fate == "kept and failed":
            self.state = bracket_steps.delayed(self.state, self.now + PAUSE, "look failed")
            return
        failures = self.state.failures
        self.state = bracket_steps.after_look(self.state, sight)
        if self.state.failures > failures:
            self.state = bracket_steps.delayed(self.state, self.now + PAUSE, "refused")

    def keep(self, state: BracketState) -> BracketState:
        is_request = state.status is BracketStatus.REQUESTED
        if self.kept.status.is_terminal or is_request:
            return self.kept
        self.kept = state
        return state

    def place(self, step: PlaceLeg) -> None:
        if step.begun_at is None:
            assert ZERO < step.quantity <= self.state.open_quantity, "asks for more than is open"
        self.state = bracket_steps.placing(self.state, step, self.now)
        self.keep(self.state)
        order_id = leg_order_id(ORDER_ID, step.number)
        late = step.begun_at is not None and self.now - step.begun_at > timedelta(seconds=15)
        self.start_child(VenueOrder(order_id, step.quantity, step.leg.value, is_late=late))

    def start_child(self, order: VenueOrder) -> None:
        known = self.venue.orders.get(order.order_id)
        if known is None:
            self.venue.add(order)
            return
        if known.is_on_its_way and not known.is_driven:
            self.venue.add(order)
            return
        known.is_driven = True
        self.news = True

    def cancel(self, step: CancelOrders) -> None:
        self.state = bracket_steps.canceling(self.state, step.order_ids, self.now)
        for order_id in step.order_ids:
            order = self.venue.orders.get(order_id)
            if order is not None and order.is_driven:
                order.cancel_wished = True

    # What the orders' own workflows do

    def some(self, data: st.DataObject, orders: list[VenueOrder]) -> VenueOrder:
        return data.draw(st.sampled_from(orders))

    def coming(self) -> list[VenueOrder]:
        return [o for o in self.venue.orders.values() if o.is_on_its_way and o.is_driven]

    def unheard(self) -> list[VenueOrder]:
        return [o for o in self.venue.orders.values() if o.news() != o.heard]

    @precondition(lambda self: self.coming())
    @rule(data=st.data(), fate=st.sampled_from(["taken", "taken", "refused", "not sent"]))
    def an_order_leaves(self, data: st.DataObject, fate: str) -> None:
        self.leave(self.some(data, self.coming()), fate)

    def leave(self, order: VenueOrder, fate: str) -> None:
        if order.cancel_wished:
            order.end(OrderStatus.CANCELED)
        elif order.is_late or fate == "not sent":
            order.end(OrderStatus.EXPIRED)
        else:
            self.venue.arrive(order, takes=fate == "taken")
            self.drop_exits()

    @precondition(lambda self: self.unheard())
    @rule(data=st.data(), told=st.booleans(), priced=st.booleans())
    def the_store_hears(self, data: st.DataObject, told: bool, priced: bool) -> None:
        order = self.some(data, self.unheard())
        order.is_priced = priced
        self.hear(order, told=told)

    def hear(self, order: VenueOrder, *, told: bool = True) -> None:
        order.heard = order.news()
        self.news = self.news or (told and order.is_driven)

    @precondition(lambda self: self.wished_orders())
    @rule(data=st.data())
    def a_cancel_is_carried_out(self, data: st.DataObject) -> None:
        self.venue.end(self.some(data, self.wished_orders()))

    def wished_orders(self) -> list[VenueOrder]:
        return [o for o in self.venue.living() if o.cancel_wished and o.is_driven]

    @precondition(lambda self: self.driven())
    @rule(data=st.data())
    def an_orders_workflow_is_terminated(self, data: st.DataObject) -> None:
        order = self.some(data, self.driven())
        order.is_driven, order.cancel_wished = False, False

    def driven(self) -> list[VenueOrder]:
        return [o for o in self.venue.orders.values() if o.is_driven and not o.status.is_terminal]

    @precondition(lambda self: self.orphans())
    @rule()
    def the_sweep_adopts_orders(self) -> None:
        for order in self.orphans():
            order.is_driven, self.news = True, True

    def orphans(self) -> list[VenueOrder]:
        orders = self.venue.orders.values()
        return [o for o in orders if not o.is_driven and not o.is_on_its_way]

    # What happens at the exchange

    @precondition(lambda self: self.venue.living("ENTRY"))
    @rule(quantity=quantities)
    def the_entry_fills(self, quantity: Decimal) -> None:
        self.held_before, self.filled_at = self.venue.held, self.now
        self.venue.trade(self.venue.living("ENTRY")[0], quantity)

    @precondition(lambda self: self.awake())
    @rule(data=st.data(), quantity=quantities)
    def an_exit_fills(self, data: st.DataObject, quantity: Decimal) -> None:
        self.venue.trade(self.some(data, self.awake()), quantity)
        self.drop_exits()

    @rule()
    def both_exits_are_hit(self) -> None:
        for order in self.awake():
            if order.lives:
                self.venue.trade(order, order.remaining)
        self.drop_exits()

    def awake(self) -> list[VenueOrder]:
        return [o for o in self.venue.living() if not o.is_entry and not o.sleeps]

    @precondition(lambda self: self.venue.living())
    @rule(data=st.data())
    def an_order_is_canceled_at_the_exchange(self, data: st.DataObject) -> None:
        self.venue.end(self.some(data, self.venue.living()))

    @precondition(lambda self: self.venue.held > 0)
    @rule(quantity=quantities)
    def others_reduce_or_turn_the_position(self, quantity: Decimal) -> None:
        self.venue.held -= quantity
        self.drop_exits()

    def drop_exits(self) -> None:
        """Some exchanges end reduce-only orders that have nothing to reduce, others keep them."""
        if self.drops_exits and self.venue.held <= 0:
            for order in self.awake():
                order.end(OrderStatus.CANCELED)

    # What happens to us

    @precondition(lambda self: not self.done)
    @rule()
    def its_end_is_wished(self) -> None:
        self.want_cancel()

    def want_cancel(self) -> None:
        self.state = bracket_steps.want_cancel(self.state)
        self.wished, self.news = True, True

    @rule(seconds=st.sampled_from([1, 5, 20, 130]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: not self.done and self.kept.status is not BracketStatus.REQUESTED)
    @rule(end_is_wished=st.booleans())
    def it_is_terminated_and_adopted(self, end_is_wished: bool) -> None:
        self.state = BracketState(plan=self.plan)
        self.news, self.waits_until, self.looks_at_once = False, None, 0
        kept = self.keep(self.state)
        self.wished = kept.cancel_wanted
        if end_is_wished:
            self.want_cancel()
        self.state = bracket_steps.resumed(self.state, kept)
        self.done = self.state.status.is_terminal

    @precondition(lambda self: not self.done)
    @rule()
    def it_goes_on_as_new(self) -> None:
        self.state = bracket_steps.stale(self.state)
        self.waits_until, self.looks_at_once = None, 0

    # What must hold

    @invariant()
    def exits_never_close_more_than_was_entered(self) -> None:
        if hasattr(self, "venue"):
            assert self.venue.exited <= self.venue.entered

    @invariant()
    def what_is_kept_as_ended_has_ended(self) -> None:
        if hasattr(self, "venue") and self.kept.status.is_terminal:
            assert self.done

    def check_end(self) -> None:
        """At the end nothing is live, and what is said is true."""
        left = [o.order_id for o in self.venue.orders.values() if o.lives]
        coming = [o.order_id for o in self.coming() if not o.cancel_wished]
        assert not left and not coming, f"left behind: {left} {coming}"
        venue, status = self.venue, self.state.status
        match status:
            case BracketStatus.DONE:
                assert venue.entered and not venue.open_quantity
            case BracketStatus.NOT_ENTERED:
                assert not venue.entered
            case BracketStatus.POSITION_GONE:
                assert venue.held <= 0
            case BracketStatus.CANCELED:
                assert self.wished, "nobody asked for its end"
                assert ("stays open" in self.state.reason) == bool(venue.open_quantity)

    @rule()
    def all_becomes_quiet(self) -> None:
        self.run_until_quiet()

    def teardown(self) -> None:
        if hasattr(self, "venue"):
            self.run_until_quiet()

    def run_until_quiet(self) -> None:
        """Deliver, answer and wait until nothing moves; then all that is open is protected."""
        looks_in_vain = 0
        for _ in range(STEPS_UNTIL_QUIET):
            moved = self.deliver_all()
            if self.done:
                break
            if self.waits_until is None or self.news or self.now >= self.waits_until:
                self.step()
                looks_in_vain = 0 if moved else looks_in_vain
                continue
            if looks_in_vain == 4:
                break
            looks_in_vain += 1
            self.now = self.waits_until
        else:
            raise AssertionError(f"no rest: {next_step(self.state, self.now)}")
        if not self.done:
            self.check_protection()

    def deliver_all(self) -> bool:
        """Have every order's workflow do its work; tell whether any had some."""
        self.the_sweep_adopts_orders()
        coming, wished = self.coming(), self.wished_orders()
        for order in coming:
            self.leave(order, "taken")
        for order in wished:
            if order.lives:
                self.venue.end(order)
        for order in self.venue.orders.values():
            order.is_priced = True
        unheard = self.unheard()
        for order in unheard:
            self.hear(order)
        return bool(coming or wished or unheard)

    def check_protection(self) -> None:
        venue = self.venue
        assert not self.wished, "its end was wished, and it goes on"
        assert venue.entry is not None
        if venue.entry.status.is_terminal:
            assert venue.open_quantity > 0, "all is closed, and it goes on"
        if venue.open_quantity:
            assert venue.held > 0, "the position is gone, and it goes on"
        if venue.held <= 0:
            return
        for kind in (LegKind.STOP_LOSS, LegKind.TAKE_PROFIT):
            if self.plan.rule(kind) is None:
                continue
            exits = [o for o in venue.living(kind.value) if not o.sleeps]
            asked = sum((order.remaining for order in exits), ZERO)
            assert asked <= venue.open_quantity, f"{kind} of {asked} for {venue.open_quantity}"
            slack = ZERO if venue.entry.status.is_terminal or not asked else SMALL
            assert venue.open_quantity - asked <= slack, (
                f"{kind} of {asked} for {venue.open_quantity}"
            )


BracketLife.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestBracketLife = pytest.mark.timeout(400)(BracketLife.TestCase)  # shrinking takes minutes
