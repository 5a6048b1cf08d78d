"""Only what the venue proves is decided; everything else stays unknown."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from domain.commands import CommandKind
from domain.orders import OrderReport, Verdict
from domain.outcomes import Accepted, NotSent, Outcome, Rejected, Unknown
from tests.venues.pacifica.building import ORDER_ID, envelope, refusal, reply, sample
from venues.pacifica.answers import Asked, outcome
from venues.pacifica.refusals import BY_NUMBER, BY_TEXT, Effect

PLACE = Asked(kind=CommandKind.PLACE, order_id=ORDER_ID)
CANCEL = Asked(kind=CommandKind.CANCEL, order_id=ORDER_ID, venue_order_id="7")
OK = envelope({"order_id": 336542009})


def report_of(found: Outcome) -> OrderReport:
    assert isinstance(found, Accepted | Rejected)
    assert found.report is not None
    return found.report


@pytest.mark.parametrize("body", [OK, {"order_id": 336542009}, {"success": True, **OK}])
def test_a_placement_is_taken_with_its_id(body: Any) -> None:
    report = report_of(outcome(reply(body), PLACE, first=True))
    assert (report.verdict, report.venue_order_id) == (Verdict.ACCEPTED, "336542009")
    assert (report.order_id, report.filled_quantity) == (ORDER_ID, None)


def test_an_exit_tied_to_a_position_is_taken_without_an_id() -> None:
    asked = Asked(kind=CommandKind.PLACE, order_id=ORDER_ID, gets_order_id=False)
    report = report_of(outcome(reply(envelope(None)), asked, first=True))
    assert (report.verdict, report.venue_order_id) == (Verdict.ACCEPTED, None)


@pytest.mark.parametrize("body", [envelope(None), {"success": True}])
def test_a_cancel_is_done_and_keeps_the_id_it_named(body: Any) -> None:
    report = report_of(outcome(reply(body), CANCEL, first=True))
    assert (report.verdict, report.venue_order_id) == (Verdict.CANCELED, "7")


def test_a_setting_is_done() -> None:
    assert outcome(reply(envelope(None)), Asked(kind=None), first=True) == Accepted()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"),
        (200, b'{"success":true,"data":{"order'),
        (200, envelope(None)),
        (200, envelope({"order_id": "7"})),
        (422, b"Unprocessable"),
        (422, refusal("Something new", 0)),
        (422, refusal("Something new", None)),
        (422, refusal("Something new", 422)),
        (422, refusal("Channel closed", 26)),
        (422, refusal("Response dropped", 27)),
        (422, refusal("Database error", 14)),
        (422, refusal(f"Duplicate client order id: {ORDER_ID}", 36)),
        (429, refusal("Too many requests", 429)),
        (408, b""),
        (404, b""),
        (409, b""),
        (500, refusal("Internal server error", 500)),
        (503, b""),
        (504, b"Request timed out"),
        (302, b""),
    ],
)
def test_what_proves_nothing_is_unknown(status: int, body: Any) -> None:
    assert isinstance(outcome(reply(body, status), PLACE, first=True), Unknown)


@pytest.mark.parametrize("body", [{}, {"hello": "world"}, {"success": None}, OK])
def test_only_a_word_of_success_cancels_or_ties_an_exit(body: Any) -> None:
    if body is OK:
        body = {**OK, "success": None}
    tied = Asked(kind=CommandKind.PLACE, order_id=ORDER_ID, gets_order_id=False)
    for asked in (CANCEL, tied, Asked(kind=None)):
        assert isinstance(outcome(reply(body), asked, first=True), Unknown)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (422, refusal("Order amount too low for a: 7.81140 < 10", 0), "below_min_notional"),
        (422, refusal("Insufficient balance for a: 5", 5), "insufficient_margin"),
        (422, refusal("Something of a new number", 140), "refused_by_venue"),
        (200, refusal("No reasonable price found", 25), "no_liquidity"),
        (400, b"Verification failed", "bad_signature"),
        (400, refusal("Agent not authorized for account", 400), "unknown_signer"),
        (400, b"Failed to deserialize the JSON body", "refused_by_venue"),
        (400, {"error": "Invalid order parameters", "code": 400}, "refused_by_venue"),
        (403, refusal("Beta access required. Signer must", 403), "beta_access_required"),
        (403, b"<html>blocked</html>", "refused_by_venue"),
    ],
)
def test_a_refusal_is_one_with_the_venues_words(status: int, body: Any, code: str) -> None:
    found = outcome(reply(body, status), PLACE, first=True)
    assert isinstance(found, Rejected), found
    assert found.code == code
    assert f"HTTP {status}" in found.proof
    report = report_of(found)
    assert (report.verdict, report.filled_quantity) == (Verdict.REJECTED, Decimal(0))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (422, refusal("Order not found for a: 7", 6)),
        (422, refusal("Unused client order id: x", 37)),
        (422, refusal("Failed to cancel order", 5)),
        (400, {"error": "Order not found", "code": 400}),
        (400, {"error": "Stop order not found", "code": 400}),
    ],
)
def test_an_order_that_is_gone_cannot_be_canceled(status: int, body: Any) -> None:
    found = outcome(reply(body, status), CANCEL, first=True)
    assert isinstance(found, Rejected)
    assert (found.code, found.report) == ("no_such_order", None)


@pytest.mark.parametrize(
    ("status", "body"),
    [(400, b"Invalid message"), (422, refusal("Trading disabled", 38))],
)
def test_what_was_not_admitted_may_be_tried_again(status: int, body: Any) -> None:
    found = outcome(reply(body, status), PLACE, first=True)
    assert isinstance(found, NotSent)
    assert found.retryable


@pytest.mark.parametrize("status", [400, 422, 500])
def test_after_a_resend_only_success_decides(status: int) -> None:
    body = refusal("Order not found for a: 7", 6)
    assert isinstance(outcome(reply(body, status), CANCEL, first=False), Unknown)
    assert isinstance(outcome(reply(envelope(None)), CANCEL, first=False), Accepted)


def test_ambiguous_numbers_are_unknown_in_the_table() -> None:
    assert {number for number, found in BY_NUMBER.items() if found.effect is Effect.UNKNOWN} == {
        14,
        26,
        27,
        36,
    }
    assert len({beginning for beginning, _ in BY_TEXT}) == len(BY_TEXT)


def test_recorded_refusals() -> None:
    recorded = sample("rest/error_bodies.json")
    codes = []
    for one in recorded["errors"] if recorded else []:
        found = outcome(reply(one["body"], one["http"]), PLACE, first=True)
        codes.append(found.code if isinstance(found, Rejected) else found.kind)
    bare = sample("rest/captured_verification_failed.json")
    if bare:
        found = outcome(reply(bare["body_text"].encode(), bare["status"]), PLACE, first=True)
        codes.append(found.code if isinstance(found, Rejected) else found.kind)
    assert recorded is None or codes == [
        "beta_access_required",
        "unknown_signer",
        "unknown",
        "bad_signature",
        "below_min_notional",
        "refused_by_venue",
        "bad_signature",
    ]
