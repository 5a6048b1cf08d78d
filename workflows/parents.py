"""An order's news for the bracket or split it belongs to: that it rests, filled, or ended."""

from __future__ import annotations

import contextlib

from temporalio import workflow
from temporalio.exceptions import FailureError

from domain.brackets import news_of
from domain.orders import Order, Origin
from workflows.ids import bracket_workflow_id, split_workflow_id

Told = tuple[str, str, bool]
"""What a parent was told last: filled quantity, outcome, whether the order has ended."""


async def tell_parent(order: Order, told: Told | None) -> Told | None:
    """Signal the parent an order belongs to, if it has one and there is news; return the news.

    Before an order is placed there is none; of one that its bracket placed with others, that it
    never reached the venue is. A parent that has ended needs to hear nothing.
    """
    parent = _parent_of(order)
    if parent is None:
        return told
    absent = news_of(order).absent if order.joint else None
    outcome = order.outcome if absent is None else f"absent {absent}"
    news = (str(order.filled_quantity), outcome, order.is_terminal)
    if news == told or outcome == "pending":
        return told
    handle = workflow.get_external_workflow_handle(parent)
    with contextlib.suppress(FailureError):
        await handle.signal("moved", order.order_id)
    return news


def _parent_of(order: Order) -> str | None:
    """Return the id of the workflow that has to hear of an order, or None."""
    if order.parent_id is None:
        return None
    if order.origin is Origin.SPLIT:
        return split_workflow_id(order.parent_id)
    is_entry = order.parent_id == order.order_id
    if is_entry or order.origin is Origin.BRACKET:
        return bracket_workflow_id(order.parent_id)
    return None
