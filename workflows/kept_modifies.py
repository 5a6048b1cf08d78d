"""Tells in an order's timeline what became of modifies that were answered "not known yet"."""

from __future__ import annotations

from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import FailureError

from activities.contracts import RequestNote
from activities.orders import OrderActivities
from domain.keeping import begin_by, to_tell
from domain.kept_modifies import KeptModify
from domain.lifecycle import Lifecycle
from domain.orders import Order
from workflows import describing, policies
from workflows.contracts import ModifyRequest


def kept_modify(order: Order, request: ModifyRequest, now: datetime) -> KeptModify:
    """Return a request, as it is kept."""
    asked_at = now if request.asked_at is None else request.asked_at
    return KeptModify(
        request_id=request.request_id,
        quantity=request.quantity,
        price=request.price,
        begin_by=begin_by(order, asked_at),
    )


async def tell_kept(life: Lifecycle) -> frozenset[str]:
    """Write the answers that are known and not told; return which need not be told any more.

    While storage is away none is; a worker that dies in between tells one twice. An order that ends
    is not held up by it: its end is an answer.
    """
    done: set[str] = set()
    for record in to_tell(life):
        note = RequestNote(order_id=life.order.order_id, text=describing.answer(record))
        try:
            await workflow.execute_local_activity_method(
                OrderActivities.note_request,
                note,
                start_to_close_timeout=policies.COMMAND_TIMEOUT,
                retry_policy=policies.ONCE,
            )
        except FailureError:
            if not life.order.is_terminal:
                break
        done.add(record.request_id)
    return frozenset(done)
