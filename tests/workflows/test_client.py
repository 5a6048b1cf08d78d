"""The door to workflows: what it says when Temporal, a worker or the workflow is not there."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import Conflict, NotFound, Unavailable
from domain.orders import OrderStatus, Verdict
from tests.activities.floor import TAKING, an_order, until
from tests.workflows.stage import KEYS, NAMESPACE, Stage, a_report, temporal_server
from venues.simulation.faults import FaultKind
from workflows.client import Delivered, OrderWorkflows, connect

Call = Callable[[OrderWorkflows], Awaitable[object]]
CALLS: dict[str, Call] = {
    "cancel": lambda w: w.cancel("x", "r", wait_s=5),
    "modify": lambda w: w.modify("x", "r", price=None, quantity=None, wait_s=5),
    "report": lambda w: w.report("x", a_report(an_order(), Verdict.ACCEPTED)),
    "reconsider": lambda w: w.reconsider("x"),
    "state": lambda w: w.state("x"),
    "pending": lambda w: w.pending("x"),
    "is_running": lambda w: w.is_running("x"),
    "adopt": lambda w: w.adopt(an_order()),
    "verify_account": lambda w: w.verify_account("x", "hyperliquid", wait_s=5),
}


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture
async def nowhere() -> OrderWorkflows:
    return OrderWorkflows(await connect(f"127.0.0.1:{closed_port()}", NAMESPACE, KEYS))


@pytest.mark.parametrize("call", CALLS)
async def test_a_temporal_that_was_never_reached_is_unavailable(
    nowhere: OrderWorkflows, call: str
) -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        await CALLS[call](nowhere)


async def test_a_start_that_never_left_is_refused(nowhere: OrderWorkflows) -> None:
    with pytest.raises(Unavailable, match="nothing was sent"):
        await nowhere.place(an_order(), wait_s=5)
    assert not await nowhere.healthy()


async def test_a_worker_is_not_started_without_temporal() -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        await connect(f"127.0.0.1:{closed_port()}", NAMESPACE, KEYS, lazy=False)


async def test_what_no_workflow_manages(stage: Stage) -> None:
    workflows = stage.workflows

    for name in ("cancel", "modify", "state"):
        with pytest.raises(NotFound):
            await CALLS[name](workflows)
    with pytest.raises(NotFound):
        await workflows.resolve("x", "r", verdict="absent", reason="", by="local")
    assert await workflows.reconsider("x") is Delivered.MISSING
    assert await workflows.pending("x") is None
    assert await workflows.is_running("x") is None
    assert await workflows.healthy()
    assert workflows.namespace == NAMESPACE
    assert workflows.workflow_id("x") == "order-x"


async def test_a_closed_workflow(stage: Stage) -> None:
    order = an_order(**TAKING)
    await stage.place(order)
    await stage.ended(order)

    assert await stage.workflows.reconsider(order.order_id) is Delivered.CLOSED
    assert await stage.workflows.is_running(order.order_id) is False
    with pytest.raises(Conflict) as told:
        await stage.workflows.cancel(order.order_id, "c", wait_s=5)
    assert told.value.code == "workflow_closed"
    assert (await stage.state(order)).status is OrderStatus.FILLED, "queries are answered still"
    await stage.stop_worker()
    assert await stage.workflows.pending(order.order_id) == order


async def test_a_running_workflow_without_a_worker(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    await stage.stop_worker()

    assert await stage.workflows.reconsider(order.order_id) is Delivered.DELIVERED
    assert not (await stage.workflows.cancel(order.order_id, "c", wait_s=0.4)).decided
    with pytest.raises(Unavailable):
        await stage.workflows.state(order.order_id)

    # Nobody has heard of it but the server, which forgets what no worker has accepted.
    kept = [
        event
        for event in await stage.events(order)
        if event.HasField("workflow_execution_cancel_requested_event_attributes")
    ]
    assert len(kept) == 1, "a cancel that outlives its caller"
    await stage.start_worker()
    assert (await stage.ended(order)).startswith("CANCELED")


async def test_a_workflow_that_is_terminated_while_its_callers_wait(stage: Stage) -> None:
    order = an_order()
    stage.floor.fault(FaultKind.DROP_AFTER_APPLY)
    stage.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "orderStatus", count=None)
    placing = asyncio.create_task(stage.try_place(order))
    await until(lambda: stage.floor.at_venue(), what="an order at the venue")
    canceling = asyncio.create_task(stage.workflows.cancel(order.order_id, "c", wait_s=10))
    await until(lambda: _accepted(stage, order.order_id), what="the cancel in the history")

    await stage.handle(order).terminate("a test")

    for waiting in (placing, canceling):
        with pytest.raises(Conflict) as told:
            await waiting
        assert told.value.code == "workflow_closed"
    with pytest.raises(Conflict) as told:
        await stage.workflows.place(an_order(order_id=order.order_id), wait_s=5)
    assert told.value.code == "workflow_closed"


async def _accepted(stage: Stage, order_id: str) -> bool:
    handle = stage.client.get_workflow_handle(stage.workflows.workflow_id(order_id))
    history = await handle.fetch_history()
    accepted = [
        event
        for event in history.events
        if event.HasField("workflow_execution_update_accepted_event_attributes")
    ]
    return len(accepted) == 2


async def test_a_temporal_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once reached and then gone: nothing is ever called refused on a guess."""
    monkeypatch.setattr("workflows.client.SIGNAL_TIMEOUT", timedelta(seconds=0.5))

    def start() -> tuple[AbstractContextManager[str], str]:
        server = temporal_server()
        return server, server.__enter__()

    server, address = await asyncio.to_thread(start)
    workflows = OrderWorkflows(await connect(address, NAMESPACE, KEYS, lazy=False))
    assert await workflows.healthy()
    await asyncio.to_thread(server.__exit__, None, None, None)

    placement = await workflows.place(an_order(), wait_s=1.0)

    assert not placement.decided
    with pytest.raises(Unavailable):
        await workflows.reconsider("x")
    assert not await workflows.healthy()
    with pytest.raises(Unavailable):
        await workflows.cancel("x", "r", wait_s=0.5)


REFUSALS = [
    (RPCStatusCode.FAILED_PRECONDITION, "buffered", "undecided"),
    (RPCStatusCode.NOT_FOUND, "gone", "undecided"),
    (RPCStatusCode.RESOURCE_EXHAUSTED, "limit", "refused"),
    (RPCStatusCode.UNAVAILABLE, "tcp connect error", "refused"),
    (RPCStatusCode.UNAVAILABLE, "broken pipe", "undecided"),
    (RPCStatusCode.INTERNAL, "connect", "undecided"),
]


@pytest.mark.parametrize(("status", "message", "meaning"), REFUSALS)
async def test_what_a_failed_start_means(
    stage: Stage, status: RPCStatusCode, message: str, meaning: str
) -> None:
    error = RPCError(message, status, b"")

    if meaning == "refused":
        with pytest.raises(Unavailable, match="nothing was sent"):
            await stage.workflows._after_failed_start("not there", error)
    else:
        placement = await stage.workflows._after_failed_start("not there", error)
        assert not placement.decided


async def test_a_failed_start_of_what_runs_all_the_same_is_not_refused(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    error = RPCError("tcp connect error", RPCStatusCode.UNAVAILABLE, b"")

    placement = await stage.workflows._after_failed_start(order.order_id, error)

    assert not placement.decided
