"""Extended's refusals as data: number, our code, and what each one proves.

The answer's `status` and `error.code` decide, not the HTTP status, which nobody has verified.
Nothing here is computed; `answers` applies the tables.

Source: api.docs.extended.exchange, error responses; ccxt extended.py carries the same list.
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


UNKNOWN: Final = Refusal(code="unknown", effect=Effect.UNKNOWN)

#: `error.code` where it is a number.
BY_NUMBER: Final = {
    1000: _rejected("unknown_asset"),
    1001: _rejected("unknown_market"),
    1002: _rejected("trading_disabled"),
    1003: _rejected("unknown_market_group"),
    1004: _rejected("unknown_account"),
    1006: UNKNOWN,
    1008: _rejected("unknown_account"),
    1009: _rejected("not_allowed"),
    1010: Refusal(code="maintenance", effect=Effect.NOT_ADMITTED),
    1011: _rejected("post_only_mode"),
    1012: _rejected("reduce_only_mode"),
    1013: _rejected("invalid_percentage"),
    1014: _rejected("reduce_only_mode"),
    1049: _rejected("invalid_leverage"),
    1050: _rejected("invalid_leverage"),
    1052: _rejected("insufficient_margin"),
    1053: _rejected("invalid_leverage"),
    1100: _rejected("unknown_signer"),
    1101: _rejected("bad_signature"),
    1102: _rejected("wrong_vault"),
    1120: _rejected("below_min_quantity"),
    1121: _rejected("invalid_quantity"),
    1122: _rejected("above_max_notional"),
    1123: _rejected("invalid_quantity"),
    1124: _rejected("invalid_price"),
    1125: _rejected("invalid_price"),
    1126: _rejected("too_many_open_orders"),
    1127: _rejected("position_limit"),
    1128: _rejected("fee_too_low"),
    1129: _rejected("invalid_quantity"),
    1130: _rejected("invalid_price"),
    1131: _rejected("invalid_trigger_price"),
    1132: _rejected("invalid_order_type"),
    1133: _rejected("unsupported"),
    1134: UNKNOWN,
    1135: _rejected("invalid_expiry"),
    1136: _rejected("reduce_only_would_increase"),
    1137: _rejected("no_position"),
    1138: _rejected("reduce_only_would_increase"),
    1139: _rejected("invalid_time_in_force"),
    1140: _rejected("insufficient_margin"),
    1141: _rejected("price_too_far"),
    1142: _rejected("no_such_order"),
    1143: _rejected("invalid_trigger_price"),
    1144: _rejected("unsupported"),
    1145: _rejected("reduce_only_required"),
    1146: _rejected("invalid_time_in_force"),
    1147: _rejected("would_be_liquidated"),
    1148: _rejected("would_be_liquidated"),
    1500: _rejected("unknown_account"),
    10501: _rejected("leverage_with_position"),
}

#: `statusReason` of an order that the engine rejected after it was taken.
BY_REASON: Final = {
    "UNKNOWN_MARKET": "unknown_market",
    "DISABLED_MARKET": "trading_disabled",
    "NOT_ENOUGH_FUNDS": "insufficient_margin",
    "NO_LIQUIDITY": "no_liquidity",
    "INVALID_FEE": "fee_too_low",
    "INVALID_QTY": "invalid_quantity",
    "INVALID_PRICE": "invalid_price",
    "INVALID_VALUE": "above_max_notional",
    "UNKNOWN_ACCOUNT": "unknown_account",
    "SELF_TRADE_PROTECTION": "self_trade",
    "POST_ONLY_FAILED": "would_cross",
    "REDUCE_ONLY_FAILED": "reduce_only_would_increase",
    "INVALID_EXPIRE_TIME": "invalid_expiry",
    "POSITION_TPSL_CONFLICT": "too_many_exits",
    "INVALID_LEVERAGE": "invalid_leverage",
    "POST_ONLY_MODE": "post_only_mode",
    "REDUCE_ONLY_MODE": "reduce_only_mode",
    "TRADING_OFF_MODE": "trading_disabled",
    "NEGATIVE_EQUITY": "insufficient_margin",
}

#: What a refusal that is not listed is called.
UNLISTED: Final = "refused_by_venue"
#: Statuses that come before the engine, whatever the body says.
BEFORE_ENGINE: Final = {
    401: _rejected("unknown_signer"),
    403: _rejected("not_allowed"),
    422: _rejected("malformed"),
}
RATE_LIMITED_STATUS: Final = 429
NOT_FOUND_STATUS: Final = 404
#: Statuses that say nothing of a placement.
_SILENT_STATUSES: Final = (RATE_LIMITED_STATUS, NOT_FOUND_STATUS, 408, 409, 500, 502, 503, 504)
_FIRST: Final = {
    Effect.REJECTED: OutcomeClass.REJECTED,
    Effect.NOT_ADMITTED: OutcomeClass.NOT_SENT,
    Effect.UNKNOWN: OutcomeClass.UNKNOWN,
}


def error_table() -> tuple[ErrorRow, ...]:
    """Return every listed refusal of a placement, with what it proves; a copy is never sent."""
    return tuple(_rows())


def _rows() -> Iterator[ErrorRow]:
    for number, refusal in BY_NUMBER.items():
        yield _row(ErrorScope.REQUEST, f"code {number}", refusal)
    for status, refusal in BEFORE_ENGINE.items():
        yield _row(ErrorScope.HTTP, str(status), refusal)
    for status in _SILENT_STATUSES:
        yield _row(ErrorScope.HTTP, str(status), UNKNOWN)


def _row(scope: ErrorScope, spelled: str, refusal: Refusal) -> ErrorRow:
    return ErrorRow(
        scope=scope,
        spelled=spelled,
        code=refusal.code,
        first=_FIRST[refusal.effect],
        again=OutcomeClass.UNKNOWN,
        retryable=refusal.effect is Effect.NOT_ADMITTED,
    )


def refusal_of(status: int, number: int | str | None) -> Refusal:
    """Return what an error answer means, by its number, else by the status that it came with.

    A number that is not listed is a decision of the venue against what was asked; that of 5xx and
    of 429 proves nothing whatever stands beside it.
    """
    if status == RATE_LIMITED_STATUS or status >= 500:
        return UNKNOWN
    if isinstance(number, int):
        if number in BY_NUMBER:
            return BY_NUMBER[number]
        return BEFORE_ENGINE.get(status, _rejected(UNLISTED) if number >= 1000 else UNKNOWN)
    return BEFORE_ENGINE.get(status, UNKNOWN)
