"""What news does to an order, and which news a workflow has to hear."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.commands import CommandKind
from domain.ledger import CommandRow
from domain.order_fold import apply, with_absence, with_closure
from domain.orders import Closure, Concern, Order, OrderStatus, Verdict
from domain.outcomes import Accepted, Acknowledged, NotSent, Outcome, Rejected, Unknown
from domain.settlement import (
    booked_report,
    find_revision,
    is_reopened,
    needs_hearing,
    settle,
    standing,
    told_of,
)
from tests.domain.building import NOW, a_placed_order, a_report, a_revision, a_row

PLACE = a_row()
OTHERS = [a_row(kind) for kind in CommandKind if kind is not CommandKind.PLACE]
REFUSED = Rejected(code="insufficient_margin", reason="no margin", proof="answer")


def test_an_accepted_placement_folds_its_report() -> None:
    order = a_placed_order()
    report = a_report(Verdict.PARTIALLY_FILLED, 4, venue_order_id="v1")
    assert settle(order, PLACE, Accepted(report=report)) == apply(order, report)


def test_an_accepted_placement_without_report_claims_no_venue_verdict() -> None:
    order = a_placed_order()
    assert settle(order, PLACE, Accepted()) is order


def test_a_rejected_placement_ends_the_order_with_the_venues_reason() -> None:
    settled = settle(a_placed_order(), PLACE, REFUSED)
    assert (settled.status, settled.reason) == (OrderStatus.REJECTED, "no margin")


def test_a_rejected_placement_takes_the_venues_record_where_there_is_one() -> None:
    report = a_report(Verdict.REJECTED, 0, reason="tick")
    settled = settle(a_placed_order(), PLACE, replace(REFUSED, report=report))
    assert (settled.status, settled.reason) == (OrderStatus.REJECTED, "tick")


def test_a_placement_that_was_not_sent_leaves_the_proof_of_absence() -> None:
    order = a_placed_order()
    absent = NotSent(reason="late", proof="send_by passed")
    settled = settle(order, PLACE, absent)
    assert settled == with_absence(order, 0, "send_by passed")
    assert settle(settled, PLACE, absent) is settled
    assert not settled.is_terminal


@pytest.mark.parametrize("outcome", [Unknown(reason="?"), Acknowledged(venue_order_id="v1")])
@pytest.mark.parametrize("row", [PLACE, *OTHERS])
def test_what_is_undecided_says_nothing(row: CommandRow, outcome: Outcome) -> None:
    order = a_placed_order()
    assert settle(order, row, outcome) is order


@pytest.mark.parametrize("row", OTHERS)
@pytest.mark.parametrize("outcome", [Accepted(), REFUSED, NotSent(reason="late", proof="p")])
def test_other_commands_say_nothing_without_a_report(row: CommandRow, outcome: Outcome) -> None:
    order = a_placed_order()
    assert settle(order, row, outcome) is order


@pytest.mark.parametrize("row", OTHERS)
def test_other_commands_fold_the_report_in_their_outcome(row: CommandRow) -> None:
    order = a_placed_order()
    report = a_report(Verdict.CANCELED, 3)
    for outcome in (Accepted(report=report), replace(REFUSED, report=report)):
        assert settle(order, row, outcome) == apply(order, report)


@pytest.mark.parametrize(
    "outcome",
    [Accepted(report=a_report(Verdict.ACCEPTED, revision=7)), NotSent(reason="l", proof="p")],
)
def test_a_revision_that_is_not_there_is_an_error(outcome: Outcome) -> None:
    with pytest.raises(KeyError, match="no revision 7"):
        settle(a_placed_order(), replace(PLACE, target_revision=7), outcome)


def test_a_workflow_hears_of_quantities_and_ends_only() -> None:
    order = a_placed_order()
    accepted = apply(order, a_report(Verdict.ACCEPTED, venue_order_id="v1"))
    partly = apply(accepted, a_report(Verdict.PARTIALLY_FILLED, 4))
    canceled = apply(partly, a_report(Verdict.CANCELED))
    more = apply(canceled, a_report(Verdict.CANCELED, 5))
    assert not needs_hearing(order, accepted)
    assert needs_hearing(accepted, partly)
    assert needs_hearing(partly, canceled)
    assert not needs_hearing(canceled, canceled)
    assert needs_hearing(canceled, more)


CLOSED = with_closure(a_placed_order(), Closure(verdict=Verdict.EXPIRED, reason="not_sent"))


@pytest.mark.parametrize(
    ("before", "verdict", "filled", "reopened"),
    [
        (a_placed_order(), Verdict.ACCEPTED, None, False),
        (CLOSED, Verdict.ACCEPTED, None, True),
        (CLOSED, Verdict.EXPIRED, None, False),
        (CLOSED, Verdict.EXPIRED, 1, True),
        (CLOSED, Verdict.FILLED, 10, True),
        (with_absence(a_placed_order(), 0, "proof"), Verdict.ACCEPTED, None, True),
        (with_absence(a_placed_order(), 0, "proof"), Verdict.REJECTED, None, False),
        (replace(a_placed_order(), denied="limit"), Verdict.ACCEPTED, None, True),
        (replace(a_placed_order(), concern=Concern.UNKNOWN), Verdict.ACCEPTED, None, False),
    ],
)
def test_a_venues_contradiction_reopens_the_order(
    before: Order, verdict: Verdict, filled: int | None, reopened: bool
) -> None:
    after = apply(before, a_report(verdict, filled))
    assert is_reopened(before, after) is reopened
    assert not reopened or needs_hearing(before, after)


def test_a_report_after_the_venue_has_spoken_reopens_nothing() -> None:
    canceled = apply(CLOSED, a_report(Verdict.CANCELED))
    assert not is_reopened(canceled, apply(canceled, a_report(Verdict.CANCELED, 2)))


def test_a_workflow_hears_what_was_unknown_as_soon_as_the_venue_has_told_it() -> None:
    unknown = replace(a_placed_order(), concern=Concern.UNKNOWN)
    accepted = apply(unknown, a_report(Verdict.ACCEPTED))
    assert needs_hearing(unknown, accepted)
    assert not needs_hearing(accepted, accepted)
    assert not needs_hearing(unknown, unknown)


def test_what_was_told_of_a_revision_is_one_report_that_says_nothing_new() -> None:
    assert told_of(a_placed_order(), 0) is None
    order = apply(a_placed_order(), a_report(Verdict.PARTIALLY_FILLED, 4))
    told = told_of(order, 0)
    assert told is not None
    assert (told.verdict, told.filled_quantity) == (Verdict.PARTIALLY_FILLED, Decimal(4))
    assert apply(order, told) == order
    with pytest.raises(KeyError):
        told_of(order, 7)


def test_fills_alone_tell_that_there_is_an_order() -> None:
    filled = apply(a_placed_order(), a_report(Verdict.SUBMITTED, 4))
    told = told_of(filled, 0)
    assert told is not None and told.verdict is Verdict.PARTIALLY_FILLED


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), max_size=8).flatmap(
        lambda pairs: st.tuples(st.just(pairs), st.permutations(pairs))
    )
)
def test_booked_fills_add_up_the_same_in_any_order(
    both: tuple[list[tuple[int, int]], list[tuple[int, int]]],
) -> None:
    left, right = (
        booked_report(
            "o",
            0,
            [(Decimal(q).scaleb(-4), Decimal(p).scaleb(-2)) for q, p in pairs],
            venue_order_id="v1",
            event_time=NOW,
        )
        for pairs in both
    )
    assert left == right
    assert left.filled_quantity == sum((Decimal(q).scaleb(-4) for q, _ in both[0]), Decimal(0))
    assert (left.average_price is None) == (not both[0])
    assert left.verdict is (Verdict.PARTIALLY_FILLED if both[0] else Verdict.SUBMITTED)


def test_booked_fills_of_the_whole_quantity_fill_the_order() -> None:
    report = booked_report(
        a_placed_order().order_id,
        0,
        [(Decimal(4), Decimal(100)), (Decimal(6), Decimal(90))],
        venue_order_id="v1",
        event_time=NOW,
    )
    order = apply(a_placed_order(), report)
    assert order.status is OrderStatus.FILLED
    assert order.average_price == Decimal(94)


def test_the_standing_report_says_all_that_is_known() -> None:
    order = apply(a_placed_order(), a_report(Verdict.PARTIALLY_FILLED, 4, venue_order_id="v1"))
    order = apply(order, a_report(Verdict.CANCELED, None, reason="by us"))
    late = a_report(Verdict.ACCEPTED, None, source="feed", event_time=NOW)
    told = standing(order, late)
    assert (told.verdict, told.filled_quantity, told.venue_order_id, told.reason) == (
        Verdict.CANCELED,
        Decimal(4),
        "v1",
        "by us",
    )
    assert (told.source, told.event_time) == ("feed", NOW)
    assert apply(order, told) is order


def test_revisions_are_found_by_number() -> None:
    order = a_placed_order()
    assert find_revision(order, 0) == a_revision()
    with pytest.raises(KeyError, match="no revision 1"):
        find_revision(order, 1)
