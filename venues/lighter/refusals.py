"""Lighter's refusals as data: code or text, our code, and what each one proves.

Whatever is answered to a transaction comes from the API server, before the sequencer: a refusal
leaves the nonce unused. What the sequencer refuses afterwards is a status of the order
(`statuses`). Older answers have the number of the HTTP status as code; there the text has to tell.

Source: apidocs.lighter.xyz data-structures-constants-and-errors, trading, rate-limits (NOTES.md).
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
    """One refusal; `leaves_nonce`: the next transaction of the lane has the same nonce."""

    code: str
    effect: Effect = Effect.REJECTED
    leaves_nonce: bool = True


def _rejected(code: str) -> Refusal:
    return Refusal(code=code)


def _later(code: str) -> Refusal:
    return Refusal(code=code, effect=Effect.NOT_ADMITTED)


UNKNOWN: Final = Refusal(code="unknown", effect=Effect.UNKNOWN, leaves_nonce=False)
#: Its nonce is not the one that the venue expects: by whom it was used is to be found out.
BAD_NONCE: Final = Refusal(code="nonce_refused", effect=Effect.NOT_ADMITTED, leaves_nonce=False)

#: `code` of an answer.
BY_NUMBER: Final = {
    21100: _rejected("unknown_account"),
    21104: BAD_NONCE,
    21105: _rejected("invalid_batch"),
    21108: _rejected("unknown_signer"),
    21109: _rejected("unknown_signer"),
    21110: _rejected("unknown_signer"),
    21111: _rejected("would_be_liquidated"),
    21112: _rejected("would_be_liquidated"),
    21120: _rejected("bad_signature"),
    21121: _rejected("invalid_batch"),
    21122: _later("dead_man_switch_due"),
    21132: _rejected("margin_mode_with_position"),
    21136: _rejected("unknown_signer"),
    21146: _rejected("invalid_integrator"),
    21149: _rejected("invalid_integrator"),
    21500: UNKNOWN,
    21501: _rejected("malformed"),
    21505: _rejected("unsupported"),
    21506: _later("too_many_pending"),
    21507: _rejected("insufficient_margin"),
    21508: _rejected("insufficient_margin"),
    21600: _rejected("no_such_order"),
    21601: _rejected("book_full"),
    21602: _rejected("unknown_market"),
    21603: _rejected("below_minimum"),
    21605: _rejected("trading_disabled"),
    21614: _rejected("no_position"),
    21618: _rejected("invalid_order_type"),
    21700: _rejected("invalid_order"),
    21701: _rejected("invalid_order"),
    21702: _rejected("invalid_quantity"),
    21703: _rejected("invalid_price"),
    21704: _rejected("invalid_order"),
    21705: _rejected("invalid_order"),
    21706: _rejected("below_minimum"),
    21709: _rejected("no_such_order"),
    21710: _rejected("invalid_trigger_price"),
    21711: _rejected("invalid_expiry"),
    21712: _later("cancel_all_queued"),
    21714: _rejected("invalid_time"),
    21715: _rejected("no_such_order"),
    21717: _rejected("too_many_open_orders"),
    21718: _rejected("too_many_open_orders"),
    21719: _rejected("too_many_open_orders"),
    21720: _rejected("too_many_open_orders"),
    21721: _rejected("too_many_open_orders"),
    21722: _rejected("too_many_open_orders"),
    21727: _rejected("invalid_client_order_id"),
    21728: UNKNOWN,
    21729: _rejected("invalid_order"),
    21732: _rejected("reduce_only_would_increase"),
    21733: _rejected("price_too_far"),
    21734: _rejected("price_too_far"),
    21735: _rejected("price_too_far"),
    21738: _rejected("reduce_only_would_increase"),
    21739: _rejected("insufficient_margin"),
    21740: _rejected("reduce_only_would_increase"),
    21741: _rejected("invalid_group"),
    23000: _later("rate_limited"),
    29404: UNKNOWN,
    29500: UNKNOWN,
    29501: UNKNOWN,
    62007: _rejected("key_is_maker_only"),
}

#: Beginnings of texts where the code only repeats the HTTP status.
BY_TEXT: Final = (
    ("invalid nonce", BAD_NONCE),
    ("invalid signature", _rejected("bad_signature")),
    ("api key not found", _rejected("unknown_signer")),
    ("invalid PublicKey", _rejected("unknown_signer")),
    ("not enough margin", _rejected("insufficient_margin")),
    ("client order index already exists", UNKNOWN),
    ("transaction not found", UNKNOWN),
)

BUSINESS_STATUS: Final = 400
RATE_LIMITED_STATUS: Final = 429
#: The firewall's refusal of an address that asks too much; of a command it says nothing.
FIREWALL_STATUS: Final = 405
#: Statuses that come before anything is read of a transaction.
_BEFORE_SEQUENCER: Final = (401, 403)
#: What a refusal that is not listed is called.
UNLISTED: Final = "refused_by_venue"
#: Statuses that say nothing of a command.
_SILENT_STATUSES: Final = (404, FIREWALL_STATUS, 408, 409, 500, 502, 503, 504)
_SYSTEM_CODES: Final = range(29_000, 30_000)
_FIRST: Final = {
    Effect.REJECTED: OutcomeClass.REJECTED,
    Effect.NOT_ADMITTED: OutcomeClass.NOT_SENT,
    Effect.UNKNOWN: OutcomeClass.UNKNOWN,
}


def error_table() -> tuple[ErrorRow, ...]:
    """Return every listed refusal of a placement, with what it proves; of a copy none decides.

    A copy's nonce is gone as soon as the first one is done, so that its refusal says little.
    """
    return tuple(_rows())


def _rows() -> Iterator[ErrorRow]:
    for text, refusal in BY_TEXT:
        yield _row(ErrorScope.REQUEST, text, refusal)
    for number, refusal in BY_NUMBER.items():
        yield _row(ErrorScope.ORDER, f"code {number}", refusal)
    for status in _BEFORE_SEQUENCER:
        yield _row(ErrorScope.HTTP, str(status), _rejected(UNLISTED))
    yield _row(ErrorScope.HTTP, str(RATE_LIMITED_STATUS), _later("rate_limited"))
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


def refusal_of(status: int, number: int | None, text: str) -> Refusal:
    """Return what an answer that is no acknowledgement means.

    A code that is listed counts whatever the status; else the status counts, and of HTTP 400 the
    text. An unlisted refusal by HTTP 400 is one all the same: it comes before the sequencer.
    """
    if status in _SILENT_STATUSES or not 200 <= status < 600:
        return UNKNOWN
    if status == RATE_LIMITED_STATUS:
        return _later("rate_limited")
    if number in BY_NUMBER:
        return BY_NUMBER[number]
    if status in _BEFORE_SEQUENCER:
        return _rejected(UNLISTED)
    if number is None or number in _SYSTEM_CODES:
        return UNKNOWN
    if number == status:
        for beginning, found in BY_TEXT:
            if text.startswith(beginning):
                return found
    return _rejected(UNLISTED) if status == BUSINESS_STATUS else UNKNOWN
