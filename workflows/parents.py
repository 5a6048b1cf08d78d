"""An order's news for the bracket it belongs to: what it filled, that it rests, that it ended."""

from __future__ import annotations

import contextlib

from temporalio import workflow
from temporalio.exceptions import FailureError

from domain.brackets import news_of
from domain.orders import Order, Origin
from workflows.ids import bracket_workflow_id

Told = tuple[str, str, bool]
"""What a bracket was told last: filled quantity, outcome, whether the order has ended."""


async def tell_bracket(order: Order, told: Told | None) -> Told | None:
    """Signal the bracket an order belongs to, if it has one and there is news; return the news.

    Before an order is placed there is none; of one that its bracket placed with others, that it
    never reached the venue is. A bracket that has ended needs to hear nothing.
    """
    is_entry = order.parent_id == order.order_id
    if order.parent_id is None or not (is_entry or order.origin is Origin.BRACKET):
        return told
    absent = news_of(order).absent if order.joint else None
    outcome = order.outcome if absent is None else f"absent {absent}"
    news = (str(order.filled_quantity), outcome, order.is_terminal)
    if news == told or outcome == "pending":
        return told
    handle = workflow.get_external_workflow_handle(bracket_workflow_id(order.parent_id))
    with contextlib.suppress(FailureError):
        await handle.signal("moved", order.order_id)
    return news
