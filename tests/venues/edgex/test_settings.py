"""Networks and addresses: what there is, what there is not, and how it is said."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from domain.accounts import Network
from domain.errors import InvalidInput
from venues import registry
from venues.edgex.settings import EdgexSettings


def test_addresses_of_mainnet_and_paper() -> None:
    settings = EdgexSettings(paper_url="http://127.0.0.1:8718/")
    assert settings.base_url(Network.MAINNET) == "https://edgex-prod-v2.edgex.exchange"
    assert settings.socket_url(Network.MAINNET) == "wss://edgex-quote-prod-v2.edgex.exchange"
    assert settings.base_url(Network.PAPER) == "http://127.0.0.1:8718"
    assert settings.socket_url(Network.PAPER) == "ws://127.0.0.1:8718"


def test_there_is_no_testnet_and_that_is_said() -> None:
    spec = registry.load("edgex")
    assert spec.capabilities.networks == {Network.MAINNET, Network.PAPER}
    with pytest.raises(InvalidInput, match="edgex has none for the public"):
        spec.connect(Network.TESTNET)
    for what in (EdgexSettings().base_url, EdgexSettings().socket_url):
        with pytest.raises(InvalidInput, match="testnet"):
            what(Network.TESTNET)


def test_the_simulator_is_asked_as_often_as_we_like_and_the_venue_is_not() -> None:
    settings = EdgexSettings(requests_per_second=2)
    assert settings.rate(Network.MAINNET) == 2
    assert settings.rate(Network.PAPER) > 100


@pytest.mark.parametrize("url", ["http://example.com", "https://x/path", "ftp://x", "x"])
def test_wrong_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        EdgexSettings(mainnet_url=url)


def test_loading_the_feeds_loads_no_signer() -> None:
    import subprocess
    import sys

    program = (
        "import venues.edgex.account_feed, venues.edgex.market_stream, sys; "
        "print([m for m in ('coincurve', 'eth_account', 'eth_utils') if m in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout.strip() == "[]"
