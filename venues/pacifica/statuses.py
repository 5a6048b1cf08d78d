"""Pacifica's order statuses and events in our words. Pure.

Source: docs.pacifica.fi api/websocket/subscriptions/account-order-updates,
api/rest-api/orders/get-order-history; NOTES.md "Order statuses".
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from domain.orders import OrderType, Verdict

_STATUSES: Final = {
    "open": Verdict.ACCEPTED,
    "partially_filled": Verdict.PARTIALLY_FILLED,
    "filled": Verdict.FILLED,
    "cancelled": Verdict.CANCELED,
    "rejected": Verdict.REJECTED,
}
#: Words that say how an order ended more closely than its status does.
_ENDS: Final = {"expired": Verdict.EXPIRED, "post_only_rejected": Verdict.REJECTED}
_TRIGGERED: Final = frozenset({"stop_triggered", "stop_upgrade", "twap_triggered"})
#: Words that say no more than the status.
_PLAIN: Final = frozenset(
    {"make", "stop_created", "adjust", "fulfill_market", "fulfill_limit", "cancel"}
)
_TYPES: Final = {
    "limit": OrderType.LIMIT,
    "market": OrderType.MARKET,
    "stop_limit": OrderType.STOP_LIMIT,
    "stop_loss_limit": OrderType.STOP_LIMIT,
    "stop_market": OrderType.STOP_MARKET,
    "stop_loss_market": OrderType.STOP_MARKET,
    "take_profit_limit": OrderType.TAKE_PROFIT_LIMIT,
    "take_profit_market": OrderType.TAKE_PROFIT_MARKET,
}
DROPPED: Final = "the rest found no match and was dropped"


def verdict_of(status: str, word: str | None, *, filled: Decimal, quantity: Decimal) -> Verdict:
    """Return the verdict of a status and the event or reason beside it.

    Of a status that is new only this is known, that the venue has the order: ACCEPTED, the weakest
    word it can have. `filled` of less than was asked means that the rest was dropped. A triggered
    order goes on under another id of the venue's, so its own end then is no end of the order.
    """
    if word in _TRIGGERED:
        return Verdict.TRIGGERED
    verdict = _STATUSES.get(status, Verdict.ACCEPTED)
    if verdict in (Verdict.CANCELED, Verdict.REJECTED):
        return _ENDS.get(word or "", verdict)
    if verdict is Verdict.FILLED and filled < quantity:
        return Verdict.CANCELED
    if verdict is Verdict.ACCEPTED and 0 < filled < quantity:
        return Verdict.PARTIALLY_FILLED
    return verdict


def reason_of(status: str, word: str | None, verdict: Verdict) -> str | None:
    """Return why an order is where it is, in the venue's word, where there is something to say."""
    if status == "filled" and verdict is Verdict.CANCELED:
        return DROPPED
    if word is not None and word not in _PLAIN:
        return word
    return None if status in _STATUSES else status


def is_trigger(order_type: str) -> bool:
    """Tell whether an order of that type waits for a trigger price; a new type does not."""
    found = _TYPES.get(order_type)
    return found is not None and found.is_trigger
