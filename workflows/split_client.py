"""The door to the workflows of split orders: start, cancel, ask, sweep. No venue and no SQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio.client import Client, WorkflowHandle
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy

from domain.parent_orders import EndAnswer
from domain.routing_store import SplitStore
from domain.splits import SplitPlan, SplitState, SplitStatus
from workflows import ids, policies, split_describing
from workflows.reaching import (
    SIGNAL_TIMEOUT,
    asked,
    cancel_lastingly,
    queried,
    started,
)
from workflows.split import SplitWorkflow
from workflows.split_contracts import CancelSplit, SplitReply, SplitStart

GRACE = timedelta(seconds=10)
"""Younger ones are somebody's work in progress."""


class SplitWorkflows:
    """Starts, cancels and asks split orders."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def start(self, plan: SplitPlan) -> None:
        """Start a split order's workflow, unless one was ever started.

        Raises:
            Unavailable: Temporal does not answer; start it again with the same id.
        """
        await self._start(plan, WorkflowIDReusePolicy.REJECT_DUPLICATE)

    async def adopt(self, plan: SplitPlan) -> bool:
        """Start a workflow for a split order that nobody drives; False if one does, or completed.

        Raises:
            Unavailable: Temporal does not answer.
        """
        return await self._start(plan, WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY)

    async def _start(self, plan: SplitPlan, reuse: WorkflowIDReusePolicy) -> bool:
        pairs = [
            SearchAttributePair(ids.SYMBOL, plan.symbol),
            SearchAttributePair(ids.SIDE, plan.side.value),
        ]
        return await started(
            self._client.start_workflow(
                SplitWorkflow.run,
                SplitStart(plan=plan),
                id=ids.split_workflow_id(plan.split_id),
                task_queue=ids.core_queue(),
                id_reuse_policy=reuse,
                task_timeout=policies.TASK_TIMEOUT,
                search_attributes=TypedSearchAttributes(pairs),
                static_summary=split_describing.summary(plan),
                rpc_timeout=SIGNAL_TIMEOUT,
            )
        )

    async def cancel(
        self, split_id: str, request_id: str, *, wait_s: float
    ) -> EndAnswer[SplitState]:
        """Cancel every child of a split order; what has filled stays.

        Not decided, the request is kept all the same, also where no worker has heard it.

        Raises:
            Conflict: it has ended.
            NotFound: no workflow of that split order.
            Unavailable: Temporal does not answer; whether the request arrived is unknown.
        """
        handle = self._handle(split_id)
        call = handle.execute_update(
            "cancel", CancelSplit(request_id=request_id), id=request_id, result_type=SplitReply
        )
        reply = await asked(call, wait_s)
        if reply is None:
            await cancel_lastingly(handle)
            return EndAnswer(state=None, decided=False)
        return EndAnswer(state=reply.state, decided=reply.decided)

    async def state(self, split_id: str) -> SplitState:
        """Return a split order as its workflow knows it.

        Raises:
            NotFound: no such workflow.
            Unavailable: no worker answers in 3 s.
        """
        return await queried(self._handle(split_id), SplitWorkflow.state)

    def _handle(self, split_id: str) -> WorkflowHandle[SplitWorkflow, str]:
        return self._client.get_workflow_handle_for(
            SplitWorkflow.run, ids.split_workflow_id(split_id)
        )


@dataclass(frozen=True, slots=True)
class SplitSweep:
    """Finds split orders that were begun and that nobody drives; runs beside the worker.

    One that was only asked for is not begun here: nobody was told that it would be.
    """

    splits: SplitStore
    workflows: SplitWorkflows
    now: Callable[[], datetime]

    async def run(self) -> tuple[str, ...]:
        """Sweep once; return the ids of what goes on.

        Raises:
            Unavailable: the database or Temporal does not answer; sweep again later.
        """
        found: list[str] = []
        for state in await self.splits.unfinished(before=self.now() - GRACE):
            if state.status is SplitStatus.REQUESTED:
                continue
            if await self.workflows.adopt(state.plan):
                found.append(state.plan.split_id)
        return tuple(found)
