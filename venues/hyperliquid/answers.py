"""What an answer of POST /exchange proves about the command it answers. Pure.

The one place where outcomes are decided. A first send and a resend differ: after a resend an
earlier copy of the same bytes may be under way or done, so a refusal decides only where the table
says that no earlier copy was admitted. Whatever cannot be read is Unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from domain.commands import CommandKind
from domain.orders import OrderReport, Verdict
from domain.outcomes import Accepted, NotSent, Outcome, Rejected, Unknown
from venues.hyperliquid import wire
from venues.hyperliquid.refusals import (
    MALFORMED_STATUSES,
    RATE_LIMITED_STATUS,
    Effect,
    Refusal,
    action_refusal,
    order_refusal,
)
from venues.transport import Reply

SOURCE: Final = "answer"
_TEXT_MAX: Final = 500
_WAITING: Final = ("waitingForFill", "waitingForTrigger")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one order of an action asked for, as far as its answer has to be compared with it."""

    order_id: str
    revision: int
    client_order_id: str
    venue_order_id: str | None = None
    quantity: Decimal | None = None
    is_immediate: bool = False
    reduce_only: bool = False


def asked_of_order(
    order: wire.SignedOrder, *, order_id: str, revision: int, client_order_id: str
) -> Asked:
    """Return what one signed order asked for."""
    return Asked(
        order_id=order_id,
        revision=revision,
        client_order_id=client_order_id,
        quantity=order.s,
        is_immediate=order.t.limit is not None and order.t.limit.get("tif") == "Ioc",
        reduce_only=order.r,
    )


def outcomes(
    reply: Reply, kind: CommandKind | None, asked: Sequence[Asked], *, first: bool
) -> tuple[Outcome, ...]:
    """Return the outcome of each order of an action, in their order.

    A single error for a whole batch counts for every one of them. `first` tells that no copy of
    these bytes was sent before. `kind` is None for an action that concerns no order.

    Of a noop: Accepted means the nonce is burnt and nothing that bore it was ever executed;
    Rejected `nonce_used` that something with it was admitted before; Rejected `nonce_too_low` that
    nothing with it was admitted, nor can be.
    """
    return _Classifier(kind, tuple(asked), first, reply.received_at).read(reply)


def action_outcome(reply: Reply, *, first: bool = True) -> Outcome:
    """Return the outcome of an action that concerns no order (leverage, scheduled cancel)."""
    subject = Asked(order_id="", revision=0, client_order_id="")
    return outcomes(reply, None, [subject], first=first)[0]


class _Classifier:
    """Reads one answer."""

    def __init__(
        self, kind: CommandKind | None, asked: tuple[Asked, ...], first: bool, received: datetime
    ) -> None:
        self._kind = kind
        self._asked = asked
        self._first = first
        self._received = received

    def read(self, reply: Reply) -> tuple[Outcome, ...]:
        if reply.status != 200:
            return self._all(self._of_http(reply))
        try:
            envelope = wire.decode(reply.body, wire.ExchangeEnvelope)
            if envelope.status == "err":
                return self._of_refused_action(wire.decode(bytes(envelope.response), str))
            if envelope.status != "ok":
                raise wire.WireError(f"expected status ok or err, found {envelope.status!r}")
            return self._of_ok(wire.decode(bytes(envelope.response), wire.OkResponse))
        except wire.WireError as error:
            return self._all(Unknown(reason=f"unreadable answer: {error}"[:_TEXT_MAX]))

    def _all(self, outcome: Outcome) -> tuple[Outcome, ...]:
        return tuple(outcome for _ in self._asked)

    def _of_http(self, reply: Reply) -> Outcome:
        text = reply.body[:_TEXT_MAX].decode("utf-8", errors="replace")
        seen = f"HTTP {reply.status}: {text}"
        if not self._first:
            return Unknown(reason=f"sent again, answered {seen}"[:_TEXT_MAX])
        if reply.status == RATE_LIMITED_STATUS:
            return NotSent(reason="rate_limited", proof=seen, retryable=True)
        if reply.status in MALFORMED_STATUSES:
            return Rejected(code="malformed", reason=text, proof=seen)
        return Unknown(reason=seen)

    def _of_refused_action(self, text: str) -> tuple[Outcome, ...]:
        refusal = action_refusal(text)
        if refusal is None:
            return self._all(Unknown(reason=f"unlisted refusal: {text}"[:_TEXT_MAX]))
        return tuple(self._of_refusal(refusal, text, asked) for asked in self._asked)

    def _of_ok(self, response: wire.OkResponse) -> tuple[Outcome, ...]:
        if response.data is None:
            if response.type != "default":
                raise wire.WireError(f"expected statuses, found a bare {response.type!r}")
            if self._kind in (CommandKind.PLACE, CommandKind.CANCEL):
                raise wire.WireError("expected statuses, found the answer to another action")
            return tuple(Accepted() for _ in self._asked)
        statuses = response.data.statuses
        if len(statuses) == 1 < len(self._asked) and _error_of(statuses[0]) is not None:
            statuses = statuses * len(self._asked)
        if len(statuses) != len(self._asked):
            raise wire.WireError(f"expected {len(self._asked)} statuses, found {len(statuses)}")
        return tuple(
            self._of_status(status, asked)
            for status, asked in zip(statuses, self._asked, strict=True)
        )

    def _of_status(self, status: wire.Status, asked: Asked) -> Outcome:
        error = _error_of(status)
        if error is not None:
            return self._of_refusal(order_refusal(error), error, asked)
        if self._kind is CommandKind.CANCEL:
            if status != "success":
                return Unknown(reason=f"expected success, found {status!r}"[:_TEXT_MAX])
            return Accepted(report=self._report(asked, Verdict.CANCELED))
        if isinstance(status, str):
            if status not in _WAITING:
                return Unknown(reason=f"expected an order's status, found {status!r}"[:_TEXT_MAX])
            return Accepted(report=self._report(asked, Verdict.ACCEPTED, reason=status))
        placed = status.resting or status.filled
        if placed is None:
            return Unknown(reason="expected resting, filled or error, found none of them")
        if placed.cloid is not None and placed.cloid.lower() != asked.client_order_id.lower():
            return Unknown(
                reason=f"expected an answer for {asked.client_order_id}, found {placed.cloid}"
            )
        if status.filled is not None:
            return Accepted(report=self._filled(asked, status.filled))
        return Accepted(report=self._report(asked, Verdict.ACCEPTED, oid=placed.oid))

    def _filled(self, asked: Asked, filled: wire.Filled) -> OrderReport:
        verdict, reason = Verdict.FILLED, None
        if asked.quantity is not None and filled.totalSz < asked.quantity:
            # An immediate order's rest is dropped without a word; a resting order's rest may rest.
            verdict = Verdict.CANCELED if asked.is_immediate else Verdict.PARTIALLY_FILLED
            if asked.is_immediate:
                reason = (
                    "filled as far as the position or the book allowed; the rest was dropped"
                    if asked.reduce_only
                    else "the rest found no match and was dropped"
                )
        return self._report(
            asked,
            verdict,
            oid=filled.oid,
            filled_quantity=filled.totalSz,
            average_price=filled.avgPx,
            reason=reason,
        )

    def _of_refusal(self, refusal: Refusal, text: str, asked: Asked) -> Outcome:
        text = text[:_TEXT_MAX]
        if refusal.effect is Effect.ADMITTED_BEFORE:
            return self._of_used_nonce(text)
        if not self._first and not refusal.consumes_nonce:
            return Unknown(reason=f"sent again, answered: {text}")
        if refusal.effect is Effect.NO_MATCH:
            report = self._report(asked, Verdict.CANCELED, reason=text, filled_quantity=Decimal(0))
            return Accepted(report=report)
        is_burnt = self._kind is CommandKind.NOOP and refusal.code == "nonce_too_low"
        if refusal.effect is Effect.NOT_ADMITTED and not is_burnt:
            return NotSent(reason=refusal.code, proof=text, retryable=refusal.retryable)
        return self._rejected(refusal.code, text, asked)

    def _of_used_nonce(self, text: str) -> Outcome:
        if self._kind is CommandKind.NOOP:
            return Rejected(code="nonce_used", reason=text, proof=text)
        return Unknown(reason=f"duplicate nonce: admitted earlier, outcome unknown here ({text})")

    def _rejected(self, code: str, text: str, asked: Asked) -> Rejected:
        report = None
        if self._kind is CommandKind.PLACE:
            report = self._report(asked, Verdict.REJECTED, reason=text, filled_quantity=Decimal(0))
        return Rejected(code=code, reason=text, proof=text, report=report)

    def _report(
        self, asked: Asked, verdict: Verdict, *, oid: int | None = None, **more: Any
    ) -> OrderReport:
        return OrderReport(
            order_id=asked.order_id,
            revision=asked.revision,
            verdict=verdict,
            venue_order_id=str(oid) if oid is not None else asked.venue_order_id,
            received_time=self._received,
            source=SOURCE,
            **more,
        )


def _error_of(status: wire.Status) -> str | None:
    return status.error if isinstance(status, wire.StatusObject) else None
