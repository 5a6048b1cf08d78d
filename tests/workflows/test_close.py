"""A close's life: how much it takes, in which steps, and how it ends, whoever else trades."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import pytest
from temporalio.api.enums.v1 import EventType

from domain.accounts import PositionSide
from domain.closing import CloseStatus, Escalation, Then
from domain.errors import Conflict
from tests.activities.floor import until
from tests.workflows.closing import Holding, a_plan
from tests.workflows.closing_scenarios import CLOSE
from tests.workflows.stage import Stage
from venues.simulation.faults import FaultKind
from workflows import ids


@pytest.fixture
def holding(stage: Stage) -> Iterator[Holding]:
    yield Holding(stage)


async def test_a_market_close_of_everything(holding: Holding) -> None:
    holding.buy("0.5")

    end = await holding.close()

    assert end.status is CloseStatus.DONE
    assert end.filled == end.target == Decimal("0.5")
    assert holding.held == 0
    (order,) = holding.ours()
    assert order.reduce_only
    assert await holding.kept(end.plan) == end


async def test_a_close_costs_few_events(holding: Holding) -> None:
    holding.buy("0.5")
    await holding.close()

    handle = holding.stage.client.get_workflow_handle(CLOSE)
    history = await handle.fetch_history()
    kinds = Counter(EventType.Name(event.event_type) for event in history.events)
    # Two looks: one fixes the target, one finds it reached.
    assert len(history.events) <= 40, kinds
    assert kinds["EVENT_TYPE_ACTIVITY_TASK_SCHEDULED"] == 2, kinds


async def test_what_operators_search_and_read(holding: Holding) -> None:
    holding.buy("0.5")
    plan = await holding.started(limit_price=Decimal(70_000), reason="because")
    handle = holding.stage.client.get_workflow_handle(CLOSE)

    description = await handle.describe()

    found = {pair.key.name: pair.value for pair in description.typed_search_attributes}
    assert found["Account"] == plan.account_id
    assert found["Symbol"] == "BTC-PERP"
    assert found["Venue"] == "hyperliquid"
    await handle.cancel()
    await holding.until_state(CloseStatus.CANCELED)


async def test_a_part_of_a_short_position(holding: Holding) -> None:
    holding.sell("0.4")

    end = await holding.close(percent=Decimal(25))

    assert end.status is CloseStatus.DONE
    assert end.side is PositionSide.SHORT
    assert end.filled == Decimal("0.1")
    assert holding.held == Decimal("-0.3")


async def test_no_position_no_order(holding: Holding) -> None:
    end = await holding.close()

    assert end.status is CloseStatus.REFUSED
    assert "no position" in end.reason
    assert not holding.ours()


async def test_the_same_request_again_gets_the_same_answer(holding: Holding) -> None:
    holding.buy("0.5")
    plan = a_plan()
    first = await holding.begin(plan)
    holding.buy("0.2")

    again = await holding.begin(plan)

    assert again.state == first.state
    assert holding.held == Decimal("0.2"), "closed once"
    assert len(holding.ours()) == 1


async def test_a_second_request_joins_or_is_refused(holding: Holding) -> None:
    holding.buy("0.5")
    plan = await holding.started(limit_price=Decimal(70_000))

    joined = await holding.begin(a_plan(limit_price=Decimal(70_000)), wait_s=1)
    assert joined.running_id == plan.close_id
    assert not joined.decided
    with pytest.raises(Conflict) as refused:
        await holding.begin(a_plan(), wait_s=5)
    assert refused.value.code == "close_running"
    assert str(refused.value) == plan.close_id
    with pytest.raises(Conflict) as mismatched:
        await holding.begin(a_plan(close_id=plan.close_id, fingerprint="other"), wait_s=5)
    assert mismatched.value.code == "idempotency_mismatch"

    stopped = await holding.closes.stop(
        plan.account_id, plan.symbol, plan.close_id, "stop", wait_s=20
    )
    assert stopped.state is not None
    assert stopped.state.status is CloseStatus.CANCELED
    assert not holding.live()
    assert holding.held == Decimal("0.5")


async def test_what_stands_is_told_without_a_worker(holding: Holding) -> None:
    plan = a_plan()
    await holding.stage.stop_worker()
    await holding.begin_unheard(plan)

    joined = await holding.begin(a_plan(), wait_s=0.2)
    assert joined.running_id == plan.close_id
    with pytest.raises(Conflict, match=plan.close_id):
        await holding.begin(a_plan(percent=Decimal(50)), wait_s=0.2)

    await holding.stage.start_worker()
    await holding.until_state(CloseStatus.REFUSED)


async def test_it_escalates_from_the_limit_to_the_market(holding: Holding) -> None:
    holding.buy("0.5")
    timetable = Escalation(reprice_every_s=1, reprices=1, then=Then.MARKET)

    end = await holding.close(limit_price=Decimal(70_000), escalation=timetable)

    assert end.status is CloseStatus.DONE
    assert holding.held == 0
    prices = [order.price for order in holding.ours()]
    assert len(prices) == 3
    assert prices[0] == 70_000
    assert prices[1] < 70_000, "at the best ask"
    assert prices[2] < prices[1], "within the bound"
    assert end.rung == 2


async def test_partial_fills_come_off_the_next_order(holding: Holding) -> None:
    holding.buy("0.5")
    timetable = Escalation(reprice_every_s=2, reprices=0, then=Then.MARKET)
    plan = a_plan(limit_price=Decimal(70_000), escalation=timetable)
    closing = asyncio.create_task(holding.begin(plan))
    await until(lambda: holding.live(), what="a resting closing order")
    await holding.stage.fill("0.2")

    answer = await closing

    assert answer.state is not None
    assert answer.state.status is CloseStatus.DONE
    assert [order.quantity for order in holding.ours()] == [Decimal("0.5"), Decimal("0.3")]
    assert holding.held == 0


async def test_it_stops_where_the_timetable_says_so(holding: Holding) -> None:
    holding.buy("0.5")
    timetable = Escalation(reprice_every_s=1, reprices=0, then=Then.STOP)

    end = await holding.close(limit_price=Decimal(70_000), escalation=timetable)

    assert end.status is CloseStatus.STOPPED
    assert holding.held == Decimal("0.5")
    assert not holding.live()


async def test_others_close_it_first(holding: Holding) -> None:
    holding.buy("0.5")
    plan = await holding.started(limit_price=Decimal(70_000))

    holding.sell("0.5")
    await holding.tell_ends()

    end = await holding.until_state(CloseStatus.FLAT)
    assert end.filled == 0
    assert await holding.kept(plan) == end


async def test_a_position_that_changed_sides_is_left_alone(holding: Holding) -> None:
    holding.buy("0.5")
    await holding.started(limit_price=Decimal(70_000))

    holding.sell("0.8")
    await holding.tell_ends()

    end = await holding.until_state(CloseStatus.POSITION_CHANGED)
    assert "SHORT" in end.reason
    assert holding.held == Decimal("-0.3")


async def test_a_request_for_cancellation_ends_it(holding: Holding) -> None:
    holding.buy("0.5")
    plan = await holding.started(limit_price=Decimal(70_000))

    handle = holding.stage.client.get_workflow_handle(
        holding.closes.workflow_id(plan.account_id, plan.symbol)
    )
    await handle.cancel()

    end = await holding.until_state(CloseStatus.CANCELED)
    assert not holding.live()
    assert end.filled == 0


async def test_a_lost_answer_is_found_out_before_the_next_order(holding: Holding) -> None:
    holding.buy("0.5")
    holding.floor.fault(FaultKind.DROP_AFTER_APPLY)

    end = await holding.close()

    assert end.status is CloseStatus.DONE
    assert holding.held == 0
    assert len(holding.ours()) == 1


async def test_a_venue_that_says_nothing_is_asked_again(holding: Holding) -> None:
    holding.buy("0.5")
    holding.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "clearinghouseState", count=2)

    end = await holding.close()

    assert end.status is CloseStatus.DONE
    assert end.attempts == 0


async def test_another_worker_goes_on(holding: Holding) -> None:
    holding.buy("0.5")
    timetable = Escalation(reprice_every_s=3, reprices=0, then=Then.MARKET)
    plan = await holding.started(limit_price=Decimal(70_000), escalation=timetable)

    await holding.stage.restart_worker()

    end = await holding.until_state(CloseStatus.DONE)
    assert end.plan == plan
    assert holding.held == 0
    assert len(holding.ours()) == 2


async def test_an_end_that_no_worker_has_heard_is_kept(holding: Holding) -> None:
    """And it is the end of that close only, not of one that has its place by now."""
    holding.buy("0.5")
    plan = await holding.started(limit_price=Decimal(70_000))
    await holding.stage.stop_worker()
    handle = holding.stage.client.get_workflow_handle(
        holding.closes.workflow_id(plan.account_id, plan.symbol)
    )

    async def kept() -> int:
        events = [event async for event in handle.fetch_history_events()]
        asked: Final = "workflow_execution_cancel_requested_event_attributes"
        return sum(event.HasField(asked) for event in events)

    async def stop(close_id: str) -> bool:
        stopping = holding.closes.stop(plan.account_id, plan.symbol, close_id, "stop", wait_s=0.4)
        return (await stopping).decided

    assert not await stop("an earlier one")
    assert await kept() == 0
    assert not await stop(plan.close_id)
    assert await kept() == 1

    await holding.stage.start_worker()

    await holding.until_state(CloseStatus.CANCELED)
    assert holding.held == Decimal("0.5")


async def test_after_a_termination_a_new_one_cleans_up_first(holding: Holding) -> None:
    """Two live closing orders would together ask for more than the target."""
    holding.buy("0.5")
    plan = await holding.started(limit_price=Decimal(70_000))
    handle = holding.stage.client.get_workflow_handle(
        holding.closes.workflow_id(plan.account_id, plan.symbol)
    )
    await handle.terminate("by hand")

    end = await holding.close(percent=Decimal(50))

    assert end.status is CloseStatus.DONE
    assert holding.held == Decimal("0.25")
    assert not holding.live()


async def test_the_same_close_goes_on_after_a_termination(holding: Holding) -> None:
    holding.buy("0.5")
    timetable = Escalation(reprice_every_s=8, reprices=0, then=Then.MARKET)
    plan = await holding.started(limit_price=Decimal(70_000), escalation=timetable)
    handle = holding.stage.client.get_workflow_handle(
        holding.closes.workflow_id(plan.account_id, plan.symbol)
    )
    await handle.terminate("by hand")

    answer = await holding.begin(plan)

    assert answer.state is not None
    assert answer.state.status is CloseStatus.DONE
    assert answer.state.filled == Decimal("0.5")
    assert holding.held == 0
    assert len(holding.ours()) == 2, "the first is followed to the end of its time"


async def test_a_close_that_goes_on_only_to_be_stopped_leaves_no_order(holding: Holding) -> None:
    """What was kept before the termination does not know of the order yet."""
    holding.buy("0.5")
    plan = await holding.started(limit_price=Decimal(70_000))
    handle = holding.stage.client.get_workflow_handle(CLOSE)
    await handle.terminate("by hand")
    await holding.stage.stop_worker()
    await holding.begin_unheard(plan)
    await handle.cancel()

    await holding.stage.start_worker()

    await holding.until_state(CloseStatus.CANCELED)
    assert not holding.live()
    assert len(holding.ours()) == 1


async def test_what_filled_before_a_termination_was_filled_by_the_close(holding: Holding) -> None:
    holding.buy("0.5")
    plan = await holding.started(limit_price=Decimal(70_000))
    await holding.stage.client.get_workflow_handle(CLOSE).terminate("by hand")
    await holding.stage.fill("0.5")

    answer = await holding.begin(plan)

    assert answer.state is not None
    assert answer.state.status is CloseStatus.DONE
    assert answer.state.filled == Decimal("0.5")


async def test_that_its_end_is_wanted_survives_a_termination(holding: Holding) -> None:
    """Also where the order's own workflow is gone, and its end takes long."""
    holding.buy("0.5")
    plan = await holding.started(limit_price=Decimal(70_000))
    [order] = await holding.floor.storage.closes.orders(plan.close_id, 1)
    order_workflow = ids.order_workflow_id(order.order_id)
    holding.stage.kept_ids.add(order_workflow)
    await holding.stage.client.get_workflow_handle(order_workflow).terminate("lost")
    stop = await holding.closes.stop(plan.account_id, plan.symbol, plan.close_id, "stop", wait_s=1)
    assert not stop.decided

    await holding.stage.client.get_workflow_handle(CLOSE).terminate("by hand")
    assert await holding.stage.workflows.adopt(order)
    answer = await holding.begin(plan)

    assert answer.state is not None
    assert answer.state.status is CloseStatus.CANCELED
    assert not holding.live()
