"""The door to the workflows of brackets: start, end, ask. Knows no venue and no SQL."""

from __future__ import annotations

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDReusePolicy

from domain.brackets import BracketPlan, BracketState
from domain.parent_orders import EndAnswer
from workflows import bracket_describing, ids, policies
from workflows.bracket import BracketWorkflow
from workflows.bracket_contracts import BracketReply, BracketStart, EndRequest
from workflows.reaching import (
    SIGNAL_TIMEOUT,
    asked,
    cancel_lastingly,
    queried,
    started,
)


class BracketWorkflows:
    """Starts, ends and asks brackets."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def start(self, plan: BracketPlan) -> None:
        """Start a bracket's workflow, unless one was ever started.

        Raises:
            Unavailable: Temporal does not answer; start it again with the same id.
        """
        await self._start(plan, WorkflowIDReusePolicy.REJECT_DUPLICATE)

    async def adopt(self, plan: BracketPlan) -> bool:
        """Start a workflow for a bracket that nobody drives; False if one does, or it completed.

        Raises:
            Unavailable: Temporal does not answer.
        """
        return await self._start(plan, WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY)

    async def _start(self, plan: BracketPlan, reuse: WorkflowIDReusePolicy) -> bool:
        return await started(
            self._client.start_workflow(
                BracketWorkflow.run,
                BracketStart(plan=plan),
                id=ids.bracket_workflow_id(plan.bracket_id),
                task_queue=ids.venue_queue(plan.entry.venue),
                id_reuse_policy=reuse,
                task_timeout=policies.TASK_TIMEOUT,
                search_attributes=ids.order_attributes(plan.entry),
                static_summary=bracket_describing.summary(plan),
                rpc_timeout=SIGNAL_TIMEOUT,
            )
        )

    async def end(
        self, bracket_id: str, request_id: str, *, wait_s: float
    ) -> EndAnswer[BracketState]:
        """Cancel a bracket's entry and exits; what was entered stays open.

        Not decided, the request is kept all the same, also where no worker has heard it.

        Raises:
            Conflict: it has ended.
            NotFound: no workflow of that bracket.
            Unavailable: Temporal does not answer; whether the request arrived is unknown.
        """
        handle = self._handle(bracket_id)
        call = handle.execute_update(
            "end", EndRequest(request_id=request_id), id=request_id, result_type=BracketReply
        )
        reply = await asked(call, wait_s)
        if reply is None:
            await cancel_lastingly(handle)
            return EndAnswer(state=None, decided=False)
        return EndAnswer(state=reply.state, decided=reply.decided)

    async def state(self, bracket_id: str) -> BracketState:
        """Return a bracket as its workflow knows it.

        Raises:
            NotFound: no such workflow.
            Unavailable: no worker answers in 3 s.
        """
        return await queried(self._handle(bracket_id), BracketWorkflow.state)

    def _handle(self, bracket_id: str) -> WorkflowHandle[BracketWorkflow, str]:
        return self._client.get_workflow_handle_for(
            BracketWorkflow.run, ids.bracket_workflow_id(bracket_id)
        )
