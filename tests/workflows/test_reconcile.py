"""Reconciliation as a workflow: at once, again, on demand; through faults, removal and restarts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, delete
from temporalio.client import WorkflowExecutionStatus

from domain.accounts import AccountState
from domain.errors import Conflict
from domain.external_orders import external_order_id
from domain.findings import (
    FindingKind,
    FindingState,
    Reconciliation,
    ReconciliationReason,
    ReconciliationStatus,
)
from domain.instruments import OrderSide
from domain.orders import OrderStatus, Origin
from storage.reconciliation_tables import reconciliation_findings, reconciliations
from storage.reconciliations import SqlReconciliations
from tests.activities.floor import ACCOUNT_ID, TAKING, an_order, until
from tests.workflows.reconciling import VISIBLE_AFTER_S, Auditor
from tests.workflows.stage import Stage
from venues.simulation.faults import FaultKind
from venues.simulation.records import OrderStatus as AtVenue
from venues.simulation.records import Side
from workflows.reconcile import BEGINNINGS_MAX, PERSISTENT
from workflows.reconciliation_client import ReconcileSweep, ReconcileWorkflows

PASSED = ReconciliationStatus.PASSED


@pytest.fixture
async def auditor(stage: Stage) -> Auditor:
    return await Auditor.of(stage)


async def test_an_account_is_reconciled_at_once_and_whenever_asked(auditor: Auditor) -> None:
    stage = auditor.stage
    await stage.place(an_order())
    await auditor.workflows.ensure(await auditor.account())

    async def first() -> bool:
        return (await auditor.workflows.state(ACCOUNT_ID)).last is not None

    await until(first, what="the first reconciliation")
    state = await auditor.workflows.state(ACCOUNT_ID)
    assert state.last is not None
    assert (state.last.reason, state.last.status) == (ReconciliationReason.START, PASSED)
    done = await auditor.reconcile(key="one")
    again = await auditor.reconcile(key="one")

    assert (done.reason, done.status, done.requested_by) == (
        ReconciliationReason.DEMAND,
        PASSED,
        "local",
    )
    assert again == done
    description = await auditor.handle.describe()
    assert description.status is WorkflowExecutionStatus.RUNNING
    summary = await description.static_summary()
    assert summary is not None
    assert summary.startswith("reconcile hyperliquid/")
    events = list((await auditor.handle.fetch_history()).events)
    # Two rounds of three activities and a timer: begin, look, finish.
    assert len(events) < 70


async def test_what_was_made_elsewhere_is_labelled_by_a_second_look(auditor: Auditor) -> None:
    stage = auditor.stage
    order = an_order()
    await stage.place(order)
    made = auditor.by_hand(Side.BUY, "50000")

    done = await auditor.reconcile()

    assert (done.status, done.counts.looks) == (PASSED, 2)
    (finding,) = await auditor.findings(done)
    assert (finding.kind, finding.state) == (FindingKind.EXTERNAL_ORDER, FindingState.REPAIRED)
    kept = await stage.floor.storage.orders.get(
        external_order_id(ACCOUNT_ID, str(made.venue_order_id))
    )
    assert kept is not None
    assert (kept.origin, kept.status) == (Origin.EXTERNAL, OrderStatus.ACCEPTED)
    assert made.status is AtVenue.OPEN
    assert (await stage.floor.stored(order)).origin is Origin.USER
    quiet = await auditor.reconcile()
    assert (quiet.findings, quiet.counts.looks) == ({}, 1)


async def test_an_adopted_order_is_canceled_when_somebody_says_so(auditor: Auditor) -> None:
    stage = auditor.stage
    made = auditor.by_hand(Side.BUY, "50000")
    await auditor.reconcile()
    order_id = external_order_id(ACCOUNT_ID, str(made.venue_order_id))
    order = await stage.floor.storage.orders.get(order_id)
    assert order is not None
    stage.orders.append(order)

    await stage.workflows.adopt(order, completed_too=True)
    answer = await stage.workflows.cancel(order_id, "cancel-it", wait_s=15.0)

    assert (answer.decided, answer.refusal) == (True, None)
    assert made.status is AtVenue.CANCELED
    kept = await stage.floor.stored(order)
    assert (kept.origin, kept.status) == (Origin.EXTERNAL, OrderStatus.CANCELED)
    await stage.ended(order)


async def test_a_venue_that_does_not_answer_fails_it_and_it_is_tried_again(
    auditor: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = replace(PERSISTENT, initial_interval=timedelta(milliseconds=50), maximum_attempts=2)
    monkeypatch.setattr("workflows.reconcile.PERSISTENT", quick)
    monkeypatch.setattr("workflows.reconcile.SOON", timedelta(milliseconds=300))
    stage = auditor.stage
    stage.floor.venue.faults.add(FaultKind.MAINTENANCE, count=None)

    failed = await auditor.reconcile()
    stage.floor.venue_is_back()

    assert failed.status is ReconciliationStatus.FAILED
    assert failed.error is not None

    async def passes() -> bool:
        state = await auditor.workflows.state(ACCOUNT_ID)
        return state.last is not None and state.last.status is PASSED

    await until(passes, what="the next one to pass", within_s=30)
    assert (await auditor.workflows.state(ACCOUNT_ID)).failures == 0


@pytest.mark.parametrize("step", ["record", "settle"])
async def test_one_that_a_restored_database_has_forgotten_is_begun_anew(
    auditor: Auditor, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Forgotten before its second look, or when only its end is to be written down."""
    database = auditor.stage.floor.storage.database
    forgotten: list[str] = []
    done_as_ever = getattr(SqlReconciliations, step)

    async def once_and_forget(
        self: SqlReconciliations, which: str, *rest: Any, **more: int
    ) -> None:
        await done_as_ever(self, which, *rest, **more)
        if not forgotten:
            forgotten.append(which)
            which_row = reconciliations.c.reconciliation_id == which
            its_findings = reconciliation_findings.c.reconciliation_id == which

            def forget(connection: Connection) -> None:
                connection.execute(delete(reconciliation_findings).where(its_findings))
                connection.execute(delete(reconciliations).where(which_row))

            await database.write(forget)

    monkeypatch.setattr(SqlReconciliations, step, once_and_forget)
    if step == "record":
        auditor.by_hand(Side.BUY, "50000")

    done = await auditor.reconcile()

    assert done.status is PASSED
    assert forgotten == [done.reconciliation_id]
    stored = await auditor.stage.floor.storage.reconciliations.get(done.reconciliation_id)
    assert stored == done


async def test_one_that_is_forgotten_every_time_is_left_undecided_and_tried_again(
    auditor: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    async def forget(self: SqlReconciliations, which: Reconciliation) -> Reconciliation:
        begun.append(which.reconciliation_id)
        return which

    with monkeypatch.context() as forgetting:
        forgetting.setattr(SqlReconciliations, "begin", forget)
        undecided = await auditor.workflows.reconcile(
            await auditor.account(), "never-kept", requested_by="local", wait_s=30.0
        )
        state = await auditor.workflows.state(ACCOUNT_ID)

    assert undecided is None
    assert begun.count("never-kept") == BEGINNINGS_MAX
    assert state.failures >= 1
    assert (await auditor.reconcile()).status is PASSED


async def test_it_ends_with_its_account_and_waits_for_one_that_is_checked(
    auditor: Auditor,
) -> None:
    accounts = auditor.stage.floor.storage.accounts
    await auditor.workflows.ensure(await auditor.account())
    await auditor.reconcile()
    await accounts.set_state(ACCOUNT_ID, AccountState.PENDING, reason=None, signer=None)
    with pytest.raises(Conflict, match="not active yet"):
        await auditor.reconcile()

    await accounts.set_state(ACCOUNT_ID, AccountState.REMOVED, reason="gone", signer=None)
    await auditor.workflows.wake(ACCOUNT_ID)

    async with asyncio.timeout(20):
        assert "not in use" in await auditor.handle.result()
    await auditor.workflows.wake(ACCOUNT_ID)


async def test_a_request_to_cancel_ends_it(auditor: Auditor) -> None:
    await auditor.reconcile()
    await auditor.handle.cancel()

    async def canceled() -> bool:
        status = (await auditor.handle.describe()).status
        return status is WorkflowExecutionStatus.CANCELED

    await until(canceled, what="the workflow to end")
    assert (await auditor.reconcile()).status is PASSED, "asking for one starts it again"


async def test_it_goes_on_as_new_and_keeps_what_it_knows(
    auditor: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.reconcile.ROUNDS_MAX", 2)
    runs = set()
    for _ in range(4):
        done = await auditor.reconcile()
        assert done.status is PASSED
        runs.add((await auditor.handle.describe()).run_id)
    assert len(runs) >= 2
    state = await auditor.workflows.state(ACCOUNT_ID)
    assert state.last is not None


async def test_the_sweep_starts_what_is_missing_and_wakes_what_is_due(auditor: Auditor) -> None:
    storage = auditor.stage.floor.storage
    gate = storage.reconciliations
    sweep = ReconcileSweep(
        storage.accounts,
        gate,
        ReconcileWorkflows(auditor.stage.client),
        frozenset({"hyperliquid"}),
    )

    await sweep.run()

    async def open_again() -> bool:
        return await gate.due_since(ACCOUNT_ID) is None

    # Nobody had been seen: the account was due, and its first reconciliation opened the gate.
    await until(open_again, what="the gate to open")
    newest = (await gate.page(ACCOUNT_ID, limit=1))[0]
    assert newest.status is PASSED
    await gate.make_due()
    await sweep.run()
    await until(open_again, what="the gate to open again")
    await storage.accounts.set_state(ACCOUNT_ID, AccountState.REMOVED, reason=None, signer=None)
    await sweep.run()
    async with asyncio.timeout(20):
        await auditor.handle.result()


async def test_no_new_exposure_before_an_unwatched_account_is_reconciled(
    auditor: Auditor,
) -> None:
    stage = auditor.stage
    await stage.place(an_order(**TAKING))
    await stage.floor.book_fills()
    gate = stage.floor.storage.reconciliations
    await gate.make_due()
    waiting = an_order(**TAKING)
    placing = asyncio.create_task(stage.try_place(waiting, wait_s=15.0))

    async def began() -> bool:
        return await stage.workflows.is_running(waiting.order_id) is True

    await until(began, what="the order's workflow")
    reducing = an_order(
        side=OrderSide.SELL,
        reduce_only=True,
        price=Decimal(60_000),
        time_in_force=TAKING["time_in_force"],
    )

    assert (await stage.place(reducing)).status is OrderStatus.FILLED
    assert await stage.floor.storage.orders.get(waiting.order_id) is None
    await auditor.reconcile()

    placed = (await placing).order
    assert placed is not None
    assert placed.status is OrderStatus.FILLED


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (FaultKind.DROP_AFTER_APPLY, OrderStatus.ACCEPTED),
        (FaultKind.DROP_BEFORE_APPLY, OrderStatus.EXPIRED),
    ],
)
async def test_an_operators_word_gives_way_to_the_venues(
    auditor: Auditor, fault: FaultKind, status: OrderStatus
) -> None:
    stage = auditor.stage
    order = an_order()
    stage.floor.fault(fault)
    stage.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "orderStatus", count=None)
    placing = asyncio.create_task(stage.try_place(order, wait_s=20))

    async def is_unknown() -> bool:
        kept = await stage.floor.storage.orders.get(order.order_id)
        return kept is not None and kept.status is OrderStatus.UNKNOWN

    await until(is_unknown, what="an unknown order")
    await stage.workflows.resolve(
        order.order_id, "word", verdict="accepted", reason="seen there", by="local"
    )
    assert (await stage.state(order)).outcome == "pending"
    stage.floor.venue_is_back()
    # Past the order's admission by the venue's clock: what is silent now never came.
    stage.floor.shift_venue_clock(20)
    await asyncio.sleep(2 * VISIBLE_AFTER_S)

    done = await auditor.reconcile()

    assert done.status is PASSED

    async def told() -> bool:
        return (await stage.state(order)).status is status

    await until(told, what=f"the workflow to know that it is {status}", within_s=30)
    kinds = {finding.kind for finding in await auditor.findings(done)}
    assert kinds <= {FindingKind.UNSEEN_ORDER, FindingKind.STALE_ORDER}
    # Whoever waited for the placing is answered, or told that the workflow has closed since.
    await asyncio.gather(placing, return_exceptions=True)
    assert len(stage.floor.at_venue()) == (status is OrderStatus.ACCEPTED)
