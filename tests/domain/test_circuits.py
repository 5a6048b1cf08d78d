"""Circuits: when nothing new is risked, what always passes, and how it ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.circuits import (
    PAUSE_FIRST_S,
    PAUSE_MAX_S,
    TRIAL_S,
    UNANSWERED_MAX,
    WITHIN_S,
    Circuit,
    RequestClass,
    noted,
    passed,
    wait_s,
)
from domain.outcomes import Accepted, Acknowledged, NotSent, Outcome, Rejected, Unknown

OPENING, REDUCING = RequestClass.OPENING, RequestClass.REDUCING
SILENCE = Unknown(reason="no complete answer in 2 s")
UNSENT = NotSent(reason="send_by passed", proof="no byte was written")
VERDICTS: list[Outcome] = [
    Accepted(),
    Acknowledged(),
    Rejected(code="insufficient_margin", reason="no", proof="no"),
]


def after(*outcomes: Outcome, start: Circuit | None = None, at: float = 0.0) -> Circuit:
    circuit = start or Circuit()
    for outcome in outcomes:
        circuit = noted(circuit, outcome, at)
    return circuit


OPENED = after(*[SILENCE] * UNANSWERED_MAX)


def test_it_opens_after_so_many_without_a_verdict_in_a_row() -> None:
    closed = after(*[SILENCE] * (UNANSWERED_MAX - 1))
    assert not closed.is_open
    assert wait_s(closed, OPENING, 0) == 0
    assert OPENED.is_open
    assert wait_s(OPENED, OPENING, 1) == PAUSE_FIRST_S - 1


@pytest.mark.parametrize("verdict", VERDICTS)
def test_any_verdict_begins_the_count_anew_and_closes_it(verdict: Outcome) -> None:
    almost = [SILENCE] * (UNANSWERED_MAX - 1)
    assert not after(*almost, verdict, *almost).is_open
    assert after(verdict, start=OPENED) == Circuit()


def test_what_is_far_apart_is_no_row() -> None:
    circuit = after(*[SILENCE] * (UNANSWERED_MAX - 1))
    later = noted(circuit, SILENCE, WITHIN_S + 1)
    assert (later.is_open, later.unanswered) == (False, 1)


def test_what_was_not_sent_tells_nothing() -> None:
    almost = after(*[SILENCE] * (UNANSWERED_MAX - 1))
    assert not after(*[UNSENT] * 20, start=almost).is_open
    assert after(UNSENT, start=OPENED).is_open


def test_what_reduces_risk_always_passes() -> None:
    assert wait_s(OPENED, REDUCING, 0) == 0
    assert passed(OPENED, REDUCING, PAUSE_FIRST_S) == OPENED


def test_after_the_pause_one_tries_and_the_others_wait() -> None:
    now = PAUSE_FIRST_S
    assert wait_s(OPENED, OPENING, now) == 0
    trying = passed(OPENED, OPENING, now)
    assert wait_s(trying, OPENING, now) == TRIAL_S
    assert wait_s(trying, OPENING, now + TRIAL_S) == 0, "a trial that was never sent holds nobody"
    assert wait_s(after(UNSENT, start=trying, at=now), OPENING, now) == 0
    assert after(Accepted(), start=trying, at=now) == Circuit()


def test_a_trial_without_a_verdict_opens_it_for_longer_up_to_a_bound() -> None:
    circuit, now, pauses = OPENED, 0.0, []
    for _ in range(8):
        now += wait_s(circuit, OPENING, now)
        circuit = noted(passed(circuit, OPENING, now), SILENCE, now)
        pauses.append(wait_s(circuit, OPENING, now))
    assert pauses[0] == 2 * PAUSE_FIRST_S
    assert pauses == sorted(pauses)
    assert pauses[-1] == PAUSE_MAX_S


def test_what_was_under_way_when_it_opened_does_not_open_it_for_longer() -> None:
    late = noted(OPENED, SILENCE, 1)
    assert late.open_until_s == OPENED.open_until_s


def test_a_closed_circuit_knows_no_trial() -> None:
    assert passed(Circuit(), OPENING, 5) == Circuit()


@given(
    st.lists(
        st.tuples(st.sampled_from([SILENCE, UNSENT, *VERDICTS]), st.floats(0, 30)), max_size=60
    )
)
def test_nobody_ever_waits_longer_than_the_longest_pause(
    steps: list[tuple[Outcome, float]],
) -> None:
    circuit, now = Circuit(), 0.0
    for outcome, passes_s in steps:
        now += passes_s
        if wait_s(circuit, OPENING, now) == 0:
            circuit = passed(circuit, OPENING, now)
        circuit = noted(circuit, outcome, now)
        assert 0 <= wait_s(circuit, OPENING, now) <= PAUSE_MAX_S
        assert wait_s(circuit, REDUCING, now) == 0
        if outcome.kind in ("accepted", "acknowledged", "rejected"):
            assert circuit == Circuit()
