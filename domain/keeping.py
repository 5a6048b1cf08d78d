"""What becomes of modifies that were kept for an order's workflow: begun in their time, or refused.

Whoever asked was told that it is not known yet. So each gets an answer, and the answer is told in
the order's timeline. Pure, as all of `domain.lifecycle`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from domain.kept_modifies import KeptModify
from domain.lifecycle import (
    Lifecycle,
    Replacement,
    RequestRecord,
    answered,
    find_request,
    refuse_modify,
    request,
    want_replacement,
)
from domain.orders import Order

TOO_LATE = "it was not begun in its time, for nobody was there to do it; the order is as it was"


def begin_by(order: Order, asked_at: datetime) -> datetime:
    """Return until when a modify may be begun: it has as long as the order had to be placed."""
    return asked_at + (order.place_by - order.created_at)


def is_too_late(order: Order, asked_at: datetime | None, now: datetime) -> bool:
    """Tell whether a modify is heard only after its time; None if it does not say its time."""
    return asked_at is not None and now >= begin_by(order, asked_at)


def keep(life: Lifecycle, wanted: KeptModify) -> Lifecycle:
    """Return the lifecycle with a modify kept; asked once more it has the later time.

    One that was heard as well goes on as it does, and its answer is told all the same.
    """
    if wanted.request_id not in life.untold:
        life = replace(life, untold=(*life.untold, wanted.request_id))
    if find_request(life, wanted.request_id) is None:
        life = request(life, wanted.request_id, "modify")
        return replace(life, kept=(*life.kept, wanted))
    return replace(
        life,
        kept=tuple(wanted if k.request_id == wanted.request_id else k for k in life.kept),
    )


def begin_kept(life: Lifecycle, now: datetime, *, placed: bool) -> Lifecycle:
    """Return the lifecycle with the modify begun whose turn it is; what cannot be is refused.

    While the order is not `placed`, in doubt, or being modified, the next one waits.
    """
    while life.kept:
        wanted, rest = life.kept[0], life.kept[1:]
        record = find_request(life, wanted.request_id)
        if record is None or record.answered:
            life = replace(life, kept=rest)
            continue
        refusal = TOO_LATE if now >= wanted.begin_by else None
        if refusal is None:
            if not placed or life.unresolved or life.replacement is not None:
                return life
            becomes = _replacement(life, wanted)
            refusal = refuse_modify(life, becomes.quantity)
            if refusal is None:
                return want_replacement(replace(life, kept=rest), becomes)
        life = answered(replace(life, kept=rest), wanted.request_id, refusal)
    return life


def to_tell(life: Lifecycle) -> tuple[RequestRecord, ...]:
    """Return the answers that are known and not told; none while a cancel would wait for that."""
    if life.cancel_wanted and not life.order.is_terminal:
        return ()
    records = (find_request(life, request_id) for request_id in life.untold)
    return tuple(record for record in records if record is not None and record.answered)


def told(life: Lifecycle, request_ids: Collection[str]) -> Lifecycle:
    """Return the lifecycle with answers told."""
    return replace(life, untold=tuple(r for r in life.untold if r not in request_ids))


def _replacement(life: Lifecycle, wanted: KeptModify) -> Replacement:
    order = life.order
    return Replacement(
        request_id=wanted.request_id,
        quantity=order.quantity if wanted.quantity is None else wanted.quantity,
        price=order.price if wanted.price is None else wanted.price,
        place_by=wanted.begin_by,
    )
