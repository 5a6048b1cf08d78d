"""Addresses by network, each of them to be set; no secret among them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from domain.accounts import Network
from domain.errors import InvalidInput
from venues.simulation.exchange import open_exchange
from venues.simulation.faults import FaultPlan
from venues.simulation.venue import markets_of
from venues.vest.settings import VestSettings
from venues.vest.simulator import simulator


@pytest.fixture(autouse=True)
def beside_no_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_address_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = VestSettings()
    assert settings.base_url(Network.MAINNET) == "https://server-prod.hz.vestmarkets.com"
    assert settings.socket_url(Network.MAINNET) == "wss://ws-prod.hz.vestmarkets.com/ws-api"
    assert settings.socket_url(Network.TESTNET) == "wss://ws-dev.hz.vestmarkets.com/ws-api"
    monkeypatch.setenv("VEST_MAINNET_URL", "https://elsewhere.example/")
    monkeypatch.setenv("VEST_PAPER_URL", "http://127.0.0.1:8720")
    settings = VestSettings()
    assert settings.base_url(Network.MAINNET) == "https://elsewhere.example"
    assert settings.socket_url(Network.PAPER) == "ws://127.0.0.1:8720/ws-api"


def test_paper_without_an_address_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VEST_PAPER_URL", raising=False)
    with pytest.raises(InvalidInput, match="VEST_PAPER_URL"):
        VestSettings().socket_url(Network.PAPER)


@pytest.mark.parametrize("url", ["http://far.example", "ftp://x", "https://x/v2"])
def test_an_address_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("VEST_MAINNET_URL", url)
    with pytest.raises(ValidationError):
        VestSettings()


async def test_a_simulators_own_settings_are_checked() -> None:
    exchange = open_exchange(None, instruments=markets_of("vest"))
    try:
        made = simulator(exchange, FaultPlan(), {"SIM_VEST_QUIRKS": "binary_frames,fok_cancels"})
        assert made.quirks.binary_frames and made.quirks.fok_cancels
        assert made.venue_symbol("BTC") == made.venue_symbol("BTC-PERP") == "BTC-PERP"
        assert made.order_reference("0x" + f"{7:064x}") == 7
        assert made.order_reference("1791318879000") == "1791318879000"
        with pytest.raises(ValueError, match="SIM_VEST_QUIRKS"):
            simulator(exchange, FaultPlan(), {"SIM_VEST_QUIRKS": "honest"})
        with pytest.raises(ValueError, match="SIM_VEST_REQUESTS"):
            simulator(exchange, FaultPlan(), {"SIM_VEST_REQUESTS": "many"})
    finally:
        await exchange.close()
