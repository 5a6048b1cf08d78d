"""The budget keeps room for cancels, and the venue's word replaces our own count."""

from __future__ import annotations

import pytest

from venues.pacifica.credits import CreditBudget, Purpose, Told, query_cost, told_by


def test_what_headers_tell() -> None:
    told = told_by(
        {"ratelimit": '"credits";r=970;t=23', "ratelimit-policy": '"credits";q=1000;w=60'}
    )
    assert told == Told(left=97.0, per_minute=100.0, reset_s=23.0)
    assert told_by({}) == Told()
    assert told_by({"ratelimit": "r=970", "ratelimit-policy": '"credits";q=0;w=60'}) == Told()


@pytest.mark.parametrize(
    ("path", "cost"),
    [("/orders", 1.0), ("/orders/history", 12.0), ("/kline", 12.0), ("/info/prices", 1.0)],
)
def test_costs_of_questions(path: str, cost: float) -> None:
    assert query_cost(path) == cost


def test_reserves() -> None:
    budget = CreditBudget(per_minute=100)
    assert budget.take(70, Purpose.QUERY, 0.0)
    assert not budget.take(1, Purpose.QUERY, 0.0)
    assert budget.take(20, Purpose.COMMAND, 0.0)
    assert not budget.take(1, Purpose.COMMAND, 0.0)
    assert budget.take(10, Purpose.CANCEL, 0.0)
    assert not budget.take(0.5, Purpose.CANCEL, 0.0)
    assert budget.wait_s(0.5, Purpose.CANCEL, 0.0) == pytest.approx(0.3)
    assert budget.take(0.5, Purpose.CANCEL, 0.3)


def test_the_venues_word_replaces_ours_but_for_what_is_under_way() -> None:
    budget = CreditBudget(per_minute=100)
    assert budget.take(1, Purpose.QUERY, 0.0)
    assert budget.take(5, Purpose.COMMAND, 0.0)
    budget.ended(1, 0.0, Told(left=20.0, per_minute=300.0))
    assert budget.per_minute == 300.0
    # 20 left at the venue, 5 of them asked for already.
    assert budget.wait_s(15, Purpose.CANCEL, 0.0) == 0.0
    assert budget.wait_s(16, Purpose.CANCEL, 0.0) == pytest.approx(0.2)
    budget.ended(5, 0.0)
    assert budget.wait_s(16, Purpose.CANCEL, 0.0) == pytest.approx(0.2)


def test_never_more_than_a_minute_has() -> None:
    budget = CreditBudget(per_minute=60)
    budget.ended(0, 0.0, Told(left=1e6))
    assert budget.wait_s(61, Purpose.CANCEL, 100.0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("told", "wait"), [(Told(reset_s=2.0), 2.0), (Told(reset_s=23.0), 5.0), (Told(), 5.0)]
)
def test_after_a_refusal_only_cancels_go(told: Told, wait: float) -> None:
    budget = CreditBudget(per_minute=6000)
    budget.refused(10.0, told)
    assert budget.wait_s(1, Purpose.COMMAND, 10.0) == pytest.approx(wait)
    assert budget.take(1, Purpose.CANCEL, 10.0)
    assert budget.take(1, Purpose.COMMAND, 10.0 + wait)
