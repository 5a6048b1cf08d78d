"""The orders at the venue that protect a guarded position: placed, replaced, and ended with it.

Part of `GuardWorkflow`. Each is an OrderWorkflow of its own. Where one is gone, another is placed,
and meanwhile the guard's own evaluation closes.
"""

from __future__ import annotations

import contextlib

from temporalio import workflow
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from domain import native_exits
from domain.guarding import GuardSight, GuardState
from domain.orders import Order
from workflows import policies
from workflows.contracts import OrderStart
from workflows.describing import summary
from workflows.ids import order_attributes, order_workflow_id
from workflows.order import OrderWorkflow


async def tend_exits(state: GuardState, sight: GuardSight) -> GuardState:
    """Have the orders at the venue be what the conditions ask for; return the state with them."""
    state, obsolete = native_exits.seen(state, sight)
    for order_id in obsolete:
        await _cancel(order_id)
    if sight.instrument is None:
        return state
    state, orders = native_exits.to_place(
        state, sight.instrument, now=workflow.now(), within=policies.CLOSING_ORDER_WITHIN
    )
    for order in orders:
        await _start(order)
    return state


async def end_exits(state: GuardState) -> GuardState:
    """Cancel what rests at the venue for a guard that has ended."""
    for order in state.native_orders:
        if order.is_live:
            await _cancel(order.order_id)
    return native_exits.without_exits(state)


async def _start(order: Order) -> None:
    # Started already by an earlier run of this guard.
    with contextlib.suppress(WorkflowAlreadyStartedError):
        await workflow.start_child_workflow(
            OrderWorkflow.run,
            OrderStart(order=order),
            id=order_workflow_id(order.order_id),
            parent_close_policy=ParentClosePolicy.ABANDON,
            task_timeout=policies.TASK_TIMEOUT,
            search_attributes=order_attributes(order),
            static_summary=summary(order, order.account_id),
        )


async def _cancel(order_id: str) -> None:
    # Whoever has ended cannot be canceled; the next look tells.
    with contextlib.suppress(FailureError):
        await workflow.get_external_workflow_handle(order_workflow_id(order_id)).cancel()
