"""EdgeX's refusals as data: the venue's code, our code, and what each one proves.

The venue publishes no list. Three codes were measured; those marked so below are names that only
other people's programs use, and mean what they say where they come. Nothing here is computed;
`answers` applies the tables.

Source: third-party measurements on production, edgex-golang-sdk tests (NOTES.md "Refusals").
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
    """One refusal. `confirm`: the order has to be looked for before it counts as refused."""

    code: str
    effect: Effect = Effect.REJECTED
    confirm: bool = False


_UNKNOWN: Final = Refusal(code="unknown", effect=Effect.UNKNOWN)

#: Measured, or in the vendor's own tests.
_MEASURED: Final = {
    "INVALID_API_KEY": Refusal(code="unknown_api_key"),
    "GATEWAY_HEADER_REQUIRED": Refusal(code="bad_request"),
    "GATEWAY_PARAM_INVALID": Refusal(code="bad_request"),
    "GATEWAY_INVALID_CONTRACT_ID": Refusal(code="unknown_market"),
    "ACCOUNT_UPDATE_LEVERAGE_FAILED_ORDER": Refusal(code="leverage_with_orders"),
}
#: Names from third-party programs alone.
_NAMED: Final = {
    "INVALID_TIMESTAMP": Refusal(code="clock_skew", effect=Effect.NOT_ADMITTED),
    "INVALID_SIGNATURE": Refusal(code="bad_signature"),
    "INVALID_L2_SIGNATURE": Refusal(code="unknown_signer"),
    "ORDER_NOT_FOUND": Refusal(code="no_such_order"),
    "INSUFFICIENT_BALANCE": Refusal(code="insufficient_margin"),
}
BY_CODE: Final = {**_MEASURED, **_NAMED}
#: Whatever speaks of a duplicate: the first order of that client id may be there.
DUPLICATE_WORDS: Final = ("DUPLICATE", "ALREADY_EXIST", "REPEATED")

RATE_LIMITED_STATUS: Final = 429
#: What a refusal that is not listed is called.
UNLISTED: Final = "refused_by_venue"
#: Statuses whose answers, unless they are envelopes, say nothing of a command.
_SILENT_STATUSES: Final = (400, 401, 403, 404, 408, 409, 429, 500, 502, 503, 504)
_FIRST: Final = {
    Effect.REJECTED: OutcomeClass.REJECTED,
    Effect.NOT_ADMITTED: OutcomeClass.NOT_SENT,
    Effect.UNKNOWN: OutcomeClass.UNKNOWN,
}


def error_table() -> tuple[ErrorRow, ...]:
    """Return every listed refusal of a placement, with what it proves; a copy is never sent."""
    return tuple(_rows())


def _rows() -> Iterator[ErrorRow]:
    for spelled, refusal in BY_CODE.items():
        yield _row(ErrorScope.REQUEST, spelled, refusal)
    for word in DUPLICATE_WORDS:
        yield _row(ErrorScope.ORDER, word, _UNKNOWN)
    for status in _SILENT_STATUSES:
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


def refusal_of(code: str) -> Refusal:
    """Return what a code other than SUCCESS means; an unlisted one counts only if confirmed."""
    found = BY_CODE.get(code)
    if found is not None:
        return found
    if any(word in code.upper() for word in DUPLICATE_WORDS):
        return _UNKNOWN
    return Refusal(code=UNLISTED, confirm=True)
