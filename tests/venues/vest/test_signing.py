"""Signatures follow the page, bit for bit; only orders and cancels are signed; no key is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from coincurve import PrivateKey
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_utils.crypto import keccak

from domain.accounts import Network
from domain.errors import InvalidInput, NotAllowed
from tests.venues.vest.building import (
    EXPIRY_MS,
    LIMIT_DIGEST,
    LIMIT_ORDER,
    LIMIT_SIGNATURE,
    PRIMARY,
    PRIMARY_KEY,
    REGISTRATION_DIGEST,
    REGISTRATION_SIGNATURE,
    SIGNING,
    credential,
    sample,
)
from venues.vest.registration import DEPLOYMENTS, registration_body, registration_digest
from venues.vest.signing import (
    CANCEL,
    ORDER,
    Signer,
    address_of,
    cancel_digest,
    canonical,
    check_allowed,
    key_of,
    order_digest,
    sign_digest,
)

SIGNED = ("time", "nonce", "orderType", "symbol", "isBuy", "size", "limitPrice", "reduceOnly")
CANCEL_ORDER = {"time": 1791318879000, "nonce": 1791318879001, "id": "0x1f"}


def test_own_vectors() -> None:
    assert order_digest(LIMIT_ORDER).hex() == LIMIT_DIGEST
    signer = Signer()
    assert signer.sign(credential(), ORDER, LIMIT_ORDER) == LIMIT_SIGNATURE
    assert signer.address(credential()) == SIGNING
    contract = DEPLOYMENTS[Network.MAINNET].contract
    assert registration_digest(contract, SIGNING, EXPIRY_MS).hex() == REGISTRATION_DIGEST
    body = registration_body(DEPLOYMENTS[Network.MAINNET], key_of(PRIMARY_KEY), SIGNING, EXPIRY_MS)
    assert body == {
        "signingAddr": SIGNING,
        "primaryAddr": PRIMARY,
        "signature": REGISTRATION_SIGNATURE,
        "expiryTime": EXPIRY_MS,
        "networkType": 0,
    }


def test_another_library_signs_the_same() -> None:
    for _ in range(20):
        key = PrivateKey()
        digest = cancel_digest(CANCEL_ORDER)
        inner = keccak(
            bytes.fromhex(
                f"{CANCEL_ORDER['time']:064x}{CANCEL_ORDER['nonce']:064x}{0x60:064x}{4:064x}"
            )
            + b"0x1f".ljust(32, b"\0")
        )
        signed = Account.sign_message(encode_defunct(primitive=inner), key.secret)
        assert digest == bytes(signed.message_hash)
        assert sign_digest(key, digest) == "0x" + bytes(signed.signature).hex()
        assert address_of(key) == Account.from_key(key.secret).address.lower()


def test_every_vector_of_the_samples() -> None:
    found = sample("signing/vectors.json")
    for vector in found["vectors"] if found else []:
        posted = vector.get("posted_body", {})
        if "types" in vector:
            contract = vector["domain"]["verifyingContract"]
            digest = registration_digest(contract, vector["signing"], vector["expiry_ms"])
            assert "0x" + digest.hex() == vector["eip712_digest"], vector["name"]
            key = key_of(vector["primary_private_key"])
            assert sign_digest(key, digest) == vector["signature"] == posted["signature"]
            continue
        values = vector["abi_values"]
        is_order = len(values) == len(SIGNED)
        order = dict(zip(SIGNED if is_order else ("time", "nonce", "id"), values, strict=True))
        digest = order_digest(order) if is_order else cancel_digest(order)
        assert "0x" + digest.hex() == vector["eip191_digest"], vector["name"]
        key = key_of(vector["private_key"])
        assert address_of(key) == vector["signer"].lower()
        assert sign_digest(key, digest) == vector["signature"], vector["name"]


def test_what_the_signature_covers() -> None:
    found = sample("signing/acceptance.json")
    for case in found["cases"] if found else []:
        order = dict(zip(SIGNED, case["abi_values_as_received"], strict=True))
        is_same = order_digest(order).hex() == LIMIT_DIGEST
        assert is_same is case["matches_signer"], case["name"]
    for name, value in (("size", "0.1"), ("isBuy", False), ("nonce", 1), ("reduceOnly", True)):
        assert order_digest({**LIMIT_ORDER, name: value}).hex() != LIMIT_DIGEST, name
    assert order_digest({**LIMIT_ORDER, "timeInForce": "FOK"}).hex() == LIMIT_DIGEST


def text(kind: str = ORDER, order: Any = None, window: Any = 6000) -> str:
    return canonical(kind, LIMIT_ORDER if order is None else order, window)


def test_what_is_allowed_is_read_back() -> None:
    assert check_allowed(text())["order"] == LIMIT_ORDER
    assert check_allowed(text(CANCEL, CANCEL_ORDER))["type"] == CANCEL
    by_nonce = {"time": 1, "nonce": 2, "orderNonce": 3}
    assert check_allowed(text(CANCEL, by_nonce))["order"] == by_nonce
    with pytest.raises(NotAllowed, match="the venue's id"):
        Signer().sign(credential(), CANCEL, by_nonce)


@pytest.mark.parametrize(
    "message",
    [
        "no JSON",
        "[]",
        '{"type":"order"}',
        json.dumps({"type": ORDER, "order": LIMIT_ORDER, "recvWindow": 6000}),
        text("withdraw", {"account": PRIMARY, "recipient": PRIMARY, "size": "1"}),
        text("order", {**LIMIT_ORDER, "recipient": PRIMARY}),
        text("order", {name: LIMIT_ORDER[name] for name in ("time", "nonce")}),
        text("order", {**LIMIT_ORDER, "orderType": "LP"}),
        text("order", {**LIMIT_ORDER, "timeInForce": "IOC"}),
        text("order", {**LIMIT_ORDER, "size": 0.1}),
        text("order", {**LIMIT_ORDER, "nonce": True}),
        text("order", {**LIMIT_ORDER, "nonce": -1}),
        text(CANCEL, {**CANCEL_ORDER, "orderNonce": 4}),
        text(CANCEL, {"time": 1, "nonce": 2}),
        text(ORDER, LIMIT_ORDER, 60_001),
        text(ORDER, LIMIT_ORDER, 0),
        text(ORDER, "everything"),
    ],
)
def test_anything_else_is_not_signed(message: str) -> None:
    with pytest.raises(NotAllowed):
        check_allowed(message)


@pytest.mark.parametrize("key", ["", "0x", "11" * 31, "zz" * 32, "é" * 64])
def test_what_is_no_key_is_not_repeated(key: str) -> None:
    with pytest.raises(InvalidInput) as seen:
        key_of(key)
    assert len(key) < 4 or key not in str(seen.value)


def test_keys_are_remembered_as_objects_and_only_the_last_ones() -> None:
    signer = Signer()
    keys = [PrivateKey().secret.hex() for _ in range(70)]
    addresses = [signer.address(credential("0x" + key)) for key in keys]
    assert addresses == [signer.address(credential("0x" + key)) for key in keys]
    assert all(key not in repr(vars(signer)) for key in keys)
