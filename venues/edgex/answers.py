"""What an answer to a request proves about the command it answers. Pure.

The one place where outcomes are decided. The answer to a placement says no more than that the
order has an id, that to a cancel no more than that it was taken: what became of both is looked up
(`confirm`). A first send and a copy differ: after a copy only success decides. Whatever cannot be
read is Unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from domain.commands import CommandKind
from domain.orders import OrderReport, Verdict
from domain.outcomes import Accepted, Acknowledged, NotSent, Outcome, Rejected, Unknown
from venues.connector import VenueOrder
from venues.edgex import wire
from venues.edgex.refusals import RATE_LIMITED_STATUS, Effect, refusal_of
from venues.transport import Reply

SOURCE: Final = "answer"
NO_SUCH_ORDER: Final = "no_such_order"
_TEXT_MAX: Final = 500
#: What the map of a cancel says of an order that it can no longer cancel.
_GONE: Final = {
    "SUCCESS_ORDER_CANCELED": "the order was canceled already",
    "FAILED_ORDER_FILLED": "the order was filled",
    "FAILED_ORDER_NOT_FOUND": "the venue knows no such order",
}
_TAKEN: Final = frozenset({"SUCCESS", "SUCCESS_ORDER_CANCELING"})


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdictless:
    """A refusal with a code that is on no list: it counts once a look-up finds no such order."""

    refused: Rejected


def outcome(reply: Reply, asked: Asked, *, first: bool) -> Outcome | Verdictless:
    """Return what a whole answer proves."""
    if reply.status == RATE_LIMITED_STATUS or reply.status >= 500:
        return Unknown(reason=_seen(reply))
    try:
        envelope = wire.decode(reply.body, wire.Envelope)
    except wire.WireError as error:
        return Unknown(reason=f"unreadable answer, HTTP {reply.status}: {error}"[:_TEXT_MAX])
    if envelope.code != wire.SUCCESS:
        return _refused(reply, asked, envelope, first=first)
    if reply.status != 200:
        return Unknown(reason=_seen(reply))
    match asked.kind:
        case CommandKind.PLACE:
            return _placed(envelope, asked, reply)
        case CommandKind.CANCEL:
            return _canceled(envelope, asked, reply, first=first)
        case _:
            return Accepted()


def _placed(envelope: wire.Envelope, asked: Asked, reply: Reply) -> Outcome:
    try:
        order_id = wire.decode(bytes(envelope.data), wire.OrderNamed).order_id
    except wire.WireError as error:
        return Unknown(reason=f"success without an order id: {error}"[:_TEXT_MAX])
    return Accepted(report=_report(asked, reply, Verdict.ACCEPTED, venue_order_id=order_id))


def _canceled(envelope: wire.Envelope, asked: Asked, reply: Reply, *, first: bool) -> Outcome:
    try:
        results = wire.decode(bytes(envelope.data), wire.CancelResults).cancel_result_map
    except wire.WireError as error:
        return Unknown(reason=f"success without the order's result: {error}"[:_TEXT_MAX])
    # Whether a cancel by client id is answered by that id or by the venue's is not documented.
    if len(results) != 1:
        return Unknown(reason=f"expected the result of one order, found {len(results)}")
    (word,) = results.values()
    if word in _TAKEN:
        return Acknowledged(venue_order_id=asked.venue_order_id)
    reason = _GONE.get(word)
    if reason is None or not first:
        return Unknown(reason=f"the venue says of the cancel: {word}"[:_TEXT_MAX])
    return Rejected(code=NO_SUCH_ORDER, reason=reason, proof=_seen(reply))


def _refused(
    reply: Reply, asked: Asked, envelope: wire.Envelope, *, first: bool
) -> Outcome | Verdictless:
    said = f"{envelope.code}: {envelope.msg or ''}"
    seen = f"HTTP {reply.status}, {said}"[:_TEXT_MAX]
    if not first:
        return Unknown(reason=f"sent again, answered {seen}"[:_TEXT_MAX])
    refusal = refusal_of(envelope.code)
    if refusal.effect is Effect.UNKNOWN:
        return Unknown(reason=seen)
    if refusal.effect is Effect.NOT_ADMITTED:
        return NotSent(reason=refusal.code, proof=seen, retryable=True)
    report = None
    if asked.kind is CommandKind.PLACE:
        reason = said[:_TEXT_MAX]
        report = _report(asked, reply, Verdict.REJECTED, reason=reason, filled_quantity=Decimal(0))
    found = Rejected(code=refusal.code, reason=said[:_TEXT_MAX], proof=seen, report=report)
    if refusal.confirm and asked.kind is CommandKind.PLACE:
        return Verdictless(refused=found)
    return found


def with_order(taken: OrderReport, found: VenueOrder) -> Outcome:
    """Return what a look-up makes of an order that was just taken."""
    report = OrderReport(
        order_id=taken.order_id,
        revision=taken.revision,
        verdict=max(taken.verdict, found.verdict, key=lambda verdict: verdict.rank),
        received_time=taken.received_time,
        source=f"{SOURCE}, look-up",
        venue_order_id=found.venue_order_id,
        filled_quantity=found.filled_quantity,
        average_price=found.average_price,
        reason=found.reason,
        event_time=found.event_time,
    )
    if report.verdict is Verdict.REJECTED:
        reason = found.reason or "rejected"
        code = "insufficient_margin" if reason == "MARGIN_NOT_ENOUGH" else "refused_by_venue"
        return Rejected(
            code=code, reason=reason, proof="the venue's record of the order", report=report
        )
    return Accepted(report=report)


def cancel_confirmed(asked: Asked, reply: Reply, found: VenueOrder) -> Outcome | None:
    """Return what a look-up makes of a cancel that was taken; None while the order lives."""
    if not found.verdict.is_terminal:
        return None
    report = _report(
        asked,
        reply,
        found.verdict,
        venue_order_id=found.venue_order_id,
        filled_quantity=found.filled_quantity,
        average_price=found.average_price,
        event_time=found.event_time,
    )
    if found.verdict is Verdict.CANCELED:
        return Accepted(report=report)
    return Rejected(
        code=NO_SUCH_ORDER,
        reason=f"the order was {found.verdict.value} already",
        proof="the venue's record of the order",
        report=report,
    )


def _report(asked: Asked, reply: Reply, verdict: Verdict, **more: Any) -> OrderReport:
    return OrderReport(
        order_id=asked.order_id,
        revision=asked.revision,
        verdict=verdict,
        received_time=reply.received_at,
        source=SOURCE,
        **{"venue_order_id": asked.venue_order_id, **more},
    )


def _seen(reply: Reply) -> str:
    text = reply.body[:_TEXT_MAX].decode("utf-8", errors="replace").strip()
    return f"HTTP {reply.status}: {text}"[:_TEXT_MAX]
