"""The gate itself: a room below its mark fails the run, a missing room too."""

from __future__ import annotations

import pytest

from tests.coverage_gate import ROOM_MIN, judge

GOOD = {**dict.fromkeys(ROOM_MIN, (96, 100)), "cli": (90, 100)}


def test_all_marks_reached() -> None:
    lines, passed = judge(dict(GOOD))
    assert passed
    assert any(line.startswith("cli") for line in lines)
    assert not any("below" in line for line in lines)


@pytest.mark.parametrize("room", sorted(ROOM_MIN))
def test_one_room_below_its_mark_fails(room: str) -> None:
    lines, passed = judge({**GOOD, room: (int(ROOM_MIN[room] * 10) - 1, 1000)})
    assert not passed
    assert [line.split()[0] for line in lines if "below" in line] == [room]


@pytest.mark.parametrize("room", sorted(ROOM_MIN))
def test_a_room_that_nobody_measured_fails(room: str) -> None:
    _, passed = judge({name: figures for name, figures in GOOD.items() if name != room})
    assert not passed


def test_the_whole_below_its_mark_fails() -> None:
    lines, passed = judge({**GOOD, "cli": (100, 1000)})
    assert not passed
    assert "below its mark" in lines[-1]
