"""EdgeX's order statuses and reasons in our words. Pure.

There is no REJECTED, EXPIRED or PARTIALLY_FILLED on the wire: the reason of a cancel and the
matched quantity tell them apart.

Source: edgeX gitbook api/private-api/order-api; NOTES.md "Order statuses".
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from domain.orders import OrderType, Verdict

_LIVE: Final = frozenset({"PENDING", "OPEN", "UNTRIGGERED", "CANCELING"})
_KNOWN: Final = _LIVE | {"FILLED", "CANCELED"}
#: Reasons of an order that never came into the book.
_NEVER_WORKED: Final = frozenset({"MARGIN_NOT_ENOUGH", "INTERNAL_FAILED"})
_POST_ONLY: Final = "POST_ONLY"
_COULD_NOT_FILL: Final = "COULD_NOT_FILL"
_EXPIRED: Final = "EXPIRE_CANCELED"
_BLANK: Final = "UNKNOWN_"
_BY_USER: Final = "USER_CANCELED"


def verdict_of(
    status: str,
    reason: str,
    *,
    time_in_force: str,
    was_triggered: bool,
    filled: Decimal,
    quantity: Decimal,
) -> Verdict:
    """Return the verdict of a status and what stands beside it.

    Of a status that is new only this is known, that the venue has the order: ACCEPTED, the weakest
    word it can have. FILLED before the matched quantity is whole is a number that trails behind.
    """
    if status == "CANCELED":
        return _end_of(reason, time_in_force, filled)
    if status == "FILLED" and filled >= quantity:
        return Verdict.FILLED
    if filled > 0:
        return Verdict.PARTIALLY_FILLED
    return Verdict.TRIGGERED if was_triggered and status != "UNTRIGGERED" else Verdict.ACCEPTED


def _end_of(reason: str, time_in_force: str, filled: Decimal) -> Verdict:
    if reason == _EXPIRED:
        return Verdict.EXPIRED
    never = reason in _NEVER_WORKED or (reason == _COULD_NOT_FILL and time_in_force == _POST_ONLY)
    return Verdict.REJECTED if never and not filled else Verdict.CANCELED


def reason_of(status: str, reason: str) -> str | None:
    """Return why an order is where it is, in the venue's word, where there is something to say."""
    if reason and not reason.startswith(_BLANK):
        return None if reason == _BY_USER else reason
    return None if status in _KNOWN else status


def is_trigger(order_type: str) -> bool:
    """Tell whether an order of that type waits for a trigger price; a new type does not."""
    try:
        return OrderType(order_type).is_trigger
    except ValueError:
        return False
