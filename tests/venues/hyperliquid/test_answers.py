"""Every answer of the venue and what it proves, on a first send and after a resend."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from domain.commands import CommandKind
from domain.orders import OrderReport, Verdict
from domain.outcomes import Accepted, NotSent, Outcome, Rejected, Unknown
from tests.venues.hyperliquid.building import CLOID, NOW, ORDER_ID, err, ok, reply
from venues.hyperliquid.answers import Asked, action_outcome, outcomes
from venues.hyperliquid.refusals import (
    ACTION_REFUSALS,
    ORDER_REFUSALS,
    Effect,
    Refusal,
    action_refusal,
    order_refusal,
)

ASKED = Asked(order_id=ORDER_ID, revision=2, client_order_id=CLOID, quantity=Decimal("0.02"))
IOC = replace(ASKED, is_immediate=True)


def outcome(
    body: bytes,
    *,
    kind: CommandKind = CommandKind.PLACE,
    asked: Asked = ASKED,
    first: bool = True,
    status: int = 200,
) -> Outcome:
    return outcomes(reply(body, status), kind, [asked], first=first)[0]


def report(verdict: Verdict, **more: Any) -> OrderReport:
    return OrderReport(
        order_id=ORDER_ID,
        revision=2,
        verdict=verdict,
        received_time=NOW,
        source="answer",
        **more,
    )


def filled(size: str, **more: Any) -> Any:
    return {"filled": {"totalSz": size, "avgPx": "1891.4", "oid": 777, **more}}


@pytest.mark.parametrize(
    ("status", "asked", "expected"),
    [
        (
            {"resting": {"oid": 415, "cloid": CLOID}},
            ASKED,
            report(Verdict.ACCEPTED, venue_order_id="415"),
        ),
        ({"resting": {"oid": 415}}, ASKED, report(Verdict.ACCEPTED, venue_order_id="415")),
        (
            filled("0.02", cloid=CLOID.upper().replace("0X", "0x")),
            ASKED,
            report(
                Verdict.FILLED,
                venue_order_id="777",
                filled_quantity=Decimal("0.02"),
                average_price=Decimal("1891.4"),
            ),
        ),
        (
            filled("0.01"),
            IOC,
            report(
                Verdict.CANCELED,
                venue_order_id="777",
                filled_quantity=Decimal("0.01"),
                average_price=Decimal("1891.4"),
                reason="the rest found no match and was dropped",
            ),
        ),
        (
            filled("0.01"),
            replace(IOC, reduce_only=True),
            report(
                Verdict.CANCELED,
                venue_order_id="777",
                filled_quantity=Decimal("0.01"),
                average_price=Decimal("1891.4"),
                reason="filled as far as the position or the book allowed; the rest was dropped",
            ),
        ),
        (
            filled("0.01"),
            ASKED,
            report(
                Verdict.PARTIALLY_FILLED,
                venue_order_id="777",
                filled_quantity=Decimal("0.01"),
                average_price=Decimal("1891.4"),
            ),
        ),
        ("waitingForFill", ASKED, report(Verdict.ACCEPTED, reason="waitingForFill")),
        ("waitingForTrigger", ASKED, report(Verdict.ACCEPTED, reason="waitingForTrigger")),
        (
            {"error": "Order could not immediately match against any resting orders. asset=4"},
            IOC,
            report(
                Verdict.CANCELED,
                filled_quantity=Decimal(0),
                reason="Order could not immediately match against any resting orders. asset=4",
            ),
        ),
    ],
)
def test_accepted(status: Any, asked: Asked, expected: OrderReport) -> None:
    for first in (True, False):
        assert outcome(ok(status), asked=asked, first=first) == Accepted(report=expected)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Price must be divisible by tick size. asset=1", "invalid_price"),
        ("Order must have minimum value of $10. asset=173", "below_min_notional"),
        ("Insufficient margin to place order. asset=0", "insufficient_margin"),
        ("Reduce only order would increase position. asset=4", "reduce_only_would_increase"),
        (
            "Post only order would have immediately matched, bbo was 1@2. asset=1",
            "post_only_would_cross",
        ),
        ("Invalid TP/SL price. asset=1", "invalid_trigger_price"),
        ("No liquidity available for market order. asset=1", "no_liquidity"),
        ("Order price too far from oracle", "price_too_far"),
    ],
)
def test_rejected_order_with_the_venues_words_as_proof(text: str, code: str) -> None:
    expected = Rejected(
        code=code,
        reason=text,
        proof=text,
        report=report(Verdict.REJECTED, reason=text, filled_quantity=Decimal(0)),
    )
    for first in (True, False):
        assert outcome(ok({"error": text}), first=first) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Order price cannot be more than 80% away from the reference price",
        "Order has zero size.",
        "Something nobody has listed",
    ],
)
def test_refusal_that_may_leave_the_nonce_decides_a_first_send_only(text: str) -> None:
    assert isinstance(outcome(ok({"error": text})), Rejected)
    assert isinstance(outcome(ok({"error": text}), first=False), Unknown)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (
            "User or API Wallet 0xc06d73162e9bffbcfbf1da59c511002a8f9155e5 does not exist.",
            "unknown_signer",
        ),
        ("L1 error: User or API Wallet 0xc06d does not exist.", "unknown_signer"),
        ("Must deposit before performing actions. User: 0x1", "unfunded_account"),
        ("Unable to recover signer.", "bad_signature"),
        ("Vault not registered: 0x1", "unknown_sub_account"),
        ("Signed action over weight limit of 200.", "batch_too_large"),
        ("Action disabled when unified account is active", "wrong_account_mode"),
    ],
)
def test_refused_action_is_rejected_on_a_first_send_only(text: str, code: str) -> None:
    found = outcome(err(text))
    assert isinstance(found, Rejected)
    assert (found.code, found.proof) == (code, text)
    assert found.report is not None
    assert found.report.verdict is Verdict.REJECTED
    assert isinstance(outcome(err(text), first=False), Unknown)


def test_upgrade_gate_uses_the_nonce_up_and_decides_always() -> None:
    text = "Only post-only orders allowed immediately after network upgrade"
    for first in (True, False):
        found = outcome(err(text), first=first)
        assert isinstance(found, Rejected)
        assert found.code == "post_only_period"


@pytest.mark.parametrize(
    ("text", "reason", "retryable"),
    [
        ("Invalid nonce: nonce too high 9 > 8", "nonce_too_high", False),
        ("Action already expired", "admission_expired", True),
        (
            "Too many cumulative requests sent (2 > 1) for cumulative volume traded $1. Place",
            "address_rate_limited",
            True,
        ),
    ],
)
def test_not_admitted_on_a_first_send(text: str, reason: str, retryable: bool) -> None:
    expected = NotSent(reason=reason, proof=text, retryable=retryable)
    for kind in (CommandKind.PLACE, CommandKind.CANCEL, CommandKind.NOOP):
        assert outcome(err(text), kind=kind) == expected
        assert isinstance(outcome(err(text), kind=kind, first=False), Unknown)


def test_nonce_too_low_proves_that_no_copy_was_admitted() -> None:
    text = "Invalid nonce: nonce too low 5 < 9"
    for first in (True, False):
        assert outcome(err(text), first=first) == NotSent(
            reason="nonce_too_low", proof=text, retryable=True
        )
        assert outcome(err(text), kind=CommandKind.NOOP, first=first) == Rejected(
            code="nonce_too_low", reason=text, proof=text
        )


def test_duplicate_nonce_is_unknown_but_tells_a_noop_that_the_nonce_was_used() -> None:
    text = "Invalid nonce: duplicate nonce 5"
    for first in (True, False):
        for kind in (CommandKind.PLACE, CommandKind.CANCEL, CommandKind.MODIFY):
            found = outcome(err(text), kind=kind, first=first)
            assert isinstance(found, Unknown)
            assert found.reason.startswith("duplicate nonce: admitted earlier")
        assert outcome(err(text), kind=CommandKind.NOOP, first=first) == Rejected(
            code="nonce_used", reason=text, proof=text
        )


def test_noop_that_was_taken_burnt_the_nonce() -> None:
    body = json.dumps({"status": "ok", "response": {"type": "default"}}).encode()
    assert outcome(body, kind=CommandKind.NOOP) == Accepted()
    assert action_outcome(reply(body)) == Accepted()
    assert isinstance(outcome(body, kind=CommandKind.PLACE), Unknown)
    assert isinstance(outcome(body, kind=CommandKind.CANCEL), Unknown)
    assert outcome(body, kind=CommandKind.MODIFY) == Accepted()


def test_action_without_order_is_refused_in_its_own_words() -> None:
    text = "Cannot set scheduled cancel time until enough volume traded. Required: $1000000."
    found = action_outcome(reply(err(text)))
    assert isinstance(found, Rejected)
    assert (found.code, found.report) == ("volume_too_low", None)
    assert isinstance(action_outcome(reply(err("Invalid nonce: duplicate nonce 5"))), Unknown)


def test_cancel() -> None:
    asked = replace(ASKED, venue_order_id="41")
    assert outcome(ok("success", kind="cancel"), kind=CommandKind.CANCEL, asked=asked) == Accepted(
        report=report(Verdict.CANCELED, venue_order_id="41")
    )
    text = "Order was never placed, already canceled, or filled. asset=173"
    assert outcome(ok({"error": text}, kind="cancel"), kind=CommandKind.CANCEL) == Rejected(
        code="no_such_order", reason=text, proof=text
    )
    assert isinstance(outcome(ok("waitingForFill"), kind=CommandKind.CANCEL), Unknown)


def test_modify_refused_says_nothing_of_the_order_itself() -> None:
    found = outcome(
        ok({"error": "Cannot modify canceled or filled order"}), kind=CommandKind.MODIFY
    )
    assert isinstance(found, Rejected)
    assert (found.code, found.report) == ("no_such_order", None)


@pytest.mark.parametrize("status", [400, 415, 422])
def test_malformed_is_rejected_on_a_first_send_only(status: int) -> None:
    text = "Failed to deserialize the JSON body into the target type"
    found = outcome(text.encode(), status=status)
    assert isinstance(found, Rejected)
    assert (found.code, found.reason) == ("malformed", text)
    assert isinstance(outcome(text.encode(), status=status, first=False), Unknown)


def test_rate_limit_is_not_sent_on_a_first_send_only() -> None:
    assert outcome(b"null", status=429) == NotSent(
        reason="rate_limited", proof="HTTP 429: null", retryable=True
    )
    assert isinstance(outcome(b"null", status=429, first=False), Unknown)


@pytest.mark.parametrize("status", [201, 301, 401, 403, 404, 408, 409, 500, 502, 503, 504])
def test_every_other_status_is_unknown(status: int) -> None:
    assert isinstance(outcome(ok({"resting": {"oid": 1}}), status=status), Unknown)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"<html>502 Bad Gateway</html>",
        b'{"status":"ok"}',
        b'{"status":"maybe","response":{"type":"default"}}',
        b'{"status":"err","response":{"type":"default"}}',
        b'{"status":"err","response":"A refusal that nobody has listed"}',
        b'{"status":"ok","response":{"type":"order"}}',
        ok({"resting": {"oid": 1}})[:-3],
        ok(),
        ok({"resting": {"oid": 1}}, {"resting": {"oid": 2}}),
        ok({}),
        ok({"resting": {"oid": "x"}}),
        ok({"filled": {"totalSz": "NaN", "avgPx": "1", "oid": 1}}),
        ok({"filled": {"totalSz": "1e999", "avgPx": "1", "oid": 1}}),
        ok("success"),
        ok({"resting": {"oid": 1, "cloid": "0x" + "f" * 32}}),
    ],
)
def test_what_cannot_be_read_is_unknown(body: bytes) -> None:
    for first in (True, False):
        assert isinstance(outcome(body, first=first), Unknown)


def test_batch_is_decided_per_member() -> None:
    members = [replace(ASKED, order_id=name) for name in ("a", "b", "c")]
    body = ok({"resting": {"oid": 1}}, {"error": "Insufficient margin to place order."}, {})
    found = outcomes(reply(body), CommandKind.PLACE, members, first=True)
    assert [item.kind for item in found] == ["accepted", "rejected", "unknown"]
    assert isinstance(found[1], Rejected)
    assert found[1].report is not None
    assert found[1].report.order_id == "b"


def test_single_error_counts_for_the_whole_batch() -> None:
    members = [replace(ASKED, order_id=name) for name in ("a", "b")]
    body = ok({"error": "Order price cannot be more than 80% away from the reference price"})
    found = outcomes(reply(body), CommandKind.PLACE, members, first=True)
    assert [item.code for item in found if isinstance(item, Rejected)] == ["price_too_far"] * 2
    # A single success for two orders is no such thing.
    found = outcomes(reply(ok({"resting": {"oid": 1}})), CommandKind.PLACE, members, first=True)
    assert [item.kind for item in found] == ["unknown", "unknown"]


def test_refused_action_counts_for_every_member() -> None:
    members = [replace(ASKED, order_id=name) for name in ("a", "b")]
    found = outcomes(
        reply(err("Unable to recover signer.")), CommandKind.PLACE, members, first=True
    )
    assert [item.kind for item in found] == ["rejected", "rejected"]


@pytest.mark.parametrize("refusal", ACTION_REFUSALS, ids=lambda refusal: refusal.prefix)
def test_action_table_has_no_hidden_rows(refusal: Refusal) -> None:
    assert action_refusal(refusal.prefix + " and more") is refusal


@pytest.mark.parametrize("refusal", ORDER_REFUSALS, ids=lambda refusal: refusal.prefix)
def test_order_table_has_no_hidden_rows(refusal: Refusal) -> None:
    assert order_refusal(refusal.prefix + " asset=1") is refusal
    assert refusal.effect in (Effect.REJECTED, Effect.NO_MATCH)


def test_whole_action_text_is_understood_for_an_order_too() -> None:
    found = outcome(
        ok({"error": "Only post-only orders allowed immediately after network upgrade"})
    )
    assert isinstance(found, Rejected)
    assert found.code == "post_only_period"
