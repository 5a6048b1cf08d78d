"""Every step of a guard: it acts on the present, confirmed, on the same side, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.closing import CloseStatus
from domain.conditions import ConditionKind, Conditions, Crossing, Trail
from domain.errors import InvalidInput
from domain.guard_steps import (
    GAP,
    POLL_UNWATCHED,
    POLL_WATCHED,
    after_close,
    after_look,
    can_change,
    changed,
    failed,
    finished,
    held_up,
    is_outdated,
    needs_attention,
    next_step,
    nudged,
    taken_up,
    told_of,
    unconfirmed,
    want_cancel,
)
from domain.guarding import Extreme, GuardState, GuardStatus, Watch, close_id_of, close_plan
from tests.domain.building import NOW, later
from tests.domain.guard_building import CONDITION_ID, SHORT, a_guard, a_look, watching

TRAIL = Conditions(trail=Trail(percent=Decimal(2)))


def step_of(state: GuardState, seconds: float = 0) -> Any:
    return next_step(state, later(seconds))


def crossing(price: int = 111, extreme: int | None = None) -> Crossing:
    return Crossing(
        kind=ConditionKind.PROFIT,
        at=NOW,
        source="stream",
        price=Decimal(price),
        threshold=Decimal(110),
        extreme=None if extreme is None else Decimal(extreme),
    )


def test_it_looks_first_and_then_waits() -> None:
    fresh = GuardState(plan=a_guard())
    assert step_of(fresh).kind == "look"

    state = watching()
    assert state.status is GuardStatus.WATCHING
    step = step_of(state)
    assert (step.kind, step.until) == ("wait", NOW + POLL_UNWATCHED)
    assert step_of(state, 15).kind == "look"


def test_watched_it_looks_seldom() -> None:
    watch = Watch(by="streaming 1", since=NOW, at=NOW)
    state = after_look(watching(), a_look(watch=watch), NOW)

    assert step_of(state).until == NOW + POLL_WATCHED


def test_a_time_is_no_poll_late() -> None:
    state = watching(conditions=Conditions(at=later(5)))
    assert step_of(state).until == later(5)

    state = after_look(state, a_look(at=later(5)), later(5))
    assert state.status is GuardStatus.CLOSING
    assert state.crossing is not None
    assert state.crossing.kind is ConditionKind.TIME


def test_a_time_closes_also_when_no_price_is_to_be_had() -> None:
    state = watching(conditions=Conditions(at=later(5)))

    state = after_look(state, a_look(None, at=later(5), doubt="stale"), later(5))

    assert state.status is GuardStatus.CLOSING


@pytest.mark.parametrize("mark", [110, 150, 95, 1])
def test_what_is_met_now_closes_whoever_said_so(mark: int) -> None:
    state = after_look(watching(), a_look(mark), NOW)

    assert state.status is GuardStatus.CLOSING
    step = step_of(state)
    assert step.kind == "close"
    plan = close_plan(state, step.crossing, NOW)
    assert plan.close_id == close_id_of(CONDITION_ID)
    assert plan.side is state.side
    assert str(step.crossing) in plan.reason


def test_a_crossing_that_is_over_is_an_excursion() -> None:
    told = told_of(watching(), crossing())
    assert step_of(told).kind == "look"

    state = after_look(told, a_look(105), NOW)

    assert state.status is GuardStatus.WATCHING
    assert state.excursions == 1
    assert state.last_excursion is not None
    assert "not confirmed" in state.last_excursion.what
    assert after_look(state, a_look(106), NOW).excursions == 1


@pytest.mark.parametrize("mark", [99, 100, 109])
def test_no_price_to_go_by_triggers_nothing(mark: int) -> None:
    told = told_of(watching(), crossing())

    state = after_look(told, a_look(None, doubt="the mark price is stale"), NOW)

    assert state.status is GuardStatus.WATCHING
    assert "stale" in state.last_answer
    assert step_of(state).until == later(1)
    confirmed = after_look(state, a_look(mark), later(1))
    assert confirmed.excursions == 1, "what was told is not forgotten meanwhile"
    assert confirmed.failing_since is None


def test_the_first_look_decides_whether_it_is_taken() -> None:
    refused = after_look(GuardState(plan=a_guard()), a_look(111), NOW)
    assert refused.status is GuardStatus.REFUSED
    assert "true already" in refused.reason

    gone = after_look(GuardState(plan=a_guard()), a_look(position=None), NOW)
    assert gone.status is GuardStatus.REFUSED


def test_a_position_that_is_gone_or_changed_sides_ends_it() -> None:
    gone = after_look(watching(), a_look(position=None), NOW)
    assert gone.status is GuardStatus.POSITION_GONE

    by_venue = after_look(watching(), a_look(position=None, filled_native=True), NOW)
    assert by_venue.status is GuardStatus.CLOSED

    flipped = after_look(watching(), a_look(80, position=SHORT), NOW)
    assert flipped.status is GuardStatus.POSITION_FLIPPED
    assert "SHORT" in flipped.reason


def test_a_close_that_ended_before_is_not_begun_again() -> None:
    state = after_look(watching(), a_look(111, closed=CloseStatus.DONE), NOW)

    assert state.status is GuardStatus.CLOSED


@pytest.mark.parametrize(
    ("close", "guard"),
    [
        (CloseStatus.DONE, GuardStatus.CLOSED),
        (CloseStatus.FLAT, GuardStatus.CLOSED),
        (CloseStatus.DUST, GuardStatus.CLOSED),
        (CloseStatus.POSITION_CHANGED, GuardStatus.POSITION_FLIPPED),
        (CloseStatus.REFUSED, GuardStatus.POSITION_GONE),
        (CloseStatus.CANCELED, GuardStatus.CLOSE_ENDED),
        (CloseStatus.STOPPED, GuardStatus.CLOSE_ENDED),
    ],
)
def test_how_the_close_ends_is_how_it_ends(close: CloseStatus, guard: GuardStatus) -> None:
    state = after_close(after_look(watching(), a_look(111), NOW), close, NOW)

    assert state.status is guard
    assert state.ended_at == NOW
    assert state.status.is_terminal


def test_a_close_that_was_refused_leaves_the_position() -> None:
    triggered = after_look(watching(), a_look(111), NOW)

    state = after_close(triggered, CloseStatus.REFUSED, NOW, is_flat=False, why="no credential")

    assert state.status is GuardStatus.CLOSE_ENDED
    assert state.reason == "the close ended REFUSED: no credential"
    seen = after_look(watching(), a_look(100, closed=CloseStatus.REFUSED), NOW)
    assert seen.status is GuardStatus.CLOSE_ENDED
    gone = after_look(watching(), a_look(100, position=None, closed=CloseStatus.REFUSED), NOW)
    assert gone.status is GuardStatus.POSITION_GONE


def test_what_triggered_long_ago_is_looked_at_anew_before_it_closes() -> None:
    triggered = after_look(watching(), a_look(111), NOW)
    assert not is_outdated(watching(), later(16))
    assert not is_outdated(triggered, later(15))
    assert is_outdated(triggered, later(16))

    state = unconfirmed(triggered)

    assert step_of(state, 16).kind == "look"
    assert after_look(state, a_look(100, at=later(16)), later(16)).crossing is None


def test_what_an_earlier_run_has_kept_is_taken_up() -> None:
    fresh = GuardState(plan=a_guard())
    kept = failed(watching(), "no answer", later(5), NOW)

    assert taken_up(fresh, kept).retry_at is None
    assert step_of(taken_up(fresh, kept)).kind == "look"
    assert taken_up(fresh, fresh) is fresh


def test_a_change_is_not_judged_by_an_older_price() -> None:
    state = after_look(watching(), a_look(None, doubt="stale"), NOW)
    assert state.mark == 100, "of the look before"

    assert not can_change(state, a_look(None, doubt="stale"))
    assert can_change(state, a_look(111))
    ended = finished(state, GuardStatus.CANCELED, "", NOW)
    assert can_change(ended, a_look(None)), "it is refused at once"


def test_looks_without_a_price_do_not_hide_what_was_missed() -> None:
    state = watching(conditions=TRAIL)
    for seconds in (20, 40, 60):
        sight = a_look(None, doubt="stale", at=later(seconds))
        state = after_look(state, sight, later(seconds))

    step = step_of(state, 61)

    assert step.kind == "look"
    assert step.gap_since == NOW, "the last price was then"


def test_another_close_is_waited_for() -> None:
    state = held_up(after_look(watching(), a_look(111), NOW), later(2), "another close", NOW)

    assert state.status is GuardStatus.WATCHING
    assert step_of(state).until == later(2)
    assert step_of(state, 2).kind == "look"
    again = held_up(after_look(state, a_look(111), later(2)), later(4), "another", later(2))
    assert not needs_attention(again, later(30))
    assert needs_attention(again, later(31))
    assert not needs_attention(after_look(again, a_look(100), later(31)), later(31))


def test_a_cancel_stops_what_has_not_triggered() -> None:
    assert step_of(want_cancel(watching())).status is GuardStatus.CANCELED
    triggered = after_look(watching(), a_look(111), NOW)
    assert want_cancel(triggered) is triggered
    assert told_of(triggered, crossing()) is triggered


def test_a_retry_waits_also_while_closing() -> None:
    state = replace(after_look(watching(), a_look(111), NOW), retry_at=later(3))

    assert step_of(state).until == later(3)
    assert step_of(state, 3).kind == "close"


def test_a_trail_follows_ours_the_streams_and_tradings_best() -> None:
    state = watching(conditions=TRAIL)
    assert state.extreme == Extreme(price=Decimal(100), at=NOW)

    for sight, best in (
        (a_look(101), 101),
        (a_look(101, extreme=Extreme(price=Decimal(103), at=NOW)), 103),
        (a_look(103, high=Decimal(104), low=Decimal(1)), 104),
        (a_look(103), 104),
    ):
        state = after_look(state, sight, NOW)
        assert state.extreme is not None
        assert state.extreme.price == best
        assert state.status is GuardStatus.WATCHING
    state = after_look(told_of(state, crossing(extreme=106)), a_look("103.9"), NOW)
    assert state.extreme is not None
    assert state.extreme.price == 106
    assert state.status is GuardStatus.WATCHING
    assert after_look(state, a_look("103.8"), NOW).status is GuardStatus.CLOSING


def test_a_short_trails_from_its_lowest() -> None:
    first = a_look(position=SHORT)
    state = after_look(GuardState(plan=a_guard(conditions=TRAIL)), first, NOW)
    state = after_look(state, a_look(90, position=SHORT, high=Decimal(99), low=Decimal(80)), NOW)

    assert state.status is GuardStatus.CLOSING
    assert state.extreme is not None
    assert state.extreme.price == 80


def test_after_a_gap_trading_is_asked_for_and_what_was_missed_reported() -> None:
    state = watching()
    beyond = GAP.total_seconds() + 1
    assert step_of(state, beyond).gap_since == NOW
    assert step_of(state, GAP.total_seconds()).gap_since is None
    seen = replace(state, watch=Watch(by="s", since=NOW, at=later(beyond - 1)))
    assert step_of(seen, beyond + 60).gap_since == later(beyond - 1)
    assert step_of(GuardState(plan=a_guard()), beyond).gap_since is None

    state = after_look(state, a_look(high=Decimal(112), low=Decimal(99)), later(beyond))

    assert state.status is GuardStatus.WATCHING
    assert state.last_excursion is not None
    assert "while nobody watched" in state.last_excursion.what


def test_what_fails_is_tried_again_and_calls_for_an_operator_in_the_end() -> None:
    state = failed(watching(), "look failed: away", later(1), NOW)

    assert step_of(state).until == later(1)
    assert state.attempts == 1
    assert not needs_attention(state, later(120))
    assert needs_attention(state, later(121))
    watched = replace(state, watch=Watch(by="s", since=NOW, at=later(120)))
    assert not needs_attention(watched, later(121))
    assert not needs_attention(finished(state, GuardStatus.CANCELED, "", NOW), later(500))
    assert after_look(state, a_look(), later(1)).failing_since is None


def test_a_nudge_looks_at_once() -> None:
    assert step_of(nudged(watching())).kind == "look"


def test_it_is_changed() -> None:
    state = changed(watching(), a_guard(conditions=TRAIL, percent=Decimal(50)), NOW)

    assert state.plan.version == 2
    assert state.plan.percent == 50
    assert state.extreme == Extreme(price=Decimal(100), at=NOW)
    wider = changed(state, a_guard(conditions=Conditions(trail=Trail(percent=Decimal(5)))), NOW)
    assert wider.extreme == state.extreme
    assert wider.plan.version == 3
    assert changed(wider, a_guard(), NOW).extreme is None


def test_a_change_that_cannot_be_taken() -> None:
    state = after_look(
        watching(conditions=Conditions(trail=Trail(percent=Decimal(20)))), a_look(120), NOW
    )
    state = after_look(state, a_look(110), NOW)
    with pytest.raises(InvalidInput, match="the best mark was 120, now it is 110"):
        changed(state, a_guard(conditions=Conditions(trail=Trail(percent=Decimal(5)))), NOW)
    with pytest.raises(InvalidInput, match="true already"):
        changed(state, a_guard(conditions=Conditions(profit_percent=Decimal(10))), NOW)
    with pytest.raises(InvalidInput, match="try again"):
        changed(replace(state, mark=None), a_guard(), NOW)
    assert timedelta(0) < POLL_UNWATCHED < POLL_WATCHED
