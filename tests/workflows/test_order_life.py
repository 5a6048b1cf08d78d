"""An order's ordinary life: placed, filled, ended; within its budget, whoever reports first."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus

from domain.errors import Conflict
from domain.orders import Order, OrderStatus, Verdict
from tests.activities.floor import ABOVE, MARKET, TAKING, an_order, now, until
from tests.workflows.stage import Stage, a_report
from venues.simulation.faults import FaultKind


async def test_place_rest_fill_end(stage: Stage) -> None:
    order = an_order()

    placed = await stage.place(order)

    assert placed.status is OrderStatus.ACCEPTED
    assert placed == await stage.state(order)
    await stage.fill()
    assert await stage.ended(order) == "FILLED: filled 0.01 of 0.01 at 60000"
    kept = await stage.floor.stored(order)
    assert kept.status is OrderStatus.FILLED
    assert (await stage.floor.timeline(order))[-1] == "workflow ends: FILLED"
    tasks, events, kinds = await stage.counted(order)
    assert tasks <= 3, kinds
    assert events <= 20, kinds


async def test_place_rest_partial_fill_fill_end(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)

    await stage.fill("0.004")
    await until(
        lambda: _filled(stage, order, "0.004"),
        what="the partial fill",
    )
    await stage.fill()

    await stage.ended(order)
    tasks, events, kinds = await stage.counted(order)
    assert tasks <= 4, kinds
    assert events <= 24, kinds


async def _filled(stage: Stage, order: Order, quantity: str) -> bool:
    return (await stage.state(order)).filled_quantity == Decimal(quantity)


async def test_place_and_fill_at_once(stage: Stage) -> None:
    order = an_order(**TAKING)

    placed = await stage.place(order)

    assert placed.status is OrderStatus.FILLED
    assert (await stage.ended(order)).startswith("FILLED")
    tasks, events, kinds = await stage.counted(order)
    assert tasks <= 3, kinds
    assert events <= 20, kinds


async def test_what_operators_search_and_read(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)

    found = await stage.attributes(order)

    assert found["Venue"] == "hyperliquid"
    assert found["Account"] == order.account_id
    assert found["Symbol"] == "BTC-PERP"
    assert found["Side"] == "BUY"
    assert found["ClientOrderId"] == order.order_id
    await stage.fill()
    await stage.ended(order)
    assert (await stage.attributes(order))["OrderStatus"] == "FILLED"
    wanted = f"WorkflowId = '{stage.workflows.workflow_id(order.order_id)}'"
    await until(
        lambda: _is_listed(stage, f"{wanted} AND OrderStatus = 'FILLED'"), what="a listed end"
    )


async def _is_listed(stage: Stage, query: str) -> bool:
    return (await stage.client.count_workflows(query)).count == 1


async def test_the_status_it_ends_with_is_written_with_the_close(stage: Stage) -> None:
    """An upsert of its own before the close is the dearest event of an order's life."""
    order = an_order()
    await stage.place(order)
    await stage.fill()
    await stage.ended(order)

    kinds = [EventType.Name(event.event_type) for event in await stage.events(order)]

    prefix = "EVENT_TYPE_"
    last_task = len(kinds) - kinds[::-1].index(f"{prefix}WORKFLOW_TASK_COMPLETED")
    assert kinds.count(f"{prefix}UPSERT_WORKFLOW_SEARCH_ATTRIBUTES") == 2
    assert kinds[last_task:].count(f"{prefix}UPSERT_WORKFLOW_SEARCH_ATTRIBUTES") == 1
    assert kinds[-1] == f"{prefix}WORKFLOW_EXECUTION_COMPLETED"


async def test_an_order_that_ends_and_cannot_close_is_found_by_its_end(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)

    await stage.deliver(a_report(order, Verdict.FILLED, "0.01"))

    await until(lambda: _is_searched_as(stage, order, "FILLED"), what="the end, to be searched by")
    assert (await stage.handle(order).describe()).status is WorkflowExecutionStatus.RUNNING
    await stage.fill()
    assert (await stage.ended(order)).startswith("FILLED")


async def _is_searched_as(stage: Stage, order: Order, status: str) -> bool:
    return bool((await stage.attributes(order))["OrderStatus"] == status)


FIRST: dict[str, dict[str, Any]] = {
    "limit": {"price": ABOVE},
    "immediate": TAKING,
    "market": MARKET,
}


@pytest.mark.parametrize("case", FIRST)
async def test_a_fill_that_overtakes_the_answer(stage: Stage, case: str) -> None:
    """The fill is booked and told while the answer is still on its way."""
    order = an_order(**FIRST[case])
    stage.floor.fault(FaultKind.DELAY_ANSWER, delay_ms=600)
    placing = asyncio.create_task(stage.place(order))
    await stage.until_placed(order)

    await stage.deliver()

    placed = await placing
    assert placed.status is OrderStatus.FILLED
    assert (await stage.ended(order)).startswith("FILLED")
    assert len(stage.floor.at_venue()) == 1
    total = await stage.floor.storage.orders.fill_total(order.order_id)
    assert total.quantity == order.quantity


async def test_a_rejection_that_overtakes_the_answer(stage: Stage) -> None:
    order = an_order(quantity=Decimal(5_000))
    stage.floor.fault(FaultKind.DELAY_ANSWER, delay_ms=600)
    placing = asyncio.create_task(stage.place(order))
    await stage.until_placed(order)

    await stage.deliver(a_report(order, Verdict.REJECTED, reason="Insufficient margin"))

    placed = await placing
    assert placed.status is OrderStatus.REJECTED
    assert (await stage.ended(order)).startswith("REJECTED (Insufficient margin")


async def test_the_feed_tells_what_neither_the_answer_nor_any_search_does(stage: Stage) -> None:
    """Nobody is shown UNKNOWN and accepted at once, nor told that it is not placed."""
    order = an_order()
    stage.floor.fault(FaultKind.DROP_AFTER_APPLY)
    stage.floor.fault(FaultKind.DELAY, "orderStatus", delay_ms=2_500, count=1)
    placing = asyncio.create_task(stage.place(order))
    await until(lambda: _shows(stage, order, OrderStatus.UNKNOWN), what="an unknown order")
    await until(lambda: not stage.floor.venue.faults.listed(), what="a search at the venue")

    await stage.deliver(a_report(order, Verdict.ACCEPTED))

    for seen in (await stage.floor.stored(order), await placing, await stage.state(order)):
        assert (seen.status, seen.outcome) == (OrderStatus.ACCEPTED, "accepted")
    # The search still waits for its answer, which is no reason to refuse a modify.
    assert await stage.floor.storage.ledger.undecided(before=now())
    answer = await stage.workflows.modify(
        order.order_id, "m1", quantity=Decimal("0.02"), price=None, wait_s=20
    )
    assert answer.order is not None and answer.refusal is None
    assert (answer.order.quantity, answer.order.status) == (Decimal("0.02"), OrderStatus.ACCEPTED)


async def _shows(stage: Stage, order: Order, status: OrderStatus) -> bool:
    kept = await stage.floor.storage.orders.get(order.order_id)
    return kept is not None and kept.status is status


async def test_a_signal_in_the_middle_of_the_ledgers_commit(stage: Stage) -> None:
    """The server refuses the task; the activity runs again and finds what it did."""
    order = an_order(**TAKING)
    loop = asyncio.get_running_loop()
    told: list[asyncio.Task[object]] = []

    def tell() -> None:
        report = a_report(order, Verdict.FILLED, "0.01")
        told.append(loop.create_task(stage.workflows.report(order.order_id, report)))

    stage.floor.points.actions["place.outcome_committed"] = [tell]

    placed = await stage.place(order)

    assert placed.status is OrderStatus.FILLED
    await stage.ended(order)
    assert len(told) == 1
    assert len(stage.floor.at_venue()) == 1


async def test_a_denied_order_ends_with_our_reason(stage: Stage) -> None:
    placed = await stage.place(an_order(quantity=Decimal("0.000001")))

    assert placed.status is OrderStatus.DENIED
    assert placed.outcome == "rejected"
    assert (await stage.ended(placed)).startswith("DENIED (quantity:")


async def test_an_immediate_order_without_match_ends_canceled(stage: Stage) -> None:
    placed = await stage.place(
        an_order(price=Decimal(60_000), time_in_force=TAKING["time_in_force"])
    )

    assert placed.status is OrderStatus.CANCELED
    assert placed.filled_quantity == 0
    await stage.ended(placed)


async def test_the_same_key_joins_and_another_body_is_told(stage: Stage) -> None:
    order = an_order()
    first, second = await asyncio.gather(stage.place(order), stage.place(order))
    assert first == second

    again = await stage.place(order)

    assert again.order_id == first.order_id
    other = an_order(order_id=order.order_id, fingerprint="another")
    with pytest.raises(Conflict) as told:
        await stage.workflows.place(other, wait_s=5)
    assert told.value.code == "idempotency_mismatch"
    assert len(stage.floor.at_venue()) == 1


async def test_another_body_is_refused_while_the_first_is_placed(stage: Stage) -> None:
    order = an_order()
    stage.floor.fault(FaultKind.DELAY_ANSWER, delay_ms=500)
    placing = asyncio.create_task(stage.place(order))
    await stage.until_placed(order)
    other = an_order(order_id=order.order_id, fingerprint="another")

    with pytest.raises(Conflict) as told:
        await stage.workflows.place(other, wait_s=5)

    assert told.value.code == "idempotency_mismatch"
    assert (await placing).status is OrderStatus.ACCEPTED


async def test_a_closed_workflow_says_so_to_another_and_answers_the_first(stage: Stage) -> None:
    order = an_order(**TAKING)
    placed = await stage.place(order)
    await stage.ended(order)

    again = await stage.place(order)

    assert again == placed


async def test_unsent_commands_are_tried_again(stage: Stage) -> None:
    order = an_order()
    stage.floor.fault(FaultKind.RATE_LIMIT)
    placing = asyncio.create_task(stage.place(order))
    await until(lambda: _revisions(stage, order), what="a first revision that was not sent")

    await stage.floor.forget_rate_limit()

    placed = await placing
    assert placed.status is OrderStatus.ACCEPTED
    assert len(placed.revisions) > 1
    assert all(revision.absent for revision in placed.revisions[:-1])
    assert len(stage.floor.at_venue()) == 1


async def _revisions(stage: Stage, order: Order) -> bool:
    kept = await stage.floor.storage.orders.get(order.order_id)
    return kept is not None and any(r.absent for r in kept.revisions)


async def test_an_order_that_stays_unsent_expires(stage: Stage) -> None:
    order = an_order()
    order = an_order(place_by=order.created_at + (order.place_by - order.created_at) / 10)
    stage.floor.fault(FaultKind.RATE_LIMIT, count=None)

    placed = await stage.place(order)

    assert placed.status is OrderStatus.EXPIRED
    assert placed.outcome == "not_sent"
    assert placed.reason is not None
    assert placed.reason.startswith("not_sent")
    await stage.ended(order)
    assert stage.floor.at_venue() == []


async def test_a_retry_that_is_halted_ends_unsent(stage: Stage) -> None:
    order = an_order()
    stage.floor.fault(FaultKind.RATE_LIMIT)
    placing = asyncio.create_task(stage.place(order))
    await until(lambda: _revisions(stage, order), what="a first revision that was not sent")

    await stage.floor.storage.halts.halt(None, reason="a test", by="local")

    placed = await placing
    assert placed.status is OrderStatus.EXPIRED
    assert placed.reason is not None
    assert placed.reason.startswith("not_sent: ")
    assert "a test" in placed.reason


async def test_fills_that_are_listed_late_are_waited_for(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    await stage.deliver(a_report(order, Verdict.FILLED, "0.01"))
    await until(lambda: _unsettled(stage, order), what="a fruitless settlement", within_s=10)

    await stage.fill()

    assert (await stage.ended(order)).startswith("FILLED")
    total = await stage.floor.storage.orders.fill_total(order.order_id)
    assert total.quantity == order.quantity


async def _unsettled(stage: Stage, order: Order) -> bool:
    tasks, _, _ = await stage.counted(order)
    return tasks >= 3
