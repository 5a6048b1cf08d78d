"""Our own budget: what is kept for cancels, and what a refusal of the venue's teaches."""

from __future__ import annotations

import pytest

from venues.rate_budget import Purpose, RateBudget


def taken(budget: RateBudget, purpose: Purpose, now: float = 0.0) -> int:
    count = 0
    while budget.take(purpose, now):
        count += 1
    return count


def test_each_purpose_reaches_deeper() -> None:
    budget = RateBudget(per_minute=100)
    assert taken(budget, Purpose.QUERY) == 70
    assert taken(budget, Purpose.COMMAND) == 20
    assert taken(budget, Purpose.CANCEL) == 10
    assert budget.wait_s(Purpose.CANCEL, 0.0) == pytest.approx(0.6)
    assert budget.wait_s(Purpose.QUERY, 0.0) == pytest.approx(18.6)
    assert budget.take(Purpose.CANCEL, 0.7)
    assert taken(budget, Purpose.QUERY, 61.0) == 70


def test_after_a_refusal_only_cancels_go_and_what_we_counted_on_is_gone() -> None:
    budget = RateBudget(per_minute=100)
    budget.refused(0.0, None)
    assert not budget.take(Purpose.QUERY, 1.9)
    assert not budget.take(Purpose.COMMAND, 1.9)
    assert taken(budget, Purpose.CANCEL, 1.9) >= 30
    budget = RateBudget(per_minute=100)
    budget.refused(0.0, 7.0)
    assert not budget.take(Purpose.COMMAND, 6.9)
    assert budget.take(Purpose.COMMAND, 7.1)
    budget.refused(7.1, 10_000.0)
    assert budget.wait_s(Purpose.COMMAND, 7.1) == pytest.approx(60.0)


def test_what_is_left_is_told_and_time_never_runs_back() -> None:
    budget = RateBudget(per_minute=60)
    budget.take(Purpose.QUERY, 10.0)
    left = budget.left(10.5)
    assert left.left == pytest.approx(59.5)
    assert (left.unit, left.capacity, left.per_s) == ("requests per minute", 60, 1.0)
    assert budget.left(9.0).left == pytest.approx(59.5)
