"""The door to the workflows of closes: begin or join, stop, ask. Knows no venue and no SQL.

An error here is never a refusal: only an explicit refusal of a *start* means that nothing is done.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowHandle,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from domain.closing import ClosePlan, CloseState
from domain.errors import Conflict, NotFound, Unavailable
from workflows import close_describing, ids, policies
from workflows.close import CloseWorkflow
from workflows.close_contracts import CloseReply, CloseRequest, CloseResult, CloseStart, StopRequest
from workflows.reaching import (
    QUERY_TIMEOUT,
    answered,
    cancel_lastingly,
    never_left,
    queried,
    serialization_context,
    unreached,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseAnswer:
    """What became of a request within the wait.

    `decided`: the close has ended and `state` is its end. `running_id` is the close that the
    request stands for now: its own, or the one it joined; None while that is not known.
    """

    state: CloseState | None
    decided: bool
    running_id: str | None = None


class CloseWorkflows:
    """Begins, joins, stops and asks closes."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @staticmethod
    def workflow_id(account_id: str, symbol: str) -> str:
        """Return the id of the workflow that closes a position, as the web UI shows it."""
        return ids.close_workflow_id(account_id, symbol)

    async def begin(self, plan: ClosePlan, *, wait_s: float) -> CloseAnswer:
        """Begin a close, or join the one that runs, and wait for its end at most `wait_s`.

        Raises:
            Conflict: another close of the position runs (code `close_running`, the message is its
                id), another request has this key (`idempotency_mismatch`), or it ended meanwhile
                (`workflow_closed`; the store knows how).
            Unavailable: the start was provably refused; nothing is done.
        """
        start = WithStartWorkflowOperation(
            CloseWorkflow.run,
            CloseStart(plan=plan),
            id=ids.close_workflow_id(plan.account_id, plan.symbol),
            task_queue=ids.venue_queue(plan.venue),
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            task_timeout=policies.TASK_TIMEOUT,
            search_attributes=ids.close_attributes(plan),
            static_summary=close_describing.summary(plan),
        )
        hearing = asyncio.create_task(_hear(start))
        call = self._client.execute_update_with_start_workflow(
            "close",
            CloseRequest(plan=plan),
            start_workflow_operation=start,
            id=plan.close_id,
            result_type=CloseReply,
        )
        try:
            answer = await self._answer(call, wait_s)
        except RPCError as error:
            return await self._after_failed_start(plan, error)
        except RuntimeError as error:
            raise Unavailable(f"Temporal cannot be reached; nothing was done ({error})") from None
        finally:
            hearing.cancel()
        if answer.state is None:
            return await self._undecided(plan)
        # Joining an update by its id does not run its validator.
        _check_key(answer.state.plan, plan)
        return answer

    async def _undecided(self, plan: ClosePlan) -> CloseAnswer:
        """Tell which close the request stands for, although no worker has answered yet.

        Raises:
            Conflict: another close of the position runs, or another request has this key.
        """
        try:
            running = await self.running(plan.account_id, plan.symbol)
        except Unavailable:
            running = None
        if running is None:
            return CloseAnswer(state=None, decided=False)
        _check_key(running, plan)
        if running.close_id != plan.close_id and not running.asks_the_same(plan):
            raise Conflict(running.close_id, code="close_running")
        return CloseAnswer(state=None, decided=False, running_id=running.close_id)

    async def _after_failed_start(self, plan: ClosePlan, error: RPCError) -> CloseAnswer:
        """Tell whether a failed start started all the same; never call it refused on a guess."""
        if error.status in (RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.NOT_FOUND):
            return await self._undecided(plan)
        refused = error.status is RPCStatusCode.RESOURCE_EXHAUSTED or never_left(error)
        try:
            running = await self.running(plan.account_id, plan.symbol)
        except Unavailable:
            return CloseAnswer(state=None, decided=False)
        if refused and (running is None or running.close_id != plan.close_id):
            raise Unavailable(f"Temporal does not answer; nothing was done ({error.message})")
        return CloseAnswer(state=None, decided=False)

    async def stop(
        self, account_id: str, symbol: str, close_id: str, request_id: str, *, wait_s: float
    ) -> CloseAnswer:
        """End a close; `decided` when its end is known.

        Not decided, the request is kept all the same, also where no worker has heard it.

        Raises:
            Conflict: it has ended (code `close_ended` or `workflow_closed`).
            NotFound: no close of that position was ever begun.
            Unavailable: Temporal does not answer; whether the request arrived is unknown.
        """
        call = self._handle(account_id, symbol).execute_update(
            "stop", StopRequest(close_id=close_id), id=request_id, result_type=CloseReply
        )
        try:
            answer = await self._answer(call, wait_s)
        except (RPCError, RuntimeError) as error:
            raise unreached(error) from None
        if not answer.decided:
            await self._stop_lastingly(account_id, symbol, close_id)
        return answer

    async def _stop_lastingly(self, account_id: str, symbol: str, close_id: str) -> None:
        """Cancel this close, and none that has begun on the position since."""
        running = await self._running(account_id, symbol)
        if running is not None and running.plan.close_id == close_id:
            await cancel_lastingly(
                self._client.get_workflow_handle(
                    ids.close_workflow_id(account_id, symbol),
                    first_execution_run_id=running.first_run_id,
                )
            )

    async def _answer(self, call: Awaitable[CloseReply], wait_s: float) -> CloseAnswer:
        reply = await answered(call, wait_s)
        if reply is None:
            return CloseAnswer(state=None, decided=False)
        return CloseAnswer(
            state=reply.state, decided=reply.decided, running_id=reply.state.plan.close_id
        )

    async def state(self, account_id: str, symbol: str) -> CloseState:
        """Return the newest close of a position as its workflow knows it.

        Raises:
            NotFound: no such workflow.
            Unavailable: no worker answers in 3 s.
        """
        return await queried(self._handle(account_id, symbol), CloseWorkflow.state)

    async def running(self, account_id: str, symbol: str) -> ClosePlan | None:
        """Return the plan of the close that runs on a position, or None. Needs no worker.

        Raises:
            Unavailable: Temporal does not answer.
        """
        running = await self._running(account_id, symbol)
        return None if running is None else running.plan

    async def _running(self, account_id: str, symbol: str) -> _Running | None:
        handle = self._handle(account_id, symbol)
        try:
            description = await handle.describe(rpc_timeout=QUERY_TIMEOUT)
            if description.status is not WorkflowExecutionStatus.RUNNING:
                return None
            first = await anext(aiter(handle.fetch_history_events(page_size=1)))
        except (RPCError, RuntimeError) as error:
            reason = unreached(error)
            if isinstance(reason, NotFound):
                return None
            raise reason from None
        attributes = first.workflow_execution_started_event_attributes
        converter = self._client.data_converter.with_context(
            serialization_context(self._client.namespace, handle.id)
        )
        values = await converter.decode(attributes.input.payloads, [CloseStart])
        start: CloseStart = values[0]
        return _Running(plan=start.plan, first_run_id=attributes.first_execution_run_id)

    def _handle(self, account_id: str, symbol: str) -> WorkflowHandle[CloseWorkflow, CloseResult]:
        return self._client.get_workflow_handle_for(
            CloseWorkflow.run, ids.close_workflow_id(account_id, symbol)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """A close that runs; `first_run_id` is the same however often it goes on as new."""

    plan: ClosePlan
    first_run_id: str


def _check_key(known: ClosePlan, plan: ClosePlan) -> None:
    if known.close_id == plan.close_id and known.fingerprint != plan.fingerprint:
        raise Conflict("another request has this key already", code="idempotency_mismatch")


async def _hear(start: WithStartWorkflowOperation[Any, Any]) -> None:
    """Take what became of a start, or asyncio reports it as an error nobody looked at."""
    with contextlib.suppress(Exception, asyncio.CancelledError):
        await start.workflow_handle()
