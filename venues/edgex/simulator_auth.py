"""The simulator's own check of requests and orders: HMAC and EIP-712, hashed by code of its own.

Texts and structs are encoded here from the documents, not by the connector's code: a mistake there
must not cancel out. HMAC, Keccak and the curve are libraries, which are nobody's own. Of an API
key only its name is kept; secret and passphrase follow from it and from a number that the
exchange made once, so that nothing secret is written down.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import coincurve
from eth_utils.crypto import keccak

from venues.simulation.records import Agent
from venues.simulation.tables import Tables

API_KEY: Final = "api key"
SIGNER: Final = "signer"
WALLET: Final = "wallet"
CHAIN_ID: Final = 3343
CONTRACT: Final = "0xeeb3fb05cca17745cbdf193a9b16537efb68fac8"
WINDOW_MS: Final = 60_000
SECRET_SETTING: Final = "edgex_secret_seed"  # noqa: S105 - a setting's name
_HEADERS: Final = ("X-edgeX-Api-Key", "X-edgeX-Passphrase", "X-edgeX-Timestamp",
                   "X-edgeX-Signature")  # fmt: skip
_TYPES: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "EIP712Domain": (
        ("string", "name"),
        ("string", "version"),
        ("uint256", "chainId"),
        ("address", "verifyingContract"),
    ),
    "OrderBase": (
        ("uint256", "nonce"),
        ("address", "signer"),
        ("uint64", "accountId"),
        ("uint256", "expirationTimestamp"),
    ),
    "LimitOrderParams": (
        ("OrderBase", "base"),
        ("int256", "amountSynthetic"),
        ("int256", "amountCollateral"),
        ("uint256", "amountFee"),
        ("uint64", "assetIdSynthetic"),
        ("uint64", "assetIdCollateral"),
        ("bool", "isBuyingSynthetic"),
        ("bytes32", "parentOrderHash"),
        ("uint256", "subOrderIndex"),
    ),
    "SetMarginPreferenceParams": (
        ("uint64", "accountId"),
        ("uint64", "assetId"),
        ("uint8", "marginMode"),
        ("uint256", "nonce"),
        ("address", "signer"),
    ),
}


class NotLetIn(Exception):
    """The request is not authentic; `status` is HTTP's."""

    def __init__(self, code: str, message: str, status: int = 401, **params: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.params = params


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What an account's owner is given."""

    api_key: str
    api_secret: str
    api_passphrase: str


def keys_of(tables: Tables, api_key: str) -> Keys:
    """Return what belongs to an API key."""
    seed = str(tables.settings[SECRET_SETTING]).encode()

    def made(what: str) -> str:
        return hmac.new(seed, f"{what} {api_key}".encode(), hashlib.sha256).hexdigest()

    return Keys(api_key=api_key, api_secret=made("secret"), api_passphrase=made("phrase")[:20])


def authenticate(
    tables: Tables, headers: Mapping[str, str], method: str, path: str, text: str
) -> str:
    """Check the four headers over the text of a request; return the account. Raises `NotLetIn`.

    The key is looked at before the time, and the passphrase is only compared.
    """
    for name in _HEADERS:
        if not headers.get(name):
            raise NotLetIn("GATEWAY_HEADER_REQUIRED", f"header required : {name}", 400)
    api_key, passphrase, timestamp, signed = (headers[name] for name in _HEADERS)
    agent = tables.agents.get(api_key)
    if agent is None or agent.name != API_KEY or agent.revoked:
        raise NotLetIn("INVALID_API_KEY", f"invalid apiKey : {api_key}", apiKey=api_key)
    keys = keys_of(tables, api_key)
    if not hmac.compare_digest(passphrase, keys.api_passphrase):
        raise NotLetIn("INVALID_API_KEY", f"invalid apiKey : {api_key}", apiKey=api_key)
    if not timestamp.isdigit() or abs(int(timestamp) - tables.now_ms) > WINDOW_MS:
        raise NotLetIn("INVALID_TIMESTAMP", f"invalid timestamp : {timestamp}")
    key = base64.b64encode(keys.api_secret.encode("utf-8"))
    digest = hmac.new(key, (timestamp + method + path + text).encode("utf-8"), hashlib.sha256)
    if not hmac.compare_digest(digest.hexdigest(), signed.lower()):
        raise NotLetIn("INVALID_SIGNATURE", "invalid signature")
    return agent.account


def text_of_query(pairs: Sequence[tuple[str, str]]) -> str:
    """Write a query, decoded before, as it is signed: sorted by name; one of a kind counts."""
    return "&".join(f"{name}={value}" for name, value in sorted(dict(pairs).items()))


def text_of_json(value: Any) -> str:
    """Write a JSON body as it is signed."""
    match value:
        case None:
            return ""
        case True | False:
            return str(value).lower()
        case dict():
            return "&".join(name + "=" + text_of_json(value[name]) for name in sorted(value))
        case list():
            return "&".join(map(text_of_json, value))
    return str(value)


def nonce_of(client_order_id: str) -> int:
    """Return the nonce that belongs to a client order id."""
    return int(hashlib.sha256(client_order_id.encode()).hexdigest()[:8], 16)


def signer_of_order(
    order: Mapping[str, str],
    *,
    resolution: int,
    quote_resolution: int,
    quote_coin: str,
    signer: str,
) -> str | None:
    """Return who signed an order as if it were `signer`'s; None where nobody can have.

    The struct names its signer, so a wrong guess gives another digest and another address.
    """
    message = {
        "base": {
            "nonce": int(order["l2Nonce"]),
            "signer": signer,
            "accountId": int(order["accountId"]),
            "expirationTimestamp": int(order["expireTime"]) // 1000,
        },
        "amountSynthetic": int(Decimal(order["l2Size"]) * resolution),
        "amountCollateral": int(Decimal(order["l2Value"]) * quote_resolution),
        "amountFee": int(Decimal(order["l2LimitFee"]) * quote_resolution),
        "assetIdSynthetic": int(order["contractId"]),
        "assetIdCollateral": int(quote_coin),
        "isBuyingSynthetic": order["side"] == "BUY",
        "parentOrderHash": bytes(32),
        "subOrderIndex": 0,
    }
    return _recovered("LimitOrderParams", message, order["l2Signature"])


def signer_of_margin_mode(body: Mapping[str, str]) -> str | None:
    """Return who signed a change of the margin mode, which says whose it is."""
    message = {
        "accountId": int(body["accountId"]),
        "assetId": int(body["contractId"]),
        "marginMode": int(body["marginMode"]),
        "nonce": int(body["l2Nonce"]),
        "signer": body["signer"],
    }
    return _recovered("SetMarginPreferenceParams", message, body["l2Signature"])


def _recovered(kind: str, message: Mapping[str, Any], signature: str) -> str | None:
    domain = {"name": "EdgeX", "version": "1", "chainId": CHAIN_ID, "verifyingContract": CONTRACT}
    digest = keccak(b"\x19\x01" + _struct("EIP712Domain", domain) + _struct(kind, message))
    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
        if len(raw) != 65 or raw[64] not in (27, 28):
            return None
        public = coincurve.PublicKey.from_signature_and_message(
            raw[:64] + bytes([raw[64] - 27]), digest, hasher=None
        )
    except Exception:  # noqa: BLE001 - whatever the curve says: nobody signed this
        return None
    return address_of(public)


def _struct(kind: str, values: Mapping[str, Any]) -> bytes:
    return keccak(
        keccak(text=_type_text(kind))
        + b"".join(_encoded(type_, values[name]) for type_, name in _TYPES[kind])
    )


def _type_text(kind: str) -> str:
    fields = ",".join(f"{type_} {name}" for type_, name in _TYPES[kind])
    nested = sorted({type_ for type_, _ in _TYPES[kind] if type_ in _TYPES})
    return f"{kind}({fields})" + "".join(_type_text(one) for one in nested)


def _encoded(kind: str, value: Any) -> bytes:
    if kind in _TYPES:
        return _struct(kind, value)
    match kind:
        case "string":
            return keccak(text=value)
        case "bytes32":
            return bytes(value)
        case "address":
            return bytes(12) + bytes.fromhex(value.removeprefix("0x"))
        case _:
            return int(value).to_bytes(32, "big", signed=kind.startswith("int"))


def address_of(public: coincurve.PublicKey) -> str:
    """Return the address of a public key, in lower case."""
    return "0x" + keccak(public.format(compressed=False)[1:])[12:].hex()


def fresh_signer() -> tuple[str, str]:
    """Make a key; return its address and the private key in hexadecimal digits."""
    key = coincurve.PrivateKey(secrets.token_bytes(32))
    return address_of(key.public_key), "0x" + key.to_hex()


def registered(agents: Mapping[str, Agent], address: str | None, account: str) -> bool:
    """Tell whether an address is a signer of the account's."""
    agent = agents.get(address or "")
    return (
        agent is not None
        and agent.name == SIGNER
        and agent.account == account
        and not agent.revoked
    )


def signers_of(agents: Mapping[str, Agent], account: str) -> list[str]:
    """Return the addresses that may sign for an account."""
    return [address for address in agents if registered(agents, address, account)]
