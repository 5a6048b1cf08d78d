"""What news does to an order: the effect of a command's outcome, of a report, of booked fills.

Thin decisions on top of `domain.order_fold`, so that all who have news fold it the same way and
tell workflows of the same things. Knows no storage.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from domain.commands import CommandKind
from domain.ledger import CommandRow
from domain.order_fold import apply, with_absence
from domain.orders import Order, OrderReport, OrderStatus, Revision, Verdict
from domain.outcomes import Accepted, NotSent, Outcome, Rejected

#: The source of a report of what is stored already.
TOLD: Final = "told before"


def settle(order: Order, row: CommandRow, outcome: Outcome) -> Order:
    """Return `order` after the command of `row` had this `outcome`; the same if it says nothing.

    A placement's refusal is the venue's verdict REJECTED, its absence is noted with the proof.
    Any other command speaks of the order only through the report in its outcome.

    Raises:
        KeyError: it concerns a revision that the order does not have.
    """
    report = outcome.report if isinstance(outcome, Accepted | Rejected) else None
    if row.key.command is CommandKind.PLACE:
        if isinstance(outcome, NotSent):
            return _with_absence(order, row.target_revision, outcome.proof)
        if isinstance(outcome, Rejected) and report is None:
            report = OrderReport(
                order_id=order.order_id,
                revision=row.target_revision,
                verdict=Verdict.REJECTED,
                reason=outcome.reason,
                source="placement answer",
            )
    return order if report is None else apply(order, report)


def needs_hearing(before: Order, after: Order) -> bool:
    """Tell whether an order's workflow has to hear of this change.

    It has to when a filled quantity changed, when the order ended, when it was reopened, or when
    the venue told what was UNKNOWN: somebody may wait for that answer.
    """
    return (
        before.filled_quantity != after.filled_quantity
        or (after.is_terminal and not before.is_terminal)
        or (before.status is OrderStatus.UNKNOWN and after.status is not OrderStatus.UNKNOWN)
        or is_reopened(before, after)
    )


def is_reopened(before: Order, after: Order) -> bool:
    """Tell whether the venue now contradicts what we or an operator had made of the order.

    That is: a denied or closed order, or one whose newest revision was proven absent, of which
    the venue now says something else.
    """
    newly_seen = [
        (old, new)
        for old, new in zip(before.revisions, after.revisions, strict=False)
        if old.effective is Verdict.SUBMITTED and new.effective is not Verdict.SUBMITTED
    ]
    if before.denied is not None or any(
        old.absent is not None and new.effective is not Verdict.REJECTED for old, new in newly_seen
    ):
        return bool(newly_seen)
    return (
        before.closure is not None
        and bool(newly_seen)
        and (after.verdict is not before.closure.verdict or after.filled_quantity > 0)
    )


def booked_report(
    order_id: str,
    revision: int,
    executions: Iterable[tuple[Decimal, Decimal]],
    *,
    venue_order_id: str | None,
    event_time: datetime | None,
) -> OrderReport:
    """Return what the booked fills of one revision, as (quantity, price), add up to.

    The fold makes FILLED of it once the quantity is all there.
    """
    quantity, value = Decimal(0), Decimal(0)
    for filled, price in executions:
        quantity += filled
        value += filled * price
    return OrderReport(
        order_id=order_id,
        revision=revision,
        verdict=Verdict.PARTIALLY_FILLED if quantity else Verdict.SUBMITTED,
        filled_quantity=quantity,
        average_price=value / quantity if quantity else None,
        venue_order_id=venue_order_id,
        event_time=event_time,
        source="fills",
    )


def standing(order: Order, report: OrderReport) -> OrderReport:
    """Return `report` saying all that is now known of its revision: the report to deliver.

    Cumulative, so that the newest one delivered makes the ones before it superfluous.

    Raises:
        KeyError: the order has no such revision.
    """
    revision = find_revision(order, report.revision)
    return replace(
        report,
        verdict=revision.verdict,
        filled_quantity=revision.filled_quantity,
        average_price=revision.average_price,
        venue_order_id=revision.venue_order_id,
        reason=revision.reason,
    )


def told_of(order: Order, number: int) -> OrderReport | None:
    """Return what the venue has told of a revision so far, as one report; None: nothing yet.

    Raises:
        KeyError: the order has no such revision.
    """
    revision = find_revision(order, number)
    # Its fills alone tell that there is one, too.
    told = revision.effective if revision.verdict is Verdict.SUBMITTED else revision.verdict
    if told is Verdict.SUBMITTED:
        return None
    return OrderReport(
        order_id=order.order_id,
        revision=number,
        verdict=told,
        filled_quantity=revision.filled_quantity,
        average_price=revision.average_price,
        venue_order_id=revision.venue_order_id,
        reason=revision.reason,
        source=TOLD,
    )


def find_revision(order: Order, number: int) -> Revision:
    """Return a revision of an order by its number.

    Raises:
        KeyError: the order has no such revision.
    """
    for revision in order.revisions:
        if revision.number == number:
            return revision
    raise KeyError(f"order {order.order_id} has no revision {number}")


def _with_absence(order: Order, revision: int, proof: str) -> Order:
    absent = with_absence(order, revision, proof)
    return order if absent == order else absent
