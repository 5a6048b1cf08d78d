"""Vest's order statuses in our words, and how much of an order they say has filled. Pure.

There is no field for how much filled in all. FILLED is the whole size; anything else says the last
execution alone, which is the least that can have filled.

Source: the official v2 API page, GET /orders; NOTES.md "Order statuses".
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from domain.orders import Verdict
from venues.vest.refusals import BY_CODE, EXPIRED_CODES, UNLISTED
from venues.vest.wire import OrderRow

_STATUSES: Final = {
    "NEW": Verdict.ACCEPTED,
    "PARTIALLY_FILLED": Verdict.PARTIALLY_FILLED,
    "FILLED": Verdict.FILLED,
    "CANCELLED": Verdict.CANCELED,
    "REJECTED": Verdict.REJECTED,
}
LIQUIDATION: Final = "LIQUIDATION"


def verdict_of(status: str, code: int | None, *, filled: Decimal = Decimal(0)) -> Verdict:
    """Return the verdict of a status.

    Of a status that is new only this is known, that the venue has the order: ACCEPTED, the weakest
    word it can have. What was rejected as too late expired.
    """
    verdict = _STATUSES.get(status, Verdict.ACCEPTED)
    if verdict is Verdict.REJECTED and code in EXPIRED_CODES:
        return Verdict.EXPIRED
    if verdict is Verdict.ACCEPTED and filled:
        return Verdict.PARTIALLY_FILLED
    return verdict


def reason_of(status: str, code: int | None) -> str | None:
    """Return why an order is where it is, in the venue's word, where there is something to say."""
    if code is not None:
        known = BY_CODE.get(code)
        return f"{code} {known.name}" if known is not None else f"code {code}"
    return None if status in _STATUSES else status


def our_code(code: int | None) -> str:
    """Return our word for the code of a rejected order."""
    known = BY_CODE.get(code) if code is not None else None
    return known.code if known is not None and known.code != "unknown" else UNLISTED


def filled_of(row: OrderRow) -> Decimal:
    """Return how much of an order has filled at least: all of it, or its last execution."""
    return row.size if row.status == "FILLED" else row.last_filled_size or Decimal(0)
