"""Two hands sign and verify: the venue's library, and the simulator's own curve and hash."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.errors import InvalidInput, NotAllowed
from tests.venues.lighter.building import credential, sample
from venues.lighter import simulator_curve as curve
from venues.lighter.credential import read_credential
from venues.lighter.native import NativeSigner, NotSigned, generate_key
from venues.lighter.proofs import ADMISSION_WINDOW_S
from venues.lighter.signing import (
    CANCEL_ALL,
    CANCEL_ORDER,
    CREATE_ORDER,
    UPDATE_LEVERAGE,
    Signer,
    check_allowed,
    message,
    read_signed,
)
from venues.lighter.simulator_poseidon import hash_elements
from venues.lighter.simulator_signature import fresh_key
from venues.lighter.simulator_transactions import message_of, read_transaction, text_message

KEYS = read_credential(credential())
ORDER = {
    "MarketIndex": 1, "ClientOrderIndex": (1 << 48) - 2, "BaseAmount": 12_345, "Price": 650_001,
    "IsAsk": 1, "Type": 0, "TimeInForce": 1, "ReduceOnly": 1, "TriggerPrice": 0,
    "OrderExpiry": 1_900_000_000_000,
}  # fmt: skip
MESSAGES = {
    "order": message(CREATE_ORDER, ORDER),
    "cancel": message(CANCEL_ORDER, {"MarketIndex": 0, "Index": 1001}),
    "scheduled": message(CANCEL_ALL, {"TimeInForce": 1, "Time": 1_900_000_000_000}),
    "called off": message(CANCEL_ALL, {"TimeInForce": 2, "Time": 0}),
    "leverage": message(
        UPDATE_LEVERAGE, {"MarketIndex": 1, "InitialMarginFraction": 334, "MarginMode": 1}
    ),
}


@pytest.mark.parametrize("what", MESSAGES)
@pytest.mark.parametrize("chain", [304, 300])
def test_what_the_library_signs_is_verified_by_the_other_hand(what: str, chain: int) -> None:
    made = Signer(chain).sign(KEYS, MESSAGES[what], key_index=5, nonce=7)
    read = read_transaction(made.tx_type, made.tx_info, chain)
    assert read.tx_hash == made.tx_hash
    public = bytes.fromhex(fresh_key(0, KEYS.account_index, 5)[1])
    assert curve.verify(public, read.message, read.signature)
    other = bytes.fromhex(fresh_key(0, KEYS.account_index, 6)[1])
    assert not curve.verify(other, read.message, read.signature)
    elsewhere = read_transaction(made.tx_type, made.tx_info, chain + 1)
    assert elsewhere.tx_hash != made.tx_hash
    assert not curve.verify(public, elsewhere.message, read.signature)


def test_the_hash_does_not_depend_on_the_signature() -> None:
    signer = Signer(304)
    first, second = (signer.sign(KEYS, MESSAGES["cancel"], key_index=5, nonce=7) for _ in range(2))
    infos = [json.loads(one.tx_info) for one in (first, second)]
    assert infos[0]["Sig"] != infos[1]["Sig"]
    if infos[0]["ExpiredAt"] == infos[1]["ExpiredAt"]:
        assert first.tx_hash == second.tx_hash
    ahead_s = first.expires_ms / 1000 - datetime.now(UTC).timestamp()
    assert 590 < ahead_s <= 600 < ADMISSION_WINDOW_S, (
        "the signer's own expiry, which the admission window covers"
    )


@pytest.mark.parametrize(
    "change", ["Nonce", "ExpiredAt", "Price", "BaseAmount", "ClientOrderIndex", "MarketIndex"]
)
def test_one_number_more_is_another_transaction(change: str) -> None:
    made = Signer(304).sign(KEYS, MESSAGES["order"], key_index=5, nonce=7)
    info = json.loads(made.tx_info)
    info[change] += 1
    read = read_transaction(made.tx_type, info, 304)
    assert read.tx_hash != made.tx_hash
    public = bytes.fromhex(fresh_key(0, KEYS.account_index, 5)[1])
    assert not curve.verify(public, read.message, read.signature)


def test_a_token_is_the_keys_and_ends() -> None:
    token = Signer(304).token(KEYS, datetime(2026, 10, 5, tzinfo=UTC), key_index=4)
    text, _, signature = token.rpartition(":")
    public = bytes.fromhex(fresh_key(0, KEYS.account_index, 4)[1])
    assert curve.verify(public, text_message(text), bytes.fromhex(signature))
    assert not curve.verify(public, text_message(text + "1"), bytes.fromhex(signature))


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        '{"tx_type":13}',
        '{"tx_type":12,"ToAccountIndex":1}',
        '{"tx_type":8,"PubKey":"x"}',
        '{"tx_type":true}',
        message(CANCEL_ALL, {"TimeInForce": 0, "Time": 0}),
        MESSAGES["cancel"].replace(",", ", "),
        MESSAGES["cancel"].replace("1001", '"1001"'),
        MESSAGES["cancel"][:-1] + ',"More":1}',
    ],
)
def test_nothing_but_trading_is_signed(text: str) -> None:
    with pytest.raises(NotAllowed):
        check_allowed(text)
    with pytest.raises(NotAllowed):
        Signer(304).sign(KEYS, text, key_index=5, nonce=0)


def test_a_key_that_is_not_there_signs_nothing() -> None:
    with pytest.raises(InvalidInput, match="index 99"):
        Signer(304).sign(KEYS, MESSAGES["cancel"], key_index=99, nonce=0)


def test_a_kept_transaction_is_sent_only_for_what_it_was_signed_for() -> None:
    made = Signer(304).sign(KEYS, MESSAGES["order"], key_index=5, nonce=7).to_text()
    asked: dict[str, Any] = {"account": KEYS.account_index, "key_index": 5, "nonce": 7}
    assert read_signed(made, MESSAGES["order"], **asked).expires_ms
    for change in ({"account": 1}, {"key_index": 6}, {"nonce": 8}):
        with pytest.raises(NotAllowed):
            read_signed(made, MESSAGES["order"], **{**asked, **change})
    for other in (message(CREATE_ORDER, {**ORDER, "Price": 1}), MESSAGES["cancel"]):
        with pytest.raises(NotAllowed):
            read_signed(made, other, **asked)
    with pytest.raises(NotAllowed):
        read_signed("no JSON", MESSAGES["order"], **asked)


def test_two_credentials_of_one_account_never_sign_with_each_others_key() -> None:
    """While one is rotated out, both are in use: the library keeps one key for each index."""
    keys = [generate_key()[0] for _ in range(2)]
    native = NativeSigner(304)
    for key in (*keys, *keys):
        made = native.sign("SignCancelOrder", 0, 1, key=key, nonce=0, key_index=9, account_index=8)
        read = read_transaction(made.tx_type, made.tx_info, 304)
        public = curve.public_key(bytes.fromhex(key.removeprefix("0x")))
        assert curve.verify(public, read.message, read.signature)


def test_a_key_that_is_none_is_refused_without_being_repeated() -> None:
    with pytest.raises(NotSigned) as seen:
        NativeSigner(304).auth_token(1_900_000_000, key="ab" * 39, key_index=9, account_index=7)
    assert "ab" * 39 not in str(seen.value)


def test_the_venues_package_is_not_imported() -> None:
    program = (
        "from venues.lighter.native import generate_key; generate_key(); import sys; "
        "print([name for name in sys.modules if name.split('.')[0] in ('lighter', 'eth_account')])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout.strip() == "[]"


# The curve


def test_the_group_holds_together() -> None:
    three = curve.add(curve.double(curve.GENERATOR), curve.GENERATOR)
    assert curve.encode(three) == curve.encode(
        curve.add(curve.GENERATOR, curve.double(curve.GENERATOR))
    )
    assert curve.encode(curve.add(three, curve.NEUTRAL)) == curve.encode(three)
    again = curve.decode(curve.encode(three))
    assert again is not None and curve.encode(again) == curve.encode(three)
    order = curve.public_key((curve.ORDER - 1).to_bytes(40, "little"))
    assert order == curve.to_bytes(tuple(-limb for limb in curve.encode(curve.GENERATOR)))  # type: ignore[arg-type]


@pytest.mark.parametrize("spoil", ["s", "e", "long", "short"])
def test_a_spoilt_signature_is_refused(spoil: str) -> None:
    private = (12345).to_bytes(40, "little")
    made = curve.sign(private, (1, 2, 3, 4, 5), 77)
    assert curve.verify(curve.public_key(private), (1, 2, 3, 4, 5), made)
    spoilt = {
        "s": (int.from_bytes(made[:40], "little") + curve.ORDER).to_bytes(41, "little")[:40]
        + made[40:],
        "e": made[:40] + bytes([made[40] ^ 1]) + made[41:],
        "long": made + b"\0",
        "short": made[:-1],
    }[spoil]
    assert not curve.verify(curve.public_key(private), (1, 2, 3, 4, 5), spoilt)


def test_what_is_no_key_verifies_nothing() -> None:
    assert not curve.verify(b"\xff" * 40, (1, 2, 3, 4, 5), b"\0" * 80)
    assert not curve.verify(b"\0" * 39, (1, 2, 3, 4, 5), b"\0" * 80)
    assert message_of("zz") is None and message_of("00") is None
    assert message_of("01" + "00" * 39) == (1, 0, 0, 0, 0)


# The venue's vectors, where this machine has them


def test_signed_transactions_of_the_venue() -> None:
    for name in ("sdk118_signed_txs", "nautilus_signing_tx_oracle"):
        found = sample(f"signing/{name}.json")
        for vector in found["vectors"] if found else ():
            chain = vector.get("chain_id", found.get("chain_id"))
            secret = vector.get("sk", found.get("private_key_hex"))
            read = read_transaction(vector["tx_type"], vector["tx_info"], chain)
            assert read.tx_hash == vector["tx_hash"], vector
            public = curve.public_key(bytes.fromhex(secret))
            assert curve.verify(public, read.message, read.signature)


def test_worked_vector_of_the_venue() -> None:
    found = sample("signing/worked_vector_fixed_k.json")
    if found is None:
        return
    private, k = bytes.fromhex(found["private_key_hex"]), int(found["k_decimal"])
    assert curve.public_key(private).hex() == found["public_key_hex"]
    order = found["create_order"]
    message = hash_elements(order["hash_elements"], 5)
    assert curve.to_bytes(message).hex() == order["tx_hash"]  # type: ignore[arg-type]
    assert curve.sign(private, message, k).hex() == order["sig_hex"]  # type: ignore[arg-type]


def test_tokens_of_the_venue() -> None:
    found = sample("signing/nautilus_signing_auth_token_oracle.json")
    for vector in found["vectors"] if found else ():
        text, _, signature = vector["token"].rpartition(":")
        public = curve.public_key(bytes.fromhex(vector["sk"]))
        assert curve.verify(public, text_message(text), bytes.fromhex(signature))


def test_primitives_of_the_venue() -> None:
    schnorr = sample("signing/nautilus_signing_schnorr_vectors.json")
    if schnorr is None:
        return
    for vector in schnorr["vectors"]["keygen"]:
        assert curve.public_key(bytes.fromhex(vector["sk"])).hex() == vector["pk"]
    for vector in schnorr["vectors"]["sign"]:
        message = curve.element_of(bytes.fromhex(vector["hashed_msg"]))
        k = int.from_bytes(bytes.fromhex(vector["k"]), "little")
        assert message is not None
        assert curve.sign(bytes.fromhex(vector["sk"]), message, k).hex() == vector["sig"]
    points = sample("signing/nautilus_signing_curve_ecgfp5_vectors.json")["vectors"]
    for vector in points["decode"]:
        element = curve.element_of(bytes.fromhex(vector["w"]))
        point = None if element is None else curve.decode(element)
        assert (point is not None) is vector["decodes"], vector
        if point is not None:
            assert curve.to_bytes(curve.encode(point)).hex() == vector["encoded_back"]
    for vector in points["add"]:
        left, right = (_point(vector[name]) for name in ("a_w", "b_w"))
        assert curve.to_bytes(curve.encode(curve.add(left, right))).hex() == vector["sum_w"]
        assert curve.to_bytes(curve.encode(curve.double(left))).hex() == vector["a_double_w"]


def _point(spelled: str) -> curve.Point:
    element = curve.element_of(bytes.fromhex(spelled))
    assert element is not None
    point = curve.decode(element)
    assert point is not None
    return point
