"""The orders at the venue that protect a guarded position: placed, replaced, and ended with it.

Part of `GuardWorkflow`. Each is an OrderWorkflow of its own. Where one is gone, another is placed,
and meanwhile the guard's own evaluation closes.
"""

from __future__ import annotations

from temporalio import workflow

from domain import native_exits
from domain.guarding import GuardSight, GuardState
from workflows import policies
from workflows.children import cancel_child, start_child
from workflows.contracts import OrderStart


async def tend_exits(state: GuardState, sight: GuardSight) -> GuardState:
    """Have the orders at the venue be what the conditions ask for; return the state with them."""
    state, obsolete = native_exits.seen(state, sight)
    for order_id in obsolete:
        await cancel_child(order_id)
    if sight.instrument is None:
        return state
    state, orders = native_exits.to_place(
        state, sight.instrument, now=workflow.now(), within=policies.CLOSING_ORDER_WITHIN
    )
    for order in orders:
        await start_child(OrderStart(order=order))
    return state


async def end_exits(state: GuardState) -> GuardState:
    """Cancel what rests at the venue for a guard that has ended."""
    for order in state.native_orders:
        if order.is_live:
            await cancel_child(order.order_id)
    return native_exits.without_exits(state)
