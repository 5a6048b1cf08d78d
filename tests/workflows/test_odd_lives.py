"""What an order's workflow survives: its worker, its history, forged messages, an operator."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import RawValue
from temporalio.converter import WorkflowSerializationContext

from domain.commands import CommandKind
from domain.orders import OrderStatus, Verdict
from serving.settings import Parts
from storage.tables import credentials
from tests.activities.floor import ACCOUNT_ID, AwayLedger, an_order, now, place_task, until
from tests.workflows.stage import NAMESPACE, Stage, a_report, open_stage, temporal_server
from venues.simulation.faults import FaultKind
from workflows import ids
from workflows.orphans import OrphanSweep


async def placed_by_nobody(stage: Stage, kind: FaultKind | None = None, **changes: Any) -> Any:
    """Place an order by the activity alone, as if its workflow had been lost."""
    order = an_order(**changes)
    if kind is not None:
        stage.floor.fault(kind)
    result = await stage.floor.environment.run(stage.floor.orders.place, place_task(order))
    stage.orders.append(order)
    return result.order


# The worker


async def test_a_restarted_worker_goes_on(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)

    await stage.restart_worker()

    await stage.fill()
    assert (await stage.ended(order)).startswith("FILLED")
    assert len(stage.floor.at_venue()) == 1


async def test_without_a_worker_nothing_is_decided_and_nothing_is_lost(stage: Stage) -> None:
    await stage.stop_worker()
    order = an_order()

    placement = await stage.place_unheard(order)

    assert not placement.decided
    assert placement.order is None
    assert await stage.workflows.pending(order.order_id) == order
    await stage.start_worker()
    assert (await stage.place(order)).status is OrderStatus.ACCEPTED
    assert len(stage.floor.at_venue()) == 1


async def test_a_place_that_is_given_up_leaves_no_complaint(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    await stage.stop_worker()
    await stage.try_place(an_order(), wait_s=0.3)
    await asyncio.sleep(0)
    gc.collect()

    assert "never retrieved" not in caplog.text


# Adoption


@pytest.mark.parametrize("kind", [None, FaultKind.DROP_AFTER_APPLY])
async def test_an_adopted_order_lives_on(stage: Stage, kind: FaultKind | None) -> None:
    order = await placed_by_nobody(stage, kind)

    assert await stage.workflows.adopt(order)

    await until(lambda: _rests(stage, order), what="the order in its workflow")
    assert not await stage.workflows.adopt(order)
    await stage.fill()
    assert (await stage.ended(order)).startswith("FILLED")
    assert len(stage.floor.at_venue()) == 1


async def _rests(stage: Stage, order: Any) -> bool:
    return (await stage.state(order)).status is OrderStatus.ACCEPTED


async def test_an_adopted_cancel_goes_on(stage: Stage) -> None:
    order = await placed_by_nobody(stage)
    stage.floor.fault(FaultKind.DROP_BEFORE_APPLY, "cancel")
    await stage.floor.cancel(order)

    await stage.workflows.adopt(order)

    assert (await stage.ended(order)).startswith("CANCELED")


async def test_an_order_that_nobody_knows_is_not_adopted(stage: Stage) -> None:
    order = an_order()
    stage.orders.append(order)

    await stage.workflows.adopt(order)

    with pytest.raises(WorkflowFailureError):
        await stage.ended(order)
    description = await stage.handle(order).describe()
    assert description.status is WorkflowExecutionStatus.FAILED


async def test_a_terminated_order_is_swept_up_and_lives_on(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    await stage.handle(order).terminate("by mistake")

    swept = await _sweep(stage).run()

    assert swept.adopted == (order.order_id,)
    await until(lambda: _rests(stage, order), what="the order in its workflow")
    assert (await _sweep(stage).run()).adopted == ()
    await stage.fill()
    assert (await stage.ended(order)).startswith("FILLED")


def _sweep(stage: Stage, *, later_s: float = 60.0) -> OrphanSweep:
    return OrphanSweep(
        stage.floor.storage.ledger,
        stage.floor.storage.orders,
        stage.workflows,
        lambda: now() + timedelta(seconds=later_s),
    )


async def test_young_orders_are_not_swept(stage: Stage) -> None:
    await placed_by_nobody(stage, FaultKind.DROP_AFTER_APPLY)

    assert (await _sweep(stage, later_s=0.0).run()).adopted == ()


async def test_a_workflow_is_reminded_of_what_it_does_not_know(stage: Stage) -> None:
    """A cancel in the ledger that its workflow never heard of: of an emergency, say."""
    order = an_order()
    await stage.place(order)
    stage.floor.fault(FaultKind.DROP_BEFORE_APPLY, "cancel")
    await stage.floor.cancel(order)

    swept = await _sweep(stage).run()

    assert swept.reminded == (order.order_id,)
    assert (await stage.ended(order)).startswith("CANCELED")


async def test_an_order_that_lives_again_after_its_workflow_completed_is_adopted(
    stage: Stage,
) -> None:
    order = an_order()
    stage.floor.fault(FaultKind.RATE_LIMIT, count=None)
    placing = asyncio.create_task(stage.place(order))
    await until(lambda: _has_rows(stage, order), what="a revision that was not sent")
    await stage.workflows.cancel(order.order_id, "c1", wait_s=10)
    await placing
    await stage.ended(order)
    # The venue contradicts the proof.
    await stage.floor.storage.orders.fold(a_report(order, Verdict.ACCEPTED, venue_order_id="7"))
    assert not (await stage.floor.stored(order)).is_terminal

    swept = await _sweep(stage).run()

    assert swept.adopted == (order.order_id,)
    assert await stage.workflows.is_running(order.order_id)


async def _has_rows(stage: Stage, order: Any) -> bool:
    return bool(await stage.floor.storage.ledger.of_order(order.order_id))


async def test_an_undecided_command_of_an_ended_order_is_swept_too(stage: Stage) -> None:
    order = await placed_by_nobody(stage)
    stage.floor.fault(FaultKind.DROP_BEFORE_APPLY, "cancel")
    await stage.floor.cancel(order)
    stage.floor.fill()
    await stage.floor.book_fills()
    assert (await stage.floor.stored(order)).is_terminal

    swept = await _sweep(stage).run()

    assert swept.adopted == (order.order_id,)
    assert (await stage.ended(order)).startswith("FILLED")
    row = await stage.floor.row(order, CommandKind.CANCEL)
    assert row.is_decided


async def test_a_reset_workflow_places_nothing_again(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    events = await stage.events(order)
    first_task = next(
        event.event_id
        for event in events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    )
    run_id = (await stage.handle(order).describe()).run_id

    await stage.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_execution=WorkflowExecution(
                workflow_id=ids.order_workflow_id(order.order_id), run_id=run_id
            ),
            reason="a test",
            workflow_task_finish_event_id=first_task,
            request_id="reset",
        )
    )

    await until(lambda: _rests(stage, order), what="the order in its new run")
    assert len(stage.floor.at_venue()) == 1
    await stage.fill()
    assert (await stage.ended(order)).startswith("FILLED")


# Forged and lost messages


async def plain_client(stage: Stage) -> Client:
    """A client that knows nothing of our keys."""
    return await Client.connect(stage.client.service_client.config.target_host, namespace=NAMESPACE)


async def test_a_forged_plaintext_report_is_dropped_and_counted(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    forged = (await plain_client(stage)).get_workflow_handle(ids.order_workflow_id(order.order_id))

    await forged.signal("report", {"order_id": order.order_id, "verdict": "FILLED"})

    await stage.fill()
    assert (await stage.ended(order)).startswith("FILLED")
    assert "a payload is not encrypted by this system" in stage.refused
    assert (await stage.floor.stored(order)).filled_quantity == Decimal("0.01")


async def test_a_report_cut_out_of_another_workflow_is_dropped(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    other = an_order()
    context = WorkflowSerializationContext(
        namespace=NAMESPACE, workflow_id=ids.order_workflow_id(other.order_id)
    )
    converter = stage.client.data_converter.with_context(context)
    payloads = await converter.encode([a_report(order, Verdict.FILLED, "0.01")])
    raw = await plain_client(stage)
    handle = raw.get_workflow_handle(ids.order_workflow_id(order.order_id))

    await handle.signal("report", RawValue(payloads[0]))

    await until(
        lambda: any("out of its place" in reason for reason in stage.refused),
        what="the refusal of the payload",
    )
    assert (await stage.state(order)).filled_quantity == 0


async def test_a_forged_reconsideration_before_anything_is_placed_stalls_nothing(
    stage: Stage,
) -> None:
    await stage.stop_worker()
    order = an_order()
    await stage.place_unheard(order)
    forged = (await plain_client(stage)).get_workflow_handle(ids.order_workflow_id(order.order_id))
    await forged.signal("reconsider")

    await stage.start_worker()

    assert (await stage.place(order)).status is OrderStatus.ACCEPTED


async def test_a_forged_update_is_refused(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    forged = (await plain_client(stage)).get_workflow_handle(ids.order_workflow_id(order.order_id))

    with pytest.raises(Exception):  # noqa: B017 - whatever the server makes of it
        async with asyncio.timeout(5):
            await forged.execute_update("cancel", {"request_id": "x"})

    assert stage.floor.one_at_venue().status.value == "open"


async def test_a_report_of_a_revision_it_does_not_know_is_looked_up(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    stage.floor.fill()
    await stage.floor.book_fills()

    await stage.workflows.report(order.order_id, a_report(order, Verdict.ACCEPTED, revision=5))

    assert (await stage.ended(order)).startswith("FILLED")


async def test_the_database_is_away_for_a_while(stage: Stage) -> None:
    """The account's credential cannot be read: nothing is sent, and it is tried again."""
    database = stage.floor.storage.database
    kept = (await database.fetch_all(credentials.select()))[0].sealed

    async def write(value: bytes) -> None:
        statement = update(credentials).values(sealed=value)
        await database.write(lambda connection: connection.execute(statement) and None)

    await write(b"damaged")
    order = an_order()
    placing = asyncio.create_task(stage.place(order))
    await until(lambda: stage.workflows.is_running(order.order_id), what="a running workflow")
    await asyncio.sleep(0.3)
    assert stage.floor.at_venue() == []

    await write(kept)

    assert (await placing).status is OrderStatus.ACCEPTED
    stage.floor.fault(FaultKind.DROP_AFTER_APPLY, "cancel")
    await write(b"damaged")
    canceling = asyncio.create_task(stage.workflows.cancel(order.order_id, "c1", wait_s=20))
    await asyncio.sleep(0.5)
    await write(kept)
    answer = await canceling
    assert answer.order is not None
    assert answer.order.status is OrderStatus.CANCELED


async def test_an_activity_that_fails_after_the_send_ends_nothing(stage: Stage) -> None:
    """A local activity's failure comes bare; the workflow has to survive it."""
    await stage.stop_worker()
    away = AwayLedger(stage.floor.storage.ledger, away=3)
    await stage.start_worker(Parts(ledger=lambda _: away))
    order = an_order()

    placed = await stage.place(order)

    assert placed.status is OrderStatus.ACCEPTED
    assert away.asked > 3
    assert len(stage.floor.at_venue()) == 1
    away.asked = 0
    answer = await stage.workflows.cancel(order.order_id, "c1", wait_s=20)
    assert answer.order is not None
    assert answer.order.status is OrderStatus.CANCELED


async def test_an_order_is_not_closed_whose_bytes_may_be_out(stage: Stage) -> None:
    """Sent, its outcome never written, and its time over: found out, not expired."""
    await stage.stop_worker()
    away = AwayLedger(stage.floor.storage.ledger, away=3)
    await stage.start_worker(Parts(ledger=lambda _: away))
    order = an_order()
    order = replace(order, place_by=order.created_at + timedelta(seconds=0.4))

    placed = await stage.place(order)

    if stage.floor.at_venue():
        assert placed.status is OrderStatus.ACCEPTED
        assert len(stage.floor.at_venue()) == 1
    else:
        assert placed.status is OrderStatus.EXPIRED, "a busy machine came too late to send"


async def test_a_look_up_that_fails_is_made_again(stage: Stage) -> None:
    order = an_order()
    stage.floor.fault(FaultKind.DROP_AFTER_APPLY)
    stage.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "orderStatus", count=None)
    placing = asyncio.create_task(stage.place(order, wait_s=30))
    await until(lambda: stage.floor.at_venue(), what="an order at the venue")
    database = stage.floor.storage.database
    kept = (await database.fetch_all(credentials.select()))[0].sealed
    statement = update(credentials).values(sealed=b"damaged")
    await database.write(lambda connection: connection.execute(statement) and None)
    await until(lambda: _looked_in_vain(stage, order), what="a failed look-up")

    back = update(credentials).values(sealed=kept)
    await database.write(lambda connection: connection.execute(back) and None)
    stage.floor.venue_is_back()

    assert (await placing).status is OrderStatus.ACCEPTED


async def _looked_in_vain(stage: Stage, order: Any) -> bool:
    _, _, kinds = await stage.counted(order)
    return kinds["ACTIVITY_TASK_FAILED"] >= 1


async def test_a_settlement_that_fails_is_made_again(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    stage.floor.fill()
    stage.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "userFillsByTime", count=2)
    report = a_report(order, Verdict.FILLED, "0.01")
    await stage.floor.storage.orders.fold(report)
    await stage.workflows.report(order.order_id, report)

    assert (await stage.ended(order)).startswith("FILLED")
    total = await stage.floor.storage.orders.fill_total(order.order_id)
    assert total.quantity == order.quantity


# A long history


@pytest.fixture(scope="module")
def impatient_temporal() -> Iterator[str]:
    """A server that suggests to continue as new after a few events."""
    with temporal_server(**{"limit.historyCount.suggestContinueAsNew": 30}) as address:
        yield address


@pytest.fixture
async def impatient(
    impatient_temporal: str,
    database_template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Stage]:
    async with open_stage(impatient_temporal, database_template, tmp_path, monkeypatch) as opened:
        yield opened


async def test_a_long_life_goes_on_as_new_and_loses_nothing(impatient: Stage) -> None:
    stage = impatient
    order = an_order(quantity=Decimal("0.02"))
    await stage.place(order)
    first = (await stage.handle(order).describe()).run_id
    modified = await stage.workflows.modify(
        order.order_id, "m1", price=Decimal(59_000), quantity=None, wait_s=20
    )
    assert modified.decided
    for number in range(1, 9):
        await stage.fill("0.001")
        await until(
            partial(_has_filled, stage, order, number),
            what=f"fill {number} in the workflow",
        )
    assert (await stage.handle(order).describe()).run_id != first

    again = await stage.workflows.modify(
        order.order_id, "m1", price=Decimal(59_000), quantity=None, wait_s=20
    )

    assert again.decided, "the answers go along"
    assert len(stage.floor.at_venue()) == 2
    assert (await stage.attributes(order))["OrderStatus"] == "ACCEPTED"
    await stage.fill()
    assert await stage.ended(order) == "FILLED: filled 0.02 of 0.02 at 59000"


async def _has_filled(stage: Stage, order: Any, thousandths: int) -> bool:
    return (await stage.state(order)).filled_quantity == Decimal(thousandths) / 1000


async def test_a_reconsideration_is_not_lost_at_a_continuation(impatient: Stage) -> None:
    """The report of an unknown revision comes with the one that makes the history long."""
    stage = impatient
    order = an_order(quantity=Decimal("0.02"))
    await stage.place(order)
    await stage.stop_worker()
    stage.floor.fill()
    await stage.floor.book_fills()
    for _ in range(30):
        await stage.workflows.report(order.order_id, a_report(order, Verdict.ACCEPTED))
    await stage.workflows.report(order.order_id, a_report(order, Verdict.ACCEPTED, revision=5))

    await stage.start_worker()

    assert (await stage.ended(order)).startswith("FILLED")


async def test_an_order_that_stays_unknown_goes_on_as_new_and_sends_callers_off(
    impatient: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = impatient
    monkeypatch.setattr("activities.resolution.LOOK_FOR_S", 0.05)
    monkeypatch.setattr("workflows.policies.ATTENTION_AFTER", timedelta(milliseconds=300))
    order = an_order()
    stage.floor.fault(FaultKind.DROP_AFTER_APPLY)
    stage.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "orderStatus", count=None)
    placing = asyncio.create_task(stage.try_place(order, wait_s=25))
    # A cancel that came before the placement was sent would decide it.
    await stage.until_placed(order)
    canceling = asyncio.create_task(stage.workflows.cancel(order.order_id, "c1", wait_s=25))

    placement = await placing
    answer = await canceling

    assert not placement.decided
    assert not answer.decided

    async def calls_for_somebody() -> bool:
        return (await stage.attributes(order)).get("NeedsAttention") is True

    await until(calls_for_somebody, what="an order that calls for an operator")
    stage.floor.venue_is_back()
    asked_again = await stage.workflows.cancel(order.order_id, "c1", wait_s=20)
    assert asked_again.order is not None
    assert asked_again.order.status is OrderStatus.CANCELED
    await stage.ended(order)
    assert (await stage.attributes(order))["NeedsAttention"] is False
    assert (await stage.attributes(order))["OrderStatus"] == "CANCELED"
    assert len(stage.floor.at_venue()) == 1


async def test_fills_that_are_never_listed_go_on_as_new(
    impatient: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = impatient
    monkeypatch.setattr("workflows.policies.SETTLE_PAUSE", timedelta(milliseconds=20))
    monkeypatch.setattr("workflows.policies.LONGEST_PAUSE", timedelta(milliseconds=40))
    order = an_order()
    await stage.place(order)
    first = (await stage.handle(order).describe()).run_id

    await stage.deliver(a_report(order, Verdict.FILLED, "0.01"))

    async def went_on() -> bool:
        return (await stage.handle(order).describe()).run_id != first

    await until(went_on, what="a fresh history")
    await stage.fill()
    assert (await stage.ended(order)).startswith("FILLED")


# Accounts


async def test_an_account_is_verified(stage: Stage) -> None:
    account = await stage.workflows.verify_account(ACCOUNT_ID, "hyperliquid", wait_s=10)

    assert account is not None
    assert account.account_id == ACCOUNT_ID


async def test_an_account_that_no_worker_checks_in_time(stage: Stage) -> None:
    await stage.stop_worker()

    assert await stage.workflows.verify_account("nobody", "hyperliquid", wait_s=0.3) is None

    await stage.client.get_workflow_handle(ids.account_workflow_id("nobody")).terminate("over")
