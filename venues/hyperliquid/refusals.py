"""Hyperliquid's refusals as data: text prefix, our code, and what each one proves.

Texts are matched by prefix, because live ones carry ids and amounts behind it. Nothing here is
computed; `answers` applies the table.

Sources: docs api/error-responses, trading/*; texts measured on testnet and mainnet (NOTES.md).
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
    #: An immediate order met nothing: an ordinary end, not a refusal.
    NO_MATCH = "no match"
    #: Something with this nonce was admitted before; of what became of it nothing is said.
    ADMITTED_BEFORE = "admitted before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One refusal.

    `consumes_nonce`: the refused copy used the nonce up, so that an earlier copy of the same bytes
    was not admitted and can never be. Only such a refusal decides anything after a resend.
    `retryable` is meant for NOT_ADMITTED.
    """

    prefix: str
    code: str
    effect: Effect = Effect.REJECTED
    consumes_nonce: bool = False
    retryable: bool = True


_L1_ERROR: Final = "L1 error: "

#: `{"status":"err","response": text}`: the whole action is refused.
ACTION_REFUSALS: Final = (
    Refusal(prefix="User or API Wallet ", code="unknown_signer"),
    Refusal(prefix="Must deposit before performing actions", code="unfunded_account"),
    Refusal(prefix="Unable to recover signer", code="bad_signature"),
    Refusal(prefix="Mainnet and testnet require different signature", code="wrong_network"),
    Refusal(prefix="Vault not registered", code="unknown_sub_account"),
    Refusal(
        prefix="Invalid nonce: duplicate nonce",
        code="nonce_used",
        effect=Effect.ADMITTED_BEFORE,
    ),
    Refusal(
        prefix="Invalid nonce: nonce too low",
        code="nonce_too_low",
        effect=Effect.NOT_ADMITTED,
        # It consumes nothing, but no copy of these bytes can pass any more: the floor only rises,
        # and a seen nonce below the floor reports duplicate.
        consumes_nonce=True,
    ),
    Refusal(
        prefix="Invalid nonce: nonce too high",
        code="nonce_too_high",
        effect=Effect.NOT_ADMITTED,
        retryable=False,
    ),
    # Whether the venue looks at the expiry or at the nonce first was not measured, so after a
    # resend this proves nothing.
    Refusal(
        prefix="Action already expired",
        code="admission_expired",
        effect=Effect.NOT_ADMITTED,
    ),
    Refusal(
        prefix="Too many cumulative requests sent",
        code="address_rate_limited",
        effect=Effect.NOT_ADMITTED,
    ),
    Refusal(prefix="Signed action over weight limit", code="batch_too_large"),
    Refusal(
        prefix="Only post-only orders allowed immediately after network upgrade",
        code="post_only_period",
        consumes_nonce=True,
    ),
    Refusal(prefix="Cannot set scheduled cancel time until enough volume", code="volume_too_low"),
    Refusal(prefix="Action disabled when unified account is active", code="wrong_account_mode"),
    Refusal(prefix="Builder fee has not been approved", code="builder_not_approved"),
    Refusal(prefix="Nonce mismatch", code="nonce_mismatch"),
)

#: `statuses[i].error`: one order of an admitted action is refused.
ORDER_REFUSALS: Final = (
    Refusal(
        prefix="Price must be divisible by tick size", code="invalid_price", consumes_nonce=True
    ),
    Refusal(
        prefix="Order must have minimum value of", code="below_min_notional", consumes_nonce=True
    ),
    Refusal(prefix="Insufficient margin", code="insufficient_margin", consumes_nonce=True),
    Refusal(
        prefix="Reduce only order would increase position",
        code="reduce_only_would_increase",
        consumes_nonce=True,
    ),
    Refusal(
        prefix="Post only order would have immediately matched",
        code="post_only_would_cross",
        consumes_nonce=True,
    ),
    Refusal(
        prefix="Order could not immediately match",
        code="no_match",
        effect=Effect.NO_MATCH,
        consumes_nonce=True,
    ),
    Refusal(prefix="Invalid TP/SL price", code="invalid_trigger_price", consumes_nonce=True),
    Refusal(prefix="No liquidity available", code="no_liquidity", consumes_nonce=True),
    Refusal(
        prefix="Order would increase open interest",
        code="open_interest_capped",
        consumes_nonce=True,
    ),
    Refusal(
        prefix="Order rejected due to price more aggressive than oracle",
        code="price_too_aggressive",
        consumes_nonce=True,
    ),
    Refusal(prefix="Insufficient spot balance", code="insufficient_balance", consumes_nonce=True),
    Refusal(
        prefix="Order has insufficient spot balance",
        code="insufficient_balance",
        consumes_nonce=True,
    ),
    Refusal(prefix="Order price too far from oracle", code="price_too_far", consumes_nonce=True),
    # Pre-validation: one error for the whole batch; whether the nonce is used up is unverified.
    Refusal(prefix="Order price cannot be more than", code="price_too_far"),
    Refusal(
        prefix="Order would cause position to exceed margin tier",
        code="position_too_large",
        consumes_nonce=True,
    ),
    Refusal(prefix="Order has invalid price", code="invalid_price"),
    Refusal(prefix="Order has invalid size", code="invalid_quantity"),
    Refusal(prefix="Order has zero size", code="invalid_quantity"),
    Refusal(prefix="Orders are empty", code="empty_batch"),
    Refusal(prefix="Too many open orders", code="too_many_open_orders", consumes_nonce=True),
    Refusal(prefix="Cannot modify canceled or filled order", code="no_such_order"),
    Refusal(
        prefix="Order was never placed, already canceled, or filled",
        code="no_such_order",
        consumes_nonce=True,
    ),
)

#: Answers below HTTP's 2xx that are documented not to reach the book.
MALFORMED_STATUSES: Final = frozenset({400, 415, 422})
RATE_LIMITED_STATUS: Final = 429
#: Some of the statuses that say nothing, because all others do.
_SILENT_STATUSES: Final = (401, 403, 408, 500, 502, 503, 504)

_FIRST: Final = {
    Effect.REJECTED: OutcomeClass.REJECTED,
    Effect.NOT_ADMITTED: OutcomeClass.NOT_SENT,
    Effect.NO_MATCH: OutcomeClass.ACCEPTED,
    Effect.ADMITTED_BEFORE: OutcomeClass.UNKNOWN,
}


def error_table() -> tuple[ErrorRow, ...]:
    """Return every listed refusal of a placement, with what it proves."""
    return (
        *_rows(ErrorScope.REQUEST, ACTION_REFUSALS),
        *_rows(ErrorScope.ORDER, ORDER_REFUSALS),
        *(
            _status(status, "malformed", OutcomeClass.REJECTED)
            for status in sorted(MALFORMED_STATUSES)
        ),
        _status(RATE_LIMITED_STATUS, "rate_limited", OutcomeClass.NOT_SENT, retryable=True),
        *(_status(status, "silence", OutcomeClass.UNKNOWN) for status in _SILENT_STATUSES),
    )


def _rows(scope: ErrorScope, refusals: tuple[Refusal, ...]) -> Iterator[ErrorRow]:
    for refusal in refusals:
        first = _FIRST[refusal.effect]
        yield ErrorRow(
            scope=scope,
            spelled=refusal.prefix,
            code=refusal.code,
            first=first,
            again=first if refusal.consumes_nonce else OutcomeClass.UNKNOWN,
            retryable=refusal.effect is Effect.NOT_ADMITTED and refusal.retryable,
        )


def _status(status: int, code: str, first: OutcomeClass, *, retryable: bool = False) -> ErrorRow:
    return ErrorRow(
        scope=ErrorScope.HTTP,
        spelled=str(status),
        code=code,
        first=first,
        again=OutcomeClass.UNKNOWN,
        retryable=retryable,
    )


def action_refusal(text: str) -> Refusal | None:
    """Return the refusal a whole-action text spells, or None for one that is not listed."""
    return _find(ACTION_REFUSALS, text.removeprefix(_L1_ERROR))


def order_refusal(text: str) -> Refusal:
    """Return the refusal of one order; an unlisted text is still a refusal of that order.

    A text listed for whole actions is understood here too.
    """
    found = _find(ORDER_REFUSALS, text) or action_refusal(text)
    return found or Refusal(prefix=text, code="refused_by_venue")


def _find(table: tuple[Refusal, ...], text: str) -> Refusal | None:
    return next((refusal for refusal in table if text.startswith(refusal.prefix)), None)
