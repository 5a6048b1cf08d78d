"""Addresses per network, from the environment and never by accident."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from domain.accounts import Network
from domain.errors import InvalidInput
from venues.pacifica.settings import PacificaSettings, socket_url


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


def test_the_first_assumption_of_credits_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PacificaSettings().credits_per_minute == 100
    monkeypatch.setenv("PACIFICA_CREDITS_PER_MINUTE", "300")
    assert PacificaSettings().credits_per_minute == 300
    monkeypatch.setenv("PACIFICA_CREDITS_PER_MINUTE", "0")
    with pytest.raises(ValidationError):
        PacificaSettings()
