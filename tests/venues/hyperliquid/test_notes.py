"""NOTES.md says what the code declares."""

from __future__ import annotations

from pathlib import Path

import venues.hyperliquid as package
from venues.connector import Fence
from venues.hyperliquid.proofs import ADMISSION_WINDOW_S, CAPABILITIES, PROOFS
from venues.hyperliquid.refusals import MALFORMED_STATUSES, RATE_LIMITED_STATUS

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
    assert row("scheduled cancel").startswith("| scheduled cancel | yes")
    assert CAPABILITIES.schedule_cancel
    assert all(mode.value.lower() in row("margin") for mode in CAPABILITIES.margin_modes)


def test_proofs() -> None:
    assert set(PROOFS.fences) == {Fence.NONCE_BURN, Fence.ADMISSION_EXPIRY}
    assert PROOFS.admission_window_s == ADMISSION_WINDOW_S
    assert f"{ADMISSION_WINDOW_S:g} s after its ledger row" in NOTES
    assert PROOFS.fill_key == ("venue_order_id", "trade_id", "event_time")
    for status in (*MALFORMED_STATUSES, RATE_LIMITED_STATUS):
        assert str(status) in NOTES
    assert all(found.evidence and found.source for found in PROOFS.rows)
