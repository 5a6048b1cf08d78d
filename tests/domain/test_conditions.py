"""Conditions: which price closes, from which side, and which cannot be taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounts import PositionSide
from domain.conditions import (
    ConditionKind,
    Conditions,
    Crossing,
    Direction,
    HeldPosition,
    Trail,
    better,
    check_form,
    described,
    evaluate,
    is_due,
    settled,
    thresholds,
    validate,
)
from domain.errors import InvalidInput
from tests.domain.building import NOW

MARK = Decimal(100)
LONG = HeldPosition(
    side=PositionSide.LONG, quantity=Decimal(2), entry_price=MARK, leverage=Decimal(10)
)
SHORT = replace(LONG, side=PositionSide.SHORT)


def d(text: str) -> Decimal:
    return Decimal(text)


def met(
    conditions: Conditions, position: HeldPosition, mark: str, extreme: str | None = None
) -> ConditionKind | None:
    crossing = evaluate(
        conditions,
        position,
        d(mark),
        extreme=None if extreme is None else d(extreme),
        at=NOW,
        source="test",
    )
    return None if crossing is None else crossing.kind


@pytest.mark.parametrize(
    ("conditions", "position", "just_not", "just"),
    [
        (Conditions(profit_percent=d("10")), LONG, "109.99", "110"),
        (Conditions(profit_percent=d("10")), SHORT, "90.01", "90"),
        (Conditions(loss_percent=d("5")), LONG, "95.01", "95"),
        (Conditions(loss_percent=d("5")), SHORT, "104.99", "105"),
        (Conditions(profit_percent=d("10"), of_margin=True), LONG, "100.99", "101"),
        (Conditions(loss_percent=d("50"), of_margin=True), SHORT, "104.9", "105"),
        (Conditions(price=d("120"), direction=Direction.ABOVE), LONG, "119.9", "120"),
        (Conditions(price=d("80"), direction=Direction.BELOW), LONG, "80.1", "80"),
        (Conditions(price=d("80"), direction=Direction.BELOW), SHORT, "80.1", "80"),
    ],
)
def test_the_level_that_triggers(
    conditions: Conditions, position: HeldPosition, just_not: str, just: str
) -> None:
    assert met(conditions, position, just_not) is None
    assert met(conditions, position, just) is not None


@pytest.mark.parametrize(
    ("trail", "position", "extreme", "just_not", "just"),
    [
        (Trail(percent=d("2")), LONG, "110", "107.81", "107.8"),
        (Trail(percent=d("2")), SHORT, "90", "91.79", "91.8"),
        (Trail(amount=d("3")), LONG, "110", "107.1", "107"),
        (Trail(amount=d("3")), SHORT, "90", "92.9", "93"),
    ],
)
def test_a_trailing_stop(
    trail: Trail, position: HeldPosition, extreme: str, just_not: str, just: str
) -> None:
    conditions = Conditions(trail=trail)

    assert met(conditions, position, just_not, extreme) is None
    assert met(conditions, position, just, extreme) is ConditionKind.TRAIL


def test_a_mark_that_is_the_best_itself_moves_the_stop_along() -> None:
    crossing = evaluate(
        Conditions(trail=Trail(percent=d("1"))), LONG, d("120"), extreme=MARK, at=NOW, source="t"
    )
    assert crossing is None


def test_the_first_that_is_met_wins_and_says_so() -> None:
    conditions = Conditions(
        profit_percent=d("10"), loss_percent=d("5"), trail=Trail(percent=d("50"))
    )
    assert met(conditions, LONG, "94", "100") is ConditionKind.LOSS
    assert met(conditions, LONG, "111", "100") is ConditionKind.PROFIT
    crossing = evaluate(conditions, LONG, d("111"), extreme=MARK, at=NOW, source="stream")
    assert crossing is not None
    assert crossing.extreme == 111
    assert str(crossing) == f"profit: mark 111 reached 110 at {NOW.isoformat()} (stream)"
    assert str(Crossing(kind=ConditionKind.TIME, at=NOW, source="clock")).startswith("time at")


def test_a_time_is_due_from_then_on() -> None:
    conditions = Conditions(at=NOW)

    assert not is_due(conditions, NOW - timedelta(microseconds=1))
    assert is_due(conditions, NOW)
    assert not is_due(Conditions(), NOW)


@pytest.mark.parametrize(
    ("price", "direction"), [("110", Direction.ABOVE), ("90", Direction.BELOW)]
)
def test_a_price_is_waited_for_from_where_the_mark_is(price: str, direction: Direction) -> None:
    assert settled(Conditions(price=d(price)), MARK).direction is direction


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({}, "conditions"),
        ({"profit_percent": d("0")}, "profit_percent"),
        ({"profit_percent": d("-1")}, "profit_percent"),
        ({"loss_percent": d("NaN")}, "loss_percent"),
        ({"loss_percent": d("Infinity")}, "loss_percent"),
        ({"price": d("0")}, "price"),
        ({"trail": Trail()}, "trail"),
        ({"trail": Trail(percent=d("1"), amount=d("1"))}, "trail"),
        ({"trail": Trail(percent=d("100"))}, "trail_percent"),
        ({"trail": Trail(amount=d("-1"))}, "trail_amount"),
        ({"at": NOW}, "at"),
        ({"at": NOW - timedelta(days=1)}, "at"),
        ({"direction": Direction.ABOVE, "at": NOW + timedelta(days=1)}, "direction"),
        ({"of_margin": True, "price": MARK}, "of_margin"),
    ],
)
def test_what_is_wrong_whatever_the_price(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_form(Conditions(**wrong), NOW)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("wrong", "position", "field", "words"),
    [
        ({"price": MARK}, LONG, "price", "true already"),
        ({"price": d("110"), "direction": Direction.BELOW}, LONG, "price", "true already"),
        ({"profit_percent": d("1")}, replace(LONG, entry_price=d("90")), "profit_percent", "100"),
        ({"loss_percent": d("1")}, replace(SHORT, entry_price=d("90")), "loss_percent", "already"),
        ({"trail": Trail(amount=d("100"))}, LONG, "trail_amount", "wider than the price"),
        ({"loss_percent": d("100")}, LONG, "loss_percent", "no price is so low"),
        ({"profit_percent": d("100")}, SHORT, "profit_percent", "no price is so low"),
        ({"profit_percent": d("10"), "price": d("120")}, LONG, "price", "contradict"),
        ({"profit_percent": d("30"), "price": d("120")}, LONG, "profit_percent", "contradict"),
        ({"loss_percent": d("5"), "price": d("95")}, LONG, "loss_percent", "contradict"),
    ],
)
def test_what_does_not_suit_position_and_price(
    wrong: dict[str, Any], position: HeldPosition, field: str, words: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        validate(Conditions(**wrong), position, MARK, NOW)
    assert refused.value.field == field
    assert words in str(refused.value)


def test_all_of_them_together() -> None:
    asked = Conditions(
        profit_percent=d("20"),
        loss_percent=d("5"),
        price=d("96"),
        trail=Trail(percent=d("3")),
        at=NOW + timedelta(hours=1),
    )
    with pytest.raises(InvalidInput, match=r"loss.*can never close.*price"):
        validate(asked, LONG, MARK, NOW)
    taken = validate(replace(asked, loss_percent=None), LONG, MARK, NOW)
    assert taken.direction is Direction.BELOW
    assert len(thresholds(taken, LONG, MARK)) == 3


def test_they_are_described() -> None:
    assert (
        described(
            Conditions(
                profit_percent=d("10"),
                loss_percent=d("5"),
                price=d("120"),
                direction=Direction.ABOVE,
                trail=Trail(percent=d("1.50")),
                at=NOW,
                of_margin=True,
            )
        )
        == "profit 10 % of margin or loss 5 % of margin or price 120 from below or trail 1.5 % "
        f"or at {NOW.isoformat()}"
    )
    assert described(Conditions(price=d("1"), direction=Direction.BELOW)) == "price 1 from above"
    assert described(Conditions(trail=Trail(amount=d("7")))) == "trail 7"


def test_the_better_of_two_marks() -> None:
    assert better(LONG, d("1"), d("2")) == 2
    assert better(SHORT, d("1"), d("2")) == 1
    assert better(LONG, None, d("2")) == 2
    assert better(LONG, None, None) is None


@given(
    profit=st.decimals("0.01", "90", places=2),
    loss=st.decimals("0.01", "90", places=2),
    trail=st.decimals("0.01", "99", places=2),
    marks=st.lists(st.decimals("1", "1000", places=2), min_size=1, max_size=20),
    side=st.sampled_from([PositionSide.LONG, PositionSide.SHORT]),
)
def test_what_is_taken_never_holds_at_once_and_what_closes_is_really_met(
    profit: Decimal, loss: Decimal, trail: Decimal, marks: list[Decimal], side: PositionSide
) -> None:
    position = replace(LONG, side=side)
    asked = Conditions(profit_percent=profit, loss_percent=loss, trail=Trail(percent=trail))
    taken = validate(asked, position, MARK, NOW)
    assert evaluate(taken, position, MARK, extreme=MARK, at=NOW, source="t") is None
    extreme: Decimal | None = MARK
    for mark in marks:
        crossing = evaluate(taken, position, mark, extreme=extreme, at=NOW, source="t")
        extreme = better(position, extreme, mark)
        levels = {each.kind: each for each in thresholds(taken, position, extreme)}
        assert (crossing is None) == (not any(each.is_met(mark) for each in levels.values()))
        if crossing is not None:
            assert levels[crossing.kind].is_met(mark)
