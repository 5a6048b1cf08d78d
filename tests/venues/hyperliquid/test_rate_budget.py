"""The budget refills steadily, keeps room for cancels, and remembers refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venues.connections import ConnectionBudget
from venues.hyperliquid.rate_budget import (
    Purpose,
    RateBudget,
    exchange_weight,
    info_weight,
    rows_weight,
)


@pytest.mark.parametrize(
    ("kind", "weight"),
    [("l2Book", 2), ("orderStatus", 2), ("clearinghouseState", 2), ("userRole", 60), ("meta", 20)],
)
def test_weights_of_questions(kind: str, weight: int) -> None:
    assert info_weight(kind) == weight


def test_weights_of_rows_and_actions() -> None:
    assert rows_weight("userFillsByTime", 2000) == 100
    assert rows_weight("candleSnapshot", 5000) == 83
    assert rows_weight("frontendOpenOrders", 2000) == 0
    assert [exchange_weight(items) for items in (1, 39, 40, 200)] == [1, 1, 2, 6]


def test_purposes_reach_differently_deep() -> None:
    budget = RateBudget()
    assert budget.take(1000, Purpose.QUERY, 0.0)
    assert not budget.take(1, Purpose.QUERY, 0.0)
    assert budget.take(120, Purpose.COMMAND, 0.0)
    assert not budget.take(1, Purpose.COMMAND, 0.0)
    assert budget.take(80, Purpose.CANCEL, 0.0)
    assert not budget.take(1, Purpose.CANCEL, 0.0)
    assert budget.wait_s(1, Purpose.CANCEL, 0.0) == pytest.approx(0.05)
    assert budget.take(1, Purpose.CANCEL, 0.06)
    assert budget.wait_s(20, Purpose.QUERY, 0.06) == pytest.approx(11.0, abs=0.1)


def test_rows_may_push_it_below_zero_and_it_never_overfills() -> None:
    budget = RateBudget()
    budget.charge(1300, 0.0)
    assert not budget.take(1, Purpose.CANCEL, 1.0)
    assert budget.take(1, Purpose.CANCEL, 6.0)
    assert budget.take(1000, Purpose.QUERY, 10_000.0)
    assert not budget.take(1000, Purpose.QUERY, 10_000.0)


def test_time_never_runs_backwards() -> None:
    budget = RateBudget()
    budget.charge(1200, 100.0)
    assert not budget.take(1, Purpose.CANCEL, 50.0)
    assert not budget.take(1, Purpose.CANCEL, 100.0)


def test_refusal_leaves_room_for_cancels_only() -> None:
    budget = RateBudget()
    budget.refused(0.0, None)
    assert not budget.take(1, Purpose.COMMAND, 4.9)
    assert not budget.take(1, Purpose.QUERY, 4.9)
    assert budget.take(1, Purpose.CANCEL, 0.0)
    assert budget.take(1, Purpose.COMMAND, 5.0)
    budget.refused(10.0, 30.0)
    budget.refused(10.0, None)
    assert budget.wait_s(1, Purpose.QUERY, 10.0) == 30.0


def test_account_pause_ends_and_is_forgotten() -> None:
    budget = RateBudget()
    assert not budget.account_is_paused("a", 0.0)
    budget.account_refused("a", 0.0)
    assert budget.account_is_paused("a", 11.0)
    assert not budget.account_is_paused("b", 11.0)
    assert not budget.account_is_paused("a", 12.0)
    budget.account_refused("b", 20.0)
    assert set(budget._paused) == {"b"}


@given(st.lists(st.tuples(st.integers(1, 100), st.floats(0, 5)), max_size=200))
def test_no_minute_ever_spends_more_than_two_minutes_worth(
    asks: list[tuple[int, float]],
) -> None:
    budget, now, spent = RateBudget(), 0.0, []
    for weight, pause in asks:
        now += pause
        if budget.take(weight, Purpose.CANCEL, now):
            spent.append((now, weight))
    for start, _ in spent:
        assert sum(w for at, w in spent if start <= at < start + 60) <= 2400


def test_connections_are_bounded_in_number_and_per_minute() -> None:
    budget = ConnectionBudget(connections_max=2, opened_per_minute_max=3)
    assert [budget.acquire(0.0) for _ in range(3)] == [0.0, 0.0, 5.0]
    budget.release()
    assert budget.acquire(1.0) == 0.0
    budget.release()
    assert budget.acquire(2.0) == pytest.approx(58.0)
    assert budget.acquire(60.0) == 0.0
