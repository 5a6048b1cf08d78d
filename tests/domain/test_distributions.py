from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.distributions import Distribution

BOUNDS = (0.1, 1.0, 10.0)


def test_values_are_counted_up_to_each_bound() -> None:
    seen = Distribution(BOUNDS)
    for value in (0.05, 0.1, 0.5, 10.0, 11.0):
        seen.add(value)
    assert seen.up_to() == [("0.1", 2), ("1.0", 3), ("10.0", 4), ("+Inf", 5)]
    assert seen.total == pytest.approx(21.65)


def test_a_clock_that_runs_ahead_takes_nothing_away() -> None:
    seen = Distribution(BOUNDS)
    seen.add(-5.0)
    assert (seen.count, seen.total) == (1, 0.0)
    assert seen.up_to()[0] == ("0.1", 1)


@given(st.lists(st.floats(min_value=0, max_value=100)))
def test_it_agrees_with_counting_again(values: list[float]) -> None:
    seen = Distribution(BOUNDS)
    for value in values:
        seen.add(value)
    assert seen.up_to() == [
        (text, sum(value <= float(text) for value in values))
        for text in (*map(str, BOUNDS), "+Inf")
    ]
    assert seen.count == len(values)


@pytest.mark.parametrize("bounds", [(), (1.0, 1.0), (2.0, 1.0)])
def test_bounds_must_rise(bounds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="rise"):
        Distribution(bounds)
