"""The fold: one order from any reports, in any order and any number.

Commutative and idempotent: the cumulative filled quantity is a maximum, the venue's verdict a
maximum over one declared ranking. So it does not matter who reports first, or twice.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from domain.orders import Closure, Order, OrderReport, Revision, Verdict


def apply(order: Order, report: OrderReport) -> Order:
    """Return `order` with `report` folded in; the same object if it says nothing new.

    Raises:
        KeyError: the report names a revision the order does not have.
    """
    for index, revision in enumerate(order.revisions):
        if revision.number == report.revision:
            folded = _fold(revision, report)
            if folded == revision:
                return order
            revisions = (
                *order.revisions[:index],
                folded,
                *order.revisions[index + 1 :],
            )
            return replace(order, revisions=revisions)
    raise KeyError(f"order {order.order_id} has no revision {report.revision}")


def says_nothing_new(order: Order, report: OrderReport) -> bool:
    """Tell whether folding `report` would leave `order` as it is, now and ever after."""
    return any(
        revision.number == report.revision and _fold(revision, report) == revision
        for revision in order.revisions
    )


def _fold(revision: Revision, report: OrderReport) -> Revision:
    filled, average = max(
        (revision.filled_quantity, revision.average_price or Decimal(-1)),
        (report.filled_quantity or Decimal(0), report.average_price or Decimal(-1)),
    )
    verdict, reason = _greater((revision.verdict, revision.reason), (report.verdict, report.reason))
    return replace(
        revision,
        filled_quantity=filled,
        average_price=average if average >= 0 else None,
        venue_order_id=_least(revision.venue_order_id, report.venue_order_id),
        verdict=verdict,
        reason=reason,
    )


def with_revision(order: Order, revision: Revision) -> Order:
    """Return `order` with one more revision, kept in order; the same if it is there already."""
    if any(r.number == revision.number for r in order.revisions):
        return order
    revisions = sorted((*order.revisions, revision), key=lambda r: r.number)
    return replace(order, revisions=tuple(revisions))


def with_absence(order: Order, revision: int, proof: str) -> Order:
    """Return `order` with the proof that one revision never reached, and never can reach, a book.

    Raises:
        KeyError: the order has no such revision.
    """
    if all(r.number != revision for r in order.revisions):
        raise KeyError(f"order {order.order_id} has no revision {revision}")
    revisions = tuple(
        replace(r, absent=max(r.absent or "", proof)) if r.number == revision else r
        for r in order.revisions
    )
    return replace(order, revisions=revisions)


def with_closure(order: Order, closure: Closure) -> Order:
    """Return `order` closed by us or an operator; of two closures the higher ranking one holds."""
    kept = order.closure
    if kept is not None:
        closure = max(kept, closure, key=lambda c: (c.by_operator, c.verdict.rank, c.reason))
    return replace(order, closure=closure)


def _greater(
    left: tuple[Verdict, str | None], right: tuple[Verdict, str | None]
) -> tuple[Verdict, str | None]:
    return max(left, right, key=lambda pair: (pair[0].rank, pair[1] is not None, pair[1] or ""))


def _least(left: str | None, right: str | None) -> str | None:
    present = [text for text in (left, right) if text is not None]
    return min(present, default=None)
