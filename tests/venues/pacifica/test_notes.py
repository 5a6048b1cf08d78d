"""NOTES.md says what the code declares."""

from __future__ import annotations

from pathlib import Path

import venues.pacifica as package
from venues.capabilities import Fence
from venues.pacifica.credits import CREDITS_PER_MINUTE
from venues.pacifica.proofs import ADMISSION_WINDOW_S, CAPABILITIES, PROOFS
from venues.pacifica.refusals import BEFORE_ENGINE_STATUSES, RATE_LIMITED_STATUS
from venues.pacifica.simulator import _CREDITS

NOTES = (Path(package.__file__).parent / "NOTES.md").read_text()


def row(name: str) -> str:
    (found,) = (line for line in NOTES.splitlines() if line.startswith(f"| {name} |"))
    return found


def test_capabilities() -> None:
    assert all(kind.value in row("order types") for kind in CAPABILITIES.order_types)
    shown = row("times in force")
    assert all(time.value in shown for time in CAPABILITIES.times_in_force)
    assert CAPABILITIES.post_only == ("post-only" in shown)
    assert row("native modify").startswith("| native modify | not used") is (
        not CAPABILITIES.native_modify
    )
    assert f"{CAPABILITIES.batch_limit} orders" in row("batch")
    assert row("scheduled cancel").startswith("| scheduled cancel | none") is (
        not CAPABILITIES.schedule_cancel
    )
    assert all(mode.value.lower() in row("margin") for mode in CAPABILITIES.margin_modes)


def test_proofs() -> None:
    assert set(PROOFS.fences) == {Fence.ADMISSION_EXPIRY}
    assert PROOFS.admission_window_s == ADMISSION_WINDOW_S
    assert f"until {ADMISSION_WINDOW_S:g} s after its ledger row" in NOTES
    assert not PROOFS.replay_protected
    assert "Nothing is ever sent\ntwice" in NOTES
    for status in (*BEFORE_ENGINE_STATUSES, RATE_LIMITED_STATUS):
        assert str(status) in NOTES


def test_credits() -> None:
    assert f"{CREDITS_PER_MINUTE:g} to an address" in NOTES
    assert f"{_CREDITS} credits a minute" in NOTES
