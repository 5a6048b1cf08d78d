"""What each answer proves, on a first send and for a copy; statuses and reasons in our words."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from domain.commands import CommandKind
from domain.orders import Verdict
from domain.outcomes import Accepted, Acknowledged, NotSent, Rejected, Unknown
from tests.venues.extended.building import ORDER_ID, ok, refusal, reply
from venues.connector import VenueOrder
from venues.extended import translate, wire
from venues.extended.answers import Asked, canceled_outcome, outcome, placed_outcome
from venues.extended.refusals import BY_NUMBER, refusal_of
from venues.extended.statuses import reason_of, verdict_of

PLACE = Asked(kind=CommandKind.PLACE, order_id="o", client_order_id=ORDER_ID)
CANCEL = Asked(kind=CommandKind.CANCEL, order_id="o", client_order_id=ORDER_ID, venue_order_id="7")
SETTING = Asked(kind=None)
PLACED = ok({"id": 2051479786538188800, "externalId": ORDER_ID})


def said(body: Any, asked: Asked = PLACE, *, first: bool = True, status: int = 200) -> Any:
    return outcome(reply(body, status), asked, first=first)


def test_success_means_queued() -> None:
    assert said(PLACED) == Acknowledged(venue_order_id="2051479786538188800")
    assert said(ok(), CANCEL) == Acknowledged(venue_order_id="7")
    assert said(ok({}), SETTING) == said(b"", SETTING) == Accepted()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        ok(),
        ok({"id": "x"}),
        ok({"id": 7, "externalId": "another"}),
        {"hello": "world"},
    ],
)
def test_a_success_that_does_not_name_the_order_proves_nothing(body: Any) -> None:
    assert isinstance(said(body), Unknown)


@pytest.mark.parametrize("status", [200, 400])
def test_the_number_decides_whatever_the_status(status: int) -> None:
    rejected = said(refusal(1140, "New order cost exceeds available balance"), status=status)
    assert isinstance(rejected, Rejected)
    assert rejected.code == "insufficient_margin"
    assert rejected.report is not None and rejected.report.verdict is Verdict.REJECTED
    assert isinstance(said(refusal(1134), status=status), Unknown)
    assert isinstance(said(refusal(1006), status=status), Unknown)
    later = said(refusal(1010), status=status)
    assert isinstance(later, NotSent) and later.retryable


def test_numbers_and_words_that_are_not_listed() -> None:
    assert said(refusal(1999), status=400).code == "refused_by_venue"
    assert isinstance(said(refusal("NOT_FOUND"), status=404), Unknown)
    assert isinstance(said(refusal(7), status=400), Unknown)
    assert isinstance(said(refusal("WORD"), status=400), Unknown)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_limits_and_troubles_prove_nothing_whatever_stands_beside(status: int) -> None:
    assert isinstance(said(refusal(1140), status=status), Unknown)
    assert isinstance(said(refusal("NOT_FOUND"), CANCEL, status=status), Unknown)


def test_what_comes_before_the_engine() -> None:
    codes = [said(b"Forbidden", status=status).code for status in (401, 403, 422)]
    assert codes == ["unknown_signer", "not_allowed", "malformed"]


def test_a_copys_refusal_decides_nothing() -> None:
    for number in BY_NUMBER:
        assert isinstance(said(refusal(number), first=False, status=400), Unknown)
    assert isinstance(said(refusal("NOT_FOUND"), CANCEL, first=False, status=404), Unknown)


def test_a_cancel_of_what_is_not_there() -> None:
    for body, status in ((refusal("NOT_FOUND"), 404), (b"", 404), (refusal(1142), 400)):
        found = said(body, CANCEL, status=status)
        assert isinstance(found, Rejected) and found.code == "no_such_order"
    assert isinstance(said(b"", CANCEL), Unknown)


def test_the_refusal_of_a_setting() -> None:
    found = said(refusal(1050), SETTING, status=400)
    assert isinstance(found, Rejected) and found.code == "invalid_leverage"
    assert found.report is None


def test_a_number_is_read_before_the_status_that_it_came_with() -> None:
    assert refusal_of(422, 1140).code == "insufficient_margin"
    assert refusal_of(401, None).code == "unknown_signer"
    assert refusal_of(422, 1999).code == "malformed"


def order(status: str, reason: str | None = None, filled: str = "0") -> VenueOrder:
    row = wire.OrderRow(
        id=7,
        externalId=ORDER_ID,
        market="BTC-USD",
        status=status,
        statusReason=reason,
        type="LIMIT",
        side="BUY",
        qty=Decimal("0.5"),
        filledQty=Decimal(filled),
        createdTime=1,
        updatedTime=2,
        price=Decimal(60000),
        averagePrice=Decimal(59000),
    )
    found = translate.order_row(row)
    assert found is not None
    return found


def test_the_verdict_on_a_placement_is_the_orders() -> None:
    taken = placed_outcome(order("NEW"), PLACE, reply(PLACED))
    assert isinstance(taken, Accepted) and taken.report is not None
    assert (taken.report.verdict, taken.report.venue_order_id) == (Verdict.ACCEPTED, "7")
    assert taken.report.average_price is None
    refused = placed_outcome(order("REJECTED", "POST_ONLY_FAILED"), PLACE, reply(PLACED))
    assert isinstance(refused, Rejected) and refused.code == "would_cross"
    odd = placed_outcome(order("REJECTED", "SOMETHING"), PLACE, reply(PLACED))
    assert isinstance(odd, Rejected) and odd.code == "refused_by_venue"


def test_the_verdict_on_a_cancel_is_the_orders() -> None:
    done = canceled_outcome(order("CANCELLED", filled="0.1"), CANCEL, reply(ok()))
    assert isinstance(done, Accepted) and done.report is not None
    assert (done.report.verdict, done.report.filled_quantity) == (
        Verdict.CANCELED,
        Decimal("0.1"),
    )
    assert done.report.average_price == 59000
    late = canceled_outcome(order("FILLED", filled="0.5"), CANCEL, reply(ok()))
    assert isinstance(late, Rejected) and late.code == "no_such_order"
    assert canceled_outcome(order("NEW"), CANCEL, reply(ok())) is None


@pytest.mark.parametrize(
    ("status", "reason", "filled", "verdict"),
    [
        ("NEW", "NONE", "0", Verdict.ACCEPTED),
        ("NEW", None, "0.1", Verdict.PARTIALLY_FILLED),
        ("UNTRIGGERED", None, "0", Verdict.ACCEPTED),
        ("TRIGGERED", None, "0", Verdict.TRIGGERED),
        ("PARTIALLY_FILLED", None, "0.1", Verdict.PARTIALLY_FILLED),
        ("FILLED", None, "0.5", Verdict.FILLED),
        ("CANCELLED", None, "0.1", Verdict.CANCELED),
        ("CANCELLED", "POST_ONLY_FAILED", "0", Verdict.REJECTED),
        ("REJECTED", "NO_LIQUIDITY", "0", Verdict.CANCELED),
        ("REJECTED", "INVALID_FEE", "0", Verdict.REJECTED),
        ("REJECTED", "INVALID_FEE", "0.1", Verdict.CANCELED),
        ("EXPIRED", None, "0.1", Verdict.EXPIRED),
        ("UNKNOWN", None, "0", Verdict.ACCEPTED),
        ("HALTED", None, "0", Verdict.ACCEPTED),
    ],
)
def test_statuses(status: str, reason: str | None, filled: str, verdict: Verdict) -> None:
    assert verdict_of(status, reason, filled=Decimal(filled)) is verdict


def test_reasons_are_told_where_they_say_something() -> None:
    assert reason_of("CANCELLED", "NONE") is None
    assert reason_of("CANCELLED", "ORDER_REPLACED") == "ORDER_REPLACED"
    assert reason_of("HALTED", None) == "HALTED"
