"""A modify that is asked for while no worker runs: carried out or refused, and told.

`asked` is what the API does before it answers 202; nobody asks again afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from temporalio.api.enums.v1 import EventType

from domain.errors import Conflict
from domain.keeping import TOO_LATE
from domain.orders import Order, OrderStatus
from tests.activities.floor import an_order, now, until
from tests.workflows.stage import Stage
from venues.simulation.faults import FaultKind
from workflows.contracts import ModifyRequest, RequestReply

#: Enough to place an order, also on a busy machine.
LITTLE_S = 3.0


def lasting_order(seconds: float = 300.0) -> Order:
    """Return a buy that rests, of which a modify has so long to be begun."""
    return an_order(place_by=now() + timedelta(seconds=seconds))


async def asked(stage: Stage, order: Order, request_id: str = "m1", price: str = "59000") -> None:
    answer = await stage.workflows.modify(
        order.order_id, request_id, price=Decimal(price), quantity=None, wait_s=0.3
    )
    assert not answer.decided


async def until_told(stage: Stage, order: Order, *texts: str) -> None:
    """Wait until the timeline has told these answers, each once, in this order."""

    async def told() -> bool:
        lines = await stage.floor.timeline(order)
        return [line for line in lines if line in texts] == list(texts)

    await until(told, what=f"{texts} in the timeline")


def live_prices(stage: Stage) -> list[Decimal]:
    return [order.price for order in stage.floor.at_venue() if order.status.value == "open"]


async def test_it_is_carried_out_once_a_worker_is_back(stage: Stage) -> None:
    order = lasting_order()
    await stage.place(order)
    await stage.stop_worker()

    await asked(stage, order)

    kept = [
        event
        for event in await stage.events(order)
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    ]
    assert len(kept) == 1, "what outlives whoever asked"
    await stage.start_worker()
    await until_told(stage, order, "modify m1: done")
    assert live_prices(stage) == [Decimal(59_000)]
    assert len(stage.floor.at_venue()) == 2


async def test_it_is_refused_when_its_time_is_over(stage: Stage) -> None:
    order = lasting_order(LITTLE_S)
    await stage.place(order)
    await stage.stop_worker()
    await asked(stage, order)
    await asyncio.sleep(LITTLE_S)

    await stage.start_worker()

    await until_told(stage, order, f"modify m1: refused: {TOO_LATE}")
    assert len(stage.floor.at_venue()) == 1, "nothing was sent"
    assert (await stage.state(order)).status is OrderStatus.ACCEPTED


async def test_one_that_is_heard_too_late_is_refused_as_well(stage: Stage) -> None:
    """The server hands an update over long after whoever asked has gone."""
    order = lasting_order()
    await stage.place(order)
    wanted = ModifyRequest(
        request_id="m1",
        quantity=None,
        price=Decimal(59_000),
        asked_at=now() - timedelta(seconds=301),
    )

    with pytest.raises(Conflict, match="not begun in its time"):
        await stage.workflows._request(
            stage.handle(order).execute_update("modify", wanted, result_type=RequestReply), 20
        )

    assert len(stage.floor.at_venue()) == 1


async def test_the_same_request_is_done_once_and_has_one_answer(stage: Stage) -> None:
    order = lasting_order()
    await stage.place(order)
    await stage.stop_worker()
    await asked(stage, order)
    await asked(stage, order)

    await stage.start_worker()

    await until_told(stage, order, "modify m1: done")
    again = await stage.workflows.modify(
        order.order_id, "m1", price=Decimal(59_000), quantity=None, wait_s=20
    )
    assert (again.decided, again.refusal) == (True, None)
    assert len(stage.floor.at_venue()) == 2


async def test_several_are_done_one_after_the_other(stage: Stage) -> None:
    order = lasting_order()
    await stage.place(order)
    await stage.stop_worker()
    await asked(stage, order, "m1", "59000")
    await asked(stage, order, "m2", "58000")

    await stage.start_worker()

    await until_told(stage, order, "modify m1: done", "modify m2: done")
    assert live_prices(stage) == [Decimal(58_000)]


async def test_a_cancel_beside_it_wins(stage: Stage) -> None:
    order = lasting_order()
    await stage.place(order)
    await stage.stop_worker()
    await asked(stage, order)
    assert not (await stage.workflows.cancel(order.order_id, "c1", wait_s=0.3)).decided

    await stage.start_worker()

    assert (await stage.ended(order)).startswith("CANCELED")
    lines = [line for line in await stage.floor.timeline(order) if line.startswith("modify m1:")]
    assert lines[-1].startswith("modify m1: refused: the order is"), lines
    assert live_prices(stage) == []


async def test_of_an_order_that_filled_meanwhile_it_is_refused(stage: Stage) -> None:
    order = lasting_order()
    await stage.place(order)
    await stage.stop_worker()
    await asked(stage, order)
    await stage.fill()

    await stage.start_worker()

    assert (await stage.ended(order)).startswith("FILLED")
    assert "modify m1: refused: the order is FILLED" in await stage.floor.timeline(order)
    assert len(stage.floor.at_venue()) == 1


async def test_of_an_order_that_was_not_placed_yet_it_waits(stage: Stage) -> None:
    order = lasting_order()
    await stage.stop_worker()
    assert (await stage.place_unheard(order)).order is None
    await asked(stage, order)

    await stage.start_worker()

    await until_told(stage, order, "modify m1: done")
    assert live_prices(stage) == [Decimal(59_000)]


async def test_one_under_way_goes_on_and_its_end_is_told(stage: Stage) -> None:
    """A worker has heard it; the venue is away until whoever asked has gone."""
    order = lasting_order()
    await stage.place(order)
    stage.floor.fault(FaultKind.RATE_LIMIT, "cancel", count=None)
    await asked(stage, order)

    stage.floor.venue_is_back()

    await until_told(stage, order, "modify m1: done")
    assert live_prices(stage) == [Decimal(59_000)]
    assert len(stage.floor.at_venue()) == 2


async def test_an_answer_is_told_when_storage_is_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.policies.TELL_AGAIN", timedelta(milliseconds=200))
    order = lasting_order(LITTLE_S)
    await stage.place(order)
    await stage.stop_worker()
    await asked(stage, order)
    await asyncio.sleep(LITTLE_S)
    with stage.floor.busy_database():
        await stage.start_worker()
        await until(_refused(stage, order), what="the refusal in the workflow")

    await until_told(stage, order, f"modify m1: refused: {TOO_LATE}")


def _refused(stage: Stage, order: Order) -> Callable[[], object]:
    async def failed() -> bool:
        events = await stage.events(order)
        return any(
            event.HasField("marker_recorded_event_attributes")
            and event.marker_recorded_event_attributes.HasField("failure")
            for event in events
        )

    return failed


async def test_of_a_workflow_that_closed_meanwhile_it_is_refused(stage: Stage) -> None:
    order = lasting_order()
    await stage.place(order)
    await stage.stop_worker()
    await stage.handle(order).terminate("a test")

    with pytest.raises(Conflict) as told:
        await asked(stage, order)

    assert told.value.code == "workflow_closed"
