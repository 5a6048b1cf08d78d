"""Addresses per network, from the environment and never by accident."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from domain.accounts import Network
from domain.errors import InvalidInput
from venues.addresses import socket_url
from venues.hyperliquid.settings import HyperliquidSettings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAINNET", "TESTNET", "PAPER"):
        monkeypatch.delenv(f"HYPERLIQUID_{name}_URL", raising=False)


def test_networks() -> None:
    settings = HyperliquidSettings()
    assert settings.base_url(Network.MAINNET) == "https://api.hyperliquid.xyz"
    assert settings.base_url(Network.TESTNET) == "https://api.hyperliquid-testnet.xyz"
    with pytest.raises(InvalidInput, match="HYPERLIQUID_PAPER_URL"):
        settings.base_url(Network.PAPER)


def test_paper_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERLIQUID_PAPER_URL", "http://sim:8710/")
    assert HyperliquidSettings().base_url(Network.PAPER) == "http://sim:8710"


def test_socket_addresses() -> None:
    assert socket_url("https://api.hyperliquid.xyz") == "wss://api.hyperliquid.xyz/ws"
    assert socket_url("http://127.0.0.1:8710") == "ws://127.0.0.1:8710/ws"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PAPER", "127.0.0.1:8710"),
        ("PAPER", "http://127.0.0.1:8710/info"),
        ("PAPER", "http://user@127.0.0.1"),
        ("PAPER", "ftp://127.0.0.1"),
        ("MAINNET", "http://api.hyperliquid.xyz"),
        ("TESTNET", "http://elsewhere"),
    ],
)
def test_wrong_addresses_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"HYPERLIQUID_{name}_URL", value)
    with pytest.raises(ValidationError):
        HyperliquidSettings()


def test_a_local_proxy_may_stand_in_for_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERLIQUID_TESTNET_URL", "http://127.0.0.1:1")
    assert HyperliquidSettings().base_url(Network.TESTNET) == "http://127.0.0.1:1"


def test_weight_can_be_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert HyperliquidSettings().weight_per_minute == 1200
    monkeypatch.setenv("HYPERLIQUID_WEIGHT_PER_MINUTE", "600")
    assert HyperliquidSettings().weight_per_minute == 600
    monkeypatch.setenv("HYPERLIQUID_WEIGHT_PER_MINUTE", "0")
    with pytest.raises(ValidationError):
        HyperliquidSettings()
