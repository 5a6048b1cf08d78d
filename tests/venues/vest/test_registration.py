"""Registering a signing key, as an operator does: the primary key is asked for and never kept."""

from __future__ import annotations

import io
import json
import sys

import pytest
from coincurve import PrivateKey

from domain.accounts import Network, SecretText
from domain.errors import VenueRefused, VenueUnavailable
from tests.venues.vest.building import PRIMARY
from venues.simulation.server import running_simulator
from venues.vest import registration
from venues.vest.credential import trading
from venues.vest.registration import main, register
from venues.vest.signing import address_of


async def test_what_the_venue_gives_is_a_credential() -> None:
    async with running_simulator(venue="vest") as running:
        primary, signing = PrivateKey(), PrivateKey()
        expiry_ms = running.exchange.now_ms() + 60_000
        text = await register(running.url, Network.PAPER, primary, signing, expiry_ms)
        given = trading(SecretText(text))
        assert given.signing_bytes() == signing.secret
        agent = running.exchange.tables.agents[address_of(signing)]
        assert (agent.account, agent.valid_until_ms) == (address_of(primary), expiry_ms)
        assert agent.name == given.reader.api_key.reveal()
        with pytest.raises(VenueRefused, match="INVALID_NETWORK_TYPE"):
            await register(running.url, Network.TESTNET, primary, signing, expiry_ms)
    with pytest.raises(VenueUnavailable, match="did not answer"):
        await register(running.url, Network.PAPER, primary, signing, expiry_ms)


def test_by_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    primary = PrivateKey()
    asked: list[object] = []

    async def registering(*arguments: object) -> str:
        asked.extend(arguments)
        return json.dumps({"signingKey": "0x1"})

    monkeypatch.setattr(registration, "register", registering)
    monkeypatch.setenv("VEST_PAPER_URL", "http://127.0.0.1:9")
    key = primary.secret.hex()
    for address, network, days, says in (
        (address_of(primary), "paper", "7", None),
        (PRIMARY, "paper", "7", "expected the key of"),
        (address_of(primary), "paper", "31", "expected 1 to 30"),
    ):
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"0x{key}\n"))
        code = main([address, "--network", network, "--days", days])
        out, err = capsys.readouterr()
        assert key not in out + err
        if says is None:
            assert (code, json.loads(out)) == (0, {"signingKey": "0x1"})
        else:
            assert (code, out) == (1, "")
            assert says in err
    assert asked[:2] == ["http://127.0.0.1:9", Network.PAPER]
