"""Several orders in one signed action: a bracket, cancel-all, close-all.

Use it where one intent is one venue action: one row of the ledger carries the action, each member
has its own order. The venue's batches are not atomic: results are per member.
"""

from __future__ import annotations

from collections.abc import Sequence

from domain.commands import CancelOrder, PlaceOrder
from domain.errors import InvalidInput
from domain.instruments import Instrument
from domain.ledger import CommandSlot
from venues.batches import BatchComposer
from venues.hyperliquid.actions import (
    Grouping,
    cancel_action,
    check_place,
    order_action,
    order_wire,
    to_json,
)
from venues.hyperliquid.proofs import CAPABILITIES


def place_batch_composer(
    orders: Sequence[tuple[Instrument, PlaceOrder]], grouping: Grouping
) -> BatchComposer:
    """Return what writes several placements as one action.

    With PARENT_AND_EXITS the first order is the parent and the others are reduce-only triggers of
    the opposite side, with POSITION_EXITS all are: the venue refuses anything else, with one error
    for the whole batch.

    Raises:
        InvalidInput: an order is refused for its form, the batch is empty or too long, or the
            orders do not suit the grouping.
    """
    _check_length(len(orders))
    exits = orders[1:] if grouping is Grouping.PARENT_AND_EXITS else orders
    if grouping is not Grouping.NONE:
        for _, order in exits:
            if not (order.reduce_only and order.order_type.is_trigger):
                raise InvalidInput(
                    "orders", f"expected reduce-only trigger orders in {grouping.value!r}"
                )
    for instrument, order in orders:
        check_place(instrument, order)
    templates = [order_wire(instrument, order, "") for instrument, order in orders]

    def compose(slots: Sequence[CommandSlot]) -> str:
        elements = [
            {**template, "c": slot.client_order_id}
            for template, slot in zip(templates, slots, strict=True)
        ]
        return to_json(order_action(elements, grouping))

    return compose


def cancel_batch_composer(cancels: Sequence[tuple[Instrument, CancelOrder]]) -> BatchComposer:
    """Return what writes several cancels as one action.

    By the venue's ids if all members have one, else all by client order id. Put take-profit and
    stop-loss before their parent: the parent's cancel ends them, and theirs then finds nothing.

    Raises:
        InvalidInput: the batch is empty or too long.
    """
    _check_length(len(cancels))
    message = to_json(cancel_action(cancels))

    def compose(slots: Sequence[CommandSlot]) -> str:
        return message

    return compose


def _check_length(length: int) -> None:
    if not 1 <= length <= CAPABILITIES.batch_limit:
        raise InvalidInput(
            "orders", f"expected 1 to {CAPABILITIES.batch_limit} orders in a batch, found {length}"
        )
