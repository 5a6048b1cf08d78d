"""The door to the workflows of conditional closes: begin, change, cancel, tell, ask.

An error here is never a refusal: only an explicit refusal of a *start* means that nothing is done.
Knows no venue and no SQL.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from domain.condition_store import ConditionStore
from domain.conditions import Crossing
from domain.errors import Conflict, NotFound, Unavailable
from domain.guarding import GuardPlan, GuardState
from workflows import guard_describing, ids, policies
from workflows.guard import GuardWorkflow
from workflows.guard_contracts import (
    CancelRequest,
    ChangeRequest,
    GuardReply,
    GuardRequest,
    GuardResult,
    GuardStart,
)
from workflows.reaching import (
    SIGNAL_TIMEOUT,
    answered,
    cancel_lastingly,
    never_left,
    queried,
    signal_lastingly,
    unreached,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionAnswer:
    """What became of a request within the wait; `decided`: `state` is the answer to it."""

    state: GuardState | None
    decided: bool


class ConditionWorkflows:
    """Begins, changes, cancels and asks guards, and tells them of crossings."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @staticmethod
    def workflow_id(condition_id: str) -> str:
        """Return the id of a guard's workflow, as the web UI shows it."""
        return ids.guard_workflow_id(condition_id)

    async def begin(self, plan: GuardPlan, *, wait_s: float) -> ConditionAnswer:
        """Begin a guard, or join it, and wait at most `wait_s` until it watches or is refused.

        Raises:
            Conflict: another request has this key (`idempotency_mismatch`), or it ended meanwhile
                (`workflow_closed`; the store knows how).
            Unavailable: the start was provably refused; nothing is done.
        """
        start = WithStartWorkflowOperation(
            GuardWorkflow.run,
            GuardStart(plan=plan),
            id=ids.guard_workflow_id(plan.condition_id),
            task_queue=ids.venue_queue(plan.venue),
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            task_timeout=policies.TASK_TIMEOUT,
            search_attributes=ids.close_attributes(plan),
            static_summary=guard_describing.summary(plan),
        )
        hearing = asyncio.create_task(_hear(start))
        call = self._client.execute_update_with_start_workflow(
            "begin",
            GuardRequest(plan=plan),
            start_workflow_operation=start,
            result_type=GuardReply,
        )
        try:
            return await self._answer(call, wait_s)
        except RPCError as error:
            if error.status is RPCStatusCode.RESOURCE_EXHAUSTED or never_left(error):
                raise Unavailable(
                    f"Temporal does not answer; nothing was done ({error.message})"
                ) from None
            if error.status is RPCStatusCode.ALREADY_EXISTS:
                raise Conflict("the guard has ended", code="workflow_closed") from None
            return ConditionAnswer(state=None, decided=False)
        except WorkflowAlreadyStartedError:
            raise Conflict("the guard has ended", code="workflow_closed") from None
        except RuntimeError as error:
            raise Unavailable(f"Temporal cannot be reached; nothing was done ({error})") from None
        finally:
            hearing.cancel()

    async def change(self, plan: GuardPlan, request_id: str, *, wait_s: float) -> ConditionAnswer:
        """Have a guard watch other conditions; `decided` when it does.

        Not decided, the request is kept all the same, also where no worker has heard it.

        Raises:
            Conflict: the conditions cannot be taken (`change_refused`), it has triggered
                (`condition_triggered`) or ended (`condition_ended`, `workflow_closed`).
            NotFound: no workflow guards this.
            Unavailable: Temporal does not answer; whether the request arrived is unknown.
        """
        handle = self._handle(plan.condition_id)
        wanted = ChangeRequest(request_id=request_id, plan=plan)
        call = handle.execute_update("change", wanted, id=request_id, result_type=GuardReply)
        answer = await self._asked(call, wait_s)
        if not answer.decided:
            await signal_lastingly(handle, "keep_change", wanted)
        return answer

    async def cancel(self, condition_id: str, request_id: str, *, wait_s: float) -> ConditionAnswer:
        """Have a guard watch no more; `decided` when that is kept. Raises as `change`.

        Not decided, the request is kept all the same, also where no worker has heard it.
        """
        handle = self._handle(condition_id)
        call = handle.execute_update(
            "cancel",
            CancelRequest(condition_id=condition_id),
            id=request_id,
            result_type=GuardReply,
        )
        answer = await self._asked(call, wait_s)
        if not answer.decided:
            await cancel_lastingly(handle)
        return answer

    async def _asked(self, call: Awaitable[GuardReply], wait_s: float) -> ConditionAnswer:
        try:
            return await self._answer(call, wait_s)
        except (RPCError, RuntimeError) as error:
            raise unreached(error) from None

    async def _answer(self, call: Awaitable[GuardReply], wait_s: float) -> ConditionAnswer:
        reply = await answered(call, wait_s)
        if reply is None:
            return ConditionAnswer(state=None, decided=False)
        return ConditionAnswer(state=reply.state, decided=reply.decided)

    async def crossed(self, condition_id: str, crossing: Crossing) -> bool:
        """Tell a guard that a fresh mark met a condition; False: nobody guards this any more.

        Raises:
            Unavailable: Temporal does not answer; tell it again.
        """
        return await self._signal(condition_id, "crossed", [crossing])

    async def moved(self, condition_id: str) -> bool:
        """Tell a guard that its position changed. As `crossed`."""
        return await self._signal(condition_id, "moved", [])

    async def _signal(self, condition_id: str, name: str, arguments: list[Any]) -> bool:
        try:
            await self._handle(condition_id).signal(
                name, args=arguments, rpc_timeout=SIGNAL_TIMEOUT
            )
        except (RPCError, RuntimeError) as error:
            reason = unreached(error)
            if isinstance(reason, (NotFound, Conflict)):
                return False
            raise reason from None
        return True

    async def state(self, condition_id: str) -> GuardState:
        """Return a guard as its workflow knows it.

        Raises:
            NotFound: no such workflow.
            Unavailable: no worker answers in 3 s.
        """
        return await queried(self._handle(condition_id), GuardWorkflow.state)

    def _handle(self, condition_id: str) -> WorkflowHandle[GuardWorkflow, GuardResult]:
        return self._client.get_workflow_handle_for(
            GuardWorkflow.run, ids.guard_workflow_id(condition_id)
        )


SILENT_AFTER = timedelta(minutes=5)
"""A guard writes its row at each look; one that has not for so long may have no workflow."""


@dataclass(frozen=True, slots=True)
class ConditionSweep:
    """Starts the workflow of every guard that has none: it was never begun, or ended by hand."""

    conditions: ConditionStore
    workflows: ConditionWorkflows
    now: Callable[[], datetime]

    async def run(self) -> int:
        """Sweep once; return how many guards were asked after.

        Raises:
            Unavailable: the database or Temporal does not answer; sweep again later.
        """
        silent = await self.conditions.silent(before=self.now() - SILENT_AFTER)
        for plan in silent:
            # A conflict is one that has ended meanwhile.
            with contextlib.suppress(Conflict):
                await self.workflows.begin(plan, wait_s=1.0)
        return len(silent)


async def _hear(start: WithStartWorkflowOperation[Any, Any]) -> None:
    """Take what became of a start, or asyncio reports it as an error nobody looked at."""
    with contextlib.suppress(Exception, asyncio.CancelledError):
        await start.workflow_handle()
