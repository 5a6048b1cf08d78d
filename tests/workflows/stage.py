"""A real Temporal and a worker of ours in this process, over the floor of the activities' tests."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle, WorkflowHistory
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker

from domain.orders import Order, OrderReport, Verdict
from serving.queues import venue_worker
from serving.settings import Parts, WorkerSettings
from stack.servers import DYNAMIC_CONFIG, SEARCH_ATTRIBUTES
from streaming.bridge import Bridge
from tests.activities.floor import Floor, open_floor, until
from workflows import ids
from workflows.account import VerifyAccountWorkflow
from workflows.account_halt import AccountHaltWorkflow
from workflows.account_read import ReadAccountWorkflow
from workflows.bracket import BracketWorkflow
from workflows.client import OrderWorkflows, Placement, connect
from workflows.close import CloseWorkflow
from workflows.guard import GuardWorkflow
from workflows.kill_switch import KillSwitchWorkflow
from workflows.leverage import SetLeverageWorkflow
from workflows.order import OrderWorkflow
from workflows.payloads import PayloadKeys, data_converter
from workflows.reconcile import ReconcileWorkflow
from workflows.rotation import RotateCredentialWorkflow
from workflows.split import SplitWorkflow
from workflows.terms import ReadTermsWorkflow

KEYS = PayloadKeys("test", {"test": b"the key of the recorded history"[:31] + b"."})
NAMESPACE = "default"

_queues = itertools.count(1)


@contextmanager
def temporal_server(**more_config: int) -> Iterator[str]:
    """Run the development server as the embedded stack does, in memory; yield its address."""
    binary = Path(sys.executable).with_name("temporal")
    arguments = []
    for name, kind in SEARCH_ATTRIBUTES.items():
        arguments += ["--search-attribute", f"{name}={kind}"]
    for name, value in {**DYNAMIC_CONFIG, **more_config}.items():
        arguments += ["--dynamic-config-value", f"{name}={value}"]

    async def start() -> WorkflowEnvironment:
        return await WorkflowEnvironment.start_local(
            dev_server_existing_path=str(binary),
            dev_server_extra_args=arguments,
            dev_server_log_level="error",
        )

    environment = asyncio.run(start())
    try:
        yield environment.client.service_client.config.target_host
    finally:
        asyncio.run(environment.shutdown())


@dataclass
class Stage:
    """The floor, Temporal, a worker and the way to them."""

    floor: Floor
    client: Client
    refused: list[str]
    task_timeout_s: float = 3.0
    orders: list[Order] = field(default_factory=list)
    kept_ids: set[str] = field(default_factory=set)
    """Workflows besides those of `orders` to replay and end."""
    opened_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _running: Worker | None = None

    @property
    def workflows(self) -> OrderWorkflows:
        return OrderWorkflows(self.client)

    # The worker

    async def start_worker(self, parts: Parts | None = None) -> None:
        parts = parts or Parts(checkpoints=self.floor.points)
        self._running = venue_worker(
            WorkerSettings.load(perp_dex_home=Path("/nonexistent")),
            self.client,
            "hyperliquid",
            storage=self.floor.storage,
            access=self.floor.access,
            connectors=self.floor.connectors,
            parts=parts,
        )
        await self._running.__aenter__()

    async def stop_worker(self) -> None:
        worker, self._running = self._running, None
        if worker is not None:
            await worker.__aexit__(None, None, None)

    async def restart_worker(self) -> None:
        """Have another worker, with an empty cache, go on from the histories."""
        await self.stop_worker()
        await self.start_worker()

    # Orders

    async def place(self, order: Order, *, wait_s: float = 15.0) -> Order:
        """Place an order and return it; its outcome has to be known in time."""
        placed = await self.try_place(order, wait_s=wait_s)
        assert placed.order is not None, "expected a decided order"
        return placed.order

    async def try_place(self, order: Order, *, wait_s: float = 15.0) -> Placement:
        self.orders.append(order)
        return await self.workflows.place(order, wait_s=wait_s, account_label="main")

    async def place_unheard(self, order: Order) -> Placement:
        """Start an order that will not be decided soon; return once its workflow is there.

        A short wait may be over before the start arrives: the same order is asked for again then.
        """
        placement = await self.try_place(order, wait_s=0.5)
        while not await self.workflows.is_running(order.order_id):
            placement = await self.try_place(order, wait_s=0.5)
        return placement

    def handle(self, order: Order) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(ids.order_workflow_id(order.order_id))

    async def state(self, order: Order) -> Order:
        return await self.workflows.state(order.order_id)

    async def ended(self, order: Order, *, within_s: float = 30.0) -> str:
        """Wait for the order's workflow to end; return what it says."""
        async with asyncio.timeout(within_s):
            result: str = await self.handle(order).result()
            return result

    async def until_placed(self, order: Order) -> None:
        """Wait until the ledger has the order's first command."""
        await until(lambda: self.floor.at_venue(), what="an order at the venue")

    async def deliver(self, *reports: OrderReport) -> None:
        """Fold in what the venue says, and tell workflows: as streaming does."""
        for report in reports:
            await self.floor.storage.orders.fold(report)
        await self.floor.book_fills()
        bridge = Bridge(self.floor.storage.orders, self.workflows, interval_s=0.0)
        await bridge.deliver_due()

    async def fill(self, quantity: str | None = None) -> None:
        """Have the venue fill the resting order, and tell."""
        self.floor.fill(quantity)
        await self.deliver()

    # Histories

    async def history(self, order: Order) -> WorkflowHistory:
        return await self.handle(order).fetch_history()

    async def events(self, order: Order) -> list[HistoryEvent]:
        return list((await self.history(order)).events)

    async def counted(self, order: Order) -> tuple[int, int, Counter[str]]:
        """Return how many workflow tasks, events, and events of each kind the history has."""
        events = await self.events(order)
        kinds = Counter(
            EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in events
        )
        return kinds["WORKFLOW_TASK_SCHEDULED"], len(events), kinds

    async def attributes(self, order: Order) -> dict[str, Any]:
        description = await self.handle(order).describe()
        return {pair.key.name: pair.value for pair in description.typed_search_attributes}

    async def replay_all(self) -> None:
        """Replay every history of this stage: the code decides the same again."""
        replayer = replayer_of(KEYS)
        for order in {order.order_id: order for order in self.orders}.values():
            try:
                history = await self.history(order)
            except RPCError:
                continue  # Never started.
            await replayer.replay_workflow(history)
        for workflow_id in self.kept_ids:
            async for execution in self.client.list_workflows(f"WorkflowId = '{workflow_id}'"):
                if execution.start_time < self.opened_at:
                    continue  # Of another stage.
                handle = self.client.get_workflow_handle(workflow_id, run_id=execution.run_id)
                await replayer.replay_workflow(await handle.fetch_history())

    async def end_all(self) -> None:
        for order in {order.order_id: order for order in self.orders}.values():
            try:
                await self.handle(order).terminate("the test is over")
            except RPCError:
                continue  # Closed, or never started.
        for workflow_id in self.kept_ids:
            with contextlib.suppress(RPCError):
                await self.client.get_workflow_handle(workflow_id).terminate("the test is over")


def replayer_of(keys: PayloadKeys) -> Replayer:
    return Replayer(
        workflows=[
            OrderWorkflow,
            VerifyAccountWorkflow,
            ReadAccountWorkflow,
            RotateCredentialWorkflow,
            SetLeverageWorkflow,
            CloseWorkflow,
            BracketWorkflow,
            GuardWorkflow,
            AccountHaltWorkflow,
            KillSwitchWorkflow,
            ReconcileWorkflow,
            ReadTermsWorkflow,
            SplitWorkflow,
        ],
        data_converter=data_converter(keys),
        namespace=NAMESPACE,
        workflow_runner=UnsandboxedWorkflowRunner(),
    )


def a_report(order: Order, verdict: Verdict, filled: str | None = None, **more: Any) -> OrderReport:
    quantity = None if filled is None else Decimal(filled)
    return OrderReport(
        order_id=order.order_id,
        revision=more.pop("revision", 0),
        verdict=verdict,
        filled_quantity=quantity,
        average_price=None if filled is None else order.price,
        source="test",
        **more,
    )


@asynccontextmanager
async def open_stage(
    address: str, template: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    """Open a stage with a task queue of its own; replay whatever happened when it closes."""
    queue = f"venue-hyperliquid-{next(_queues)}"
    for module in ("workflows.ids", "serving.queues"):
        monkeypatch.setattr(f"{module}.venue_queue", lambda _venue: queue)
    monkeypatch.setattr("serving.queues.DRAIN", timedelta(milliseconds=200))
    refused: list[str] = []
    async with open_floor(template, home, monkeypatch) as floor:
        client = await connect(address, NAMESPACE, KEYS, refused=refused.append, lazy=False)
        stage = Stage(floor=floor, client=client, refused=refused)
        await stage.start_worker()
        try:
            yield stage
            await stage.replay_all()
        finally:
            await stage.end_all()
            await stage.stop_worker()
