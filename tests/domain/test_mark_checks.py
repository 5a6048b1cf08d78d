"""Which marks are believed: fresh ones, no lone spike, nothing from a crossed book."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from domain.mark_checks import Judge, MarkReading, Trust
from tests.domain.building import NOW, later


def reading(price: str | int, seconds: float = 0, **more: Any) -> MarkReading:
    values: dict[str, Any] = {name: Decimal(str(value)) for name, value in more.items()}
    return MarkReading(price=Decimal(str(price)), at=later(seconds), **values)


def judged(*readings: MarkReading) -> list[Trust]:
    """Judge readings each at its own time."""
    judge, found = Judge(), []
    for each in readings:
        judge, trust = judge.judged(each, each.at)
        found.append(trust)
    return found


def test_an_ordinary_mark_is_believed() -> None:
    assert judged(reading(100), reading(101, 1, index_price=100, bid=100, ask=101)) == [
        Trust.GOOD,
        Trust.GOOD,
    ]


@pytest.mark.parametrize("seconds", [5.1, 60, -5.1])
def test_a_stale_mark_or_one_of_the_future_is_not(seconds: float) -> None:
    judge, trust = Judge().judged(reading(100), later(seconds))

    assert trust is Trust.STALE
    assert judge == Judge()


@pytest.mark.parametrize(("bid", "ask"), [(101, 100), (100, 100)])
def test_a_crossed_book_is_never_believed(bid: int, ask: int) -> None:
    crossed = [reading(100, n, bid=bid, ask=ask) for n in range(4)]

    assert judged(*crossed) == [Trust.CROSSED] * 4


def test_no_price_is_no_price() -> None:
    assert judged(reading(0)) == [Trust.CROSSED]


def test_a_lone_spike_is_not_believed() -> None:
    assert judged(reading(100), reading(120, 1), reading(100, 2), reading(120, 3)) == [
        Trust.GOOD,
        Trust.SUSPECT,
        Trust.GOOD,
        Trust.SUSPECT,
    ]


def test_a_jump_is_believed_when_a_second_reading_agrees() -> None:
    assert judged(reading(100), reading(120, 1), reading(120, 1.2), reading(121, 1.6)) == [
        Trust.GOOD,
        Trust.SUSPECT,
        Trust.SUSPECT,
        Trust.GOOD,
    ]


def test_two_different_jumps_confirm_nothing() -> None:
    assert judged(reading(100), reading(120, 1), reading(140, 2), reading(120, 3)) == [
        Trust.GOOD,
        Trust.SUSPECT,
        Trust.SUSPECT,
        Trust.SUSPECT,
    ]


def test_a_second_reading_long_after_begins_anew() -> None:
    assert judged(reading(100), reading(120, 1), reading(120, 30), reading(120, 31)) == [
        Trust.GOOD,
        Trust.SUSPECT,
        Trust.SUSPECT,
        Trust.GOOD,
    ]


@pytest.mark.parametrize("more", [{"index_price": 90}, {"bid": 80, "ask": 81}])
def test_far_from_index_or_book_it_has_to_say_so_twice(more: dict[str, int]) -> None:
    assert judged(reading(100, **more), reading(100, 1, **more)) == [Trust.SUSPECT, Trust.GOOD]


def test_what_is_believed_is_kept() -> None:
    first = reading(100)
    judge, _ = Judge().judged(first, NOW)
    judge, _ = judge.judged(reading(150, 1), later(1))

    assert judge.believed == first
