"""What a venue declares of itself: whole, true in its NOTES, and the same wherever it is shown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from domain.accounts import Network
from domain.errors import InvalidInput
from domain.ledger import NonceRule
from domain.orders import OrderType, TimeInForce
from tests.conformance.rig import VenueRig
from venues import notes, registry
from venues.connector import Fence
from venues.sheets import BEGIN, END, sheet_of
from venues.simulation.venue import load_simulator

ROOT = Path(__file__).parents[2]
#: What every proof table has to say at least.
PROVEN = {"accepted", "rejected"}


def test_every_registered_venue_has_a_simulator_and_notes(rig: VenueRig) -> None:
    assert callable(load_simulator(rig.venue))
    assert rig.notes.is_file()
    assert rig.error_table == notes.error_table_of(rig.venue)


def test_the_notes_print_what_the_data_says(rig: VenueRig) -> None:
    text = rig.notes.read_text(encoding="utf-8")
    assert notes.renewed(rig.venue, text) == text, "run: python -m venues.notes --write"


def test_notes_that_were_changed_by_hand_are_noticed(rig: VenueRig) -> None:
    text = rig.notes.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    changed = before + BEGIN + "\nis it?\n" + END + after
    assert notes.renewed(rig.venue, changed) == text
    with pytest.raises(ValueError, match="expected the lines"):
        notes.renewed(rig.venue, before + after)


def test_the_check_of_all_notes_passes() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "venues.notes", "--check"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr


def test_the_proof_table_is_whole(rig: VenueRig) -> None:
    spec = registry.load(rig.venue)
    proofs, capabilities = spec.proofs, spec.capabilities
    assert {row.proves for row in proofs.rows} >= PROVEN
    assert all(row.evidence and row.source for row in proofs.rows)
    assert len({row.proves for row in proofs.rows}) == len(proofs.rows)
    assert proofs.fill_key and "trade_id" in proofs.fill_key
    assert proofs.visibility_delay_s > 0 and proofs.verdict_delay_s > 0
    assert (proofs.admission_window_s is not None) == (Fence.ADMISSION_EXPIRY in proofs.fences)
    if Fence.ADMISSION_EXPIRY in proofs.fences:
        assert {"absent", "never admitted"} & {row.proves for row in proofs.rows}
    if Fence.NONCE_BURN in proofs.fences:
        assert capabilities.nonce_rule is not NonceRule.NONE
        assert "never executed" in {row.proves for row in proofs.rows}
    if Fence.COMPLETION in proofs.fences:
        assert proofs.replay_protected, "who resends until it is done needs protection from copies"
    assert proofs.unverified, "what nobody has proven is part of what is known of a venue"


def test_capabilities_are_whole(rig: VenueRig) -> None:
    capabilities = registry.load(rig.venue).capabilities
    assert {OrderType.LIMIT, OrderType.MARKET} <= capabilities.order_types
    assert TimeInForce.GTC in capabilities.times_in_force
    assert {TimeInForce.IOC, TimeInForce.FOK} & capabilities.times_in_force, "to take at once"
    assert capabilities.reduce_only, "closing a position must not be able to open one"
    assert capabilities.margin_modes
    assert capabilities.batch_limit >= 1
    assert Network.PAPER in capabilities.networks
    assert capabilities.schedule_cancel or capabilities.schedule_cancel_takes_stops


def test_a_sheet_says_in_words_what_the_data_says(rig: VenueRig) -> None:
    spec = registry.load(rig.venue)
    sheet = sheet_of(spec.venue, spec.capabilities, spec.proofs)
    assert sheet.venue == rig.venue
    assert set(sheet.order_types) == {kind.value for kind in spec.capabilities.order_types}
    assert sheet.order_types[0] == "LIMIT"
    assert set(sheet.market_queries) == set(spec.capabilities.market_queries)
    assert sheet.candle_intervals == spec.capabilities.candle_intervals
    keeper = "venue" if spec.capabilities.schedule_cancel else "watchdog"
    assert sheet.dead_man_kept_by == keeper
    assert "stops and targets" in sheet.dead_man_effect
    assert sheet.dead_man_triggers_most is None or spec.capabilities.schedule_cancel
    assert [row.proves for row in sheet.proofs] == [row.proves for row in spec.proofs.rows]


def test_networks_that_are_declared_can_be_connected_to_and_no_others(
    rig: VenueRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(rig.paper_variable, "http://127.0.0.1:9")
    spec = registry.load(rig.venue)
    for network in Network:
        if network in spec.capabilities.networks:
            connector = spec.connect(network)
            assert (connector.venue, connector.network) == (rig.venue, network)
            assert connector.capabilities is spec.capabilities
            assert connector.proofs is spec.proofs
        else:
            with pytest.raises(InvalidInput):
                spec.connect(network)


def test_without_an_address_paper_is_explained(
    rig: VenueRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(rig.paper_variable, raising=False)
    with pytest.raises(InvalidInput, match=rig.paper_variable):
        registry.load(rig.venue).connect(Network.PAPER)


def test_naming_and_describing_a_venue_loads_neither_http_nor_signing(rig: VenueRig) -> None:
    heavy = ["aiohttp", "picows", "eth_account", "coincurve", "cryptography", "pydantic"]
    program = (
        f"import venues.registry; venues.registry.load({rig.venue!r}); import sys; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert shown.stdout.strip() == "[]"
