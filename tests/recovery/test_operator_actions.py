"""An operator's buttons under live orders: cancel, terminate, reset, and Temporal's database gone.

Whatever is pressed, each order ends managed by a workflow again and was on the venue once; the
exchange's own ledger is the judge.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, ResetReapplyType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from tests.crash.rig import Rig, eventually
from tests.crash.trader import Trader

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUANTITY = "0.01"
#: The sweep leaves orders younger than 10 s alone, and runs each second here.
SWEPT_WITHIN_S = 30.0
#: One order at each, placed first of all so that they are old enough by the time they are orphans.
PRICES = ("20001", "20002", "20003", "20004", "20005", "20006")


@dataclass(frozen=True)
class Stage:
    """A stack with orders that rest, by price."""

    rig: Rig
    trader: Trader
    client: Client
    orders: dict[str, dict[str, Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    home: Path = tmp_path_factory.mktemp("operator") / "home"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("WORKER_SWEEP_EVERY_S", "1")
        async with Rig(home) as rig:
            trader = Trader(rig.api_url, rig.home / "api-token")
            await trader.open_account(await rig.control("POST", "/accounts", {}), "operator")
            orders = await asyncio.gather(*(resting(trader, price) for price in PRICES))
            client = await Client.connect(rig.temporal_address)
            yield Stage(rig, trader, client, dict(zip(PRICES, orders, strict=True)))


async def test_request_cancellation_cancels_the_order(stage: Stage) -> None:
    rig, trader, client = stage.rig, stage.trader, stage.client
    order = stage.orders["20001"]
    handle = workflow_of(client, order)

    await handle.cancel()

    ended = await trader.until(order["order_id"], is_("CANCELED"), within_s=20)
    assert ended["filled_quantity"] == "0"
    await eventually(
        lambda: status_of(handle),
        within_s=20,
        what="the workflow to end as done, not as canceled in the middle",
        until=lambda status: status is WorkflowExecutionStatus.COMPLETED,
    )
    assert await on_the_venue(rig, "20001") == ["canceled"]


async def test_a_reset_sends_nothing_again(stage: Stage) -> None:
    rig, trader, client = stage.rig, stage.trader, stage.client
    order = stage.orders["20002"]
    first = await workflow_of(client, order).describe()

    await reset_to_its_start(client, first.id, first.run_id)

    second = await eventually(
        lambda: trader.get(order["order_id"]), within_s=20, what="the order", until=is_("ACCEPTED")
    )
    assert second["client_order_id"] == order["client_order_id"]
    canceled = await trader.cancel(order["order_id"], "cancel-after-reset")
    assert canceled["status"] == "CANCELED"
    now = await workflow_of(client, order).describe()
    assert now.run_id != first.run_id
    assert await on_the_venue(rig, "20002") == ["canceled"]


async def test_a_terminated_order_is_adopted_and_ends(stage: Stage) -> None:
    rig, trader, client = stage.rig, stage.trader, stage.client
    order = stage.orders["20003"]
    before = await workflow_of(client, order).describe()

    await workflow_of(client, order).terminate(reason="pressed by a test")

    after = await running_again(client, order, before.run_id)
    await rig.control("POST", "/fill", {"venue_order_id": order["venue_order_id"]})
    filled = await trader.until(order["order_id"], is_("FILLED"), within_s=30)
    assert Decimal(filled["filled_quantity"]) == Decimal(QUANTITY)
    await eventually(
        lambda: status_of(after),
        within_s=20,
        what="the adopting workflow to end with its order",
        until=lambda status: status is WorkflowExecutionStatus.COMPLETED,
    )
    assert await on_the_venue(rig, "20003") == ["filled"]


async def test_orders_outlive_temporals_database(stage: Stage) -> None:
    rig, trader, client = stage.rig, stage.trader, stage.client
    canceled = stage.orders["20004"]
    filled = stage.orders["20005"]
    gone = stage.orders["20006"]
    await trader.cancel(gone["order_id"], "cancel-before")
    await eventually(
        lambda: status_of(workflow_of(client, gone)),
        within_s=20,
        what="the ended order's workflow to end",
        until=lambda status: status is WorkflowExecutionStatus.COMPLETED,
    )

    rig.kill("temporal")
    for file in rig.home.glob("temporal.db*"):
        file.unlink()
    await rig.start("temporal")

    for order in (canceled, filled):
        await running_again(client, order, None)
    ended = await trader.cancel(canceled["order_id"], "cancel-after-loss")
    assert ended["status"] == "CANCELED"
    await rig.control("POST", "/fill", {"venue_order_id": filled["venue_order_id"]})
    await trader.until(filled["order_id"], is_("FILLED"), within_s=30)
    assert await status_of(workflow_of(client, gone)) is None
    assert await on_the_venue(rig, "20004") == ["canceled"]
    assert await on_the_venue(rig, "20005") == ["filled"]
    assert await on_the_venue(rig, "20006") == ["canceled"]


async def resting(trader: Trader, price: str) -> dict[str, Any]:
    """Place an order that rests, at a price of its own."""
    order = await trader.place(
        f"operator-{price}", symbol="BTC-PERP", side="BUY", quantity=QUANTITY, price=price
    )
    assert order["status"] == "ACCEPTED", order
    return order


def workflow_of(client: Client, order: dict[str, Any]) -> WorkflowHandle[Any, Any]:
    """Return the latest run of an order's workflow."""
    return client.get_workflow_handle(f"order-{order['order_id']}")


async def status_of(handle: WorkflowHandle[Any, Any]) -> WorkflowExecutionStatus | None:
    """Return a workflow's status; None when Temporal knows none of that id."""
    try:
        return (await handle.describe()).status
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return None


async def running_again(
    client: Client, order: dict[str, Any], former_run: str | None
) -> WorkflowHandle[Any, Any]:
    """Wait until another run than `former_run` manages the order, and return it."""
    handle = workflow_of(client, order)

    async def look() -> str | None:
        if await status_of(handle) is not WorkflowExecutionStatus.RUNNING:
            return None
        run_id = (await handle.describe()).run_id
        return run_id if run_id != former_run else None

    run_id = await eventually(look, within_s=SWEPT_WITHIN_S, what=f"{handle.id} to be managed")
    return client.get_workflow_handle(handle.id, run_id=run_id)


async def reset_to_its_start(client: Client, workflow_id: str, run_id: str) -> None:
    """Reset a workflow to its first task, keeping nothing that came in, as an operator may."""
    handle = client.get_workflow_handle(workflow_id, run_id=run_id)
    first_task = next(
        event.event_id
        for event in (await handle.fetch_history()).events
        if event.event_type is EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    )
    request = ResetWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
        reason="pressed by a test",
        workflow_task_finish_event_id=first_task,
        request_id=f"reset-{run_id}",
        reset_reapply_type=ResetReapplyType.RESET_REAPPLY_TYPE_NONE,
    )
    await client.workflow_service.reset_workflow_execution(request)


async def on_the_venue(rig: Rig, price: str) -> list[str]:
    """Return the states of all orders that the exchange ever took at a price."""
    orders = (await rig.ledger())["orders"]
    return [order["status"] for order in orders if Decimal(order["price"]) == Decimal(price)]


def is_(status: str) -> Any:
    """Return a test of an order's status."""
    return lambda order: order["status"] == status
