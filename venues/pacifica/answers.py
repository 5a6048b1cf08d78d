"""What an answer to a signed request proves about the command it answers. Pure.

The one place where outcomes are decided. A first send and a resend differ: after a resend an
earlier copy of the same bytes may be under way or done, so only success decides. Whatever cannot
be read is Unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from domain.commands import CommandKind
from domain.orders import OrderReport, Verdict
from domain.outcomes import Accepted, NotSent, Outcome, Rejected, Unknown
from venues.pacifica import wire
from venues.pacifica.refusals import BEFORE_ENGINE_STATUSES, BUSINESS_STATUS, Effect, refusal_of
from venues.transport import Reply

SOURCE: Final = "answer"
_TEXT_MAX: Final = 500
_READ: Final = frozenset({200, BUSINESS_STATUS}) | BEFORE_ENGINE_STATUSES


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request asked for, as far as its answer has to be compared with it.

    `kind` is None for a request that concerns no order. `gets_order_id`: success names the order
    that was made; exits tied to a position are taken without.
    """

    kind: CommandKind | None
    order_id: str = ""
    revision: int = 0
    venue_order_id: str | None = None
    gets_order_id: bool = True


def outcome(reply: Reply, asked: Asked, *, first: bool) -> Outcome:
    """Return what a whole answer proves.

    Of a cancel, Accepted means that the order is canceled; what had filled before is not said.
    """
    if reply.status not in _READ:
        return Unknown(reason=_seen(reply))
    try:
        envelope = wire.decode(reply.body, wire.Envelope)
    except wire.WireError as error:
        if reply.status in BEFORE_ENGINE_STATUSES:
            # Some of these bodies are bare text.
            return _refused(reply, asked, None, _text(reply), first=first)
        return Unknown(reason=f"unreadable answer: {error}"[:_TEXT_MAX])
    if reply.status != 200 or envelope.error is not None or envelope.success is False:
        text = envelope.error or _text(reply)
        return _refused(reply, asked, envelope.code, text[:_TEXT_MAX], first=first)
    return _taken(envelope, asked, reply)


def _taken(envelope: wire.Envelope, asked: Asked, reply: Reply) -> Outcome:
    names_order = asked.kind in (CommandKind.PLACE, CommandKind.MODIFY) and asked.gets_order_id
    if not names_order and envelope.success is not True:
        # The flat form of a placement names its order; anything else has to say that it succeeded.
        return Unknown(reason=f"expected success, found {_seen(reply)}"[:_TEXT_MAX])
    if asked.kind is None:
        return Accepted()
    if asked.kind is CommandKind.CANCEL:
        return Accepted(report=_report(asked, reply, Verdict.CANCELED))
    if not asked.gets_order_id:
        return Accepted(report=_report(asked, reply, Verdict.ACCEPTED))
    order_id = envelope.order_id
    if order_id is None:
        try:
            order_id = wire.decode(bytes(envelope.data), wire.OrderNamed).order_id
        except wire.WireError as error:
            return Unknown(reason=f"success without an order id: {error}"[:_TEXT_MAX])
    return Accepted(report=_report(asked, reply, Verdict.ACCEPTED, venue_order_id=str(order_id)))


def _refused(reply: Reply, asked: Asked, number: int | None, text: str, *, first: bool) -> Outcome:
    seen = f"HTTP {reply.status}, code {number}: {text}"
    if not first:
        return Unknown(reason=f"sent again, answered {seen}"[:_TEXT_MAX])
    refusal = refusal_of(reply.status, number, text)
    if refusal.effect is Effect.UNKNOWN:
        return Unknown(reason=seen[:_TEXT_MAX])
    if refusal.effect is Effect.NOT_ADMITTED:
        return NotSent(reason=refusal.code, proof=seen, retryable=True)
    report = None
    if asked.kind is CommandKind.PLACE:
        report = _report(asked, reply, Verdict.REJECTED, reason=text, filled_quantity=Decimal(0))
    return Rejected(code=refusal.code, reason=text, proof=seen, report=report)


def _report(asked: Asked, reply: Reply, verdict: Verdict, **more: Any) -> OrderReport:
    return OrderReport(
        order_id=asked.order_id,
        revision=asked.revision,
        verdict=verdict,
        received_time=reply.received_at,
        source=SOURCE,
        **{"venue_order_id": asked.venue_order_id, **more},
    )


def _text(reply: Reply) -> str:
    return reply.body[:_TEXT_MAX].decode("utf-8", errors="replace").strip()


def _seen(reply: Reply) -> str:
    return f"HTTP {reply.status}: {_text(reply)}"[:_TEXT_MAX]
