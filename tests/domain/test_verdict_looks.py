"""When a venue is asked for a verdict: by the feed's life, the budget and the time since."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.verdict_looks import PLENTY, LookPlan, NoFeed, Waiting, next_look_s
from tests.domain.building import a_row

PLAN = LookPlan(feed_within_s=0.7, unheard_at_s=(0.0, 0.35, 0.85, 1.55), within_s=1.55)


def waiting(since_s: float = 0.0, **changes: Any) -> Waiting:
    values: dict[str, Any] = {
        "since_s": since_s,
        "looked_at_s": None,
        "feed_is_live": False,
        "looks_left": PLENTY,
        "look_in_s": 0.0,
    }
    return Waiting(**{**values, **changes})


@pytest.mark.parametrize(
    ("state", "in_s"),
    [
        # A live feed is waited for, then asked about once, and once more at the end.
        (waiting(0.0, feed_is_live=True), 0.7),
        (waiting(0.5, feed_is_live=True), 0.2),
        (waiting(0.7, feed_is_live=True), 0.0),
        (waiting(0.8, feed_is_live=True, looked_at_s=0.7), 0.75),
        (waiting(1.6, feed_is_live=True, looked_at_s=0.7), 0.0),
        (waiting(1.6, feed_is_live=True, looked_at_s=1.56), None),
        # Without one it is asked at once, and again.
        (waiting(0.0), 0.0),
        (waiting(0.1, looked_at_s=0.0), 0.25),
        (waiting(0.9, looked_at_s=0.35), 0.0),
        (waiting(1.6, looked_at_s=1.56), None),
        # A feed that goes stale on the way was not asked about yet; one that comes back is heard.
        (waiting(0.3, feed_is_live=False), 0.0),
        (waiting(0.4, feed_is_live=True, looked_at_s=0.35), 0.3),
        # With few questions left, only one that is likely to tell, and the last.
        (waiting(0.0, looks_left=PLENTY - 1), 0.35),
        (waiting(0.5, looks_left=PLENTY - 1, looked_at_s=0.35), 1.05),
        # With none, when there is one, if that is within the time.
        (waiting(0.0, looks_left=0, look_in_s=1.2), 1.2),
        (waiting(0.5, looks_left=0, look_in_s=1.2), None),
        (waiting(0.1, feed_is_live=True, looks_left=0, look_in_s=0.9), 0.9),
    ],
)
def test_when_it_is_asked(state: Waiting, in_s: float | None) -> None:
    found = next_look_s(PLAN, state)
    assert found == (None if in_s is None else pytest.approx(in_s))


@given(
    st.builds(
        Waiting,
        since_s=st.floats(0, 3),
        looked_at_s=st.none() | st.floats(0, 3),
        feed_is_live=st.booleans(),
        looks_left=st.integers(0, 100),
        look_in_s=st.floats(0, 5),
    )
)
def test_it_is_never_asked_without_a_question_to_spare_nor_past_the_time(state: Waiting) -> None:
    found = next_look_s(PLAN, state)
    if found is None:
        return
    assert found >= state.look_in_s - 1e-9
    assert state.since_s + found <= max(PLAN.within_s, state.since_s) + 1e-9
    if state.feed_is_live and state.looked_at_s is None:
        assert state.since_s + found >= PLAN.feed_within_s - 1e-9


@given(st.lists(st.booleans(), min_size=40, max_size=40), st.integers(0, 100))
def test_a_feed_that_comes_and_goes_costs_no_more_than_none(lives: list[bool], left: int) -> None:
    """However it flickers, there are few looks, and one at the end."""
    looked: list[float] = []
    for step, live in enumerate(lives):
        since_s = step * 0.05
        state = waiting(
            since_s,
            feed_is_live=live,
            looks_left=left,
            looked_at_s=looked[-1] if looked else None,
        )
        if next_look_s(PLAN, state) == 0.0:
            looked.append(since_s)
    assert len(looked) <= len(PLAN.unheard_at_s) + 1
    assert looked[-1] >= PLAN.within_s - 1e-9


async def test_without_a_feed_nothing_is_heard() -> None:
    with NoFeed().follow(a_row()) as news:
        assert await news.told() is None
        assert await news.is_live() is False
        await news.changed(0.0)
        news.was_missed()
