"""Lighter's order statuses and types in our words. Pure.

Source: docs data-structures-constants-and-errors; lighter-sdk 1.1.8 `models/order.py`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from domain.orders import Verdict

#: Statuses of an order that the venue refused after it had acknowledged it, with our code.
_REFUSED: Final = {
    "canceled-post-only": "post_only_would_cross",
    "canceled-position-not-allowed": "position_not_allowed",
    "canceled-margin-not-allowed": "insufficient_margin",
    "canceled-invalid-balance": "insufficient_margin",
}
_STATUSES: Final = {
    "in-progress": Verdict.SUBMITTED,
    "pending": Verdict.ACCEPTED,
    "open": Verdict.ACCEPTED,
    "filled": Verdict.FILLED,
    "canceled": Verdict.CANCELED,
    "canceled-expired": Verdict.EXPIRED,
}
_CANCELED: Final = "canceled"
_PLAIN: Final = frozenset({"in-progress", "pending", "open", "filled", "canceled"})
_TRIGGERS: Final = frozenset({"stop-loss", "stop-loss-limit", "take-profit", "take-profit-limit"})


def verdict_of(status: str, *, filled: Decimal, quantity: Decimal, waits: bool) -> Verdict:
    """Return the verdict of a status.

    An order that ended for want of something is refused where nothing of it filled, else its rest
    was canceled. Of a status that is new only this is known, that the venue has the order. `waits`:
    its trigger has not been reached.
    """
    if status in _REFUSED:
        return Verdict.CANCELED if filled else Verdict.REJECTED
    verdict = _STATUSES.get(status)
    if verdict is None:
        verdict = Verdict.CANCELED if status.startswith(_CANCELED) else Verdict.ACCEPTED
    if verdict is Verdict.FILLED and filled < quantity:
        # A reduce-only order that was cut to the position.
        return Verdict.CANCELED
    if verdict is Verdict.ACCEPTED and 0 < filled < quantity and not waits:
        return Verdict.PARTIALLY_FILLED
    return verdict


def reason_of(status: str) -> str | None:
    """Return why an order is where it is, where there is more to say than its verdict."""
    return None if status in _PLAIN else status


def refusal_code(status: str | None) -> str:
    """Return our code of a refusal that a status tells."""
    return _REFUSED.get(status or "", "refused_by_venue")


def is_trigger(order_type: str) -> bool:
    """Tell whether an order of that type waits for a trigger price."""
    return order_type in _TRIGGERS
