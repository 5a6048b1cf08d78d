"""Extended's order statuses and reasons in our words. Pure.

Source: api.docs.extended.exchange, order statuses; x10/models/order.py.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from domain.orders import Verdict

_STATUSES: Final = {
    "NEW": Verdict.ACCEPTED,
    "UNTRIGGERED": Verdict.ACCEPTED,
    "TRIGGERED": Verdict.TRIGGERED,
    "PARTIALLY_FILLED": Verdict.PARTIALLY_FILLED,
    "FILLED": Verdict.FILLED,
    "CANCELLED": Verdict.CANCELED,
    "REJECTED": Verdict.REJECTED,
    "EXPIRED": Verdict.EXPIRED,
}
#: An immediate order that met nobody, or only the account's own orders, ended without a fault of
#: its own, whichever of both statuses the venue gives it.
_NO_MATCH: Final = frozenset({"NO_LIQUIDITY", "SELF_TRADE_PROTECTION"})
#: Reasons that say no more than the status.
_PLAIN: Final = frozenset({"NONE", "UNKNOWN"})


def verdict_of(status: str, reason: str | None, *, filled: Decimal | None) -> Verdict:
    """Return the verdict of a status and the reason beside it.

    Of a status that is new, or that the venue calls unknown, only this is known, that the venue has
    the order: ACCEPTED, the weakest word it can have. What has filled was not rejected.
    """
    verdict = _STATUSES.get(status, Verdict.ACCEPTED)
    if verdict is Verdict.REJECTED and (reason in _NO_MATCH or filled):
        return Verdict.CANCELED
    if verdict is Verdict.CANCELED and reason == "POST_ONLY_FAILED" and not filled:
        return Verdict.REJECTED
    if verdict is Verdict.ACCEPTED and filled:
        return Verdict.PARTIALLY_FILLED
    return verdict


def reason_of(status: str, reason: str | None) -> str | None:
    """Return why an order is where it is, in the venue's word, where there is something to say."""
    if reason is not None and reason not in _PLAIN:
        return reason
    return None if status in _STATUSES else status
