"""Signatures equal those of the venue's own SDK, and nothing but trading is ever signed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hyperliquid.utils.signing import action_hash, l1_payload, sign_user_signed_action

from domain.accounts import SecretText
from domain.errors import InvalidInput, NotAllowed
from tests.venues.hyperliquid.building import KEY, SIGNER, samples
from venues.hyperliquid.signing import Signer, check_allowed, sign_unchecked

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())


def recorded_vectors() -> list[Any]:
    folder = samples()
    if folder is None:
        return []
    files = sorted((folder / "signing").glob("vectors_*.json"))
    return [vector for file in files for vector in json.loads(file.read_text())["vectors"]]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vectors_of_the_sdk(vector: dict[str, Any]) -> None:
    body = vector["body"]
    signature = Signer().sign(
        SecretText(KEY),
        body["action"],
        nonce=body["nonce"],
        vault_address=body["vaultAddress"],
        expires_after_ms=body["expiresAfter"],
        is_mainnet=vector["is_mainnet"],
    )
    assert signature == body["signature"]


def test_recorded_vectors() -> None:
    for vector in recorded_vectors():
        if vector["scheme"] == "user_signed":
            # Transfers and approvals are the master's; we have no way to sign one.
            body = vector.get("posted_body", {"action": {"type": "usdSend"}})
            with pytest.raises(NotAllowed):
                check_allowed(body["action"])
            continue
        action = vector["action"]
        hashed = action_hash(
            action, vector.get("vault_address"), vector["nonce"], vector.get("expires_after")
        )
        assert "0x" + hashed.hex() == vector["connection_id"], vector["name"]
        if vector["signature"] is None:
            continue
        signature = sign_unchecked(
            Account.from_key(vector["private_key"]),
            action,
            nonce=vector["nonce"],
            vault_address=vector.get("vault_address"),
            expires_after_ms=vector.get("expires_after"),
            is_mainnet=vector["is_mainnet"],
        )
        assert signature == vector["signature"], vector["name"]


def test_recorded_acceptance_cases_recover_to_what_the_venue_sees() -> None:
    folder = samples()
    cases = (
        []
        if folder is None
        else json.loads((folder / "signing" / "canonicalisation.json").read_text())["cases"]
    )
    for case in cases:
        signature = sign_unchecked(
            Account.from_key(case["private_key"]),
            case["signed_action"],
            nonce=case["nonce"],
            vault_address=case["vaultAddress"],
            expires_after_ms=case["expiresAfter"],
            is_mainnet=case["is_mainnet"],
        )
        is_other_network = case["name"] == "wrong_network"
        assert (signature == case["signature"]) is not is_other_network, case["name"]


def test_signature_recovers_to_the_signer() -> None:
    body = VECTORS[0]["body"]
    hashed = action_hash(body["action"], None, body["nonce"], None)
    typed = encode_typed_data(full_message=l1_payload({"source": "a", "connectionId": hashed}))
    parts = [body["signature"][part] for part in ("v", "r", "s")]
    assert Account.recover_message(typed, vrs=parts).lower() == SIGNER


def test_curve_arithmetic_runs_in_coincurve() -> None:
    wallet = Signer()._wallet(SecretText(KEY))
    assert type(wallet._key_obj.backend).__name__ == "CoinCurveECCBackend"


def test_address_with_and_without_prefix_and_blanks() -> None:
    signer = Signer()
    for text in (KEY, KEY.removeprefix("0x"), f" {KEY}\n", KEY.upper().replace("0X", "0x")):
        assert signer.address(SecretText(text)) == SIGNER


@pytest.mark.parametrize("text", ["", "0x12", "zz" * 32, "00" * 32, "ff" * 32, KEY + "0"])
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Signer().address(SecretText(text))
    assert caught.value.field == "credential"
    if text:
        assert text not in str(caught.value)


@pytest.mark.parametrize(
    "action",
    [
        {"type": "withdraw3", "destination": "0x1", "amount": "1", "time": 1},
        {"type": "usdSend"},
        {"type": "agentSendAsset"},
        {"type": "approveAgent"},
        {"type": "subAccountTransfer"},
        {"type": "vaultTransfer"},
        {"type": ["order"]},
        {},
        {"type": "order", "orders": [], "grouping": "na", "builder": {"b": "0x1", "f": 100}},
        {"type": "noop", "destination": "0x1"},
    ],
)
def test_only_trading_is_signed(action: dict[str, Any]) -> None:
    with pytest.raises(NotAllowed):
        Signer().sign(
            SecretText(KEY),
            action,
            nonce=1,
            vault_address=None,
            expires_after_ms=None,
            is_mainnet=True,
        )


def test_user_signed_actions_differ_from_anything_we_make() -> None:
    action = {"destination": "0x" + "1" * 40, "amount": "1", "time": 1}
    types = [
        {"name": "hyperliquidChain", "type": "string"},
        {"name": "destination", "type": "string"},
        {"name": "amount", "type": "string"},
        {"name": "time", "type": "uint64"},
    ]
    transfer = sign_user_signed_action(
        Account.from_key(KEY), action, types, "HyperliquidTransaction:UsdSend", True
    )
    ours = Signer().sign(
        SecretText(KEY),
        {"type": "noop"},
        nonce=1,
        vault_address=None,
        expires_after_ms=None,
        is_mainnet=True,
    )
    assert transfer != ours


def test_only_the_last_wallets_are_remembered() -> None:
    signer = Signer()
    first = SecretText(f"{1:064x}")
    address = signer.address(first)
    for number in range(2, 80):
        signer.address(SecretText(f"{number:064x}"))
    assert len(signer._wallets) == 64
    assert signer.address(first) == address
