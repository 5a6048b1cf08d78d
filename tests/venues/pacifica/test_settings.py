"""Addresses per network, from the environment and never by accident."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from domain.accounts import Network
from domain.errors import InvalidInput, VenueUnavailable
from tests.venues.pacifica.building import account, envelope
from tests.venues.pacifica.test_translate import MARKET
from tests.venues.raw_server import answering, serving
from venues.addresses import socket_url
from venues.pacifica.connector import PacificaConnector
from venues.pacifica.feed_reading import FeedReading
from venues.pacifica.settings import PacificaSettings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAINNET", "TESTNET", "PAPER"):
        monkeypatch.delenv(f"PACIFICA_{name}_URL", raising=False)


def test_networks() -> None:
    settings = PacificaSettings()
    assert settings.base_url(Network.MAINNET) == "https://api.pacifica.fi"
    assert settings.base_url(Network.TESTNET) == "https://test-api.pacifica.fi"
    assert settings.socket_url(Network.MAINNET) == "wss://ws.pacifica.fi/ws"
    assert settings.socket_url(Network.TESTNET) == "wss://test-ws.pacifica.fi/ws"
    with pytest.raises(InvalidInput, match="PACIFICA_PAPER_URL"):
        settings.base_url(Network.PAPER)


def test_paper_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACIFICA_PAPER_URL", "http://sim:8710/")
    assert PacificaSettings().base_url(Network.PAPER) == "http://sim:8710"
    assert PacificaSettings().socket_url(Network.PAPER) == "ws://sim:8710/ws"


def test_socket_addresses() -> None:
    assert socket_url("https://api.pacifica.fi") == "wss://api.pacifica.fi/ws"
    assert socket_url("http://127.0.0.1:8710") == "ws://127.0.0.1:8710/ws"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PAPER", "127.0.0.1:8710"),
        ("PAPER", "http://127.0.0.1:8710/info"),
        ("PAPER", "http://user@127.0.0.1"),
        ("PAPER", "ftp://127.0.0.1"),
        ("MAINNET", "http://api.pacifica.fi"),
        ("TESTNET", "http://elsewhere"),
    ],
)
def test_wrong_addresses_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"PACIFICA_{name}_URL", value)
    with pytest.raises(ValidationError):
        PacificaSettings()


def test_a_local_proxy_may_stand_in_for_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACIFICA_TESTNET_URL", "http://127.0.0.1:1")
    assert PacificaSettings().base_url(Network.TESTNET) == "http://127.0.0.1:1"


def test_an_api_config_key_is_read_from_its_file_and_shown_to_no_simulator(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert PacificaSettings().headers(Network.MAINNET) == {}
    file = tmp_path / "key"
    monkeypatch.setenv("PACIFICA_API_CONFIG_KEY_FILE", str(file))
    with pytest.raises(InvalidInput, match="FileNotFoundError"):
        PacificaSettings().headers(Network.MAINNET)
    for wrong in ("", "two keys", "\x00"):
        file.write_text(wrong)
        with pytest.raises(InvalidInput, match="hold one key"):
            PacificaSettings().headers(Network.TESTNET)
    file.write_text("AbCd_1\n")
    settings = PacificaSettings()
    assert settings.headers(Network.MAINNET) == {"PF-API-KEY": "AbCd_1"}
    assert settings.headers(Network.PAPER) == {}
    assert "AbCd_1" not in repr(settings)


async def test_the_api_config_key_goes_with_every_request() -> None:
    headers = {"PF-API-KEY": "AbCd_1"}
    handler = answering(json.dumps(envelope([MARKET])).encode())
    async with serving(handler) as server:
        connector = PacificaConnector(Network.TESTNET, server.url, headers=headers)
        await connector.start()
        await connector.close()
        with pytest.raises(VenueUnavailable):
            await FeedReading(server.url, headers=headers).leverage(account())
    assert len(server.requests) == 3
    assert all("pf-api-key: abcd_1" in request.head.lower() for request in server.requests)


def test_the_first_assumption_of_credits_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PacificaSettings().credits_per_minute == 100
    monkeypatch.setenv("PACIFICA_CREDITS_PER_MINUTE", "300")
    assert PacificaSettings().credits_per_minute == 300
    monkeypatch.setenv("PACIFICA_CREDITS_PER_MINUTE", "0")
    with pytest.raises(ValidationError):
        PacificaSettings()
