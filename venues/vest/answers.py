"""What an answer to a signed request proves about the command it answers. Pure.

The one place where outcomes are decided. Success is no verdict: the venue has taken the request,
and what became of the order is looked up. Whatever cannot be read is Unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from domain.commands import CommandKind
from domain.orders import OrderReport, Verdict
from domain.outcomes import Accepted, Acknowledged, NotSent, Outcome, Rejected, Unknown
from venues.connector import VenueOrder
from venues.transport import Reply
from venues.vest import wire
from venues.vest.refusals import BY_CODE, NO_SUCH_ORDER, Effect, refusal_of
from venues.vest.statuses import our_code

ANSWER: Final = "answer"
LOOK_UP: Final = "answer, look-up"
_TEXT_MAX: Final = 500
_OK: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request asked for; `kind` is None for one that concerns no order."""

    kind: CommandKind | None
    order_id: str = ""
    revision: int = 0
    venue_order_id: str | None = None


def outcome(reply: Reply, asked: Asked, *, first: bool) -> Outcome:
    """Return what a whole answer proves; Acknowledged names the order where it is a placement's."""
    failed = wire.failure_in(reply.body)
    if failed is not None and failed.code is not None:
        return _refused(reply, asked, failed.code, failed.text, first=first)
    if reply.status != _OK or failed is not None:
        return Unknown(reason=_seen(reply))
    if asked.kind is None:
        return _setting(reply)
    try:
        named = wire.decode(reply.body, wire.OrderNamed)
    except wire.WireError as error:
        return Unknown(reason=f"unreadable answer: {error}"[:_TEXT_MAX])
    if not named.id or (asked.venue_order_id or named.id) != named.id:
        return Unknown(reason=f"expected the order's id, found {named.id!r}"[:_TEXT_MAX])
    return Acknowledged(venue_order_id=named.id)


def _setting(reply: Reply) -> Outcome:
    try:
        wire.decode(reply.body, wire.LeverageRow)
    except wire.WireError as error:
        return Unknown(reason=f"unreadable answer: {error}"[:_TEXT_MAX])
    return Accepted()


def _refused(reply: Reply, asked: Asked, code: int, text: str, *, first: bool) -> Outcome:
    refusal = refusal_of(code)
    seen = f"HTTP {reply.status}, code {code} {refusal.name}: {text}"[:_TEXT_MAX]
    is_cancel = asked.kind is CommandKind.CANCEL
    if not first and not (is_cancel and refusal.code == NO_SUCH_ORDER):
        return Unknown(reason=f"sent again, answered {seen}"[:_TEXT_MAX])
    if refusal.effect is Effect.UNKNOWN:
        return Unknown(reason=seen)
    if refusal.effect is Effect.NOT_ADMITTED:
        return NotSent(reason=refusal.code, proof=seen, retryable=True)
    report = None
    if asked.kind is CommandKind.PLACE:
        words = f"{code} {refusal.name}"
        report = _report(asked, reply, Verdict.REJECTED, reason=words, filled_quantity=Decimal(0))
    return Rejected(code=refusal.code, reason=text or refusal.name, proof=seen, report=report)


def placed(asked: Asked, found: VenueOrder, code: int | None) -> Outcome:
    """Return what a look-up of an order that was taken says became of it."""
    report = report_of(asked, found)
    if found.verdict is Verdict.REJECTED and not found.filled_quantity:
        reason = found.reason or "REJECTED"
        return Rejected(
            code=our_code(code), reason=reason, proof=f"status REJECTED, {reason}", report=report
        )
    return Accepted(report=report)


def canceled(asked: Asked, found: VenueOrder) -> Outcome | None:
    """Return what a look-up after a cancel says became of it; None: nothing yet."""
    if found.verdict is Verdict.CANCELED:
        return Accepted(report=report_of(asked, found))
    if not found.verdict.is_terminal:
        return None
    return gone(f"the order has ended {found.verdict.value} (GET /orders)")


def gone(seen: str) -> Rejected:
    """Return the refusal of a cancel by a look-up: there is nothing to cancel."""
    return Rejected(code=NO_SUCH_ORDER, reason=BY_CODE[3017].name, proof=seen)


def report_of(asked: Asked, found: VenueOrder) -> OrderReport:
    """Return what a look-up says of the order that a command concerns."""
    return OrderReport(
        order_id=asked.order_id,
        revision=asked.revision,
        verdict=found.verdict,
        filled_quantity=found.filled_quantity,
        average_price=found.average_price,
        venue_order_id=found.venue_order_id,
        reason=found.reason,
        event_time=found.event_time,
        source=LOOK_UP,
    )


def _report(asked: Asked, reply: Reply, verdict: Verdict, **more: Any) -> OrderReport:
    return OrderReport(
        order_id=asked.order_id,
        revision=asked.revision,
        verdict=verdict,
        received_time=reply.received_at,
        source=ANSWER,
        **more,
    )


def _seen(reply: Reply) -> str:
    text = reply.body[:_TEXT_MAX].decode("utf-8", errors="replace").strip()
    return f"HTTP {reply.status}: {text}"[:_TEXT_MAX]
