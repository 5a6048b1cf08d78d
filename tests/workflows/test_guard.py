"""A guard's life: it acts on the present price, confirmed, once, whoever dies or meddles."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from temporalio.api.enums.v1 import EventType

from domain.closing import CloseStatus, Escalation, Then
from domain.conditions import ConditionKind, Conditions, Crossing, Trail
from domain.errors import Conflict, NotFound, Unavailable
from domain.guard_steps import BeginClose, FinishGuard, LookAtGuard, WaitForCrossing, is_watched
from domain.guarding import Excursion, GuardState, GuardStatus, Native, Watch
from tests.activities.floor import ACCOUNT_ID, now, until
from tests.workflows.guarding import Guarded, a_guard
from tests.workflows.stage import KEYS, Stage
from venues.simulation.faults import FaultKind
from workflows import ids
from workflows.client import connect
from workflows.condition_client import ConditionSweep, ConditionWorkflows
from workflows.guard_describing import details, summary, waits_for


@pytest.fixture
def guarded(stage: Stage) -> Iterator[Guarded]:
    yield Guarded(stage)


async def test_a_confirmed_crossing_closes_once(guarded: Guarded) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching()

    guarded.move("12")
    await guarded.tell(plan)
    await guarded.tell(plan)

    end = await guarded.until_guard(plan, GuardStatus.CLOSED)
    assert end.close_status is CloseStatus.DONE
    assert end.crossing is not None
    assert guarded.held == 0
    assert len(guarded.ours()) == 1
    await until_kept(guarded, plan.condition_id, GuardStatus.CLOSED)


async def test_it_takes_no_more_of_a_history_than_it_has_to(guarded: Guarded) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching()
    guarded.move("12")
    await guarded.tell(plan)
    await guarded.until_guard(plan, GuardStatus.CLOSED)
    await until_kept(guarded, plan.condition_id, GuardStatus.CLOSED)

    handle = guarded.stage.client.get_workflow_handle(ids.guard_workflow_id(plan.condition_id))
    await handle.result()
    events = list((await handle.fetch_history()).events)

    assert len(events) <= 60, "two looks, a close, and their tasks"
    kinds = [event.event_type for event in events]
    assert kinds.count(EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED) == 1


async def test_the_operator_reads_what_it_waits_for(guarded: Guarded) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching()
    state = await guarded.state_of(plan)
    step = WaitForCrossing(until=now())

    text = details(state, step, now())

    assert "waits for mark ≥ 71504.4 (profit)" in text
    assert "watched by nobody" in text
    assert "looks again at" in text
    watch = Watch(by="streaming 7", since=now(), at=now())
    excursion = Excursion(what="profit: met", at=now())
    told = replace(
        state,
        watch=watch,
        excursions=2,
        last_excursion=excursion,
        failing_since=now(),
        last_answer="away",
        native_note="stop rests",
    )
    text = details(told, LookAtGuard(), now())
    for words in ("watched by streaming 7", "2 times met", "an operator", "away", "stop rests"):
        assert words in text
    crossing = Crossing(kind=ConditionKind.TIME, at=now(), source="clock")
    assert "closing, because time" in details(state, BeginClose(crossing=crossing), now())
    end = FinishGuard(status=GuardStatus.CANCELED, reason="")
    assert "ending" in details(state, end, now())
    assert summary(plan) == f"close 100 % of BTC-PERP on profit 10 % · hyperliquid/{ACCOUNT_ID}"
    assert waits_for(replace(state, position=None)) == "profit 10 %"


async def until_kept(guarded: Guarded, condition_id: str, status: GuardStatus) -> None:
    async def kept() -> bool:
        state = await guarded.floor.storage.conditions.get(condition_id)
        return state is not None and state.status is status

    await until(kept, what=f"a row that is {status}")


async def test_a_crossing_that_is_over_is_reported_not_acted_on(guarded: Guarded) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching()

    await guarded.tell(plan, guarded.mark * Decimal("1.2"))

    async def reported() -> bool:
        return (await guarded.state_of(plan)).excursions == 1

    await until(reported, what="an excursion")
    state = await guarded.state_of(plan)
    assert state.status is GuardStatus.WATCHING
    assert guarded.held == Decimal("0.5")
    assert not guarded.ours()


async def test_a_part_of_a_short_by_loss(guarded: Guarded) -> None:
    guarded.sell("0.4")
    plan = await guarded.watching(
        conditions=Conditions(loss_percent=Decimal(5)), percent=Decimal(25)
    )

    guarded.move("6")
    await guarded.tell(plan)

    await guarded.until_guard(plan, GuardStatus.CLOSED)
    assert guarded.held == Decimal("-0.3")


async def test_conditions_that_are_true_already_are_refused(guarded: Guarded) -> None:
    guarded.buy("0.5")
    guarded.move("12")

    state = await guarded.guard()

    assert state.status is GuardStatus.REFUSED
    assert "true already" in state.reason
    assert guarded.held == Decimal("0.5")


async def test_without_a_position_there_is_nothing_to_watch(guarded: Guarded) -> None:
    state = await guarded.guard()

    assert state.status is GuardStatus.REFUSED
    assert "no position" in state.reason


async def test_the_same_request_joins_and_another_body_is_refused(guarded: Guarded) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching()

    again = await guarded.ask(plan)
    assert again.state is not None
    assert again.state.status is GuardStatus.WATCHING
    with pytest.raises(Conflict) as refused:
        await guarded.ask(a_guard(condition_id=plan.condition_id, fingerprint="other"))
    assert refused.value.code == "idempotency_mismatch"


async def test_a_dead_stream_is_covered_by_the_poll(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.guard_steps.POLL_UNWATCHED", timedelta(seconds=1))
    guarded.buy("0.5")
    plan = await guarded.watching()
    assert not is_watched((await guarded.state_of(plan)).watch, now())

    guarded.move("12")

    await guarded.until_guard(plan, GuardStatus.CLOSED)
    assert guarded.held == 0


async def test_a_time_closes(guarded: Guarded) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching(conditions=Conditions(at=now() + timedelta(seconds=3)))

    end = await guarded.until_guard(plan, GuardStatus.CLOSED)

    assert guarded.held == 0
    assert "time" in end.reason


async def test_a_trailing_stop_follows_what_the_stream_saw(guarded: Guarded) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching(conditions=Conditions(trail=Trail(percent=Decimal(2))))
    best = guarded.move("10")
    await guarded.guards.moved(plan.condition_id)

    async def followed() -> bool:
        extreme = (await guarded.state_of(plan)).extreme
        return extreme is not None and extreme.price == best

    await until(followed, what="the best price kept")
    guarded.move("-3")
    await guarded.tell(plan)

    await guarded.until_guard(plan, GuardStatus.CLOSED)
    assert guarded.held == 0


async def test_a_position_that_is_gone_ends_it(guarded: Guarded) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching()

    guarded.sell("0.5")
    await guarded.guards.moved(plan.condition_id)

    await guarded.until_guard(plan, GuardStatus.POSITION_GONE)
    assert not guarded.ours()


async def test_a_position_that_changed_sides_ends_it(guarded: Guarded) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching()

    guarded.sell("0.8")
    await guarded.guards.moved(plan.condition_id)

    await guarded.until_guard(plan, GuardStatus.POSITION_FLIPPED)
    assert guarded.held == Decimal("-0.3")


async def test_a_position_that_grew_is_closed_as_it_is_then(guarded: Guarded) -> None:
    guarded.buy("0.2")
    plan = await guarded.watching(percent=Decimal(50))
    guarded.buy("0.2")

    guarded.move("12")
    await guarded.tell(plan)

    await guarded.until_guard(plan, GuardStatus.CLOSED)
    assert guarded.held == Decimal("0.2")


async def test_it_is_changed_while_it_watches(guarded: Guarded) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching()
    other = a_guard(
        condition_id=plan.condition_id,
        conditions=Conditions(loss_percent=Decimal(3)),
        percent=Decimal(40),
    )

    answer = await guarded.guards.change(other, "change-1", wait_s=20)
    assert answer.state is not None
    assert answer.state.plan.version == 2
    guarded.move("-4")
    await guarded.tell(plan)

    await guarded.until_guard(plan, GuardStatus.CLOSED)
    assert guarded.held == Decimal("0.3")


async def test_a_change_that_is_true_already_leaves_the_old_one(guarded: Guarded) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching()
    guarded.move("5")
    other = a_guard(
        condition_id=plan.condition_id, conditions=Conditions(profit_percent=Decimal(3))
    )

    with pytest.raises(Conflict) as refused:
        await guarded.guards.change(other, "change-1", wait_s=20)

    assert refused.value.code == "change_refused"
    assert "true already" in str(refused.value)
    assert (await guarded.state_of(plan)).plan.conditions.profit_percent == 10
    assert guarded.held == Decimal("0.5")


async def test_it_is_canceled(guarded: Guarded) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching()

    answer = await guarded.guards.cancel(plan.condition_id, "cancel-1", wait_s=20)

    assert answer.state is not None
    assert answer.state.status is GuardStatus.CANCELED
    guarded.move("12")
    assert guarded.held == Decimal("0.5")
    with pytest.raises(Conflict):
        await guarded.guards.cancel(plan.condition_id, "cancel-2", wait_s=5)


async def test_a_cancel_that_no_worker_has_heard_is_kept(guarded: Guarded) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching()
    await guarded.stage.stop_worker()

    answer = await guarded.guards.cancel(plan.condition_id, "cancel", wait_s=0.4)

    assert not answer.decided
    guarded.move("12")
    await guarded.stage.start_worker()
    await guarded.until_guard(plan, GuardStatus.CANCELED)
    assert guarded.held == Decimal("0.5")


async def test_cancel_and_change_race_a_crossing_and_it_closes_at_most_once(
    guarded: Guarded,
) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching()
    other = a_guard(condition_id=plan.condition_id, conditions=Conditions(loss_percent=Decimal(3)))
    guarded.move("12")

    outcomes = await asyncio.gather(
        guarded.tell(plan),
        guarded.guards.change(other, "change", wait_s=20),
        guarded.guards.cancel(plan.condition_id, "cancel", wait_s=20),
        guarded.tell(plan),
        return_exceptions=True,
    )

    async def ended() -> bool:
        return (await guarded.kept_guard(plan)).status.is_terminal

    await until(ended, what="an end")
    end = await guarded.kept_guard(plan)
    if end.status is GuardStatus.CLOSED:
        assert guarded.held == 0
        assert len(guarded.ours()) == 1
        assert any(isinstance(each, Conflict) for each in outcomes)
    else:
        assert end.status is GuardStatus.CANCELED
        assert guarded.held == Decimal("0.5")


async def test_another_worker_goes_on(guarded: Guarded) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching()
    await guarded.stage.stop_worker()
    guarded.move("12")
    await guarded.tell(plan)
    await guarded.stage.start_worker()

    await guarded.until_guard(plan, GuardStatus.CLOSED)
    assert guarded.held == 0
    assert len(guarded.ours()) == 1


async def test_after_a_termination_the_same_request_never_closes_twice(
    guarded: Guarded,
) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching(percent=Decimal(50))
    guarded.move("12")
    await guarded.tell(plan)
    await guarded.until_guard(plan, GuardStatus.CLOSED)
    handle = guarded.stage.client.get_workflow_handle(ids.guard_workflow_id(plan.condition_id))
    await handle.terminate("by hand")

    again = await guarded.ask(plan)

    assert again.state is not None
    assert again.state.status is GuardStatus.CLOSED
    assert guarded.held == Decimal("0.25")
    assert len(guarded.ours()) == 1


async def test_a_venue_that_says_nothing_is_asked_again(guarded: Guarded) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching()
    guarded.move("12")
    guarded.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "clearinghouseState", count=2)
    await guarded.tell(plan)

    await guarded.until_guard(plan, GuardStatus.CLOSED)
    assert guarded.held == 0


async def test_a_mark_far_from_its_index_has_to_say_so_twice(guarded: Guarded) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching()
    price = guarded.move("12")
    market = guarded.exchange.tables.markets["BTC"]
    with guarded.action("order"):
        market.oracle_price = price * Decimal("0.9")
    await guarded.tell(plan)

    await guarded.until_guard(plan, GuardStatus.CLOSED)
    assert guarded.held == 0


async def test_another_close_is_waited_for(guarded: Guarded) -> None:
    guarded.buy("0.5")
    resting = await guarded.started(limit_price=Decimal(90_000))
    plan = await guarded.watching()
    guarded.move("12")
    await guarded.tell(plan)

    async def held_up() -> bool:
        return "another close" in (await guarded.state_of(plan)).last_answer

    await until(held_up, what="a guard that waits")
    await guarded.closes.stop(
        resting.account_id, resting.symbol, resting.close_id, "stop", wait_s=20
    )

    await guarded.until_guard(plan, GuardStatus.CLOSED)
    assert guarded.held == 0


async def test_orders_at_the_venue_protect_beside_it(guarded: Guarded) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching(
        conditions=Conditions(profit_percent=Decimal(10), loss_percent=Decimal(5)),
        native=Native.BESIDE,
    )
    await until(lambda: len(guarded.live_triggers()) == 2, what="two orders at the venue")
    assert all(order.is_position_tpsl for order in guarded.live_triggers())

    guarded.move("-6")
    await until(lambda: guarded.held == 0, what="a position closed by the venue")
    await guarded.guards.moved(plan.condition_id)

    async def ended() -> bool:
        return (await guarded.kept_guard(plan)).status.is_terminal

    await until(ended, what="an end")
    await until(lambda: not guarded.live_triggers(), what="no order left")


async def test_an_order_at_the_venue_that_is_gone_is_placed_anew(guarded: Guarded) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching(
        conditions=Conditions(loss_percent=Decimal(5)), native=Native.BESIDE
    )
    await until(lambda: guarded.live_triggers(), what="an order at the venue")
    guarded.buy("0.1")
    await guarded.guards.moved(plan.condition_id)

    def fits() -> bool:
        live = guarded.live_triggers()
        return [order.quantity for order in live] == [Decimal("0.6")]

    await until(fits, what="one order of the new size")
    await guarded.guards.cancel(plan.condition_id, "cancel", wait_s=20)
    await until(lambda: not guarded.live_triggers(), what="no order left")


async def test_one_that_was_never_begun_is_begun_by_the_sweep(guarded: Guarded) -> None:
    guarded.buy("0.5")
    plan = a_guard()
    guarded.stage.kept_ids.add(ids.guard_workflow_id(plan.condition_id))
    conditions = guarded.floor.storage.conditions
    await conditions.keep(GuardState(plan=plan))
    assert await ConditionSweep(conditions, guarded.guards, now).run() == 0

    sweep = ConditionSweep(conditions, guarded.guards, lambda: now() + timedelta(minutes=6))
    assert await sweep.run() == 1

    await guarded.until_guard(plan, GuardStatus.WATCHING)


async def test_a_close_ended_by_hand_is_looked_at_before_anything_else(guarded: Guarded) -> None:
    guarded.buy("0.5")
    rests = Escalation(reprice_every_s=3600, reprices=0, then=Then.STAY)
    plan = await guarded.watching(escalation=rests)
    guarded.move("12")
    await guarded.tell(plan)
    await until(lambda: guarded.live(), what="a resting closing order")
    close = ids.close_workflow_id(plan.account_id, plan.symbol)
    await guarded.stage.client.get_workflow_handle(close).terminate("by hand")

    async def goes_on() -> bool:
        state = await guarded.state_of(plan)
        return state.status is GuardStatus.CLOSING and state.held_up_since is not None

    await until(goes_on, what="the same close again")
    await until(lambda: len(guarded.live()) == 1, what="one resting order")
    await guarded.stage.fill()

    end = await guarded.until_guard(plan, GuardStatus.CLOSED)
    assert end.close_status is not None
    assert end.close_status.reached_its_aim
    assert guarded.held == 0


async def test_it_calls_for_an_operator_when_nothing_tells_it_a_price(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.guard_steps.ATTENTION_AFTER", timedelta(0))
    guarded.buy("0.5")
    plan = await guarded.watching()
    await guarded.floor.close_venue()
    await guarded.tell(plan)
    handle = guarded.stage.client.get_workflow_handle(ids.guard_workflow_id(plan.condition_id))

    async def asked_for() -> bool:
        found = (await handle.describe()).typed_search_attributes
        return found.get(ids.NEEDS_ATTENTION, False)

    await until(asked_for, what="a call for attention")
    guarded.floor.venue_is_back()

    async def at_ease() -> bool:
        return not await asked_for()

    await until(at_ease, what="no call any more")


async def test_nobody_guards_what_was_never_set(guarded: Guarded) -> None:
    unknown = a_guard()
    guards = guarded.guards

    assert not await guards.moved(unknown.condition_id)
    for call in (
        guards.state(unknown.condition_id),
        guards.cancel(unknown.condition_id, "c", wait_s=5),
        guards.change(unknown, "d", wait_s=5),
    ):
        with pytest.raises(NotFound):
            await call
    assert guards.workflow_id("x") == "guard-x"


async def test_without_a_worker_nothing_is_known_yet(guarded: Guarded) -> None:
    guarded.buy("0.5")
    await guarded.stage.stop_worker()

    answer = await guarded.ask(a_guard(), wait_s=0.3)

    assert not answer.decided
    assert answer.state is None
    await guarded.stage.start_worker()


async def test_without_temporal_nothing_is_done(guarded: Guarded) -> None:
    client = await connect("127.0.0.1:1", "default", KEYS, refused=lambda _: None)
    guards, plan = ConditionWorkflows(client), a_guard()
    crossing = Crossing(kind=ConditionKind.TIME, at=now(), source="clock")

    for call in (
        guards.begin(plan, wait_s=5),
        guards.change(plan, "c", wait_s=5),
        guards.cancel(plan.condition_id, "c", wait_s=5),
        guards.crossed(plan.condition_id, crossing),
        guards.state(plan.condition_id),
    ):
        with pytest.raises(Unavailable):
            await call


async def test_a_change_that_no_worker_has_heard_is_kept(guarded: Guarded) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching()
    other = a_guard(condition_id=plan.condition_id, conditions=Conditions(loss_percent=Decimal(3)))
    await guarded.stage.stop_worker()

    for _ in range(2):
        answer = await guarded.guards.change(other, "change", wait_s=0.3)
        assert not answer.decided

    await guarded.stage.start_worker()

    async def changed() -> bool:
        return (await guarded.kept_guard(plan)).plan.version == 2

    await until(changed, what="the other conditions, once")
    assert (await guarded.kept_guard(plan)).plan.conditions == other.conditions
    again = await guarded.guards.change(other, "change", wait_s=20)
    assert again.state is not None
    assert again.state.plan.version == 2, "the same request, the same answer"


async def test_a_kept_change_that_cannot_be_taken_is_refused(guarded: Guarded) -> None:
    guarded.buy("0.5")
    plan = await guarded.watching()
    guarded.move("5")
    other = a_guard(
        condition_id=plan.condition_id, conditions=Conditions(profit_percent=Decimal(3))
    )
    await guarded.stage.stop_worker()
    assert not (await guarded.guards.change(other, "change", wait_s=0.3)).decided

    await guarded.stage.start_worker()

    async def refused() -> bool:
        return "change refused: " in (await guarded.kept_guard(plan)).last_answer

    await until(refused, what="the refusal in the condition")
    with pytest.raises(Conflict, match="true already"):
        await guarded.guards.change(other, "change", wait_s=20)
    assert (await guarded.kept_guard(plan)).plan.conditions == plan.conditions
