"""EIP-712 signatures over EdgeX's orders, for trading alone.

Signs orders only, each with exactly the fields it may have: a transfer, a withdrawal, a margin
mode or an attached exit is refused here whoever asks for it. The types never change, so an order's
digest is two hashes over words of 32 bytes. secp256k1 runs in coincurve. Knows no ledger and no
transport.

Source: edgex-python-sdk 2.0.1 `order/client.py`, `internal/eip712.py`; NOTES.md "Signing".
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

import coincurve
from eth_utils.crypto import keccak

from domain.accounts import SecretText
from domain.errors import InvalidInput, NotAllowed
from venues.edgex.credential import Credential, read_credential
from venues.edgex.resolutions import resolution_of

_ORDER_FIELDS: Final = frozenset(
    {
        "contractId", "price", "size", "type", "side", "timeInForce", "clientOrderId",
        "expireTime", "l2Nonce", "l2ExpireTime", "l2Value", "l2Size", "l2LimitFee", "reduceOnly",
        "isPositionTpsl", "triggerPrice", "triggerPriceType",
    }
)  # fmt: skip
#: What may be sent: requests, and the fields of each one's body, which lacks account and signature.
_BODY_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "create_order": _ORDER_FIELDS,
    "cancel_by_id": frozenset({"orderIdList"}),
    "cancel_by_client_id": frozenset({"clientOrderIdList"}),
    "update_leverage": frozenset({"contractId", "leverage"}),
}
_TERMS: Final = frozenset(
    {"chain_id", "verifying_contract", "resolution", "quote_coin_id", "quote_resolution"}
)
_BASE_TYPE: Final = (
    "OrderBase(uint256 nonce,address signer,uint64 accountId,uint256 expirationTimestamp)"
)
_ORDER_TYPE: Final = (
    "LimitOrderParams(OrderBase base,int256 amountSynthetic,int256 amountCollateral,"
    "uint256 amountFee,uint64 assetIdSynthetic,uint64 assetIdCollateral,bool isBuyingSynthetic,"
    "bytes32 parentOrderHash,uint256 subOrderIndex)" + _BASE_TYPE
)
_BASE_HASH: Final = keccak(text=_BASE_TYPE)
_ORDER_HASH: Final = keccak(text=_ORDER_TYPE)
_DOMAIN_HASH: Final = keccak(
    text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
_NAME_HASH: Final = keccak(text="EdgeX")
_VERSION_HASH: Final = keccak(text="1")
_WORD_BYTES: Final = 32
_CURVE_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_KEYS_MAX: Final = 64


def l2_nonce(client_order_id: str) -> int:
    """Return the nonce that an order of that client id is signed with: 32 bits of its hash."""
    return int.from_bytes(hashlib.sha256(client_order_id.encode()).digest()[:4])


def canonical(message: Mapping[str, Any]) -> str:
    """Return a message as the ledger keeps it: keys sorted at every depth, no spaces, ASCII."""
    return json.dumps(message, sort_keys=True, separators=(",", ":"))


def order_digest(
    body: Mapping[str, Any], terms: Mapping[str, str], *, account_id: str, signer: str
) -> bytes:
    """Return what is signed of an order: its second-layer fields, in the asset's smallest units.

    `terms` come from the venue's metadata. The signature covers `expireTime`, not
    `l2ExpireTime`, and neither price nor size but what they were multiplied to.

    Raises:
        NotAllowed: a field is no number, or too large for its type.
    """
    try:
        size, value = Decimal(body["l2Size"]), Decimal(body["l2Value"])
        quote = resolution_of(terms["quote_resolution"])
        base = (
            _word(int(body["l2Nonce"])),
            _word(int(signer, 16)),
            _word(int(account_id)),
            _word(int(body["expireTime"]) // 1000),
        )
        words = (
            keccak(_BASE_HASH + b"".join(base)),
            _word(int(size * resolution_of(terms["resolution"]))),
            _word(int(value * quote)),
            _word(int(Decimal(body["l2LimitFee"]) * quote)),
            _word(int(body["contractId"])),
            _word(int(terms["quote_coin_id"])),
            _word(int(body["side"] == "BUY")),
            _word(0),
            _word(0),
        )
        domain = _domain_separator(int(terms["chain_id"], 0), terms["verifying_contract"])
    except (ValueError, OverflowError, InvalidOperation) as error:
        raise NotAllowed(f"expected numbers in an order to sign, found {error}") from None
    return keccak(b"\x19\x01" + domain + keccak(_ORDER_HASH + b"".join(words)))


class Signer:
    """Signs with opened credentials; remembers the last few keys as objects, not their text."""

    def __init__(self) -> None:
        self._opened: OrderedDict[bytes, tuple[Credential, coincurve.PrivateKey, str]] = (
            OrderedDict()
        )

    def address(self, secret: SecretText) -> str:
        """Return the address that a credential's signer key signs as, in lower case.

        Raises:
            InvalidInput: it is no credential; the message shows nothing of it.
        """
        return self._open(secret)[2]

    def credential(self, secret: SecretText) -> Credential:
        """Return a credential, read. Raises InvalidInput as `address`."""
        return self._open(secret)[0]

    def sign_order(
        self, secret: SecretText, body: Mapping[str, Any], terms: Mapping[str, str], account_id: str
    ) -> str:
        """Sign an order's body and return r, s and v in hexadecimal digits.

        Raises:
            NotAllowed: the order is not one that this system signs.
            InvalidInput: the credential is none.
        """
        _check_fields("create_order", body)
        _, key, address = self._open(secret)
        digest = order_digest(body, terms, account_id=account_id, signer=address)
        signed = key.sign_recoverable(digest, hasher=None)
        return (signed[:-1] + bytes([signed[-1] + 27])).hex()

    def _open(self, secret: SecretText) -> tuple[Credential, coincurve.PrivateKey, str]:
        name = hashlib.sha256(secret.reveal().encode()).digest()
        found = self._opened.get(name)
        if found is None:
            credential = read_credential(secret)
            if not 0 < int.from_bytes(credential.signer_key) < _CURVE_ORDER:
                raise InvalidInput(
                    "credential", "expected a signer key on the curve, found one that is not"
                )
            key = coincurve.PrivateKey(credential.signer_key)
            public = key.public_key.format(compressed=False)
            found = self._opened[name] = (credential, key, "0x" + keccak(public[1:])[-20:].hex())
            if len(self._opened) > _KEYS_MAX:
                self._opened.popitem(last=False)
        else:
            self._opened.move_to_end(name)
        return found


def check_allowed(text: str) -> dict[str, Any]:
    """Check that a message is canonical and one that this system sends; return it read.

    Raises:
        NotAllowed: it is not.
    """
    try:
        read = json.loads(text)
    except ValueError as error:
        raise NotAllowed(f"expected a message to send, found no JSON: {error}") from None
    if not isinstance(read, dict) or not {"request", "body"} <= set(read):
        raise NotAllowed("expected a message of request and body to send, found another")
    request, body = read["request"], read["body"]
    if not isinstance(request, str) or request not in _BODY_FIELDS or not isinstance(body, dict):
        raise NotAllowed(
            f"expected a request of {', '.join(sorted(_BODY_FIELDS))} to send, found {request!r}"
        )
    _check_fields(request, body)
    terms = read.get("terms", {})
    wanted = _TERMS if request == "create_order" else frozenset()
    if not isinstance(terms, dict) or set(terms) != wanted:
        raise NotAllowed(f"expected terms {sorted(wanted)} of {request!r}, found others")
    if canonical(read) != text:
        raise NotAllowed(f"expected the canonical spelling of {request!r}, found another")
    return read


def _check_fields(request: str, body: Mapping[str, Any]) -> None:
    extra = set(body) - _BODY_FIELDS[request]
    if extra:
        raise NotAllowed(f"expected only known fields in {request!r}, found {sorted(extra)}")


def _word(number: int) -> bytes:
    return number.to_bytes(_WORD_BYTES)


@lru_cache(maxsize=8)
def _domain_separator(chain_id: int, verifying_contract: str) -> bytes:
    words = (_DOMAIN_HASH, _NAME_HASH, _VERSION_HASH, _word(chain_id))
    return keccak(b"".join(words) + _word(int(verifying_contract, 16)))
