"""Modifies that were kept: begun in their time, refused, and told, path by path."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest

from domain import lifecycle
from domain.commands import CommandKind
from domain.keeping import TOO_LATE, begin_by, begin_kept, is_too_late, keep, to_tell, told
from domain.kept_modifies import KeptModify
from domain.ledger import CommandKey
from domain.lifecycle import ANSWERS_KEPT, Lifecycle, Replacement, find_request
from domain.orders import Order, Verdict
from tests.domain.building import NOW, ORDER_ID, a_revision, an_order, later


def resting(filled: int = 0, verdict: Verdict = Verdict.ACCEPTED) -> Order:
    revision = a_revision(verdict=verdict, filled_quantity=Decimal(filled))
    return an_order(revisions=(revision,))


def a_modify(
    request_id: str = "m1",
    quantity: int | None = 5,
    price: int | None = 99,
    until: datetime | None = None,
) -> KeptModify:
    return KeptModify(
        request_id=request_id,
        quantity=None if quantity is None else Decimal(quantity),
        price=None if price is None else Decimal(price),
        begin_by=until or later(10),
    )


def kept(*modifies: KeptModify, order: Order | None = None) -> Lifecycle:
    life = Lifecycle(order=order or resting())
    for modify in modifies or (a_modify(),):
        life = keep(life, modify)
    return life


def answers(life: Lifecycle) -> list[tuple[str, str | None]]:
    return [(record.request_id, record.refusal) for record in to_tell(life)]


def test_in_its_time_it_is_begun_and_has_the_time_it_was_given() -> None:
    life = begin_kept(kept(), NOW, placed=True)
    assert life.replacement == Replacement(
        request_id="m1", quantity=Decimal(5), price=Decimal(99), place_by=later(10)
    )
    assert life.kept == ()
    assert to_tell(life) == (), "its end is not known"
    assert begin_kept(life, NOW, placed=True) == life


def test_what_it_does_not_name_stays() -> None:
    life = begin_kept(kept(a_modify(quantity=None, price=None)), NOW, placed=True)
    assert life.replacement is not None
    assert (life.replacement.quantity, life.replacement.price) == (Decimal(10), Decimal(100))


def test_past_its_time_it_is_refused() -> None:
    life = begin_kept(kept(), later(10), placed=True)
    assert life.replacement is None
    assert answers(life) == [("m1", TOO_LATE)]


IN_DOUBT = (CommandKey(order_id=ORDER_ID, command=CommandKind.PLACE, revision=0),)


@pytest.mark.parametrize("placed", [True, False])
def test_it_waits_while_the_order_is_not_placed_or_in_doubt(placed: bool) -> None:
    life = replace(kept(), unresolved=IN_DOUBT if placed else ())
    assert begin_kept(life, NOW, placed=placed) == life
    late = begin_kept(life, later(10), placed=placed)
    assert answers(late) == [("m1", TOO_LATE)], "but not for ever"


def test_one_after_the_other() -> None:
    life = begin_kept(kept(a_modify(), a_modify("m2", 6)), NOW, placed=True)
    assert [each.request_id for each in life.kept] == ["m2"]
    assert begin_kept(life, NOW, placed=True) == life
    first_done = lifecycle.answered(replace(life, replacement=None), "m1", None)
    second = begin_kept(first_done, NOW, placed=True)
    assert second.replacement is not None
    assert second.replacement.request_id == "m2"
    assert answers(second) == [("m1", None)]


def test_what_cannot_be_is_refused_and_the_next_begun() -> None:
    life = begin_kept(
        kept(a_modify(quantity=3), a_modify("m2"), order=resting(4)), NOW, placed=True
    )
    assert life.replacement is not None
    assert life.replacement.request_id == "m2"
    [(request_id, refusal)] = answers(life)
    assert request_id == "m1"
    assert refusal is not None and "not above what has been filled" in refusal


def test_asked_again_it_has_the_later_time_and_is_one() -> None:
    life = keep(kept(a_modify(until=later(1))), a_modify(until=later(20)))
    assert len(life.kept) == len(life.requests) == len(life.untold) == 1
    assert begin_kept(life, later(2), placed=True).replacement is not None


def test_one_that_was_heard_as_well_goes_on_and_its_end_is_told() -> None:
    life = lifecycle.request(Lifecycle(order=resting()), "m1", "modify")
    under_way = replace(kept(), kept=(), untold=(), requests=life.requests)
    again = keep(under_way, a_modify())
    assert again.kept == ()
    assert to_tell(again) == ()
    assert answers(lifecycle.answered(again, "m1", None)) == [("m1", None)]


def test_of_an_order_that_ended_it_is_answered_by_the_end() -> None:
    life = lifecycle.after_report(kept(), resting(10, Verdict.FILLED))
    life = begin_kept(life, NOW, placed=True)
    assert life.kept == ()
    assert answers(life) == [("m1", "the order is FILLED")]
    assert begin_kept(keep(life, a_modify("m2")), NOW, placed=True).kept == (), "nor afterwards"


def test_a_cancel_comes_first_also_before_the_telling() -> None:
    life = begin_kept(lifecycle.want_cancel(kept()), NOW, placed=True)
    record = find_request(life, "m1")
    assert record is not None
    assert record.refusal == "the order is being canceled"
    assert to_tell(life) == ()
    ended = lifecycle.after_report(life, resting(0, Verdict.CANCELED))
    assert answers(ended) == [("m1", "the order is being canceled")]


def test_what_was_told_is_not_told_again() -> None:
    life = begin_kept(kept(), later(10), placed=True)
    assert told(life, ()) == life
    assert to_tell(told(life, {"m1"})) == ()


def test_an_answer_that_is_dropped_holds_nothing_up() -> None:
    """Only the newest answers are kept."""
    life = begin_kept(kept(), later(10), placed=True)
    for number in range(ANSWERS_KEPT + 1):
        life = lifecycle.request(life, f"c{number}", "cancel")
        life = lifecycle.answered(life, f"c{number}", None)
    assert find_request(life, "m1") is None
    assert to_tell(life) == ()
    assert begin_kept(replace(life, kept=(a_modify(),)), NOW, placed=True).kept == ()


def test_it_has_as_long_as_the_order_had() -> None:
    order = resting()
    assert begin_by(order, later(100)) == later(115)
    assert not is_too_late(order, NOW, later(14))
    assert is_too_late(order, NOW, later(15))
    assert not is_too_late(order, None, later(1000)), "asked by one that does not say when"
