"""Orders through everything, beside a bare workflow of the same shape on the same server."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from typing import Any

import aiohttp
from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy

from benchmarks.figures import Latencies, cpu_seconds, measure, spent
from benchmarks.floor_worker import QUEUE, BareOrder
from benchmarks.running import Stack, running_program

WARM_UP = 30
SEQUENTIAL = 150
CONCURRENT = 300
SLOW_SEQUENTIAL = 40
CONCURRENCY = 20
REST_S = 10.0
ENDED_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one side, floor or ours, showed."""

    place: Latencies
    cancel: Latencies
    concurrent: Latencies
    cpu_per_order_ms: dict[str, float]
    events: int
    history_bytes: int

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds of one order, all processes together."""
        return sum(self.cpu_per_order_ms.values())


async def floor(stack: Stack) -> Run:
    """Measure the bare workflow from a bare client."""
    client = await Client.connect(stack.temporal_address)
    async with running_program("benchmarks.floor_worker", stack.temporal_address) as (_, pid):
        pids = {"temporal": stack.pids["temporal"], "worker": pid}
        bare = _Bare(client)
        await measure(bare.place, count=WARM_UP, concurrency=1)
        await bare.fill_all()
        place = await measure(bare.place, count=SEQUENTIAL, concurrency=1)
        cancel = await measure(bare.cancel, count=SEQUENTIAL, concurrency=1)
        await bare.all_ended()
        before = cpu_seconds(pids)
        concurrent = await measure(bare.place, count=CONCURRENT, concurrency=CONCURRENCY)
        await bare.fill_all()
        await bare.all_ended()
        used = spent(before, cpu_seconds(pids))
        history = await bare.last.fetch_history()
    return _run(place, cancel, concurrent, used, history)


class _Bare:
    """The floor's operations."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._live: list[Any] = []
        self._ended: list[Any] = []

    @property
    def last(self) -> Any:
        """The handle of the newest ended workflow."""
        return self._ended[-1]

    async def place(self, index: int) -> float:
        """Start, and wait for the acknowledgement."""
        workflow_id = f"floor-{uuid.uuid4()}"
        start = WithStartWorkflowOperation(
            BareOrder.run,
            "x",
            id=workflow_id,
            task_queue=QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        began = time.perf_counter()
        await self._client.execute_update_with_start_workflow(
            "placed", start_workflow_operation=start
        )
        seconds = time.perf_counter() - began
        self._live.append(self._client.get_workflow_handle(workflow_id))
        return seconds

    async def cancel(self, index: int) -> float:
        """Cancel the oldest living one."""
        handle = self._live.pop(0)
        began = time.perf_counter()
        await handle.execute_update("canceled")
        self._ended.append(handle)
        return time.perf_counter() - began

    async def fill_all(self) -> None:
        """Signal a fill to every living one."""
        for handle in self._live:
            await handle.signal("fill")
        self._ended += self._live
        self._live.clear()

    async def all_ended(self) -> None:
        """Wait until every one has ended."""
        await asyncio.gather(*(handle.result() for handle in self._ended[-CONCURRENT:]))


async def ours(stack: Stack, *, sequential: int = SEQUENTIAL) -> Run:
    """Measure orders through HTTP, Temporal, SQL, connector and simulator."""
    headers = {"Authorization": f"Bearer {stack.token}"}
    connections = aiohttp.TCPConnector(limit=CONCURRENCY * 2)
    async with aiohttp.ClientSession(headers=headers, connector=connections) as session:
        trader = _Trader(stack, session)
        await measure(trader.place, count=WARM_UP, concurrency=CONCURRENCY)
        await measure(trader.cancel, count=WARM_UP, concurrency=CONCURRENCY)
        place = await measure(trader.place, count=sequential, concurrency=1)
        cancel = await measure(trader.cancel, count=sequential, concurrency=1)
        await trader.all_ended()
        before = cpu_seconds(stack.pids)
        concurrent = await measure(trader.place, count=CONCURRENT, concurrency=CONCURRENCY)
        last = await trader.fill_all()
        await trader.all_ended()
        used = spent(before, cpu_seconds(stack.pids))
    client = await Client.connect(stack.temporal_address)
    history = await client.get_workflow_handle(f"order-{last}").fetch_history()
    return _run(place, cancel, concurrent, used, history)


class _Trader:
    """A trader's operations, over the public API."""

    def __init__(self, stack: Stack, session: aiohttp.ClientSession) -> None:
        self._stack = stack
        self._session = session
        self._live: list[dict[str, Any]] = []

    async def place(self, index: int) -> float:
        """Place a resting order and wait for the venue's word."""
        body = {
            "account": self._stack.account,
            "symbol": "BTC-PERP",
            "side": "BUY",
            "quantity": "0.001",
            "price": "30000",
        }
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        began = time.perf_counter()
        async with self._session.post(
            f"{self._stack.api_url}/api/v1/orders", json=body, headers=headers
        ) as response:
            order = await response.json()
        seconds = time.perf_counter() - began
        assert response.status == 201, order
        self._live.append(order)
        return seconds

    async def cancel(self, index: int) -> float:
        """Cancel the oldest resting order and wait for its end."""
        order = self._live.pop(0)
        began = time.perf_counter()
        async with self._session.delete(
            f"{self._stack.api_url}/api/v1/orders/{order['order_id']}",
            headers={"Idempotency-Key": str(uuid.uuid4())},
        ) as response:
            answer = await response.json()
        seconds = time.perf_counter() - began
        assert response.status == 200, answer
        return seconds

    async def fill_all(self) -> str:
        """Have the exchange fill every resting order; return the last one's id."""
        for order in self._live:
            body = {"client_order_id": order["client_order_id"]}
            await self._stack.control(self._session, "POST", "/fill", body)
        last = str(self._live[-1]["order_id"])
        self._live.clear()
        return last

    async def all_ended(self) -> None:
        """Wait until Temporal has no running order."""
        client = await Client.connect(self._stack.temporal_address)
        deadline = time.monotonic() + ENDED_WITHIN_S
        running = 'WorkflowType="OrderWorkflow" AND ExecutionStatus="Running"'
        while (await client.count_workflows(running)).count:
            assert time.monotonic() < deadline, "orders do not end"
            await asyncio.sleep(0.25)


async def at_rest(stack: Stack) -> dict[str, float]:
    """Return the CPU share, in percent of one core, that each process takes with nothing to do."""
    await asyncio.sleep(REST_S / 2)
    before = cpu_seconds(stack.pids)
    await asyncio.sleep(REST_S)
    used = spent(before, cpu_seconds(stack.pids))
    return {name: 100 * seconds / REST_S for name, seconds in used.items()}


def _run(
    place: Latencies, cancel: Latencies, concurrent: Latencies, used: dict[str, float], history: Any
) -> Run:
    return Run(
        place=place,
        cancel=cancel,
        concurrent=concurrent,
        cpu_per_order_ms={name: 1000 * s / CONCURRENT for name, s in used.items()},
        events=len(history.events),
        history_bytes=sum(event.ByteSize() for event in history.events),
    )
