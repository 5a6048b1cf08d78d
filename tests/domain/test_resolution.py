"""Proofs: the whole truth tables of placements, cancels and the fence."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.commands import CommandKind
from domain.orders import Verdict
from domain.outcomes import Accepted, NotSent, Outcome, Rejected
from domain.resolution import (
    ANSWER_WITHIN,
    CancelEvidence,
    PlacementEvidence,
    decide_cancel,
    decide_placement,
    fence_closed,
)
from tests.domain.building import a_report, a_row, later

ADMITTED_UNTIL_S = 10
DELAY_S = 2.0

OPEN, CLOSED = later(ADMITTED_UNTIL_S + DELAY_S), later(ADMITTED_UNTIL_S + DELAY_S + 0.001)
"""The last moment at which the fence is open, and the first at which it is closed."""


@given(st.floats(-1000, 1000), st.floats(0, 100))
def test_the_fence_closes_by_the_venues_clock_after_the_visibility_delay(
    at_s: float, delay_s: float
) -> None:
    row, venue_time = a_row(), later(at_s)
    closed = fence_closed(row, venue_time, visibility_delay_s=delay_s)
    assert (
        closed is (venue_time > later(ADMITTED_UNTIL_S + delay_s))
        or abs(at_s - ADMITTED_UNTIL_S - delay_s) < 1e-5
    )


def test_a_fence_is_open_at_its_very_end() -> None:
    assert not fence_closed(a_row(), OPEN, visibility_delay_s=DELAY_S)
    assert fence_closed(a_row(), CLOSED, visibility_delay_s=DELAY_S)


def test_without_the_venues_time_or_an_expiry_no_fence_ever_closes() -> None:
    assert not fence_closed(a_row(), None, visibility_delay_s=0)
    assert not fence_closed(a_row(admitted_until=None), later(1e9), visibility_delay_s=0)


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("rest", list(product([False, True], [False, True], [False, True])))
def test_what_the_venue_says_of_a_placement_decides_it_whatever_else_is_known(
    verdict: Verdict, rest: tuple[bool, bool, bool]
) -> None:
    silent, burned, used = rest
    report = a_report(verdict, reason=None)
    evidence = PlacementEvidence(
        report=report, all_silent=silent, nonce_burned=burned, nonce_used=used, venue_time=CLOSED
    )
    outcome = decide_placement(a_row(), evidence, visibility_delay_s=DELAY_S)
    if verdict is Verdict.REJECTED:
        assert isinstance(outcome, Rejected)
        assert (outcome.report, outcome.reason) == (report, "rejected")
    else:
        assert outcome == Accepted(report=report)


def test_a_rejection_keeps_the_venues_words() -> None:
    evidence = PlacementEvidence(report=a_report(Verdict.REJECTED, reason="margin"))
    outcome = decide_placement(a_row(), evidence, visibility_delay_s=DELAY_S)
    assert isinstance(outcome, Rejected) and outcome.reason == "margin"


@pytest.mark.parametrize(
    ("silent", "burned", "used", "at"),
    list(product([False, True], [False, True], [False, True], [None, OPEN, CLOSED])),
)
def test_the_absence_of_a_placement_needs_silence_and_a_fence(
    silent: bool, burned: bool, used: bool, at: datetime | None
) -> None:
    evidence = PlacementEvidence(
        all_silent=silent, nonce_burned=burned, nonce_used=used, venue_time=at
    )
    outcome = decide_placement(a_row(), evidence, visibility_delay_s=DELAY_S)
    if not silent or not (burned or at is CLOSED):
        assert outcome is None
    elif burned:
        assert isinstance(outcome, NotSent) and "noop" in outcome.proof
    elif used:
        assert isinstance(outcome, Rejected) and outcome.code == "admitted_no_order"
    else:
        assert isinstance(outcome, NotSent) and "venue's clock" in outcome.proof


def test_a_placement_without_expiry_and_burn_stays_unknown_for_ever() -> None:
    evidence = PlacementEvidence(all_silent=True, venue_time=later(1e9))
    row = a_row(admitted_until=None)
    assert decide_placement(row, evidence, visibility_delay_s=0) is None


def unfenced_cancel(evidence: CancelEvidence) -> Outcome | None:
    row = a_row(CommandKind.CANCEL, admitted_until=None)
    return decide_cancel(row, evidence, visibility_delay_s=DELAY_S, has_fence=False)


def test_a_cancel_without_a_fence_is_given_up_only_when_its_order_rests_after_all_delays() -> None:
    rests = a_report(Verdict.ACCEPTED)
    inserted = a_row(CommandKind.CANCEL).inserted_at
    bound = inserted + ANSWER_WITHIN + timedelta(seconds=DELAY_S)
    for at, decided in [(None, False), (bound, False), (bound + timedelta(seconds=1), True)]:
        outcome = unfenced_cancel(CancelEvidence(report=rests, venue_time=at))
        assert isinstance(outcome, NotSent) == decided
        assert decided or outcome is None
    late = bound + timedelta(days=1)
    # Silence is no proof of anything there, and what the venue says decides as everywhere.
    assert unfenced_cancel(CancelEvidence(all_silent=True, venue_time=late)) is None
    canceled = a_report(Verdict.CANCELED)
    assert unfenced_cancel(CancelEvidence(report=canceled)) == Accepted(report=canceled)
    # With a fence the same order waits for the fence.
    row = a_row(CommandKind.CANCEL, admitted_until=late)
    evidence = CancelEvidence(report=rests, venue_time=bound + timedelta(seconds=1))
    assert decide_cancel(row, evidence, visibility_delay_s=DELAY_S) is None


def cancel(evidence: CancelEvidence) -> Outcome | None:
    return decide_cancel(a_row(CommandKind.CANCEL), evidence, visibility_delay_s=DELAY_S)


@pytest.mark.parametrize(("silent", "at"), list(product([False, True], [None, OPEN, CLOSED])))
def test_a_cancel_of_what_nobody_knows_is_refused_only_behind_the_fence(
    silent: bool, at: datetime | None
) -> None:
    outcome = cancel(CancelEvidence(all_silent=silent, venue_time=at))
    if silent and at is CLOSED:
        assert isinstance(outcome, Rejected) and outcome.code == "no_such_order"
    else:
        assert outcome is None


@pytest.mark.parametrize("at", [None, OPEN])
def test_a_cancel_whose_nonce_went_to_another_is_given_again_before_its_admission_ends(
    at: datetime | None,
) -> None:
    rests = CancelEvidence(report=a_report(Verdict.ACCEPTED), nonce_burned=True, venue_time=at)
    outcome = cancel(rests)
    assert isinstance(outcome, NotSent) and "used up by a noop" in outcome.proof
    # What the venue says of the order's end decides all the same.
    ended = a_report(Verdict.CANCELED)
    assert cancel(replace(rests, report=ended)) == Accepted(report=ended)
    assert cancel(replace(rests, report=None)) is None


@pytest.mark.parametrize(("verdict", "at"), list(product(Verdict, [None, OPEN, CLOSED])))
def test_what_the_venue_says_of_the_order_decides_its_cancel(
    verdict: Verdict, at: datetime | None
) -> None:
    report = a_report(verdict)
    outcome = cancel(CancelEvidence(report=report, venue_time=at))
    if verdict is Verdict.CANCELED:
        assert outcome == Accepted(report=report)
    elif verdict.is_terminal:
        assert isinstance(outcome, Rejected) and outcome.report == report
    elif at is CLOSED:
        assert isinstance(outcome, NotSent) and outcome.retryable
    else:
        assert outcome is None
