"""Calls to Temporal, and what a failed one means, for every façade over workflows.

Never a rejection: NotFound, a closed workflow, or no answer. Knows no workflow by name.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, TypeVar

from temporalio.client import (
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.converter import WorkflowSerializationContext
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.types import MethodSyncNoParam

from domain.errors import Conflict, NotFound, Unavailable
from workflows import policies

QUERY_TIMEOUT = timedelta(seconds=3)
ANSWER_TIMEOUT = policies.TASK_TIMEOUT + QUERY_TIMEOUT
"""So long a workflow's answer is waited for. A question waits behind the task that is under way,
and one that a dying worker has taken with it is given out again only after its own timeout."""

SIGNAL_TIMEOUT = timedelta(seconds=5)
CLOSED_MEANWHILE = "AcceptedUpdateCompletedWorkflow"
"""The server's word for an update whose workflow closed before it was answered."""

ASK_AGAIN = "asked between two workflow tasks; ask again"
"""A worker's answer to a query that it can only answer after the next task; see
`serving.whole_tasks`."""

_ASKED_AGAIN_AFTER_S = (0.05, 0.2, 0.5)

T = TypeVar("T")
W = TypeVar("W")


def serialization_context(namespace: str, workflow_id: str) -> WorkflowSerializationContext:
    """Return what the payloads of one workflow are bound to."""
    return WorkflowSerializationContext(namespace=namespace, workflow_id=workflow_id)


def refusal_of(error: WorkflowUpdateFailedError) -> Exception:
    """Return what a failed update means: Conflict with the workflow's code, or Unavailable."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.type == CLOSED_MEANWHILE:
        return Conflict("the order's workflow has closed", code="workflow_closed")
    if isinstance(cause, ApplicationError):
        return Conflict(cause.message, code=cause.type or "conflict")
    return Unavailable(f"the order's workflow failed the request: {cause}")


def unreached(error: RPCError | RuntimeError) -> Exception:
    """Return what a failed call means; a RuntimeError is a connection that was never made."""
    if isinstance(error, RuntimeError):
        return Unavailable(f"Temporal cannot be reached: {error}")
    if error.status is RPCStatusCode.NOT_FOUND:
        if "completed" in error.message:
            return Conflict("the order's workflow has closed", code="workflow_closed")
        return NotFound("no workflow manages this order")
    return Unavailable(f"Temporal does not answer: {error.message}")


async def started(start: Awaitable[object]) -> bool:
    """Await the start of a workflow; False: its id is taken, by one that runs or may not run again.

    Raises:
        Unavailable: Temporal does not answer; start it again with the same id.
    """
    try:
        await start
    except WorkflowAlreadyStartedError:
        return False
    except (RPCError, RuntimeError) as error:
        raise unreached(error) from None
    return True


async def queried(handle: WorkflowHandle[W, Any], query: MethodSyncNoParam[W, T]) -> T:
    """Return a workflow's answer to a query without arguments.

    Asked again where the question met a worker between two workflow tasks: it comes to rest soon.

    Raises:
        NotFound: no such workflow.
        Unavailable: no worker answers in time.
    """
    for pause_s in _ASKED_AGAIN_AFTER_S:
        with contextlib.suppress(_BetweenTasks):
            return await _queried_once(handle, query)
        await asyncio.sleep(pause_s)
    return await _queried_once(handle, query)


class _BetweenTasks(Unavailable):
    """The worker can answer after the workflow's next task only."""


async def _queried_once(handle: WorkflowHandle[W, Any], query: MethodSyncNoParam[W, T]) -> T:
    try:
        return await handle.query(query, rpc_timeout=ANSWER_TIMEOUT)
    except (RPCError, RuntimeError) as error:
        raise unreached(error) from None
    except (WorkflowQueryFailedError, WorkflowQueryRejectedError) as error:
        meaning = _BetweenTasks if str(error) == ASK_AGAIN else Unavailable
        raise meaning(f"the workflow does not answer: {error}") from None


async def answered(update: Awaitable[T], wait_s: float) -> T | None:
    """Return the answer to an update, or None when it does not come in time.

    Raises:
        Conflict, Unavailable: as `refusal_of`. A failed call's error passes as it is.
    """
    try:
        async with asyncio.timeout(wait_s):
            return await update
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        return None
    except WorkflowUpdateFailedError as error:
        raise refusal_of(error) from None


async def asked(update: Awaitable[T], wait_s: float) -> T | None:
    """Return the answer to an update of a workflow that was started, or None, as `answered`.

    Raises:
        Conflict: the workflow refuses it, or has ended.
        NotFound: no such workflow.
        Unavailable: Temporal does not answer; whether the request arrived is unknown.
    """
    try:
        return await answered(update, wait_s)
    except (RPCError, RuntimeError) as error:
        raise unreached(error) from None


async def cancel_lastingly(handle: WorkflowHandle[Any, Any]) -> None:
    """Have a workflow canceled by a request that outlives us, the server and every worker.

    An update that no worker has accepted yet is forgotten with whoever asked for it; so it was
    never promised. This is kept. Of a workflow that has ended it means nothing.

    Raises:
        Unavailable: Temporal does not answer; whether the request arrived is unknown.
    """
    try:
        await handle.cancel(rpc_timeout=SIGNAL_TIMEOUT)
    except (RPCError, RuntimeError) as error:
        reason = unreached(error)
        if isinstance(reason, Unavailable):
            raise reason from None


async def signal_lastingly(handle: WorkflowHandle[Any, Any], name: str, value: object) -> None:
    """Tell a workflow what it was asked in vain, by a signal that outlives us as above.

    Raises:
        Conflict: it has ended meanwhile.
        NotFound: there is none.
        Unavailable: Temporal does not answer; whether the request arrived is unknown.
    """
    try:
        await handle.signal(name, value, rpc_timeout=SIGNAL_TIMEOUT)
    except (RPCError, RuntimeError) as error:
        raise unreached(error) from None


def never_left(error: RPCError) -> bool:
    """Tell whether the call provably never reached a server: no connection could be made."""
    return error.status is RPCStatusCode.UNAVAILABLE and "connect" in error.message.lower()
