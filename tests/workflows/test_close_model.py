"""A close against a venue and people that do whatever they like, and workflows terminated by hand.

Hypothesis drives the close's real workflow and activities await by await, in `close_world`. What
must hold, holds after every rule; and once the world is quiet, every close ends, and ends truly.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.accounts import PositionSide
from domain.close_steps import DENIALS_MAX
from domain.closing import CloseState, CloseStatus, Escalation, Then, closing_side
from domain.instruments import OrderSide
from domain.orders import Order, OrderStatus, Origin, Verdict
from tests.domain.building import an_order
from tests.domain.closing_building import a_plan
from tests.workflows.close_world import (
    LOT,
    MARK,
    MARKET,
    SLIPPAGE,
    CloseRun,
    GoneOnAsNew,
    OrderLife,
    Runtime,
    World,
)
from workflows import children, close
from workflows.close_contracts import CloseStart

FATES = ("accepted", "accepted", "on its way", "refused", "denied", "not sent")
STEPS_UNTIL_QUIET = 2_000
STRAY = "00000000-0000-5000-8000-00000000000a"

quantities = st.integers(1, 12).map(Decimal)
timetables = st.none() | st.builds(
    Escalation,
    reprice_every_s=st.just(5),
    reprices=st.integers(0, 2),
    then=st.sampled_from(Then),
)


class CloseLife(RuleBasedStateMachine):
    """One close: its workflow, the orders it gives, the position, and everybody else."""

    @initialize(
        held=st.integers(-25, 25),
        percent=st.sampled_from([100, 50, 34]),
        rests=st.booleans(),
        timetable=timetables,
        takes_small=st.booleans(),
        stray=st.booleans(),
        steps=st.integers(0, 12),
    )
    def begin(
        self,
        held: int,
        percent: int,
        rests: bool,
        timetable: Escalation | None,
        takes_small: bool,
        stray: bool,
        steps: int,
    ) -> None:
        far = MARK + 10 if held > 0 else MARK - 10
        plan = a_plan(
            percent=Decimal(percent),
            limit_price=far if rests else None,
            escalation=timetable,
        )
        self.world = World(plan, Decimal(held), takes_small=takes_small)
        self.runtime = Runtime(self.world)
        self.patch = pytest.MonkeyPatch()
        for module in (close, children):
            self.patch.setattr(module, "workflow", self.runtime)
        self.target: Decimal | None = None
        self.wished = False
        self.in_vain = 0
        self.placed: list[str] = []
        self.ended: CloseState | None = None
        if stray and held:
            self.leave_a_stray(OrderSide.SELL if held > 0 else OrderSide.BUY)
        self.close: CloseRun | None = self.a_run(CloseStart(plan=plan))
        self.advance(steps)

    def leave_a_stray(self, side: OrderSide) -> None:
        """An order of an earlier close, which was terminated."""
        order = an_order(
            order_id=STRAY,
            side=side,
            quantity=Decimal(3),
            reduce_only=True,
            origin=Origin.CLOSE,
            parent_id="earlier",
        )
        life = self.world.lives[STRAY] = OrderLife(self.world, order)
        life.work("accepted", Decimal(0), hides=False)

    # The close's workflow, as a worker drives it

    def a_run(self, start: CloseStart) -> CloseRun:
        return CloseRun(self.world, start, self.judge_placing)

    def advance(self, steps: int, *, looks_fail: bool = False) -> int:
        """Do some steps of the close; return how many there were to do."""
        for done in range(steps):
            if self.close is None or self.close.ended:
                return done
            asked = self.close.asked
            if asked is not None and asked.kind == "look" and looks_fail:
                self.in_vain += 1
            try:
                if not self.close.advance(looks_fail=looks_fail):
                    return done
            except GoneOnAsNew as gone:
                assert gone.start.carried is not None
                self.runtime.is_long = False
                self.close = self.a_run(gone.start)
            if self.close.ended:
                self.judge_end(self.close.state)
        return steps

    @rule(steps=st.integers(1, 6))
    def work(self, steps: int) -> None:
        self.advance(steps)

    @rule()
    def work_undisturbed(self) -> None:
        self.advance(30)

    @rule()
    def a_look_fails(self) -> None:
        self.advance(1, looks_fail=True)

    @precondition(lambda self: self.close is not None and self.close.activity is not None)
    @rule()
    def a_worker_dies(self) -> None:
        assert self.close is not None and self.close.asked is not None
        self.close.lose_activity()
        if self.close.asked.kind == "look":
            self.advance(1, looks_fail=True)

    @precondition(lambda self: self.close is not None and not self.close.ended)
    @rule(amid_a_start=st.booleans())
    def somebody_terminates_the_close(self, amid_a_start: bool) -> None:
        """Of what it knew there is left what is kept; an order it asked for may still begin."""
        assert self.close is not None
        asked = self.close.asked
        if amid_a_start and asked is not None and asked.kind == "start":
            self.advance(1)
        self.close.close()
        self.close = None
        kept = self.world.kept
        self.wished = kept is not None and kept.cancel_wanted

    @precondition(lambda self: self.close is None)
    @rule()
    def it_is_begun_anew(self) -> None:
        """By the sweep, or by the same request again."""
        self.close = self.a_run(CloseStart(plan=self.world.plan))

    @precondition(lambda self: self.close is None)
    @rule(steps=st.integers(1, 8))
    def it_is_begun_anew_and_canceled(self, steps: int) -> None:
        self.it_is_begun_anew()
        self.somebody_wants_its_end()
        self.advance(steps)

    @precondition(lambda self: self.close is not None and not self.close.ended)
    @rule()
    def somebody_wants_its_end(self) -> None:
        assert self.close is not None
        self.close.workflow._want_cancel()
        self.wished = True

    @rule()
    def its_history_grows_long(self) -> None:
        self.runtime.is_long = True

    # The workflows of its orders

    @precondition(lambda self: self.world.lives)
    @rule(newest=st.booleans(), fate=st.sampled_from(FATES), take=quantities, hides=st.booleans())
    def an_order_goes_on(self, newest: bool, fate: str, take: Decimal, hides: bool) -> None:
        lives = [life for life in self.world.lives.values() if life.running]
        if lives:
            lives[-1 if newest else 0].work(fate, take, hides=hides)

    @precondition(lambda self: self.world.lives)
    @rule(fate=st.sampled_from(FATES), take=quantities)
    def the_orders_come_to_rest(self, fate: str, take: Decimal) -> None:
        for life in list(self.world.lives.values()):
            for _ in range(4):
                if life.running:
                    life.work(fate, take, hides=False)

    @precondition(lambda self: self.world.lives)
    @rule(newest=st.booleans())
    def somebody_terminates_an_order(self, newest: bool) -> None:
        lives = [life for life in self.world.lives.values() if life.running]
        if lives:
            life = lives[-1 if newest else 0]
            life.running, life.lost = False, True

    @rule()
    def the_sweep_adopts_orders(self) -> None:
        self.world.sweep()

    # The venue, and everybody else

    @precondition(lambda self: self.world.exchange.under_way)
    @rule(take=quantities)
    def a_placement_arrives(self, take: Decimal) -> None:
        for order_id in list(self.world.exchange.under_way):
            self.world.exchange.arrive(order_id, take)

    @precondition(lambda self: self.world.exchange.living)
    @rule(quantity=quantities, is_told=st.booleans())
    def something_fills(self, quantity: Decimal, is_told: bool) -> None:
        order = self.world.exchange.living[-1]
        self.world.exchange.fill(order, quantity)
        if is_told:
            self.world.hear(order.report())

    @precondition(lambda self: self.world.exchange.living)
    @rule(is_told=st.booleans(), hides=st.booleans())
    def the_venue_ends_an_order(self, is_told: bool, hides: bool) -> None:
        order = self.world.exchange.living[-1]
        order.verdict = Verdict.CANCELED
        if is_told:
            self.world.hear(order.report(hides=hides))

    @precondition(lambda self: self.world.exchange.living)
    @rule(quantity=quantities)
    def an_order_ends_unsettled(self, quantity: Decimal) -> None:
        """The venue says nothing of what it filled, and its workflow is gone before it asks."""
        order = self.world.exchange.living[-1]
        self.world.exchange.fill(order, quantity)
        order.verdict = Verdict.CANCELED if order.left else Verdict.FILLED
        self.world.hear(order.report(hides=True))
        life = self.world.lives[order.order.order_id]
        life.running, life.lost = False, life.running or life.lost

    @rule(halves=st.integers(-40, 40), drops=st.booleans())
    def somebody_trades(self, halves: int, drops: bool) -> None:
        """By hand, so that the position shrinks, grows or turns; the venue may drop our orders."""
        self.world.exchange.held += LOT * halves / 2
        self.drop_what_cannot_reduce(drops)

    @rule(drops=st.booleans())
    def the_position_is_liquidated(self, drops: bool) -> None:
        self.world.exchange.held = Decimal(0)
        self.drop_what_cannot_reduce(drops)

    def drop_what_cannot_reduce(self, drops: bool) -> None:
        exchange = self.world.exchange
        for order in exchange.living:
            if drops and not exchange.room(order.order.side):
                order.verdict = Verdict.CANCELED

    @rule(seconds=st.sampled_from([1, 5, 20]))
    def time_passes(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)

    # What must hold

    def judge_placing(self, state: CloseState, order: Order) -> None:
        assert not self.wished, "placed although its end is wanted"
        assert state.side is not None and state.target is not None
        self.target = self.target or state.target
        assert state.target == self.target, "another target"
        assert order.reduce_only and order.side is closing_side(state.side)
        assert state.denials < DENIALS_MAX
        others = [i for i in self.world.lives if i != order.order_id and self.world.can_trade(i)]
        assert not others, f"{others} may trade"
        if order.order_id in self.world.orders:
            return  # It has been placed before, and is not again.
        left = self.target - self.world.filled
        assert 0 < order.quantity <= left, f"asks for {order.quantity}, left are {left}"
        assert order.quantity <= abs(self.world.shown), "asks for more than was shown"
        self.placed.append(order.order_id)

    def judge_end(self, state: CloseState) -> None:
        world = self.world
        kept, self.ended = world.kept, state
        assert kept == state, "the end is not kept"
        assert state.filled == world.filled, f"{state.filled} is not {world.filled}"
        shown = abs(world.shown)
        reached = state.target is not None and world.filled >= state.target
        assert (state.status is CloseStatus.DONE) == reached
        match state.status:
            case CloseStatus.FLAT:
                assert not shown
            case CloseStatus.DUST:
                assert state.target is not None
                assert self.is_too_small(min(state.target - world.filled, shown))
            case CloseStatus.CANCELED:
                assert self.wished
            case CloseStatus.STOPPED:
                timetable = world.plan.escalation
                assert timetable is not None and timetable.then is Then.STOP
            case CloseStatus.POSITION_CHANGED:
                assert state.side is not (
                    PositionSide.LONG if world.shown > 0 else PositionSide.SHORT
                )
            case CloseStatus.REFUSED:
                denied = [o for o in world.orders.values() if o.status is OrderStatus.DENIED]
                assert state.target is None or len(denied) >= DENIALS_MAX

    def is_too_small(self, left: Decimal) -> bool:
        """Tell whether the venue would refuse an order over what is left, at one price or other."""
        left = MARKET.floor_quantity(left)
        if self.world.takes_small and left >= abs(self.world.shown):
            return left < 1
        prices = [MARK * SLIPPAGE, self.world.plan.limit_price or MARK]
        return MARKET.is_below_minimum(left, min(prices))

    @invariant()
    def never_more_than_the_target(self) -> None:
        if self.target is not None:
            assert self.world.filled <= self.target

    @invariant()
    def never_more_than_the_target_can_fill(self) -> None:
        """Two live orders may not ask together for more than what is left."""
        out = [i for i in self.world.own() if self.world.can_trade(i)]
        assert len(out) <= 1, f"{out} may trade"

    @invariant()
    def each_fill_is_counted_once(self) -> None:
        if self.close is not None:
            assert self.close.state.filled <= self.world.filled

    @invariant()
    def attempts_are_bounded(self) -> None:
        if self.close is not None:
            assert self.close.state.denials <= DENIALS_MAX

    @invariant()
    def what_has_ended_leaves_nothing(self) -> None:
        if self.ended is not None:
            assert not [i for i in self.world.own() if self.world.can_trade(i)]

    # In the end

    def teardown(self) -> None:
        if not hasattr(self, "patch"):
            return
        try:
            self.come_to_rest()
        finally:
            if self.close is not None:
                self.close.close()
            self.patch.undo()

    def come_to_rest(self) -> None:
        """Nobody dies any more, the venue answers, and what rests is filled."""
        world = self.world
        for _ in range(STEPS_UNTIL_QUIET):
            if self.close is None:
                self.it_is_begun_anew()
            assert self.close is not None
            self.advance(100)
            if self.close.ended:
                break
            world.sweep()
            busy = False
            for life in list(world.lives.values()):
                before = (life.running, life.stored)
                if life.running:
                    life.work("accepted", Decimal(50), hides=False)
                busy = busy or before != (life.running, life.stored)
            if busy:
                continue
            if self.close.waits_until is not None:
                world.now = max(world.now, self.close.waits_until)
            for order in [] if self.wished else world.exchange.living:
                world.exchange.fill(order, order.left)
                if not world.exchange.room(order.order.side):
                    order.verdict = Verdict.CANCELED
        assert self.close is not None and self.close.ended, (
            f"never ended: {self.close and self.close.state}"
        )
        self.what_has_ended_leaves_nothing()


CloseLife.TestCase.settings = settings(
    max_examples=250,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestCloseLife = pytest.mark.timeout(400)(CloseLife.TestCase)  # shrinking a failure takes minutes
