"""From commands to the seventh venue's texts, and from its answers to outcomes. Pure."""

from __future__ import annotations

from typing import Any, Final

from domain.commands import CancelOrder, Command, CommandKind, PlaceOrder
from domain.errors import CorruptState, InvalidInput, NotAllowed
from domain.instruments import Instrument
from domain.ledger import CommandRow, CommandSlot
from domain.numbers import plain
from domain.orders import OrderReport, OrderType, TimeInForce
from domain.outcomes import Accepted, NotSent, Outcome, Rejected, Unknown
from tests.seventh.venue import translate, wire
from tests.seventh.venue.proofs import CAPABILITIES
from tests.seventh.venue.refusals import BY_CODE, UNLISTED
from tests.seventh.venue.signing import check_allowed, message
from tests.seventh.venue.translate import VENUE
from venues.connector import MessageComposer
from venues.error_table import OutcomeClass
from venues.order_forms import check_amounts, check_kind
from venues.rate_budget import Purpose
from venues.sending import NotSendableError
from venues.times import to_ms
from venues.transport import Reply

_TEXT_MAX: Final = 300


def composer(market: Instrument, command: Command) -> MessageComposer:
    """Return what writes a command's text. Raises InvalidInput for what the venue does not take."""
    match command:
        case PlaceOrder():
            _check_place(market, command)
            is_ioc = command.time_in_force is TimeInForce.IOC
            kind, named = "place", None
            fields: dict[str, Any] = {
                "side": translate.side_word(command.side),
                "price": plain(command.price),
                "size": plain(command.quantity),
                "rests": command.order_type is OrderType.LIMIT and not is_ioc,
                "reduces": command.reduce_only,
            }
        case CancelOrder():
            kind, named, number = "cancel", command.client_order_id, command.venue_order_id
            fields = {"order": translate.order_number(number) if number is not None else None}
        case _:
            raise InvalidInput("command", f"expected a placement or a cancel on {VENUE}")

    def compose(slot: CommandSlot) -> str:
        if slot.admitted_until is None:
            raise CorruptState(f"expected an end of admission for {VENUE}, found none")
        tag = slot.client_order_id if named is None else named
        until = to_ms(slot.admitted_until)
        return message(kind, until, market=market.venue_symbol, tag=tag, **fields)

    return compose


def _check_place(market: Instrument, order: PlaceOrder) -> None:
    if order.order_type not in CAPABILITIES.order_types:
        raise InvalidInput(
            "order_type", f"expected LIMIT or MARKET on {VENUE}, found {order.order_type}"
        )
    if order.post_only:
        raise InvalidInput("post_only", f"expected false on {VENUE}, found true")
    check_kind(VENUE, order)
    check_amounts(market, order)


def check_message(row: CommandRow) -> None:
    """Check that a row has a text of its own kind. Raises NotSendableError."""
    try:
        kind = check_allowed(row.message)["do"]
    except NotAllowed as error:
        raise NotSendableError(f"the row's message is none of ours: {error}") from None
    if kind != row.key.command:
        raise NotSendableError(f"expected the text of a {row.key.command}, found a {kind}'s")


def purpose(row: CommandRow) -> Purpose:
    """Return what a checked row is for: what cuts risk may use the whole budget."""
    asked = check_allowed(row.message)
    cuts = row.key.command is CommandKind.CANCEL or asked["reduces"]
    return Purpose.CANCEL if cuts else Purpose.COMMAND


def outcome(reply: Reply, row: CommandRow | None, *, first: bool) -> Outcome:
    """Return what a whole answer proves; without a row it concerns no order.

    A refusal of a copy says nothing: an earlier one may be under way, or done.
    """
    text = reply.body[:_TEXT_MAX].decode("utf-8", errors="replace")
    seen = f"HTTP {reply.status}: {text}"
    try:
        answer = wire.decode(reply.body, wire.Answer)
        if reply.status == 200 and answer.ok:
            return Accepted(report=_report(answer, row, reply) if row is not None else None)
    except wire.WireError as error:
        return Unknown(reason=f"HTTP {reply.status}, unreadable: {error}"[:_TEXT_MAX])
    if reply.status != 422 or answer.ok or answer.error is None or not first:
        return Unknown(reason=seen if first else f"sent again, answered {seen}")
    refusal = BY_CODE.get(answer.error.code, UNLISTED)
    if refusal.proves is OutcomeClass.UNKNOWN:
        return Unknown(reason=seen)
    if refusal.proves is OutcomeClass.NOT_SENT:
        return NotSent(reason=refusal.code, proof=seen, retryable=True)
    return Rejected(code=refusal.code, reason=answer.error.text[:_TEXT_MAX], proof=seen)


def _report(answer: wire.Answer, row: CommandRow, reply: Reply) -> OrderReport:
    """Return what an answer says of the order. Raises WireError: it says it of another."""
    found = translate.order(wire.decode(bytes(answer.data), wire.Order))
    is_gone = found.verdict.is_terminal
    if found.client_order_id != row.client_order_id or (
        row.key.command is CommandKind.CANCEL and not is_gone
    ):
        raise wire.WireError(f"expected the order of tag {row.client_order_id}")
    return OrderReport(
        order_id=row.key.order_id,
        revision=row.target_revision,
        verdict=found.verdict,
        filled_quantity=found.filled_quantity,
        average_price=found.average_price,
        venue_order_id=found.venue_order_id,
        reason=found.reason,
        event_time=found.event_time,
        received_time=reply.received_at,
        source="answer",
    )
