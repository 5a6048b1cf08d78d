"""Answers become outcomes, statuses verdicts: every word of the venue, and what it does not say."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.commands import CommandKind
from domain.orders import Verdict
from domain.outcomes import Accepted, Acknowledged, NotSent, Rejected, Unknown
from tests.venues.edgex.building import (
    CLIENT_ID,
    NOW,
    account,
    catalog,
    envelope,
    fill_row,
    order_row,
    reply,
)
from venues.edgex import translate, wire
from venues.edgex.answers import Asked, Verdictless, cancel_confirmed, outcome, with_order
from venues.edgex.refusals import BY_CODE, Effect, refusal_of
from venues.edgex.times import at_ms

PLACE = Asked(kind=CommandKind.PLACE, order_id="o", client_order_id=CLIENT_ID)
CANCEL = Asked(kind=CommandKind.CANCEL, order_id="o", venue_order_id="7")
SYMBOL_OF = catalog().symbol_of


def order(**changes: Any) -> Any:
    found = translate.order(wire.convert(order_row(**changes), wire.OrderRow), SYMBOL_OF)
    assert found is not None
    return found


def test_a_placement_is_taken_by_its_id_and_unknown_without() -> None:
    taken = outcome(reply(envelope({"orderId": "799376025145311638"})), PLACE, first=True)
    assert isinstance(taken, Accepted) and taken.report is not None
    assert (taken.report.venue_order_id, taken.report.verdict) == (
        "799376025145311638",
        Verdict.ACCEPTED,
    )
    without: tuple[Any, ...] = (None, {}, {"orderId": None}, {"orderId": 7}, [])
    for data in without:
        assert isinstance(outcome(reply(envelope(data)), PLACE, first=True), Unknown)
    assert isinstance(outcome(reply(envelope({"orderId": "1"}), 302), PLACE, first=True), Unknown)


@pytest.mark.parametrize("status", [429, 500, 502, 504])
def test_some_statuses_prove_nothing_whatever_they_carry(status: int) -> None:
    for body in (envelope({"orderId": "1"}), envelope(None, "INVALID_API_KEY"), b"<html>"):
        assert isinstance(outcome(reply(body, status), PLACE, first=True), Unknown)


def test_a_refusal_is_decided_by_its_code_at_any_status() -> None:
    for status in (200, 400, 401):
        body = envelope(None, "INVALID_API_KEY", msg="invalid apiKey : nope")
        refused = outcome(reply(body, status), PLACE, first=True)
        assert isinstance(refused, Rejected)
        assert refused.code == "unknown_api_key"
        assert isinstance(outcome(reply(body, status), PLACE, first=False), Unknown)
    late = outcome(reply(envelope(None, "INVALID_TIMESTAMP"), 401), PLACE, first=True)
    assert isinstance(late, NotSent) and late.retryable


def test_a_code_that_is_on_no_list_waits_for_a_look_up() -> None:
    found = outcome(reply(envelope(None, "SOMETHING_ELSE", msg="no")), PLACE, first=True)
    assert isinstance(found, Verdictless)
    assert found.refused.code == "refused_by_venue"
    # Of a cancel it says enough: nothing was done.
    assert isinstance(
        outcome(reply(envelope(None, "SOMETHING_ELSE")), CANCEL, first=True), Rejected
    )


@pytest.mark.parametrize(
    "code", ["DUPLICATE_CLIENT_ORDER_ID", "ORDER_ALREADY_EXISTS", "clientOrderId_repeated"]
)
def test_what_speaks_of_a_duplicate_is_unknown(code: str) -> None:
    assert refusal_of(code).effect is Effect.UNKNOWN
    assert isinstance(outcome(reply(envelope(None, code)), PLACE, first=True), Unknown)


def test_no_code_is_listed_as_a_duplicate_too() -> None:
    assert all(refusal_of(code) is refusal for code, refusal in BY_CODE.items())


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("SUCCESS", Acknowledged),
        ("SUCCESS_ORDER_CANCELING", Acknowledged),
        ("SUCCESS_ORDER_CANCELED", Rejected),
        ("FAILED_ORDER_FILLED", Rejected),
        ("FAILED_ORDER_NOT_FOUND", Rejected),
        ("FAILED_ORDER_UNKNOWN_STATUS", Unknown),
        ("UNKNOWN_ORDER_CANCEL_RESULT", Unknown),
        ("a new word", Unknown),
    ],
)
@pytest.mark.parametrize("key", ["7", CLIENT_ID])
def test_every_word_of_a_cancel_by_either_key(word: str, kind: type, key: str) -> None:
    body = envelope({"cancelResultMap": {key: word}})
    first = outcome(reply(body), CANCEL, first=True)
    assert isinstance(first, kind), first
    if isinstance(first, Rejected):
        assert first.code == "no_such_order"
    again = outcome(reply(body), CANCEL, first=False)
    assert isinstance(again, Acknowledged if kind is Acknowledged else Unknown)


@pytest.mark.parametrize(
    "data",
    [None, {}, {"cancelResultMap": {}}, {"cancelResultMap": {"a": "SUCCESS", "b": "SUCCESS"}}],
)
def test_a_cancel_without_its_own_result_is_unknown(data: Any) -> None:
    assert isinstance(outcome(reply(envelope(data)), CANCEL, first=True), Unknown)


def test_a_look_up_says_what_became_of_an_order_just_taken() -> None:
    taken = outcome(reply(envelope({"orderId": "1"})), PLACE, first=True)
    assert isinstance(taken, Accepted) and taken.report is not None
    filled = with_order(
        taken.report, order(status="FILLED", cumMatchSize="0.003", cumMatchValue="192")
    )
    assert isinstance(filled, Accepted) and filled.report is not None
    assert (filled.report.verdict, filled.report.average_price) == (
        Verdict.FILLED,
        Decimal(64000),
    )
    crossed = with_order(
        taken.report,
        order(status="CANCELED", cancelReason="COULD_NOT_FILL", timeInForce="POST_ONLY"),
    )
    assert isinstance(crossed, Rejected) and crossed.report is not None
    poor = with_order(taken.report, order(status="CANCELED", cancelReason="MARGIN_NOT_ENOUGH"))
    assert isinstance(poor, Rejected) and poor.code == "insufficient_margin"
    trailing = with_order(taken.report, order(status="PENDING"))
    assert isinstance(trailing, Accepted)


def test_a_look_up_says_what_became_of_a_cancel() -> None:
    asked, said = CANCEL, reply(b"")
    assert cancel_confirmed(asked, said, order(status="CANCELING")) is None
    done = cancel_confirmed(
        asked, said, order(status="CANCELED", cancelReason="USER_CANCELED", cumMatchSize="0.001")
    )
    assert isinstance(done, Accepted) and done.report is not None
    assert (done.report.verdict, done.report.filled_quantity) == (
        Verdict.CANCELED,
        Decimal("0.001"),
    )
    late = cancel_confirmed(asked, said, order(status="FILLED", cumMatchSize="0.003"))
    assert isinstance(late, Rejected) and late.code == "no_such_order"


@pytest.mark.parametrize(
    ("changes", "verdict", "reason"),
    [
        ({"status": "PENDING"}, Verdict.ACCEPTED, None),
        ({"status": "OPEN"}, Verdict.ACCEPTED, None),
        ({"status": "OPEN", "cumMatchSize": "0.001"}, Verdict.PARTIALLY_FILLED, None),
        ({"status": "UNTRIGGERED", "type": "STOP_LIMIT"}, Verdict.ACCEPTED, None),
        (
            {"status": "OPEN", "type": "STOP_LIMIT", "triggerTime": "1795000000000"},
            Verdict.TRIGGERED,
            None,
        ),
        ({"status": "CANCELING"}, Verdict.ACCEPTED, None),
        ({"status": "FILLED", "cumMatchSize": "0.003"}, Verdict.FILLED, None),
        ({"status": "FILLED", "cumMatchSize": "0.002"}, Verdict.PARTIALLY_FILLED, None),
        ({"status": "CANCELED", "cancelReason": "USER_CANCELED"}, Verdict.CANCELED, None),
        (
            {"status": "CANCELED", "cancelReason": "EXPIRE_CANCELED"},
            Verdict.EXPIRED,
            "EXPIRE_CANCELED",
        ),
        (
            {"status": "CANCELED", "cancelReason": "COULD_NOT_FILL"},
            Verdict.CANCELED,
            "COULD_NOT_FILL",
        ),
        (
            {
                "status": "CANCELED",
                "cancelReason": "COULD_NOT_FILL",
                "timeInForce": "POST_ONLY",
            },
            Verdict.REJECTED,
            "COULD_NOT_FILL",
        ),
        (
            {"status": "CANCELED", "cancelReason": "MARGIN_NOT_ENOUGH", "cumMatchSize": "0.001"},
            Verdict.CANCELED,
            "MARGIN_NOT_ENOUGH",
        ),
        (
            {"status": "CANCELED", "cancelReason": "INTERNAL_FAILED"},
            Verdict.REJECTED,
            "INTERNAL_FAILED",
        ),
        ({"status": "UNRECOGNIZED"}, Verdict.ACCEPTED, "UNRECOGNIZED"),
    ],
)
def test_every_status_and_reason(
    changes: dict[str, Any], verdict: Verdict, reason: str | None
) -> None:
    found = order(**changes)
    assert (found.verdict, found.reason) == (verdict, reason)


def test_what_was_rolled_back_does_not_count_as_filled() -> None:
    found = order(cumMatchSize="0.003", cumMatchValue="192", cumFailSize="0.001")
    assert (found.filled_quantity, found.verdict) == (
        Decimal("0.002"),
        Verdict.PARTIALLY_FILLED,
    )
    assert found.event_time == at_ms("1795000000100", "x")


def test_a_fill_with_its_own_price_fee_and_profit() -> None:
    def fill(**changes: Any) -> Any:
        row = wire.convert(fill_row(**changes), wire.FillRow)
        return translate.fill("acc", row, SYMBOL_OF, CLIENT_ID)

    found = fill()
    assert (found.price, found.fee, found.realized_pnl) == (
        Decimal("64000.1"),
        Decimal("0.072960"),
        Decimal(0),
    )
    assert (found.trade_id, found.client_order_id) == ("1001", CLIENT_ID)
    # The price is for display: the quotient counts where it is not exact.
    assert fill(fillPrice="64000").price == Decimal("192.0003") / Decimal("0.003")
    for undone in ("CENSOR_FAILURE", "L2_REJECT", "L2_REJECT_APPROVED"):
        assert fill(censorStatus=undone) is None
    assert fill(contractId="9") is None
    for wrong in ({"fillSize": "0"}, {"direction": "?"}, {"orderSide": "?"}, {"fillFee": ""}):
        with pytest.raises(wire.WireError):
            fill(**wrong)


@pytest.mark.parametrize("spelled", ["NaN", "1e99", "Infinity", "x", "1" * 200, "0x10"])
def test_numbers_that_are_none_are_an_error(spelled: str) -> None:
    with pytest.raises(wire.WireError):
        order(size=spelled)


@pytest.mark.parametrize("spelled", ["", "x", "-1", "1.5", "9" * 18])
def test_times_that_are_none_are_an_error(spelled: str) -> None:
    with pytest.raises(wire.WireError):
        at_ms(spelled, "updatedTime")


# Money


def asset(**changes: Any) -> wire.AccountAsset:
    made = {
        "account": {"id": account().address, "status": "NORMAL"},
        "collateralList": [{"coinId": "1000", "amount": "-81.943188"}],
        "positionList": [{"contractId": "30000001", "openSize": "0.001", "openValue": "97.4445"}],
    }
    return wire.convert({**made, **changes}, wire.AccountAsset)


def test_money_is_reckoned_from_primitives_where_the_venue_tells_no_more() -> None:
    found = asset()
    assert translate.held_contracts(found) == ["30000001"]
    prices = {"30000001": Decimal("97734.427")}
    summary = translate.account_summary(account(), found, catalog(), prices, at=NOW)
    assert summary.equity == Decimal("-81.943188") + Decimal("97.734427")
    (position,) = summary.positions
    assert position.entry_price == Decimal("97444.5")
    assert position.unrealized_pnl == Decimal("0.289927")
    # The contract's default leverage is 20.
    assert summary.initial_margin == Decimal("97.734427") / 20
    assert summary.available == summary.equity - summary.initial_margin
    assert summary.maintenance_margin == Decimal("97.734427") * Decimal("0.005")
    with pytest.raises(wire.WireError, match="expected a price"):
        translate.account_summary(account(), found, catalog(), {}, at=NOW)


def test_a_short_position_gains_when_the_price_falls() -> None:
    for value in ("-100", "100"):
        found = asset(
            positionList=[{"contractId": "30000001", "openSize": "-0.001", "openValue": value}]
        )
        prices = {"30000001": Decimal(90_000)}
        summary = translate.account_summary(account(), found, catalog(), prices, at=NOW)
        (position,) = summary.positions
        assert (position.quantity, position.notional) == (Decimal("0.001"), Decimal(90))
        assert (position.entry_price, position.unrealized_pnl) == (Decimal(100_000), Decimal(10))


def test_leverage_is_the_contracts_own_then_the_accounts_then_the_default() -> None:
    contract = catalog().find("BTC-PERP")

    def leverage(**fields: Any) -> int:
        row = wire.convert({"id": "1", **fields}, wire.AccountRow)
        return translate.leverage(row, contract).leverage

    own = {"30000001": {"isSetMaxLeverage": True, "maxLeverage": "7"}}
    general = {"isSetMaxLeverage": True, "maxLeverage": "5"}
    assert leverage() == 20
    assert leverage(defaultTradeSetting=general) == 5
    assert leverage(defaultTradeSetting=general, contractIdToTradeSetting=own) == 7
    blank = {"30000001": {"isSetMaxLeverage": False, "maxLeverage": ""}}
    assert leverage(contractIdToTradeSetting=blank) == 20


def test_fees_are_the_accounts_own_or_the_contracts() -> None:
    bare = wire.convert({"id": "1"}, wire.AccountRow)
    rates = translate.fee_rates(bare, catalog())
    assert (rates.maker, rates.taker) == (Decimal("0.00018"), Decimal("0.00038"))
    own = {"isSetFeeRate": True, "takerFeeRate": "0.0005", "makerFeeRate": "0.0002"}
    row = wire.convert({"id": "1", "defaultTradeSetting": own}, wire.AccountRow)
    assert translate.fee_rates(row, catalog()).taker == Decimal("0.0005")


def test_times_are_aware_and_exact() -> None:
    assert at_ms("1795000000100", "x") - at_ms("1795000000000", "x") == timedelta(milliseconds=100)
