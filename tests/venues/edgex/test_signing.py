"""Signatures: vectors of the venue's own SDK, its live spelling, recorded nonces, and refusals."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import pytest
from edgex_sdk.internal import auth as sdk_auth
from edgex_sdk.internal.async_client import AsyncClient
from edgex_sdk.internal.eip712 import (
    EIP712_DOMAIN_TYPE,
    LIMIT_ORDER_PARAMS_TYPE,
    ORDER_BASE_TYPE,
    build_eip712_domain,
    sign_typed_data,
)

from domain.accounts import SecretText
from domain.errors import InvalidInput, NotAllowed
from tests.venues.edgex.building import ADDRESS, CREDENTIAL, NOW, SIGNER, VECTORS, sample, samples
from venues.edgex import auth
from venues.edgex.credential import ApiKey, feed_part, read_api_key, read_credential
from venues.edgex.signing import _BODY_FIELDS, Signer, canonical, check_allowed, l2_nonce

SECRET = SecretText(CREDENTIAL)
API = ApiKey(api_key="key", api_passphrase="phrase", api_secret=VECTORS["secret"])
ORDERS = [one for one in VECTORS["requests"] if one["path"].endswith("createOrder")]


def terms_of(metadata: dict[str, Any], contract_id: str) -> dict[str, str]:
    (contract,) = [c for c in metadata["contractList"] if c["contractId"] == contract_id]
    (coin,) = [c for c in metadata["coinList"] if c["coinId"] == contract["quoteCoinId"]]
    return {
        "chain_id": metadata["global"]["nativeChainId"],
        "verifying_contract": metadata["global"]["contractAddress"],
        "resolution": contract["resolution"],
        "quote_coin_id": contract["quoteCoinId"],
        "quote_resolution": coin["resolution"],
    }


def ours(body: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a body that this system signs and sends."""
    return {name: body[name] for name in _BODY_FIELDS["create_order"] if name in body}


@pytest.mark.parametrize("request_", ORDERS, ids=lambda one: one["body"]["type"])
def test_orders_are_signed_as_the_venues_sdk_signs_them(request_: dict[str, Any]) -> None:
    body = request_["body"]
    terms = terms_of(VECTORS["metadata"], body["contractId"])
    signed = Signer().sign_order(SECRET, ours(body), terms, ADDRESS)
    assert signed == body["l2Signature"]
    assert l2_nonce(body["clientOrderId"]) == int(body["l2Nonce"])


@pytest.mark.parametrize("request_", VECTORS["requests"], ids=lambda one: one["path"][-18:])
def test_requests_are_authenticated_as_the_venues_sdk_does(request_: dict[str, Any]) -> None:
    text = auth.body_text(request_["body"])
    message = f"{VECTORS['timestamp']}POST{request_['path']}{text}"
    assert auth.signature(VECTORS["secret"], message) == request_["hmac"]


def test_our_own_hashing_is_the_sdks_for_any_order() -> None:
    source = random.Random(7)
    signer = Signer()
    for number in range(40):
        size, price = source.randint(1, 10**6), source.randint(1, 10**9)
        client_order_id = f"{source.getrandbits(128):032x}"
        nonce = AsyncClient.calc_nonce(client_order_id)
        terms = {
            "chain_id": "3343" if number % 2 else "0xd0f",
            "verifying_contract": "0xeeb3fb05cca17745cbdf193a9b16537efb68fac8",
            "resolution": source.choice(["10000000000", "0x3b9aca00", "1000000"]),
            "quote_coin_id": "1000",
            "quote_resolution": "1000000",
        }
        body = {
            "contractId": str(30_000_000 + number),
            "side": source.choice(["BUY", "SELL"]),
            "expireTime": str(1_795_000_000_000 + number),
            "l2Nonce": str(nonce),
            "l2Size": f"{size // 1000}.{size % 1000:03d}",
            "l2Value": f"{price // 10**6}.{price % 10**6:06d}",
            "l2LimitFee": str(source.randint(0, 1000)),
        }
        typed = _typed(body, terms)
        assert nonce == l2_nonce(client_order_id)
        assert signer.sign_order(SECRET, body, terms, ADDRESS) == sign_typed_data(
            VECTORS["signer_key"], typed
        )


def _typed(body: dict[str, str], terms: dict[str, str]) -> dict[str, Any]:
    resolution = AsyncClient.parse_resolution(terms["resolution"])
    quote = AsyncClient.parse_resolution(terms["quote_resolution"])
    return {
        "types": {
            "EIP712Domain": EIP712_DOMAIN_TYPE,
            "OrderBase": ORDER_BASE_TYPE,
            "LimitOrderParams": LIMIT_ORDER_PARAMS_TYPE,
        },
        "primaryType": "LimitOrderParams",
        "domain": build_eip712_domain("EdgeX", "1", terms["chain_id"], terms["verifying_contract"]),
        "message": {
            "base": {
                "nonce": body["l2Nonce"],
                "signer": SIGNER,
                "accountId": ADDRESS,
                "expirationTimestamp": str(int(body["expireTime"]) // 1000),
            },
            "amountSynthetic": str(int(Decimal(body["l2Size"]) * resolution)),
            "amountCollateral": str(int(Decimal(body["l2Value"]) * quote)),
            "amountFee": str(int(Decimal(body["l2LimitFee"]) * quote)),
            "assetIdSynthetic": body["contractId"],
            "assetIdCollateral": terms["quote_coin_id"],
            "isBuyingSynthetic": body["side"] == "BUY",
            "parentOrderHash": bytes(32),
            "subOrderIndex": "0",
        },
    }


def test_texts_of_requests_are_the_sdks() -> None:
    for value in (
        {"accountId": "5", "orderIdList": ["1", "2"]},
        {"b": {"y": None, "x": [True, {"k": ""}]}, "a": [], "c": "e f&g=h"},
    ):
        assert auth.body_text(value) == sdk_auth.get_value(value)
    assert auth.body_text(VECTORS["requests"][-2]["body"]) == (
        f"accountId={ADDRESS}&orderIdList=799376025145311638"
    )


def test_a_query_is_signed_sorted_and_not_percent_encoded() -> None:
    parameters = {"size": "200", "accountId": ADDRESS, "clientOrderIdList": "o/1+é,b&c"}
    text = auth.query_text(parameters)
    assert text == f"accountId={ADDRESS}&clientOrderIdList=o/1+é,b&c&size=200"
    made = auth.headers(API, NOW, "GET", "/api/v2/private/x", text)
    assert made == sdk_auth.build_hmac_headers(
        "key", "phrase", "secret", made["X-edgeX-Timestamp"], "GET", "/api/v2/private/x", text
    )


def test_a_sockets_handshake_is_signed_in_headers_and_subprotocol() -> None:
    path, headers = auth.socket_handshake(API, ADDRESS, NOW)
    timestamp = headers["X-edgeX-Timestamp"]
    assert path == f"/api/v1/private/ws?accountId={ADDRESS}&timestamp={timestamp}"
    assert headers["X-edgeX-Signature"] == sdk_auth.build_hmac_signature(
        "secret", timestamp, "GET", "/api/v1/private/ws",
        f"accountId={ADDRESS}&timestamp={timestamp}",
    )  # fmt: skip
    assert not headers["Sec-WebSocket-Protocol"].endswith("=")


def test_the_samples_vectors() -> None:
    if samples() is None:
        return
    vectors = sample("signing_vectors.json")
    secret = SecretText(
        json.dumps(
            {
                "api_key": vectors["api_key"],
                "api_passphrase": vectors["api_passphrase"],
                "api_secret": vectors["api_secret"],
                "trading_private_key": vectors["signer_private_key"],
            }
        )
    )
    signer = Signer()
    assert signer.address(secret) == vectors["signer_address"].lower()
    for order in vectors["orders"]:
        body = order["body"]
        terms = terms_of(vectors["metadata"], body["contractId"])
        signed = signer.sign_order(secret, ours(body), terms, vectors["account_id"])
        assert signed == body["l2Signature"], order["name"]
        assert str(l2_nonce(body["clientOrderId"])) == body["l2Nonce"]
    for request in (*vectors["orders"], *vectors["margin_mode"], *vectors["hmac_posts"]):
        text = auth.body_text(request["body"])
        _proves(vectors, request, "POST", request["path"], text)
    for request in vectors["hmac_gets"]:
        pairs = dict(pair.split("=", 1) for pair in request["query_unencoded"].split("&"))
        _proves(vectors, request, "GET", request["path"], auth.query_text(pairs))
    handshake = vectors["ws_handshake"]
    message = handshake["message"]
    assert auth.signature(vectors["api_secret"], message) == handshake["signature"]
    for pair in sample("nonce_pairs.json")["pairs"]:
        assert str(l2_nonce(pair["clientOrderId"])) == pair["l2Nonce"]


def _proves(
    vectors: dict[str, Any], request: dict[str, Any], method: str, path: str, text: str
) -> None:
    message = f"{request['hmac']['timestamp']}{method}{path}{text}"
    assert message == request["hmac"]["message"]
    signed = request["hmac"]["headers"]["X-edgeX-Signature"]
    assert auth.signature(vectors["api_secret"], message) == signed


# What is not signed, and what is no credential


def test_only_orders_of_ours_are_signed() -> None:
    signer, terms = Signer(), terms_of(VECTORS["metadata"], "30000001")
    body = ours(ORDERS[0]["body"])
    unknown: tuple[dict[str, Any], ...] = (
        {"toAddress": "0x1"},
        {"openTp": {}},
        {"isSetOpenTp": True},
    )
    for more in unknown:
        with pytest.raises(NotAllowed, match="expected only known fields"):
            signer.sign_order(SECRET, {**body, **more}, terms, ADDRESS)
    for wrong in ({"l2Size": "x"}, {"l2Nonce": "-1"}, {"l2Value": "1e80"}):
        with pytest.raises(NotAllowed, match="expected numbers"):
            signer.sign_order(SECRET, {**body, **wrong}, terms, ADDRESS)


@pytest.mark.parametrize(
    "message",
    [
        "no JSON",
        "[]",
        canonical({"request": "create_withdraw", "body": {}}),
        canonical({"request": "cancel_by_id", "body": {"orderIdList": ["1"], "to": "x"}}),
        canonical({"request": "cancel_by_id", "body": {}, "terms": {"chain_id": "1"}}),
        canonical({"request": "create_order", "body": {}}),
        '{"request": "cancel_by_id","body":{}}',
    ],
)
def test_messages_that_are_none_of_ours_are_refused(message: str) -> None:
    with pytest.raises(NotAllowed):
        check_allowed(message)


def test_secp256k1_runs_in_coincurve_and_the_address_is_the_sdks() -> None:
    assert Signer().address(SECRET) == SIGNER
    plain = json.loads(CREDENTIAL)
    plain["trading_private_key"] = plain["trading_private_key"].removeprefix("0x")
    assert Signer().address(SecretText(json.dumps(plain))) == SIGNER


@pytest.mark.parametrize(
    "changes",
    [
        {"trading_private_key": "0x12"},
        {"trading_private_key": None},
        {"trading_private_key": "0x" + "00" * 32},
        {"trading_private_key": "0x" + "ff" * 32},
        {"api_key": ""},
        {"api_secret": "with space"},
        {"api_passphrase": "line\nbreak"},
        {"api_passphrase": 7},
        {"hunter2-secret": "x"},
    ],
)
def test_what_is_no_credential_is_refused_without_being_repeated(changes: dict[str, Any]) -> None:
    text = json.dumps({**json.loads(CREDENTIAL), **changes})
    with pytest.raises(InvalidInput) as seen:
        Signer().address(SecretText(text))
    shown = str(seen.value)
    assert "expected" in shown
    for secret in ("phrase", VECTORS["signer_key"][2:], "hunter2-secret", "break"):
        assert f"'{secret}'" not in shown and secret not in shown.replace("api_passphrase", "")


def test_the_feeds_part_has_no_signer_key() -> None:
    credential = read_credential(SECRET)
    part = feed_part(credential)
    assert VECTORS["signer_key"][2:] not in part.reveal()
    assert read_api_key(part) == read_api_key(SECRET) == credential.api
    for secret in ("phrase", "secret", VECTORS["signer_key"][2:]):
        assert secret not in repr(credential)
