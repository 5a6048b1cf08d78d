"""The status derived from venue verdicts and our own concern, over one and several revisions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from domain.orders import (
    Closure,
    Concern,
    Order,
    OrderStatus,
    OrderType,
    Verdict,
)
from tests.domain.building import a_revision, an_order


def of(*revisions: Any, **changes: Any) -> Order:
    return an_order(revisions=tuple(revisions), **changes)


def test_the_ranking_of_verdicts_is_the_declared_one() -> None:
    ranked = sorted(Verdict, key=lambda verdict: verdict.rank)
    assert [v.value for v in ranked] == [
        "SUBMITTED",
        "ACCEPTED",
        "TRIGGERED",
        "PARTIALLY_FILLED",
        "EXPIRED",
        "CANCELED",
        "REJECTED",
        "FILLED",
    ]
    assert [v for v in ranked if v.is_terminal] == ranked[4:]


def test_before_the_ledger_an_order_is_pending() -> None:
    order = an_order()
    assert (order.status, order.outcome) == (OrderStatus.PENDING, "pending")
    assert order.verdict is None and order.current is None and order.reason is None
    assert order.client_order_id is None and order.venue_order_id is None
    assert order.average_price is None and order.remaining_quantity == Decimal(10)


def test_a_denied_order_has_ended_with_our_reason() -> None:
    order = an_order(denied="halted")
    assert (order.status, order.outcome, order.reason) == (
        OrderStatus.DENIED,
        "rejected",
        "halted",
    )
    assert order.is_terminal


def test_an_order_closed_unsent_was_not_sent() -> None:
    closure = Closure(verdict=Verdict.EXPIRED, reason="not_sent")
    order = an_order(closure=closure)
    assert (order.status, order.outcome, order.reason) == (
        OrderStatus.EXPIRED,
        "not_sent",
        "not_sent",
    )


def test_an_operators_closure_of_an_unproven_revision_stays_unknown_in_its_outcome() -> None:
    closure = Closure(verdict=Verdict.EXPIRED, reason="operator", by_operator=True)
    assert of(a_revision(), closure=closure).outcome == "unknown"
    assert of(a_revision(absent="proof"), closure=closure).outcome == "not_sent"


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        (Verdict.SUBMITTED, "pending"),
        (Verdict.REJECTED, "rejected"),
        *[
            (v, "accepted")
            for v in Verdict
            if v not in (Verdict.SUBMITTED, Verdict.REJECTED, Verdict.FILLED)
        ],
    ],
)
def test_the_outcome_follows_the_verdict(verdict: Verdict, outcome: str) -> None:
    order = of(a_revision(verdict=verdict, reason="why"))
    assert order.outcome == outcome
    assert order.status.value == verdict.value
    assert order.reason == (None if verdict is Verdict.SUBMITTED else "why")


@pytest.mark.parametrize("concern", [Concern.PENDING_CANCEL, Concern.PENDING_MODIFY])
def test_a_concern_shows_while_the_order_lives_and_not_after(concern: Concern) -> None:
    live = of(a_revision(verdict=Verdict.ACCEPTED), concern=concern)
    assert live.status.value == concern.value
    ended = of(a_revision(verdict=Verdict.EXPIRED), concern=concern)
    assert ended.status is OrderStatus.EXPIRED


def test_an_unknown_order_says_so() -> None:
    order = of(a_revision(), concern=Concern.UNKNOWN)
    assert (order.status, order.outcome) == (OrderStatus.UNKNOWN, "unknown")


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("filled", [0, 4])
def test_what_the_venue_has_told_of_is_not_unknown(verdict: Verdict, filled: int) -> None:
    told = a_revision(verdict=verdict, filled_quantity=Decimal(filled))
    order = of(told, concern=Concern.UNKNOWN)
    is_told = told.effective is not Verdict.SUBMITTED
    assert (order.status is OrderStatus.UNKNOWN) is not is_told
    assert (order.outcome == "unknown") is not is_told
    if is_told:
        assert order.status.value == told.effective.value


def test_an_order_whose_replacement_nobody_has_heard_of_is_unknown() -> None:
    old = a_revision(verdict=Verdict.CANCELED)
    unheard = of(old, a_revision(1), concern=Concern.UNKNOWN)
    assert (unheard.status, unheard.outcome) == (OrderStatus.UNKNOWN, "accepted")
    told = of(old, a_revision(1, verdict=Verdict.ACCEPTED), concern=Concern.UNKNOWN)
    assert (told.status, told.outcome) == (OrderStatus.ACCEPTED, "accepted")


def test_a_cancel_on_the_way_to_a_replacement_does_not_end_the_order() -> None:
    order = of(a_revision(verdict=Verdict.CANCELED), concern=Concern.PENDING_MODIFY)
    assert order.status is OrderStatus.PENDING_MODIFY
    closed = of(
        a_revision(verdict=Verdict.CANCELED),
        concern=Concern.PENDING_MODIFY,
        closure=Closure(verdict=Verdict.CANCELED, reason="replace_refused: late"),
    )
    assert closed.status is OrderStatus.CANCELED
    assert closed.reason == "replace_refused: late"


@pytest.mark.parametrize("reason", [None, "margin"])
def test_a_refused_replacement_leaves_the_order_canceled(reason: str | None) -> None:
    order = of(
        a_revision(0, verdict=Verdict.CANCELED, filled_quantity=Decimal(4)),
        a_revision(1, 6, verdict=Verdict.REJECTED, reason=reason),
    )
    assert order.status is OrderStatus.CANCELED
    assert order.reason == ("replace_refused" if reason is None else "replace_refused: margin")
    assert order.filled_quantity == Decimal(4)


def test_an_old_revision_never_ends_an_order_whose_newer_one_lives() -> None:
    order = of(
        a_revision(0, verdict=Verdict.CANCELED),
        a_revision(1, verdict=Verdict.ACCEPTED),
    )
    assert order.status is OrderStatus.ACCEPTED


def test_fills_of_all_revisions_add_up_and_fill_the_order() -> None:
    order = of(
        a_revision(
            0, verdict=Verdict.CANCELED, filled_quantity=Decimal(4), average_price=Decimal(100)
        ),
        a_revision(
            1,
            6,
            verdict=Verdict.ACCEPTED,
            filled_quantity=Decimal(1),
            average_price=Decimal(105),
            venue_order_id="v2",
        ),
    )
    assert order.filled_quantity == Decimal(5)
    assert order.remaining_quantity == Decimal(5)
    assert order.average_price == Decimal(101)
    assert order.status is OrderStatus.PARTIALLY_FILLED
    assert (order.client_order_id, order.venue_order_id) == ("c1", "v2")


def test_a_revision_that_never_filled_does_not_hide_the_average_price() -> None:
    order = of(
        a_revision(0, absent="no connection"),
        a_revision(
            1,
            verdict=Verdict.PARTIALLY_FILLED,
            filled_quantity=Decimal(3),
            average_price=Decimal(101),
        ),
    )
    assert order.average_price == Decimal(101)


def test_a_newer_resting_revision_of_a_partly_filled_order_shows_the_fills() -> None:
    order = of(
        a_revision(0, verdict=Verdict.CANCELED, filled_quantity=Decimal(4)),
        a_revision(1, 6, verdict=Verdict.ACCEPTED),
    )
    assert order.status is OrderStatus.PARTIALLY_FILLED
    assert order.average_price is None


def test_more_filled_than_asked_is_filled_and_nothing_remains() -> None:
    order = of(a_revision(filled_quantity=Decimal(12), verdict=Verdict.CANCELED))
    assert order.status is OrderStatus.FILLED
    assert order.remaining_quantity == 0


def test_statuses_and_types_know_their_kind() -> None:
    assert {s.value for s in OrderStatus if s.is_terminal} == {
        "DENIED",
        "EXPIRED",
        "CANCELED",
        "REJECTED",
        "FILLED",
    }
    assert [t for t in OrderType if not t.is_trigger] == [OrderType.LIMIT, OrderType.MARKET]
    assert {t.value for t in OrderType if t.is_market} == {
        "MARKET",
        "STOP_MARKET",
        "TAKE_PROFIT_MARKET",
    }
