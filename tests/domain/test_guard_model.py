"""A guard's life against a market that spikes and goes stale, deaths, changes and other closes.

Hypothesis drives `domain.guard_steps` as `GuardWorkflow` does, over the real activities: what they
read is a market of which only the test knows the truth. Whatever happens, it closes once at most,
and only for a condition that the truth meets; and once all is quiet, a met condition has closed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from activities.guard_contracts import GuardKeepTask, GuardLookTask
from domain import guard_steps
from domain.accounts import PositionSide
from domain.closing import ClosePlan, CloseStatus
from domain.conditions import (
    ConditionKind,
    Conditions,
    Crossing,
    Direction,
    Trail,
    better,
    evaluate,
    is_due,
    thresholds,
)
from domain.errors import InvalidInput, VenueUnavailable
from domain.guard_steps import GuardStep, next_step
from domain.guarding import GuardSight, GuardState, GuardStatus, close_plan
from tests.domain.building import NOW
from tests.domain.guard_building import a_guard
from tests.domain.guard_world import Store, World, activities_of, finished

PAUSE = timedelta(seconds=1)
HELD_UP = timedelta(seconds=2)
STEPS_UNTIL_QUIET = 60
LOOKS = ("done", "done", "failed", "done and lost")

marks = st.one_of(st.integers(96, 106), st.integers(84, 116)).map(Decimal)
qualities = st.sampled_from(
    ["good", "good", "good", "stale", "crossed", "down", "spike up", "spike down"]
)
some_conditions = st.sampled_from(
    [
        Conditions(profit_percent=Decimal(10), loss_percent=Decimal(5)),
        Conditions(loss_percent=Decimal(50), of_margin=True),
        Conditions(trail=Trail(percent=Decimal(3))),
        Conditions(trail=Trail(amount=Decimal(8)), profit_percent=Decimal(12)),
        Conditions(price=Decimal(107)),
        Conditions(price=Decimal(94), direction=Direction.BELOW),
        Conditions(at=NOW + timedelta(seconds=90)),
        Conditions(at=NOW + timedelta(seconds=90), profit_percent=Decimal(8)),
    ]
)


@dataclass
class RunningClose:
    """A close of the position that runs; `ours`: the guard's."""

    plan: ClosePlan | None
    is_awaited: bool = False

    @property
    def ours(self) -> bool:
        return self.plan is not None


class GuardLife(RuleBasedStateMachine):
    """One guard: its workflow, its row, the stream that watches it, the market and the close."""

    @initialize(conditions=some_conditions, side=st.sampled_from(["LONG", "SHORT"]))
    def start(self, conditions: Conditions, side: str) -> None:
        self.world = World(side=PositionSide(side))
        self.store = Store()
        self.activities = activities_of(self.world, self.store)
        self.begun: set[str] = set()
        self.running: RunningClose | None = None
        self.set_at = NOW
        self.asked: dict[str, Conditions] = {}
        self.applied: list[str] = []
        self.cancel_answered = False
        self.has_turned = False
        self.best_known: dict[int, Decimal] = {}
        self.begin_run(GuardState(plan=a_guard(conditions=conditions)))
        self.store.row = self.state

    def begin_run(self, state: GuardState) -> None:
        self.state = state
        self.crossing: Crossing | None = None
        self.nudged = False
        self.cancel = False
        self.changes: list[str] = []
        self.refused: dict[str, str | None] = {}
        self.waits_until: datetime | None = None
        self.done = False

    # The workflow's loop, step by step

    @precondition(lambda self: not self.done)
    @rule(looks=st.lists(st.sampled_from(LOOKS), min_size=1, max_size=3))
    def work(self, looks: list[str]) -> None:
        for look in looks:
            self.step(look)

    def step(self, look: str = "done") -> None:
        if self.done or self.is_waiting():
            return
        if self.cancel:
            self.state = guard_steps.want_cancel(self.state)
        if self.nudged or self.changes:
            self.nudged = False
            self.state = guard_steps.nudged(self.state)
        crossing, self.crossing = self.crossing, None
        if crossing is not None:
            self.state = guard_steps.told_of(self.state, crossing)
        if guard_steps.is_outdated(self.state, self.world.now):
            self.state = guard_steps.unconfirmed(self.state)
        self.perform(next_step(self.state, self.world.now), look)
        if self.state.status.is_terminal:
            self.end()

    def is_waiting(self) -> bool:
        if self.running is not None and self.running.is_awaited:
            return True
        if self.waits_until is None:
            return False
        state = self.state
        has_news = (
            self.crossing is not None
            or (self.cancel and guard_steps.want_cancel(state) is not state)
            or ((self.nudged or bool(self.changes)) and state.retry_at is None)
        )
        if not has_news and self.world.now < self.waits_until:
            return True
        self.waits_until = None
        return False

    def perform(self, step: GuardStep, look: str) -> None:
        match step.kind:
            case "look":
                self.look(step.gap_since, look)
            case "close":
                self.close(step.crossing)
            case "wait":
                self.waits_until = step.until
            case "finish":
                self.state = guard_steps.finished(
                    self.state, step.status, step.reason, self.world.now
                )

    def end(self) -> None:
        self.keep()
        self.done = True
        self.refused |= dict.fromkeys(self.changes, "ended")
        self.changes = []
        self.cancel_answered = self.state.status is GuardStatus.CANCELED
        self.check_end()

    def keep(self) -> None:
        finished(self.activities.keep(GuardKeepTask(state=self.state)))

    def look(self, gap_since: datetime | None, fate: str) -> None:
        changes, self.changes = self.changes, []
        task = GuardLookTask(state=self.state, gap_since=gap_since, carefully=bool(changes))
        try:
            sight = finished(self.activities.look(task))
            if fate != "done":
                raise VenueUnavailable("lost")
        except VenueUnavailable as error:
            self.changes = changes + self.changes
            now = self.world.now
            self.state = guard_steps.failed(self.state, str(error), now + PAUSE, now)
            return
        self.take(sight, changes)

    def take(self, sight: GuardSight, changes: list[str]) -> None:
        before = self.state
        self.state = guard_steps.after_look(self.state, sight, self.world.now)
        if self.state.status is GuardStatus.CLOSING and before.status is not GuardStatus.CLOSING:
            self.check_triggered(before, sight)
        if guard_steps.can_change(self.state, sight):
            for request_id in changes:
                self.change(request_id)
        else:
            self.changes = changes + self.changes
        self.keep()

    def change(self, request_id: str) -> None:
        if self.state.status is not GuardStatus.WATCHING:
            self.refused[request_id] = "ended"
            return
        asked = replace(self.state.plan, conditions=self.asked[request_id])
        try:
            self.state = guard_steps.changed(self.state, asked, self.world.now)
        except InvalidInput as error:
            self.refused[request_id] = str(error)
            return
        assert request_id not in self.applied, "a change was made twice"
        self.applied.append(request_id)
        self.refused[request_id] = None
        held, mark = self.world.held, self.world.mark
        assert held is not None
        conditions = self.state.plan.conditions
        fixed = thresholds(replace(conditions, trail=None), held, None)
        assert not any(each.is_met(mark) for each in fixed), "taken, and true already"
        price = self.asked[request_id].price
        if price is not None and self.asked[request_id].direction is None:
            assert (conditions.direction is Direction.ABOVE) == (price > mark)

    # The close

    def close(self, crossing: Crossing) -> None:
        self.refused |= dict.fromkeys(self.changes, "triggered")
        self.changes = []
        if self.running is not None:
            self.hold("another close runs")
            return
        plan = close_plan(self.state, crossing, self.world.now)
        known = self.store.ended_closes.get(plan.close_id)
        if known is not None:
            is_flat = self.world.quantity <= 0
            self.state = guard_steps.after_close(self.state, known, self.world.now, is_flat=is_flat)
            return
        assert not self.cancel_answered, "it was canceled, and closes"
        assert plan.close_id not in self.begun, "a second close"
        assert self.world.now - crossing.at <= timedelta(seconds=15), "not of the present"
        self.begun.add(plan.close_id)
        self.running = RunningClose(plan=plan, is_awaited=True)

    def hold(self, why: str) -> None:
        now = self.world.now
        self.state = guard_steps.held_up(self.state, now + HELD_UP, why, now)

    @precondition(lambda self: self.running is not None)
    @rule(status=st.sampled_from(["DONE", "FLAT", "CANCELED", "STOPPED", "REFUSED", "turned"]))
    def a_close_ends(self, status: str) -> None:
        running, self.running = self.running, None
        end = CloseStatus.POSITION_CHANGED if status == "turned" else CloseStatus(status)
        if end.reached_its_aim:
            self.world.quantity = Decimal(0)
        if end is CloseStatus.POSITION_CHANGED and self.world.side is self.state.side:
            self.turn()
        if running is None or running.plan is None:
            return
        self.store.ended_closes[running.plan.close_id] = end
        if running.is_awaited:
            self.state = guard_steps.after_close(
                self.state, end, self.world.now, is_flat=self.world.quantity <= 0
            )
            if self.state.status.is_terminal:
                self.end()

    @precondition(lambda self: self.running is not None and self.running.is_awaited)
    @rule()
    def the_closes_workflow_is_terminated(self) -> None:
        """It goes on from the store, and the guard has lost sight of it."""
        assert self.running is not None
        self.running.is_awaited = False
        self.hold("the close did not end by itself")

    @precondition(lambda self: not self.done and self.running is None)
    @rule(
        status=st.sampled_from(["DONE", "CANCELED", "REFUSED", "turned"]),
        dies=st.sampled_from(["no", "at once", "while it closes"]),
        seconds=st.sampled_from([1, 60]),
    )
    def it_triggers(self, status: str, dies: str, seconds: int) -> None:
        """A mark that meets most conditions, and a death before or amid the close."""
        self.the_mark_moves(Decimal(84 if self.world.side is PositionSide.LONG else 116), "good")
        self.nudged = True
        self.world.now += timedelta(seconds=2)
        self.step()
        if dies == "at once" and not self.done:
            self.world.now += timedelta(seconds=seconds)
            self.the_mark_moves(Decimal(100), "good")
            self.it_is_terminated_and_begun_again()
        self.step()
        if self.running is not None and dies == "while it closes":
            self.it_is_terminated_and_begun_again()
        if self.running is not None:
            self.a_close_ends(status)
        if dies == "while it closes":
            self.world.now += timedelta(seconds=seconds)
            self.the_mark_moves(Decimal(100), "good")

    @precondition(lambda self: self.running is None and self.world.quantity > 0)
    @rule()
    def another_close_begins(self) -> None:
        self.running = RunningClose(plan=None)

    # The market

    @rule(mark=marks, quality=qualities)
    def the_mark_moves(self, mark: Decimal, quality: str) -> None:
        world = self.world
        world.go_to(mark)
        world.is_stale, world.is_crossed = quality == "stale", quality == "crossed"
        world.is_down = quality == "down"
        world.spike = mark * Decimal("1.2") if quality == "spike up" else None
        if quality == "spike down":
            world.spike = mark * Decimal("0.8")

    @precondition(lambda self: not self.done)
    @rule(mark=marks, quality=qualities, looks=st.lists(st.sampled_from(LOOKS), max_size=2))
    def the_mark_moves_and_it_looks(self, mark: Decimal, quality: str, looks: list[str]) -> None:
        self.the_mark_moves(mark, quality)
        self.nudged = True
        self.world.now += timedelta(seconds=2)
        for look in ["done", *looks]:
            self.step(look)

    @rule(seconds=st.sampled_from([1, 10, 50, 200]))
    def time_passes(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)
        self.world.spike = None

    # The stream

    @rule(tells=st.booleans())
    def the_stream_sees_the_mark(self, tells: bool) -> None:
        row = self.store.row
        world = self.world
        if row is None or row.status is not GuardStatus.WATCHING or row.position is None:
            return
        if world.is_stale or world.is_crossed or world.spike is not None:
            return
        self.store.watched(world.now)
        extreme = None if row.extreme is None else row.extreme.price
        conditions = row.plan.conditions
        best = better(row.position, extreme, world.mark) if conditions.trail else None
        if best is not None:
            self.store.move_extreme(best, world.now)
        crossing = evaluate(
            conditions, row.position, world.mark, extreme=best, at=world.now, source="stream"
        )
        if crossing is not None and tells:
            self.crossing = crossing

    @rule()
    def the_stream_tells_of_something_old(self) -> None:
        self.crossing = Crossing(
            kind=ConditionKind.PROFIT,
            at=self.world.now,
            source="stream",
            price=Decimal(111),
            threshold=Decimal(110),
        )

    # The position, by others

    @precondition(lambda self: self.world.quantity > 0)
    @rule(quantity=st.sampled_from([Decimal(1), Decimal(2), Decimal(3)]), tells=st.booleans())
    def others_change_the_position(self, quantity: Decimal, tells: bool) -> None:
        self.world.quantity = quantity
        self.nudged = self.nudged or tells

    @precondition(lambda self: self.world.quantity > 0)
    @rule(tells=st.booleans(), turned=st.booleans())
    def others_close_or_turn_it(self, tells: bool, turned: bool) -> None:
        if turned:
            self.turn()
        else:
            self.world.quantity = Decimal(0)
        self.nudged = self.nudged or tells

    def turn(self) -> None:
        self.has_turned = True
        is_long = self.world.side is PositionSide.LONG
        self.world.side = PositionSide.SHORT if is_long else PositionSide.LONG

    # What traders ask

    @precondition(lambda self: not self.done and self.state.status is not GuardStatus.CLOSING)
    @rule()
    def its_end_is_asked_for(self) -> None:
        self.cancel = True

    @precondition(lambda self: not self.done and self.state.status is not GuardStatus.CLOSING)
    @rule(conditions=some_conditions)
    def a_change_is_asked_for(self, conditions: Conditions) -> None:
        name = f"change {len(self.asked)}"
        self.asked[name] = conditions
        self.changes.append(name)

    @precondition(lambda self: not self.done and self.state.status is GuardStatus.WATCHING)
    @rule(conditions=some_conditions, mark=marks, quality=qualities)
    def it_looks_for_a_change(self, conditions: Conditions, mark: Decimal, quality: str) -> None:
        self.a_change_is_asked_for(conditions)
        self.the_mark_moves_and_it_looks(mark, quality, [])

    @precondition(lambda self: self.asked and not self.done)
    @rule(data=st.data())
    def a_change_is_asked_for_again(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.asked)))
        if name not in self.changes and name not in self.refused and name not in self.applied:
            self.changes.append(name)

    # What happens to us

    @precondition(lambda self: not self.done)
    @rule()
    def it_is_terminated_and_begun_again(self) -> None:
        if self.running is not None:
            self.running.is_awaited = False
        assert self.store.row is not None
        self.begin_run(GuardState(plan=self.store.row.plan))
        kept = finished(self.activities.keep(GuardKeepTask(state=self.state)))
        self.state = guard_steps.taken_up(self.state, kept)
        self.done = self.state.status.is_terminal

    @precondition(lambda self: not self.done and not self.changes)
    @rule()
    def it_goes_on_as_new(self) -> None:
        self.waits_until = None

    # What must hold

    def check_triggered(self, before: GuardState, sight: GuardSight) -> None:
        """What triggers is met by the truth: the position's side, the mark, the time."""
        world, crossing = self.world, self.state.crossing
        assert crossing is not None and world.held is not None
        assert world.side is before.side, "on the other side"
        conditions = before.plan.conditions
        if crossing.kind is ConditionKind.TIME:
            assert is_due(conditions, world.now)
            return
        assert not world.is_stale and not world.is_crossed, "by data that may not count"
        assert crossing.price == world.mark, "by a price that was none"
        best = world.best
        met = evaluate(
            conditions, world.held, world.mark, extreme=best, at=world.now, source="truth"
        )
        assert met is not None, f"{crossing}, and the mark is {world.mark}, its best {best}"

    def check_end(self) -> None:
        state, world = self.state, self.world
        match state.status:
            case GuardStatus.CLOSED | GuardStatus.POSITION_GONE:
                assert world.quantity == 0, f"{state.reason}, and it is there"
            case GuardStatus.POSITION_FLIPPED:
                assert self.has_turned
            case GuardStatus.CLOSE_ENDED:
                assert state.close_status is not None
            case GuardStatus.REFUSED:
                assert not self.begun
                asked = state.plan.conditions
                can_wait = asked.price not in (None, world.mark) and asked.direction is None
                assert not can_wait or world.quantity == 0, state.reason
            case GuardStatus.CANCELED:
                assert self.cancel, "nobody asked for it"

    @invariant()
    def a_trails_extreme_never_moves_the_wrong_way(self) -> None:
        if not hasattr(self, "store") or self.store.row is None:
            return
        row = self.store.row
        if row.extreme is None or row.position is None:
            return
        found = row.extreme.price
        known = self.best_known.get(row.plan.version, found)
        assert found >= known if row.position.is_long else found <= known, f"{found} after {known}"
        self.best_known[row.plan.version] = found

    @invariant()
    def it_never_forgets_that_it_ended(self) -> None:
        if hasattr(self, "store") and self.store.row and self.store.row.status.is_terminal:
            assert self.done

    @rule()
    def all_becomes_quiet(self) -> None:
        self.run_until_quiet()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.run_until_quiet()

    def run_until_quiet(self) -> None:
        """All is good again: what is met closes, and what was asked is answered."""
        world = self.world
        world.is_down = world.is_stale = world.is_crossed = False
        world.spike = None
        looks = 0
        for _ in range(STEPS_UNTIL_QUIET):
            if self.done:
                return
            if self.running is not None:
                self.a_close_ends("DONE")
            elif self.is_waiting():
                if looks == 3:
                    break
                looks += 1
                assert self.waits_until is not None
                world.now = max(world.now, self.waits_until)
            else:
                self.step()
        else:
            raise AssertionError(f"no rest: {next_step(self.state, world.now)}")
        assert not self.cancel, "its end was asked for, and it goes on"
        assert not self.changes, "a change was asked for, and has no answer"
        self.check_nothing_is_met()

    def check_nothing_is_met(self) -> None:
        held, state = self.world.held, self.state
        assert held is not None, "the position is gone, and it goes on"
        assert held.side is state.side, "the position is another, and it goes on"
        assert state.close_id not in self.store.ended_closes, "its close ended, and it goes on"
        extreme = None if self.store.row is None else self.store.row.extreme
        met = evaluate(
            state.plan.conditions,
            held,
            self.world.mark,
            extreme=None if extreme is None else extreme.price,
            at=self.world.now,
            source="truth",
        )
        assert met is None, f"{met}, and nothing closes"
        assert not is_due(state.plan.conditions, self.world.now), "it is time, and nothing closes"
        if state.plan.conditions.trail is not None:
            assert state.extreme is not None


GuardLife.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestGuardLife = pytest.mark.timeout(400)(GuardLife.TestCase)  # shrinking takes minutes
