"""Our own budget: reserves, refills, the venue's 429, and an account's own limit of orders."""

from __future__ import annotations

from venues.edgex.budget import BURST_S, Purpose, RequestBudget


def taken(budget: RequestBudget, purpose: Purpose, now: float = 0.0) -> int:
    count = 0
    while budget.take(purpose, now):
        count += 1
    return count


def test_queries_leave_room_for_commands_and_both_for_cancels() -> None:
    budget = RequestBudget(per_second=5)
    whole = int(5 * BURST_S)
    assert taken(budget, Purpose.QUERY) == whole * 7 // 10
    assert taken(budget, Purpose.COMMAND) == whole * 2 // 10
    assert taken(budget, Purpose.CANCEL) == whole // 10
    assert not budget.take(Purpose.CANCEL, 0.0)


def test_it_refills_steadily_and_tells_how_long_to_wait() -> None:
    budget = RequestBudget(per_second=5)
    taken(budget, Purpose.CANCEL)
    assert budget.wait_s(Purpose.CANCEL, 0.0) == 0.2
    assert budget.take(Purpose.CANCEL, 0.2)
    assert not budget.take(Purpose.COMMAND, 0.2)
    assert budget.wait_s(Purpose.QUERY, 0.2) > budget.wait_s(Purpose.COMMAND, 0.2) > 0
    # Time that goes back gives nothing.
    assert not budget.take(Purpose.CANCEL, 0.1)
    assert taken(budget, Purpose.CANCEL, 1000.0) == int(5 * BURST_S)


def test_after_a_refusal_only_cancels_go_as_long_as_the_venue_says() -> None:
    for said, waits in ((None, 5.0), (12.0, 12.0), (3600.0, 60.0)):
        budget = RequestBudget(per_second=5)
        budget.refused(0.0, said)
        assert not budget.take(Purpose.COMMAND, waits - 0.1)
        assert not budget.take(Purpose.QUERY, waits - 0.1)
        assert budget.take(Purpose.CANCEL, 0.1)
        assert budget.take(Purpose.COMMAND, waits + 60.0)


def test_a_burst_that_was_too_much_is_given_up() -> None:
    budget = RequestBudget(per_second=5)
    budget.refused(0.0, 0.0)
    assert taken(budget, Purpose.CANCEL) == int(5 * BURST_S) // 10


def test_an_accounts_own_limit_of_orders_is_its_own() -> None:
    budget = RequestBudget(per_second=100)
    budget.allow_orders("a", 2)
    assert [budget.take_order("a", Purpose.COMMAND, 0.0) for _ in range(3)] == [True, True, False]
    assert budget.take_order("b", Purpose.COMMAND, 0.0)
    assert not budget.take_order("a", Purpose.COMMAND, 59.0)
    assert budget.take_order("a", Purpose.COMMAND, 60.0)
    for none in (0, -1):
        budget.allow_orders("a", none)
        assert budget.take_order("a", Purpose.COMMAND, 60.0)


def test_what_is_left_is_told() -> None:
    budget = RequestBudget(per_second=5)
    assert budget.take(Purpose.QUERY, 0.0)
    told = budget.left(0.0)
    assert (told.unit, told.left, told.capacity, told.per_s) == ("requests", 99.0, 100.0, 5)
    assert budget.left(1.0).left == 100.0
