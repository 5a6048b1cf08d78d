"""The fold: reports in any order and any number give one order, and an end stays an end."""

from __future__ import annotations

from decimal import Decimal
from functools import reduce
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.order_fold import apply, with_absence, with_closure, with_revision
from domain.orders import Closure, Order, OrderReport, OrderStatus, Verdict
from tests.domain.building import a_placed_order, a_report, a_revision, an_order, reports

TERMINAL = [verdict for verdict in Verdict if verdict.is_terminal]


def two_revisions() -> Order:
    return an_order(revisions=(a_revision(0), a_revision(1, 6)))


def fold(order: Order, history: list[OrderReport]) -> Order:
    return reduce(apply, history, order)


@given(st.data(), st.lists(reports(max_revision=1), max_size=8))
def test_any_permutation_and_repetition_of_a_history_gives_the_same_order(
    data: st.DataObject, history: list[OrderReport]
) -> None:
    repeats = data.draw(st.lists(st.sampled_from(history), max_size=5)) if history else []
    shuffled = data.draw(st.permutations([*history, *repeats]))
    assert fold(two_revisions(), shuffled) == fold(two_revisions(), history)


@given(st.lists(reports(max_revision=1), max_size=8))
def test_filled_quantity_never_shrinks_and_covers_every_report(history: list[OrderReport]) -> None:
    order = two_revisions()
    for report in history:
        after = apply(order, report)
        assert after.filled_quantity >= order.filled_quantity
        filled = after.revisions[report.revision].filled_quantity
        assert filled >= (report.filled_quantity or 0)
        order = after


@given(st.lists(reports(), max_size=8))
def test_a_terminal_order_never_becomes_live(history: list[OrderReport]) -> None:
    order = a_placed_order()
    ended = False
    for report in history:
        order = apply(order, report)
        assert order.is_terminal or not ended
        ended = order.is_terminal


@given(st.lists(reports(), max_size=8))
def test_the_verdict_only_rises(history: list[OrderReport]) -> None:
    order = a_placed_order()
    for report in history:
        after = apply(order, report)
        assert after.verdict is not None and order.verdict is not None
        assert after.verdict.rank >= order.verdict.rank
        order = after


@pytest.mark.parametrize(("first", "second"), list(product(TERMINAL, repeat=2)))
def test_two_terminal_reports_in_either_order_give_the_same_end(
    first: Verdict, second: Verdict
) -> None:
    one, other = a_report(first, reason="one"), a_report(second, reason="other")
    assert fold(a_placed_order(), [one, other]) == fold(a_placed_order(), [other, one])
    higher = max(first, second, key=lambda verdict: verdict.rank)
    assert fold(a_placed_order(), [one, other]).status is OrderStatus(higher.value)


def test_fills_after_a_cancel_still_count_and_all_of_them_make_it_filled() -> None:
    canceled = apply(a_placed_order(10), a_report(Verdict.CANCELED, 4))
    assert canceled.status is OrderStatus.CANCELED
    more = apply(canceled, a_report(Verdict.PARTIALLY_FILLED, 7))
    assert (more.status, more.filled_quantity) == (OrderStatus.CANCELED, Decimal(7))
    full = apply(more, a_report(Verdict.PARTIALLY_FILLED, 10))
    assert full.status is OrderStatus.FILLED


def test_the_average_price_belongs_to_the_greatest_cumulative_quantity() -> None:
    early = a_report(Verdict.PARTIALLY_FILLED, 4, average_price=Decimal(90))
    late = a_report(Verdict.PARTIALLY_FILLED, 6, average_price=Decimal(80))
    assert fold(a_placed_order(), [late, early]).average_price == Decimal(80)


def test_a_report_that_says_nothing_new_gives_the_same_object() -> None:
    order = apply(a_placed_order(), a_report(Verdict.ACCEPTED, 0))
    assert apply(order, a_report(Verdict.SUBMITTED)) is order


def test_a_report_of_a_revision_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError, match="has no revision 3"):
        apply(a_placed_order(), a_report(Verdict.FILLED, 10, revision=3))


def test_revisions_stay_in_order_and_are_added_once() -> None:
    order = with_revision(an_order(revisions=(a_revision(2),)), a_revision(1))
    assert [r.number for r in order.revisions] == [1, 2]
    assert with_revision(order, a_revision(1, quantity=99)) is order


def test_proofs_of_absence_agree_in_any_order() -> None:
    order = a_placed_order()
    one = with_absence(with_absence(order, 0, "a"), 0, "b")
    assert one == with_absence(with_absence(order, 0, "b"), 0, "a")
    assert one.revisions[0].is_settled and not one.is_terminal
    with pytest.raises(KeyError, match="has no revision 5"):
        with_absence(order, 5, "a")


def test_a_venue_report_outranks_a_proof_of_absence() -> None:
    absent = with_absence(a_placed_order(), 0, "silence")
    order = apply(absent, a_report(Verdict.ACCEPTED, 0))
    assert order.status is OrderStatus.ACCEPTED
    assert not order.revisions[0].is_settled


closures = st.builds(
    Closure,
    verdict=st.sampled_from(TERMINAL),
    reason=st.sampled_from(["x", "y"]),
    by_operator=st.booleans(),
)


@given(closures, closures)
def test_two_closures_in_either_order_give_the_same_end(one: Closure, other: Closure) -> None:
    order = a_placed_order()
    assert with_closure(with_closure(order, one), other) == with_closure(
        with_closure(order, other), one
    )


@given(closures, reports())
def test_a_venue_report_outranks_every_closure(closure: Closure, report: OrderReport) -> None:
    order = apply(with_closure(a_placed_order(), closure), report)
    said = apply(a_placed_order(), report)
    if said.verdict is Verdict.SUBMITTED:
        assert order.verdict is closure.verdict
    else:
        assert order.verdict is said.verdict
