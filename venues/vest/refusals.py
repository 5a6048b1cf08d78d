"""Vest's refusals as data: the code, our word for it, and what each one proves.

The HTTP status of an error is not documented, so a code decides wherever it stands, and a status
without a code decides nothing. Nothing here is computed; `answers` and `statuses` apply the table.

Source: the official v2 API page, error codes; several meanings are taken from the names.
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
    """One refusal: the venue's name for it, and ours."""

    name: str
    code: str
    effect: Effect = Effect.REJECTED


def _rejected(name: str, code: str) -> Refusal:
    return Refusal(name=name, code=code)


def _not_admitted(name: str, code: str) -> Refusal:
    return Refusal(name=name, code=code, effect=Effect.NOT_ADMITTED)


def _unknown(name: str) -> Refusal:
    return Refusal(name=name, code="unknown", effect=Effect.UNKNOWN)


RATE_LIMITED: Final = "rate_limited"
NO_SUCH_ORDER: Final = "no_such_order"

#: `code`, in an error's body or beside the status REJECTED.
BY_CODE: Final = {
    429: _not_admitted("RATE_LIMITED", RATE_LIMITED),
    1002: _rejected("UNAUTHORIZED", "unknown_signer"),
    1003: _not_admitted("TOO_MANY_REQUESTS", RATE_LIMITED),
    1022: _rejected("INVALID_SIGNATURE", "bad_signature"),
    1023: _rejected("INVALID_NONCE", "invalid_nonce"),
    1024: _rejected("INVALID_NETWORK_TYPE", "wrong_network"),
    1099: _rejected("ACCOUNT_NOT_FOUND", "unknown_account"),
    1111: _rejected("BAD_DECIMALS", "invalid_price"),
    1116: _rejected("INVALID_ORDER_TYPE", "invalid_order_type"),
    1121: _rejected("BAD_SYMBOL", "unknown_market"),
    1130: _rejected("INVALID_PARAMETER", "invalid_parameter"),
    1131: _not_admitted("BAD_RECV_WINDOW", "admission_expired"),
    1132: _not_admitted("ORDER_EXPIRED", "admission_expired"),
    1133: _rejected("INVALID_TIME_IN_FORCE", "invalid_time_in_force"),
    1145: _rejected("INVALID_TP_SL_PRICE", "invalid_trigger_price"),
    1146: _rejected("INVALID_ACCOUNT_GROUP", "wrong_account_group"),
    1148: _rejected("MARKET_CLOSED", "market_closed"),
    3001: _rejected("PRICE_CHECK_FAILED", "no_liquidity"),
    3002: _rejected("MARGIN_CHECK_FAILED", "insufficient_margin"),
    3003: _rejected("PRICE_STALE", "no_mark_price"),
    3004: _rejected("ORDER_STALE", "order_stale"),
    3006: _rejected("INCREASE_WITH_SL_TP", "increase_with_exits"),
    3007: _rejected("INCREASE_DURING_INSOLVENCY", "venue_insolvent"),
    3008: _unknown("DELETED_BY_LIQ"),
    3010: _rejected("OI_CAP_EXCEEDED", "open_interest_capped"),
    3011: _rejected("INVALID_LIMIT_PRICE", "invalid_price"),
    3015: _unknown("DUPLICATE"),
    3017: _rejected("ORDER_NOT_FOUND", NO_SUCH_ORDER),
    3018: _rejected("REDUCE_ONLY_INCREASES", "reduce_only_would_increase"),
    3019: _rejected("REDUCE_ONLY_EXCEEDS_SIZE", "reduce_only_exceeds_position"),
    3020: _rejected("ORDER_CHANGES_LEVERAGE", "leverage_with_position"),
    3021: _rejected("DECREASE_LEVERAGE_WITH_POSITION", "leverage_with_position"),
    3022: _rejected("INVALID_TP_SL_PRICE", "invalid_trigger_price"),
    3023: _rejected("BAD_SYMBOL", "unknown_market"),
    3024: _rejected("MARKET_CLOSED", "market_closed"),
}
#: Codes of an ended order that came too late to be matched: it expired.
EXPIRED_CODES: Final = frozenset({1132, 3004})
#: What a refusal that is not listed is called where an order's status says REJECTED.
UNLISTED: Final = "refused_by_venue"

RATE_LIMITED_STATUS: Final = 429
#: Cloudflare's answer for a host that is gone: no trouble that passes.
GONE_STATUS: Final = 530
_STATUSES: Final = (400, 401, 403, 404, 408, 409, 422, 429, 500, 502, 503, 504, GONE_STATUS)
_FIRST: Final = {
    Effect.REJECTED: OutcomeClass.REJECTED,
    Effect.NOT_ADMITTED: OutcomeClass.NOT_SENT,
    Effect.UNKNOWN: OutcomeClass.UNKNOWN,
}


def refusal_of(number: int) -> Refusal:
    """Return what a code means; one that is not listed proves nothing."""
    return BY_CODE.get(number) or _unknown(f"code {number}")


def error_table() -> tuple[ErrorRow, ...]:
    """Return every listed refusal of a placement, with what it proves; a copy is never sent."""
    return tuple(_rows())


def _rows() -> Iterator[ErrorRow]:
    for number, refusal in BY_CODE.items():
        yield ErrorRow(
            scope=ErrorScope.ORDER,
            spelled=f"{number} {refusal.name}",
            code=refusal.code,
            first=_FIRST[refusal.effect],
            again=OutcomeClass.UNKNOWN,
            retryable=refusal.effect is Effect.NOT_ADMITTED,
        )
    for status in _STATUSES:
        yield ErrorRow(
            scope=ErrorScope.HTTP,
            spelled=str(status),
            code="unknown",
            first=OutcomeClass.UNKNOWN,
            again=OutcomeClass.UNKNOWN,
        )
