"""Every refusal of the seventh venue as data: what it says, our word, and what that proves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from venues.error_table import ErrorRow, ErrorScope, OutcomeClass


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a refusal is called here, and what it proves of a first send; of a copy nothing."""

    code: str
    proves: OutcomeClass = OutcomeClass.REJECTED


#: By the venue's code. One that is new refuses as well: of a 422 nothing was executed.
BY_CODE: Final = {
    "bad_shape": Refusal("refused_by_venue"),
    "bad_signature": Refusal("bad_signature"),
    "unknown_key": Refusal("unknown_signer"),
    "expired": Refusal("admission_expired", OutcomeClass.NOT_SENT),
    "duplicate": Refusal("unknown", OutcomeClass.UNKNOWN),
    "no_account": Refusal("unknown_account"),
    "no_market": Refusal("unknown_market"),
    "no_order": Refusal("no_such_order"),
    "price": Refusal("invalid_price"),
    "size": Refusal("invalid_quantity"),
    "minimum": Refusal("below_min_notional"),
    "margin": Refusal("insufficient_margin"),
    "nothing_to_reduce": Refusal("reduce_only_would_increase"),
    "no_match": Refusal("no_liquidity"),
    "leverage": Refusal("invalid_leverage"),
}
UNLISTED: Final = Refusal("refused_by_venue")
#: Of these the venue's gateway says nothing of a command.
_SILENT: Final = (429, 500, 502, 503, 504)


def error_table() -> tuple[ErrorRow, ...]:
    """Return every refusal, with what it proves of a placement."""
    return (
        *(_row(ErrorScope.REQUEST, said, refusal) for said, refusal in BY_CODE.items()),
        *(
            _row(ErrorScope.HTTP, str(status), Refusal("unknown", OutcomeClass.UNKNOWN))
            for status in _SILENT
        ),
    )


def _row(scope: ErrorScope, spelled: str, refusal: Refusal) -> ErrorRow:
    return ErrorRow(
        scope=scope,
        spelled=spelled,
        code=refusal.code,
        first=refusal.proves,
        again=OutcomeClass.UNKNOWN,
        retryable=refusal.proves is OutcomeClass.NOT_SENT,
    )
