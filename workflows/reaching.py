"""What a failed call to Temporal means, for every façade over workflows.

Never a rejection: NotFound, a closed workflow, or no answer. Knows no workflow by name.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError
from temporalio.converter import WorkflowSerializationContext
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import Conflict, NotFound, Unavailable

QUERY_TIMEOUT = timedelta(seconds=3)
SIGNAL_TIMEOUT = timedelta(seconds=5)
CLOSED_MEANWHILE = "AcceptedUpdateCompletedWorkflow"
"""The server's word for an update whose workflow closed before it was answered."""


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
