"""Our own budget: reserves by purpose, the venue's word, and waits of one account or of all."""

from __future__ import annotations

import pytest

from venues.vest.rate_budget import Purpose, RateBudget, Told, told_by

QUERY, COMMAND, CANCEL = Purpose.QUERY, Purpose.COMMAND, Purpose.CANCEL


def test_queries_leave_room_for_commands_and_both_for_cancels() -> None:
    budget = RateBudget(per_minute=300)
    taken = {
        purpose: sum(budget.take(purpose, 0.0) for _ in range(100))
        for purpose in (QUERY, COMMAND, CANCEL)
    }
    assert taken == {QUERY: 42, COMMAND: 12, CANCEL: 6}
    assert budget.wait_s(CANCEL, 0.0) == pytest.approx(0.2)
    assert budget.take(CANCEL, 0.2)
    assert not budget.take(CANCEL, 0.2)


def test_the_venues_word_replaces_our_count() -> None:
    budget = RateBudget(per_minute=300)
    assert budget.take(COMMAND, 0.0)
    budget.ended(0.0, Told(limit=6000, left=5999))
    assert budget.per_minute == 6000
    assert sum(budget.take(CANCEL, 0.0) for _ in range(6001)) == 5999
    budget.ended(0.0, Told(left=100))
    assert budget.left(0.0).left == 100 - 5998, "what is under way is taken off"


def test_headers_are_read_and_others_left_out() -> None:
    assert told_by({"x-ratelimit-limit": "600", "x-ratelimit-remaining": "7"}) == Told(
        left=7, limit=600
    )
    for odd in ("", "-1", "1e9", "many", "9" * 30):
        assert told_by({"x-ratelimit-limit": odd, "x-ratelimit-remaining": odd}) == Told()
    assert told_by({"x-ratelimit-limit": "0"}) == Told()


def test_one_account_that_is_told_to_wait_keeps_nobody_else_back() -> None:
    budget = RateBudget(per_minute=300)
    budget.refused_account("a", 0.0, None)
    assert not budget.take(COMMAND, 4.9, account="a")
    assert budget.take(CANCEL, 4.9, account="a")
    assert budget.take(COMMAND, 4.9, account="b")
    assert budget.take(COMMAND, 5.1, account="a")


def test_a_refusal_of_everything_lets_cancels_pass_and_is_bounded() -> None:
    budget = RateBudget(per_minute=300)
    budget.refused(0.0, 3600.0)
    assert not budget.take(QUERY, 29.0)
    assert not budget.take(COMMAND, 29.0)
    assert budget.take(CANCEL, 29.0)
    assert budget.take(COMMAND, 30.1)


def test_a_clock_that_stands_still_or_goes_back_gives_nothing() -> None:
    budget = RateBudget(per_minute=300)
    while budget.take(CANCEL, 10.0):
        pass
    assert budget.wait_s(CANCEL, 5.0) > 0
    assert not budget.take(CANCEL, 5.0)
    assert budget.left(10.0).unit == "requests"
