"""The floor: a bare worker with a workflow of an order's shape and empty local activities.

Run as `python -m benchmarks.floor_worker ADDRESS`; serves until killed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

QUEUE = "floor"


@activity.defn
async def nothing(text: str) -> str:
    """Return the text."""
    return text


@workflow.defn
class BareOrder:
    """Acknowledge by an empty local activity, wait for a fill, wait a second, end by another."""

    def __init__(self) -> None:
        self._acknowledged: str | None = None
        self._filled = False

    @workflow.run
    async def run(self, text: str) -> str:
        """Live like an order."""
        within = timedelta(seconds=5)
        self._acknowledged = await workflow.execute_local_activity(
            nothing, text, start_to_close_timeout=within
        )
        await workflow.wait_condition(lambda: self._filled)
        await workflow.sleep(1)
        return await workflow.execute_local_activity(nothing, text, start_to_close_timeout=within)

    @workflow.update
    async def placed(self) -> str:
        """Wait for the acknowledgement."""
        await workflow.wait_condition(lambda: self._acknowledged is not None)
        return self._acknowledged or ""

    @workflow.update
    async def canceled(self) -> str:
        """Cancel by an empty local activity."""
        answer = await workflow.execute_local_activity(
            nothing, "cancel", start_to_close_timeout=timedelta(seconds=5)
        )
        self._filled = True
        return answer

    @workflow.signal
    def fill(self) -> None:
        """Be filled."""
        self._filled = True


@activity.defn
async def clock() -> float:
    """Return the time at which this runs."""
    return time.time()


@workflow.defn
class BareGuard:
    """Wait for a signal, run one activity, and end with the time at which that ran."""

    def __init__(self) -> None:
        self._crossed = False

    @workflow.run
    async def run(self) -> float:
        """Live like a guard that decides at once."""
        await workflow.wait_condition(lambda: self._crossed)
        return await workflow.execute_activity(clock, start_to_close_timeout=timedelta(seconds=5))

    @workflow.signal
    def crossed(self) -> None:
        """Hear of a crossing."""
        self._crossed = True

    @workflow.query
    def is_ready(self) -> bool:
        """Answer once the workflow runs."""
        return True


async def main(address: str) -> None:
    """Serve the floor's queue."""
    client = await Client.connect(address)
    async with Worker(
        client,
        task_queue=QUEUE,
        workflows=[BareOrder, BareGuard],
        activities=[nothing, clock],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_cached_workflows=5000,
        max_concurrent_workflow_task_polls=20,
    ):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
