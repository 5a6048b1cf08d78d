"""The registry is lazy, complete, and clear about what it does not have."""

from __future__ import annotations

import subprocess
import sys

import pytest

from domain.accounts import Network
from domain.errors import InvalidInput
from venues import registry
from venues.batches import JointPlacer
from venues.shapes import shapes_of


def test_names_are_sorted_and_all_load() -> None:
    assert registry.names() == tuple(sorted(registry.names()))
    for name in registry.names():
        spec = registry.load(name)
        assert spec.venue == name
        assert spec.capabilities.batch_limit > 0
        assert spec.proofs.rows


@pytest.mark.parametrize("name", registry.names())
async def test_what_it_says_of_exits_with_an_entry_is_what_it_can(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{name.upper()}_PAPER_URL", "http://127.0.0.1:9/")
    spec = registry.load(name)
    connector = spec.connect(Network.PAPER)
    assert isinstance(connector, JointPlacer) is spec.capabilities.joint_exits
    await connector.close()


def test_unknown_venue_is_explained() -> None:
    with pytest.raises(
        InvalidInput,
        match=f"venue: expected one of {', '.join(registry.names())}, found 'nowhere'",
    ):
        registry.load("nowhere")


@pytest.mark.parametrize(
    "statement",
    [
        "import venues.registry, venues.connector",
        "import venues.registry; venues.registry.names()",
        *(f"import venues.registry; venues.registry.load({name!r})" for name in registry.names()),
    ],
)
def test_naming_and_describing_a_venue_loads_neither_http_nor_signing(statement: str) -> None:
    heavy = ["aiohttp", "picows", "pydantic", "eth_account", "eth_utils", "eth_abi", "coincurve"]
    heavy += ["cryptography", "hyperliquid", "lighter", "fast_stark_crypto", "ctypes"]
    program = f"{statement}; import sys; print([m for m in {heavy!r} if m in sys.modules])"
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize("name", registry.names())
def test_every_venue_lists_its_payloads_so_that_changes_of_them_are_seen(name: str) -> None:
    assert shapes_of(name)


@pytest.mark.parametrize("venue", registry.names())
async def test_connect_and_feed_take_their_address_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, venue: str
) -> None:
    monkeypatch.setenv(f"{venue.upper()}_PAPER_URL", "http://127.0.0.1:9/")
    spec = registry.load(venue)
    connector = spec.connect(Network.PAPER)
    assert (connector.venue, connector.network) == (venue, Network.PAPER)
    await connector.close()
    await spec.account_feed(Network.PAPER).close()
    await spec.market_feed(Network.PAPER, []).close()
