"""Addresses by network, and numbers that make sense; NOTES.md says what the code declares."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

import venues.extended as package
from domain.accounts import Network
from domain.errors import InvalidInput
from venues.extended.proofs import CAPABILITIES, PROOFS
from venues.extended.settings import REQUESTS_PER_MINUTE, ExtendedSettings

NOTES = (Path(package.__file__).parent / "NOTES.md").read_text()


def row(name: str) -> str:
    (found,) = (line for line in NOTES.splitlines() if line.startswith(f"| {name} |"))
    return found


def test_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXTENDED_PAPER_URL", "http://127.0.0.1:8716/")
    settings = ExtendedSettings()
    assert settings.base_url(Network.MAINNET) == "https://api.starknet.extended.exchange"
    assert settings.base_url(Network.TESTNET) == "https://api.starknet.sepolia.extended.exchange"
    assert settings.socket_url(Network.PAPER) == ("ws://127.0.0.1:8716/stream.extended.exchange")
    assert settings.socket_url(Network.MAINNET) == (
        "wss://api.starknet.extended.exchange/stream.extended.exchange"
    )
    monkeypatch.delenv("EXTENDED_PAPER_URL")
    with pytest.raises(InvalidInput, match="EXTENDED_PAPER_URL"):
        ExtendedSettings().base_url(Network.PAPER)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EXTENDED_MAINNET_URL", "http://api.example.com"),
        ("EXTENDED_PAPER_URL", "http://127.0.0.1:1/api"),
        ("EXTENDED_REQUESTS_PER_MINUTE", "3"),
        ("EXTENDED_MAX_FEE_RATE", "0"),
        ("EXTENDED_MAX_FEE_RATE", "1"),
    ],
)
def test_wrong_settings_are_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        ExtendedSettings()


def test_the_highest_fee_is_a_fraction(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ExtendedSettings().max_fee_rate == Decimal("0.0005")
    monkeypatch.setenv("EXTENDED_MAX_FEE_RATE", "0.0003")
    assert ExtendedSettings().max_fee_rate == Decimal("0.0003")


def test_the_notes_say_what_is_declared() -> None:
    assert all(kind.value in row("order types") for kind in CAPABILITIES.order_types)
    assert all(time.value in row("times in force") for time in CAPABILITIES.times_in_force)
    assert row("native modify").startswith("| native modify | not used") is (
        not CAPABILITIES.native_modify
    )
    assert ("deadmanswitch" in row("scheduled cancel")) is CAPABILITIES.schedule_cancel
    assert all(mode.value.lower() in row("margin") for mode in CAPABILITIES.margin_modes)
    assert PROOFS.fences == () and not PROOFS.replay_protected
    assert "a placement is never sent\ntwice" in NOTES
    assert f"{REQUESTS_PER_MINUTE:,.0f} requests a minute" in NOTES
