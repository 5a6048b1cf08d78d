"""What a parent order's workflow does with its child orders: starts, cancels, and hears of them.

A child is an OrderWorkflow with a life of its own, which outlives its parent; see
`workflows.parents` for how it tells its news. Knows no kind of parent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError
from temporalio.workflow import ChildWorkflowHandle, ParentClosePolicy

from workflows import policies
from workflows.contracts import OrderStart
from workflows.describing import summary
from workflows.ids import order_attributes, order_workflow_id
from workflows.order import OrderWorkflow


async def start_child(
    start: OrderStart, *, queue: str | None = None
) -> ChildWorkflowHandle[OrderWorkflow, str] | None:
    """Start a child order, on the parent's queue unless told; None: one of that id runs, or ran."""
    order = start.order
    try:
        return await workflow.start_child_workflow(
            OrderWorkflow.run,
            replace(start, status_at_close=True),
            id=order_workflow_id(order.order_id),
            task_queue=queue,
            parent_close_policy=ParentClosePolicy.ABANDON,
            task_timeout=policies.TASK_TIMEOUT,
            search_attributes=order_attributes(order),
            static_summary=summary(order, order.account_id),
        )
    except WorkflowAlreadyStartedError:
        return None


async def cancel_child(order_id: str) -> bool:
    """Ask a child order to be canceled; False: it has ended, or never began, as a look tells."""
    try:
        await workflow.get_external_workflow_handle(order_workflow_id(order_id)).cancel()
    except FailureError:
        return False
    return True


async def heard(has_news: Callable[[], bool], within: timedelta) -> bool:
    """Wait for news of the children; False: there was none, so that they have to be looked at."""
    try:
        await workflow.wait_condition(has_news, timeout=within, timeout_summary="look anyway")
    except TimeoutError:
        return False
    return True
