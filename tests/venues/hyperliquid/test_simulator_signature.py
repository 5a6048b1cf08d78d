"""The simulator's own hashing: published vectors, what the venue tolerates, what it does not."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey

from tests.venues.hyperliquid.simulator_client import order_action, order_wire, sign
from venues.hyperliquid.simulator_actions import (
    NotJson,
    WrongShape,
    normal_decimal,
    read_envelope,
)
from venues.hyperliquid.simulator_signature import (
    CannotRecover,
    address_of_key,
    connection_id,
    is_user_signed,
    recover_signer,
)

KEY = PrivateKey(b"\x5a" * 32)
SIGNER = address_of_key(KEY.public_key)
NONCE = 1_790_000_000_000
CLOID = "0x00000000000000000000000000abcdef"


def envelope(action: Any, signature: Any, **more: Any) -> bytes:
    body = {"action": action, "nonce": NONCE, "signature": signature, **more}
    return json.dumps(body).encode()


def recovered(sent: Any, signed: Any, *, is_mainnet: bool = False, **more: Any) -> str:
    signature = sign(KEY, signed, NONCE)
    return recover_signer(read_envelope(envelope(sent, signature, **more)), is_mainnet=is_mainnet)


def test_the_published_hash_of_an_order() -> None:
    """The official SDK's own check against production: hash and nothing else."""
    action = order_action(order_wire(asset=4, price="1670.1", size="0.0147", tif="Ioc"))
    body = {"action": action, "nonce": 1_677_777_606_040, "signature": sign(KEY, action, 1)}
    read = read_envelope(json.dumps(body).encode())
    assert not is_user_signed(read.action)
    digest = connection_id(read.action, 1_677_777_606_040, None, None)  # type: ignore[arg-type]
    assert digest.hex() == "0fcbeda5ae3c4950a548021552a4fea2226858c4453571bf3f24ba017eac2908"


def test_the_published_testnet_signature() -> None:
    action = order_action(order_wire(asset=1, price="100", size="100"))
    signature = {
        "r": "0x82b2ba28e76b3d761093aaded1b1cdad4960b3af30212b343fb2e6cdfa4e3d54",
        "s": "0x6b53878fc99d26047f4d7e8c90eb98955a109f44209163f52d8dc4278cbbd9f5",
        "v": 27,
    }
    body = json.dumps({"action": action, "nonce": 0, "signature": signature}).encode()
    key = PrivateKey(bytes.fromhex("0123456789" * 6 + "0123"))
    assert recover_signer(read_envelope(body), is_mainnet=False) == address_of_key(key.public_key)


def test_an_agent_approval_is_typed_data_of_its_own() -> None:
    body = {
        "action": {
            "type": "approveAgent",
            "hyperliquidChain": "Testnet",
            "signatureChainId": "0x66eee",
            "agentAddress": "0x7564105E977516C53bE337314c7E53838967bDaC",
            "agentName": "bot1",
            "nonce": 1_791_318_879_030,
        },
        "nonce": 1_791_318_879_030,
        "signature": {
            "r": "0xa4821c1057b31c697f6f072d4da033227fa319173004f6e70804f084687a8cfa",
            "s": "0x13b42acb73402fed29f76b38779631eab1f827d03f426c0b7e941ed050564aa",
            "v": 28,
        },
    }
    read = read_envelope(json.dumps(body).encode())
    assert is_user_signed(read.action)
    assert recover_signer(read, is_mainnet=False) == "0x5cbdd86a2fa8dc4bddd8a8f69dba48572eec07fb"


PLAIN = order_action(order_wire(price="60000", size="0.5", cloid=CLOID))


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "sent",
    [
        PLAIN,
        reordered(PLAIN),
        order_action(order_wire(price="60000.0", size="0.50", cloid=CLOID)),
        order_action(order_wire(price="060000", size="00.5", cloid=CLOID)),
        order_action(order_wire(price="60000", size="0.5", cloid=CLOID.upper().replace("X", "x"))),
        order_action(order_wire(price="60000", size="0.5", cloid=CLOID[2:])),
    ],
)
def test_what_the_venue_normalises_is_the_same_signer(sent: Any) -> None:
    assert recovered(sent, PLAIN) == SIGNER
    assert recovered(sent, PLAIN, vaultAddress=None, expiresAfter=None) == SIGNER


@pytest.mark.parametrize(
    ("sent", "more"),
    [
        (order_action(order_wire(price="60000", size="0.6", cloid=CLOID)), {}),
        (order_action(order_wire(price="60000", size="0.5")), {}),
        (PLAIN, {"vaultAddress": "0x" + "ab" * 20}),
        (PLAIN, {"expiresAfter": NONCE + 1}),
        (PLAIN, {"nonce": NONCE + 1}),
    ],
)
def test_anything_else_is_somebody_else(sent: Any, more: Any) -> None:
    assert recovered(sent, PLAIN, **more) != SIGNER


def test_the_other_network_is_somebody_else() -> None:
    assert recovered(PLAIN, PLAIN, is_mainnet=True) != SIGNER


def test_a_cloid_hashed_without_its_prefix_is_somebody_else() -> None:
    signed = order_action(order_wire(price="60000", size="0.5", cloid=CLOID[2:]))
    assert recovered(signed, signed) != SIGNER


def test_a_false_flag_that_was_hashed_is_somebody_else() -> None:
    action = {"type": "cancel", "cancels": [{"a": 0, "o": 5}], "f": False}
    assert recovered(action, action) != SIGNER
    fast = {"type": "cancel", "cancels": [{"a": 0, "o": 5}], "f": True}
    assert recovered(fast, fast) == SIGNER


def test_unpadded_signatures_are_read() -> None:
    nonce = NONCE
    while len(sign(KEY, PLAIN, nonce)["r"]) == 66:
        nonce += 1
    body = {"action": PLAIN, "nonce": nonce, "signature": sign(KEY, PLAIN, nonce)}
    assert recover_signer(read_envelope(json.dumps(body).encode()), is_mainnet=False) == SIGNER


@pytest.mark.parametrize(
    "signature",
    [
        {"r": "0x0", "s": "0x1", "v": 27},
        {"r": "0x1", "s": "0x0", "v": 27},
        {"r": "0x1", "s": "0x1", "v": 99},
        {"r": "zz", "s": "0x1", "v": 27},
        {"r": "0x" + "f" * 64, "s": "0x1", "v": 27},
        {"r": "0x5", "s": "0x1", "v": 27},
    ],
)
def test_a_signature_off_the_curve_recovers_nobody(signature: Any) -> None:
    with pytest.raises(CannotRecover):
        recover_signer(read_envelope(envelope(PLAIN, signature)), is_mainnet=False)


@pytest.mark.parametrize(
    "action",
    [
        {"type": "dance"},
        {"type": "noop", "extra": 1},
        order_action(order_wire(), grouping="all"),
        order_action(order_wire(price="1e5")),
        order_action(order_wire(price="0.123456789")),
        order_action(order_wire(cloid="0x12")),
        order_action({**order_wire(), "t": {}}),
        order_action({**order_wire(), "p": 60000}),
        {"type": "cancel", "cancels": [{"a": 0}]},
        {"type": "modify", "oid": "0x12", "order": order_wire()},
        {"type": "subAccountTransfer", "subAccountUser": "me", "isDeposit": True, "usd": 1},
    ],
)
def test_another_shape_is_refused_before_anything_is_hashed(action: Any) -> None:
    with pytest.raises(WrongShape):
        read_envelope(envelope(action, {"r": "0x1", "s": "0x1", "v": 27}))


def test_trailing_bytes_are_ignored_and_text_is_not_json() -> None:
    body = envelope({"type": "noop"}, {"r": "0x1", "s": "0x1", "v": 27})
    assert read_envelope(body + b" and more").nonce == NONCE
    for text in (b"", b"nonsense", b"\xff", b'{"action":'):
        with pytest.raises(NotJson):
            read_envelope(text)
    with pytest.raises(WrongShape):
        read_envelope(b'{"action": {"type": "dance"}} tail')


@pytest.mark.parametrize(
    ("text", "normal"),
    [("100.0", "100"), ("0", "0"), ("-0.0", "0"), ("-1.50", "-1.5"), ("0.00000001", "0.00000001")],
)
def test_decimals_have_one_spelling(text: str, normal: str) -> None:
    assert normal_decimal(text) == normal


def _samples() -> Path | None:
    named = os.environ.get("PERP_DEX_SAMPLES")
    root = Path(named) if named else Path(__file__).parents[4] / "shared/venues/samples"
    folder = root / "hyperliquid/signing"
    return folder if folder.is_dir() else None


#: Made-up and unsupported action types, kept out of the typed reading on purpose.
_NOT_READ = {"dummy", "twapOrder", "twapCancel"}


def test_recorded_vectors_and_acceptance_cases_where_present() -> None:
    folder = _samples()
    checked = 0
    for name in ("vectors_computed.json", "vectors_sdk_tests.json") if folder else ():
        for vector in json.loads((Path(str(folder)) / name).read_text())["vectors"]:
            body = vector.get("posted_body") or {
                "action": vector.get("action"),
                "nonce": vector.get("nonce"),
                "signature": vector["signature"],
                "vaultAddress": vector.get("vault_address"),
                "expiresAfter": vector.get("expires_after"),
            }
            action = body["action"]
            if action is None or action["type"] in _NOT_READ:
                continue
            read = read_envelope(json.dumps(body).encode())
            found = recover_signer(read, is_mainnet=vector["is_mainnet"])
            assert found == vector["signer"], vector["name"]
            checked += 1
    if folder:
        real = json.loads((folder / "real_mainnet_order_tp_sl_builder.json").read_text())
        read = read_envelope(json.dumps(real["request"]["body"]).encode())
        assert recover_signer(read, is_mainnet=True) == real["signer"]
        for case in json.loads((folder / "canonicalisation.json").read_text())["cases"]:
            body = {
                key: case[key] for key in ("nonce", "signature", "vaultAddress", "expiresAfter")
            }
            read = read_envelope(json.dumps({"action": case["sent_action"], **body}).encode())
            found = recover_signer(read, is_mainnet=case["is_mainnet"])
            accepted = case["expected_on_venue"].startswith("accepted")
            expected = case["signer"] if accepted else case["recovered_if_hashed_as_received"]
            assert found == expected, case["name"]
    assert checked >= 30 or folder is None
