"""What became of a command, and what proves it.

Silence is never read as failure: a command whose bytes may be out and whose answer is missing is
`Unknown`, and only a proof turns it into anything else. Knows no venue.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from domain.orders import OrderReport


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """Provably nothing of this command can take effect at the venue, now or later.

    Either no byte left us, or a fence closed before it arrived (`proof` says which). `retryable`
    tells whether the same intent may be tried again as a new revision.
    """

    kind: Literal["not_sent"] = "not_sent"
    reason: str
    proof: str
    retryable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """The venue took the request and has not decided; its verdict comes by feed or look-up."""

    kind: Literal["acknowledged"] = "acknowledged"
    venue_order_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The venue did what was asked. `report` is what it said of the order, if it said anything."""

    kind: Literal["accepted"] = "accepted"
    report: OrderReport | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The venue refused, with its words as proof.

    `code` is one of ours (`insufficient_margin`, `no_such_order`, …), `reason` the venue's text.
    `report` is the order's record where the venue keeps one of refused orders.
    """

    kind: Literal["rejected"] = "rejected"
    code: str
    reason: str
    proof: str
    report: OrderReport | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Bytes may be out and nothing is proven. `reason` says what was seen instead of an answer."""

    kind: Literal["unknown"] = "unknown"
    reason: str


Outcome = NotSent | Acknowledged | Accepted | Rejected | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class SendResult:
    """An outcome with its evidence: the raw answer (redacted, at most 16 KiB) and when it came.

    `venue_time` is the venue's own clock, where the answer carries it. `leaves_nonce`: provably
    nothing with the command's nonce was taken, nor can be any more, so that the next command of its
    lane has it.
    """

    outcome: Outcome
    raw: str | None = None
    received_at: datetime | None = None
    venue_time: datetime | None = None
    leaves_nonce: bool = False


def is_definite(outcome: Outcome | None) -> bool:
    """Tell whether nothing remains to be found out about the command."""
    return outcome is not None and outcome.kind in ("not_sent", "accepted", "rejected")
