"""What an answer to a command proves. Pure.

The one place where outcomes are decided. Success means checked and queued: the verdict is in a
look-up. A first send and a resend differ: after a resend an earlier copy may have been what the
answer is about, so only a look-up decides. Whatever cannot be read is Unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from domain.commands import CommandKind
from domain.orders import OrderReport, Verdict
from domain.outcomes import Accepted, Acknowledged, NotSent, Outcome, Rejected, Unknown
from venues.connector import VenueOrder
from venues.extended import wire
from venues.extended.refusals import (
    BY_REASON,
    NOT_FOUND_STATUS,
    RATE_LIMITED_STATUS,
    UNLISTED,
    Effect,
    refusal_of,
)
from venues.transport import Reply

SOURCE: Final = "answer, look-up"
_TEXT_MAX: Final = 500
_OK: Final = "OK"
_DONE: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request asked for, as far as its answer has to be compared with it.

    `kind` is None for a request that concerns no order.
    """

    kind: CommandKind | None
    order_id: str = ""
    revision: int = 0
    client_order_id: str = ""
    venue_order_id: str | None = None


def outcome(reply: Reply, asked: Asked, *, first: bool) -> Outcome:
    """Return what a whole answer proves; Acknowledged for what a look-up has to decide.

    A setting is also taken with an empty answer.
    """
    if asked.kind is None and reply.status == _DONE and not reply.body.strip():
        return Accepted()
    try:
        envelope = wire.decode(reply.body, wire.Envelope)
    except wire.WireError as error:
        return _unread(reply, asked, str(error), first=first)
    if envelope.error is not None or envelope.status != _OK or reply.status >= 300:
        return _refused(reply, asked, envelope.error, first=first)
    if asked.kind is None:
        return Accepted()
    if asked.kind is CommandKind.CANCEL:
        return Acknowledged(venue_order_id=asked.venue_order_id)
    try:
        placed = wire.decode(bytes(envelope.data), wire.PlacedOrder)
    except wire.WireError as error:
        return Unknown(reason=f"success without an order id: {error}"[:_TEXT_MAX])
    if placed.externalId != asked.client_order_id:
        return Unknown(
            reason=f"expected an answer about {asked.client_order_id}, found one about "
            f"{placed.externalId[:64]}"
        )
    return Acknowledged(venue_order_id=str(placed.id))


def placed_outcome(found: VenueOrder, asked: Asked, reply: Reply) -> Outcome:
    """Return the verdict on a placement that was taken, from the order as a look-up has it."""
    if found.verdict is Verdict.REJECTED:
        reason = found.reason or "rejected"
        return Rejected(
            code=BY_REASON.get(reason, UNLISTED),
            reason=reason,
            proof="the venue's record of the order",
            report=_report(found, asked, reply, filled_quantity=Decimal(0)),
        )
    return Accepted(report=_report(found, asked, reply))


def canceled_outcome(found: VenueOrder, asked: Asked, reply: Reply) -> Outcome | None:
    """Return the verdict on a cancel that was taken; None while its order goes on."""
    report = _report(found, asked, reply)
    if found.verdict is Verdict.CANCELED:
        return Accepted(report=report)
    if found.verdict.is_terminal:
        return Rejected(
            code="no_such_order",
            reason=f"the order was {found.verdict.value} already",
            proof="the venue's record of the order",
            report=report,
        )
    return None


def _unread(reply: Reply, asked: Asked, problem: str, *, first: bool) -> Outcome:
    if 400 <= reply.status < 500:
        return _refused(reply, asked, None, first=first)
    return Unknown(reason=f"unreadable answer to HTTP {reply.status}: {problem}"[:_TEXT_MAX])


def _refused(reply: Reply, asked: Asked, error: wire.ErrorBody | None, *, first: bool) -> Outcome:
    number = error.code if error is not None else None
    text = (error.message if error is not None else None) or _text(reply)
    seen = f"HTTP {reply.status}, code {number}: {text}"[:_TEXT_MAX]
    if not first:
        return Unknown(reason=f"sent again, answered {seen}"[:_TEXT_MAX])
    if asked.kind is CommandKind.CANCEL and _is_not_found(reply.status, number):
        return Rejected(code="no_such_order", reason=text[:_TEXT_MAX], proof=seen)
    refusal = refusal_of(reply.status, number)
    if refusal.effect is Effect.UNKNOWN:
        return Unknown(reason=seen)
    if refusal.effect is Effect.NOT_ADMITTED:
        return NotSent(reason=refusal.code, proof=seen, retryable=True)
    report = None
    if asked.kind is CommandKind.PLACE:
        report = OrderReport(
            order_id=asked.order_id,
            revision=asked.revision,
            verdict=Verdict.REJECTED,
            received_time=reply.received_at,
            source="answer",
            reason=text[:_TEXT_MAX],
            filled_quantity=Decimal(0),
        )
    return Rejected(code=refusal.code, reason=text[:_TEXT_MAX], proof=seen, report=report)


def _is_not_found(status: int, number: int | str | None) -> bool:
    """Tell whether an answer says that there is no such order: by its status, or in a word."""
    if status == RATE_LIMITED_STATUS or status >= 500:
        return False
    return status == NOT_FOUND_STATUS or number in ("NOT_FOUND", 1142)


def _report(found: VenueOrder, asked: Asked, reply: Reply, **more: Any) -> OrderReport:
    fields: dict[str, Any] = {
        "filled_quantity": found.filled_quantity,
        "average_price": found.average_price,
        **more,
    }
    return OrderReport(
        order_id=asked.order_id,
        revision=asked.revision,
        verdict=found.verdict,
        venue_order_id=found.venue_order_id,
        reason=found.reason,
        event_time=found.event_time,
        received_time=reply.received_at,
        source=SOURCE,
        **fields,
    )


def _text(reply: Reply) -> str:
    return reply.body[:_TEXT_MAX].decode("utf-8", errors="replace").strip() or "no text"
