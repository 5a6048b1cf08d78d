"""From evidence to an outcome: what proves that a command took effect, or that it never can.

Absence is proven only behind a fence that the venue's own clock or nonce has closed, and with
every look-up silent. Anything less leaves the command unknown. Knows no venue; a venue's proof
table gives the parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.ledger import CommandRow
from domain.orders import OrderReport, Verdict
from domain.outcomes import Accepted, NotSent, Outcome, Rejected

#: From a command's row to the end of its call: a second to be sent, two for the answer.
ANSWER_WITHIN = timedelta(seconds=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementEvidence:
    """What was found out about a placement.

    `report` is what any look-up found. `all_silent` tells that the look-ups by id, in open orders,
    in history and in fills were all made after the fence closed and found nothing. `nonce_burned`:
    a noop was accepted with the placement's nonce; `nonce_used`: the venue refused the noop
    because that nonce had been admitted before.
    """

    report: OrderReport | None = None
    all_silent: bool = False
    nonce_burned: bool = False
    nonce_used: bool = False
    venue_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelEvidence:
    """What was found out about a cancel: what the venue says now of the order it concerns.

    `nonce_burned`: another command took the cancel's nonce, so that it never arrives.
    """

    report: OrderReport | None = None
    all_silent: bool = False
    nonce_burned: bool = False
    venue_time: datetime | None = None


def fence_closed(
    row: CommandRow, venue_time: datetime | None, *, visibility_delay_s: float
) -> bool:
    """Tell whether the venue, by its own clock, can no longer admit the row's bytes.

    The visibility delay is added, so that what was admitted at the last moment can be seen.
    """
    if row.admitted_until is None or venue_time is None:
        return False
    return venue_time > row.admitted_until + timedelta(seconds=visibility_delay_s)


def decide_placement(
    row: CommandRow, evidence: PlacementEvidence, *, visibility_delay_s: float
) -> Outcome | None:
    """Return the proven outcome of a placement, or None while nothing is proven."""
    report = evidence.report
    if report is not None:
        if report.verdict is Verdict.REJECTED:
            return Rejected(
                code="rejected",
                reason=report.reason or "rejected",
                proof="the venue's record of the order",
                report=report,
            )
        return Accepted(report=report)
    if not evidence.all_silent:
        return None
    if evidence.nonce_burned:
        return NotSent(
            reason="never_admitted",
            proof=f"nonce {row.nonce} was used up by a noop; no look-up knows the order",
        )
    if not fence_closed(row, evidence.venue_time, visibility_delay_s=visibility_delay_s):
        return None
    if evidence.nonce_used:
        return Rejected(
            code="admitted_no_order",
            reason="the venue took the command and made no order of it",
            proof=f"nonce {row.nonce} was used; past admission no look-up knows the order",
        )
    return NotSent(
        reason="never_admitted",
        proof=f"admission ended {row.admitted_until} by the venue's clock; no look-up knows it",
    )


def decide_cancel(
    row: CommandRow,
    evidence: CancelEvidence,
    *,
    visibility_delay_s: float,
    has_fence: bool = True,
) -> Outcome | None:
    """Return the proven outcome of a cancel, or None while nothing is proven.

    Without a fence nobody can prove that a cancel will never arrive. It is given up all the same
    once its order still rests after all delays: a further cancel does no harm, whichever comes.
    """
    report = evidence.report
    closed = fence_closed(row, evidence.venue_time, visibility_delay_s=visibility_delay_s)
    if report is None:
        if not (evidence.all_silent and closed):
            return None
        return Rejected(
            code="no_such_order",
            reason="the venue knows no such order",
            proof="past admission no look-up knows the order",
        )
    if report.verdict is Verdict.CANCELED:
        return Accepted(report=report)
    if report.verdict.is_terminal:
        return Rejected(
            code="no_such_order",
            reason=f"the order was {report.verdict.value} already",
            proof="the venue's record of the order",
            report=report,
        )
    if evidence.nonce_burned:
        return NotSent(
            reason="never_admitted",
            proof=f"nonce {row.nonce} was used up by a noop and the order still rests",
        )
    if closed:
        return NotSent(
            reason="never_admitted",
            proof=f"admission ended {row.admitted_until} and the order still rests",
        )
    if not has_fence and _has_waited(row, evidence.venue_time, visibility_delay_s):
        return NotSent(
            reason="unanswered",
            proof="the order still rests; a further cancel does no harm should this one arrive",
        )
    return None


def _has_waited(row: CommandRow, venue_time: datetime | None, visibility_delay_s: float) -> bool:
    """Tell whether a cancel that was answered, or applied at once, would be visible by now."""
    if venue_time is None:
        return False
    return venue_time > row.inserted_at + ANSWER_WITHIN + timedelta(seconds=visibility_delay_s)
