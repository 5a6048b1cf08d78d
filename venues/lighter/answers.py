"""What an answer to a transaction proves about the command that it bears. Pure.

HTTP 200 is never more than acknowledged: the sequencer decides afterwards, and its verdict is read
from the order (`verdicts`). A first send and a copy differ: an earlier copy may be under way or
done, so of a copy only an acknowledgement decides. Whatever cannot be read is Unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from domain.commands import CommandKind
from domain.orders import OrderReport, Verdict
from domain.outcomes import Acknowledged, NotSent, Outcome, Rejected, Unknown
from venues.lighter import wire
from venues.lighter.refusals import RATE_LIMITED_STATUS, Effect, Refusal, refusal_of
from venues.transport import Reply

SOURCE: Final = "answer"
OK: Final = 200
_TEXT_MAX: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a transaction asked for, as far as its answer has to be compared with it."""

    kind: CommandKind | None
    tx_hash: str
    order_id: str = ""
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What an answer proves, and whether the venue still expects the same nonce."""

    outcome: Outcome
    leaves_nonce: bool = False


def answered(reply: Reply, asked: Asked, *, first: bool) -> Answered:
    """Return what a whole answer proves."""
    if reply.status == RATE_LIMITED_STATUS:
        return _refused(reply, asked, None, _text(reply), first=first)
    try:
        sent = wire.decode(reply.body, wire.Sent)
    except wire.WireError as error:
        if reply.status == OK:
            return Answered(outcome=Unknown(reason=f"unreadable answer: {error}"[:_TEXT_MAX]))
        return _refused(reply, asked, None, _text(reply), first=first)
    if reply.status != OK or sent.code != OK:
        return _refused(reply, asked, sent.code, sent.message or "", first=first)
    if sent.tx_hash is None or sent.tx_hash.lower().removeprefix("0x") != asked.tx_hash:
        found = f"expected the hash {asked.tx_hash}, found {sent.tx_hash}"
        return Answered(outcome=Unknown(reason=f"another answer: {found}"[:_TEXT_MAX]))
    return Answered(outcome=Acknowledged())


def _refused(reply: Reply, asked: Asked, number: int | None, text: str, *, first: bool) -> Answered:
    seen = f"HTTP {reply.status}, code {number}: {text}"[:_TEXT_MAX]
    if not first:
        return Answered(outcome=Unknown(reason=f"sent again, answered {seen}"[:_TEXT_MAX]))
    refusal = refusal_of(reply.status, number, text)
    return Answered(
        outcome=_outcome(refusal, asked, reply, text, seen), leaves_nonce=refusal.leaves_nonce
    )


def _outcome(refusal: Refusal, asked: Asked, reply: Reply, text: str, seen: str) -> Outcome:
    if refusal.effect is Effect.UNKNOWN:
        return Unknown(reason=seen)
    if refusal.effect is Effect.NOT_ADMITTED:
        return NotSent(reason=refusal.code, proof=seen, retryable=True)
    report = None
    reason = text[:_TEXT_MAX] or seen
    if asked.kind is CommandKind.PLACE:
        report = OrderReport(
            order_id=asked.order_id,
            revision=asked.revision,
            verdict=Verdict.REJECTED,
            filled_quantity=Decimal(0),
            reason=reason,
            received_time=reply.received_at,
            source=SOURCE,
        )
    return Rejected(code=refusal.code, reason=reason, proof=seen, report=report)


def _text(reply: Reply) -> str:
    return reply.body[:_TEXT_MAX].decode("utf-8", errors="replace").strip()
