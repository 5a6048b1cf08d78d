"""Pacifica's refusals as data: code or text, our code, and what each one proves.

The numbers are the engine's (HTTP 422); off 422 the number only repeats the HTTP status and the
text has to tell. Nothing here is computed; `answers` applies the tables.

Source: docs.pacifica.fi api/error-codes, api/signing/error-handling; texts recorded (NOTES.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from venues.error_table import ErrorRow, ErrorScope, OutcomeClass


class Effect(StrEnum):
    """What a refusal proves of a first send."""

    #: The venue decided against it; asking again the same way gives the same answer.
    REJECTED = "rejected"
    #: It was not admitted; the same intent may be tried again.
    NOT_ADMITTED = "not admitted"
    #: It may have been executed.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One refusal."""

    code: str
    effect: Effect = Effect.REJECTED


def _rejected(code: str) -> Refusal:
    return Refusal(code=code)


_UNKNOWN: Final = Refusal(code="unknown", effect=Effect.UNKNOWN)

#: `code` of an HTTP 422.
BY_NUMBER: Final = {
    1: _rejected("unknown_account"),
    3: _rejected("unknown_market"),
    4: _rejected("invalid_price"),
    5: _rejected("insufficient_margin"),
    6: _rejected("no_such_order"),
    7: _rejected("below_min_notional"),
    8: _rejected("above_max_notional"),
    10: _rejected("too_many_open_orders"),
    11: _rejected("leverage_with_position"),
    12: _rejected("margin_mode_with_position"),
    13: _rejected("no_position"),
    14: _UNKNOWN,
    16: _rejected("invalid_trigger_price"),
    17: _rejected("invalid_trigger_side"),
    18: _rejected("invalid_quantity"),
    19: _rejected("reduce_only_would_increase"),
    20: _rejected("invalid_order_type"),
    21: _rejected("reduce_only_would_increase"),
    22: _rejected("reduce_only_would_increase"),
    23: _rejected("reduce_only_would_increase"),
    25: _rejected("no_liquidity"),
    26: _UNKNOWN,
    27: _UNKNOWN,
    28: _rejected("would_be_liquidated"),
    30: _rejected("price_too_far"),
    36: _UNKNOWN,
    37: _rejected("no_such_order"),
    38: Refusal(code="trading_disabled", effect=Effect.NOT_ADMITTED),
    41: _rejected("open_interest_capped"),
    49: _rejected("too_many_exits"),
    50: _rejected("invalid_builder_code"),
    51: _rejected("unsupported"),
    52: _rejected("invalid_price"),
    53: _rejected("blocked_by_venue"),
    59: _rejected("invalid_quantity"),
    63: Refusal(code="no_mark_price", effect=Effect.NOT_ADMITTED),
    83: Refusal(code="trading_disabled", effect=Effect.NOT_ADMITTED),
    119: Refusal(code="no_oracle_price", effect=Effect.NOT_ADMITTED),
}

#: Beginnings of texts, whatever the number beside them: numbers were changed once, texts say more.
BY_TEXT: Final = (
    ("Failed to cancel order", _rejected("no_such_order")),
    ("Order not found", _rejected("no_such_order")),
    ("Stop order not found", _rejected("no_such_order")),
    ("Unused client order id", _rejected("no_such_order")),
    ("Duplicate client order id", _UNKNOWN),
    ("Order amount too low", _rejected("below_min_notional")),
    ("Order amount too high", _rejected("above_max_notional")),
    ("Insufficient balance", _rejected("insufficient_margin")),
    ("No reasonable price found", _rejected("no_liquidity")),
    ("Verification failed", _rejected("bad_signature")),
    ("Invalid signature", _rejected("bad_signature")),
    ("Invalid public key", _rejected("bad_signature")),
    # Expired, or malformed: of the two only the first happens to what we send.
    ("Invalid message", Refusal(code="admission_expired", effect=Effect.NOT_ADMITTED)),
    ("Agent not authorized", _rejected("unknown_signer")),
    ("Signer not whitelisted", _rejected("not_whitelisted")),
    ("Beta access required", _rejected("beta_access_required")),
    ("Position not found", _rejected("no_position")),
    ("PositionNotFound", _rejected("no_position")),
    ("Invalid leverage", _rejected("invalid_leverage")),
)

#: Statuses that are checked before the engine: nothing was executed.
BEFORE_ENGINE_STATUSES: Final = frozenset({400, 401, 403})
BUSINESS_STATUS: Final = 422
RATE_LIMITED_STATUS: Final = 429
#: What a refusal that is not listed is called.
UNLISTED: Final = "refused_by_venue"
#: Statuses that say nothing of a command.
_SILENT_STATUSES: Final = (404, 408, 409, 500, 502, 503, 504)
_FIRST: Final = {
    Effect.REJECTED: OutcomeClass.REJECTED,
    Effect.NOT_ADMITTED: OutcomeClass.NOT_SENT,
    Effect.UNKNOWN: OutcomeClass.UNKNOWN,
}


def error_table() -> tuple[ErrorRow, ...]:
    """Return every listed refusal of a placement, with what it proves; a copy is never sent."""
    return tuple(_rows())


def _rows() -> Iterator[ErrorRow]:
    for text, refusal in BY_TEXT:
        yield _row(ErrorScope.REQUEST, text, refusal)
    for number, refusal in BY_NUMBER.items():
        yield _row(ErrorScope.ORDER, f"code {number}", refusal)
    for status in sorted(BEFORE_ENGINE_STATUSES):
        yield _row(ErrorScope.HTTP, str(status), Refusal(code=UNLISTED))
    for status in (RATE_LIMITED_STATUS, *_SILENT_STATUSES):
        yield _row(ErrorScope.HTTP, str(status), _UNKNOWN)


def _row(scope: ErrorScope, spelled: str, refusal: Refusal) -> ErrorRow:
    return ErrorRow(
        scope=scope,
        spelled=spelled,
        code=refusal.code,
        first=_FIRST[refusal.effect],
        again=OutcomeClass.UNKNOWN,
        retryable=refusal.effect is Effect.NOT_ADMITTED,
    )


def refusal_of(status: int, number: int | None, text: str) -> Refusal:
    """Return what an error answer means, however it was carried.

    An unlisted text proves a refusal where it comes from before the engine or with an engine's
    number that is none of the ambiguous ones; number 0 is "internal", and proves nothing.
    """
    for beginning, found in BY_TEXT:
        if text.startswith(beginning):
            return found
    if status in BEFORE_ENGINE_STATUSES:
        return Refusal(code=UNLISTED)
    if number in BY_NUMBER:
        return BY_NUMBER[number]
    if number in (None, 0) or number == status:
        return _UNKNOWN
    return Refusal(code=UNLISTED)
