"""Hyperliquid's order statuses in our words. The venue's list grows: unknown ones go by suffix.

Source: docs api/info-endpoint (orderStatus), NOTES.md "Order statuses".
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from domain.orders import Verdict

_FIXED: Final = {
    "open": Verdict.ACCEPTED,
    "triggered": Verdict.TRIGGERED,
    "canceled": Verdict.CANCELED,
    "scheduledCancel": Verdict.CANCELED,
    "internalCancel": Verdict.CANCELED,
    "rejected": Verdict.REJECTED,
    # An immediate order that met nothing ends like one whose rest met nothing: the answer to the
    # placement says the same, and two words for one end would fold into a third.
    "iocCancelRejected": Verdict.CANCELED,
}


def verdict_of(status: str, *, remaining: Decimal, quantity: Decimal, reduce_only: bool) -> Verdict:
    """Return the verdict of a status.

    Of a status that is new and has no telling suffix only this much is known, that the venue has
    the order: ACCEPTED, the weakest word it can have.

    `filled` means "no longer trades because it met the book", also for an immediate order whose
    rest was dropped (remaining above zero). Of a reduce-only order the venue may have cut the
    quantity, so `filled` does not say how much: it stays PARTIALLY_FILLED and the fills decide.
    """
    if status == "filled":
        if reduce_only:
            return Verdict.PARTIALLY_FILLED
        return Verdict.FILLED if remaining == 0 else Verdict.CANCELED
    verdict = _by_name(status)
    if verdict is Verdict.ACCEPTED and not reduce_only and 0 < remaining < quantity:
        return Verdict.PARTIALLY_FILLED
    return verdict


def _by_name(status: str) -> Verdict:
    if status in _FIXED:
        return _FIXED[status]
    if status.endswith(("Canceled", "Cancelled", "Cancel")):
        return Verdict.CANCELED
    if status.endswith("Rejected") or status.startswith("tooManyOpenOrders"):
        return Verdict.REJECTED
    return Verdict.ACCEPTED


def filled_of(
    status: str, verdict: Verdict, *, remaining: Decimal, quantity: Decimal, reduce_only: bool
) -> Decimal | None:
    """Return the cumulative filled quantity that a description proves, or None.

    Never computed for a reduce-only order: the venue shrinks it to the position, and the
    difference is then no fill.
    """
    if verdict is Verdict.REJECTED or status == "iocCancelRejected":
        return Decimal(0)
    if reduce_only:
        return None
    return max(quantity - remaining, Decimal(0))


def reason_of(status: str, verdict: Verdict) -> str | None:
    """Return why an order is where it is, in the venue's word, where its status says more."""
    if verdict is Verdict.CANCELED and status == "filled":
        return "the rest found no match and was dropped"
    if status in ("open", "filled", "triggered", "canceled"):
        return None
    return status
