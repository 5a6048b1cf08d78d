"""Signatures are the venue's, bit for bit; only trading is ever signed; no error shows a key."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from domain.accounts import SecretText
from domain.errors import InvalidInput, NotAllowed
from tests.venues.pacifica.building import AGENT, AGENT_KEY, OWNER, OWNER_KEY, VECTORS, sample
from venues.pacifica import base58
from venues.pacifica.signing import Signer, address_bytes, canonical, check_allowed

#: Request types of the recorded vectors that this system refuses to sign.
NEVER_SIGNED = {"bind_agent_wallet", "transfer_funds", "cancel_all_orders"}
ENVELOPE = {"account", "agent_wallet", "signature", "timestamp", "expiry_window"}


def message(kind: str = "cancel_order", **data: Any) -> str:
    return canonical(kind, 1748970123456, 5000, data or {"symbol": "BTC", "order_id": 7})


def verifies(address: str, text: str, signature: str) -> bool:
    key = Ed25519PublicKey.from_public_bytes(address_bytes(address))
    try:
        key.verify(base58.decode(signature, 64), text.encode())
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize("who", ["owner", "agent"])
def test_own_vectors(who: str) -> None:
    read = json.loads(VECTORS["message"])
    text = canonical(read["type"], read["timestamp"], read["expiry_window"], read["data"])
    assert text == VECTORS["message"]
    seed = base58.encode(bytes.fromhex(VECTORS[who]["seed_hex"]))
    for credential in (VECTORS[who]["keypair"], seed, f" {seed}\n"):
        signer = Signer()
        assert signer.address(SecretText(credential)) == VECTORS[who]["address"]
        assert signer.sign(SecretText(credential), text) == VECTORS["signatures"][who]


def test_recorded_vectors() -> None:
    recorded = sample("signing/computed_vectors.json")
    for vector in recorded["vectors"] if recorded else []:
        read = json.loads(vector["message"])
        text = canonical(read["type"], read["timestamp"], read["expiry_window"], read["data"])
        assert text == vector["message"]
        body = {key: value for key, value in vector["request"].items() if key not in ENVELOPE}
        signer = OWNER if vector["signer"] == "main" else AGENT
        assert verifies(signer, text, vector["signature"])
        if vector["type"] in NEVER_SIGNED or "take_profit" in body:
            with pytest.raises(NotAllowed):
                check_allowed(text)
            continue
        key = OWNER_KEY if vector["signer"] == "main" else AGENT_KEY
        assert Signer().sign(SecretText(key), text) == vector["signature"]


def test_requests_that_the_venue_took_verify() -> None:
    recorded = sample("signing/ccxt_signed_requests.json")
    for vector in recorded["vectors"] if recorded else []:
        bodies = [one["data"] for one in vector["body"].get("actions", [])] or [vector["body"]]
        for body in bodies:
            # `slippage` is a key of ccxt's own: the venue does not know it, and leaves it out.
            data = {
                key: value
                for key, value in body.items()
                if key not in ENVELOPE and key != "slippage"
            }
            text = canonical(
                vector["signature_type"], body["timestamp"], body["expiry_window"], data
            )
            assert verifies(body["account"], text, body["signature"]) is vector["verified"]


@pytest.mark.parametrize(
    "text",
    [
        message("withdraw", amount="1"),
        message("transfer_funds", to_account=OWNER, amount="1"),
        message("bind_agent_wallet", agent_wallet=AGENT),
        message("create_order", symbol="BTC", builder_code="ABC"),
        message("create_order", symbol="BTC", take_profit={"stop_price": "1"}),
        message("create_stop_order", stop_order={"stop_price": "1", "builder_code": "A"}),
        message("set_position_tpsl", symbol="BTC", take_profit="1"),
        json.dumps(json.loads(message())),
        '{"type":"cancel_order"}',
        "[]",
        "no json",
    ],
)
def test_whatever_is_not_trading_or_not_canonical_is_not_signed(text: str) -> None:
    with pytest.raises(NotAllowed):
        Signer().sign(SecretText(AGENT_KEY), text)


@pytest.mark.parametrize(
    "credential",
    ["", "secret", OWNER_KEY[:-4], "0" * 88, "l" * 44, "é" * 44, "z" * 4000, AGENT_KEY[:40]],
)
def test_a_wrong_credential_is_explained_without_being_shown(credential: str) -> None:
    with pytest.raises(InvalidInput, match="Solana private key") as refused:
        Signer().address(SecretText(credential))
    assert not credential or credential not in str(refused.value)


def test_a_keypair_whose_halves_do_not_belong_together_is_refused() -> None:
    seed, other = base58.decode(OWNER_KEY, 64)[:32], base58.decode(AGENT_KEY, 64)[32:]
    with pytest.raises(InvalidInput, match="two halves"):
        Signer().address(SecretText(base58.encode(seed + other)))


def test_many_keys_are_kept_apart() -> None:
    signer = Signer()
    seeds = [bytes([number]) * 32 for number in range(70)]
    addresses = {signer.address(SecretText(base58.encode(seed))) for seed in seeds}
    assert len(addresses) == 70
    assert signer.address(SecretText(AGENT_KEY)) == AGENT


@given(st.binary(min_size=32, max_size=32))
def test_base58_gives_back_what_it_spelled(data: bytes) -> None:
    assert base58.decode(base58.encode(data), 32) == data


def test_base58_refuses_another_length() -> None:
    with pytest.raises(ValueError, match="expected base58 of 64 bytes, found 32"):
        base58.decode(OWNER, 64)
    with pytest.raises(InvalidInput, match="address"):
        address_bytes("0x00")
