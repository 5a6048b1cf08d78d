"""Vest's signatures over orders and cancels: ABI encoding, Keccak, and the personal prefix.

Signs these two requests only, each with exactly the keys it may have: a withdrawal, a transfer or
an LP order is refused here whoever asks for it. Knows no ledger and no transport. secp256k1 runs in
coincurve.

Source: the official v2 API page, "signatures"; NOTES.md "Signing".
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from coincurve import PrivateKey
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from domain.accounts import SecretText
from domain.errors import InvalidInput, NotAllowed
from venues.vest.credential import trading

ORDER: Final = "order"
CANCEL: Final = "cancel"
_ORDER_TYPES: Final = (
    "uint256", "uint256", "string", "string", "bool", "string", "string", "bool",
)  # fmt: skip
_CANCEL_TYPES: Final = ("uint256", "uint256", "string")
_ORDER_SIGNED: Final = (
    "time", "nonce", "orderType", "symbol", "isBuy", "size", "limitPrice", "reduceOnly",
)  # fmt: skip
_CANCEL_SIGNED: Final = ("time", "nonce", "id")
_PERSONAL: Final = b"\x19Ethereum Signed Message:\n32"

#: What may be signed: kinds, the keys of each one's order, and the kind of each value.
_KEYS: Final[Mapping[str, Mapping[str, type]]] = {
    ORDER: {
        "time": int,
        "nonce": int,
        "symbol": str,
        "isBuy": bool,
        "size": str,
        "orderType": str,
        "limitPrice": str,
        "reduceOnly": bool,
        "timeInForce": str,
    },
    # Of a cancel the id may be missing in the ledger: then `orderNonce` names the order.
    CANCEL: {"time": int, "nonce": int, "id": str, "orderNonce": int},
}
_ORDER_WORDS: Final = {"orderType": ("LIMIT", "MARKET"), "timeInForce": ("GTC", "FOK")}
_MESSAGE_KEYS: Final = frozenset({"type", "order", "recvWindow"})
_KEYS_MAX: Final = 64


def canonical(kind: str, order: Mapping[str, Any], recv_window_ms: int) -> str:
    """Return the text that the ledger keeps of a request: keys sorted, no spaces, ASCII."""
    message = {"type": kind, "order": order, "recvWindow": recv_window_ms}
    return json.dumps(message, sort_keys=True, separators=(",", ":"))


def order_digest(order: Mapping[str, Any]) -> bytes:
    """Return what is signed for an order: time in force and exits are no part of it."""
    return _personal(_ORDER_TYPES, [order[name] for name in _ORDER_SIGNED])


def cancel_digest(order: Mapping[str, Any]) -> bytes:
    """Return what is signed for a cancel, by the venue's id."""
    return _personal(_CANCEL_TYPES, [order[name] for name in _CANCEL_SIGNED])


def _personal(types: tuple[str, ...], values: list[Any]) -> bytes:
    return keccak(_PERSONAL + keccak(encode(types, values)))


def sign_digest(key: PrivateKey, digest: bytes) -> str:
    """Sign a hash; 65 bytes in hex, always with 0x, the last one 27 or 28."""
    raw = key.sign_recoverable(digest, hasher=None)
    return "0x" + (raw[:64] + bytes([raw[64] + 27])).hex()


def address_of(key: PrivateKey) -> str:
    """Return the address of a key, in lower case."""
    point = key.public_key.format(compressed=False)
    return "0x" + keccak(point[1:])[12:].hex()


class Signer:
    """Signs with opened credentials; remembers the last few keys as objects, not their text."""

    def __init__(self) -> None:
        self._keys: OrderedDict[bytes, tuple[PrivateKey, str]] = OrderedDict()

    def address(self, credential: SecretText) -> str:
        """Return the address that a credential signs as, in lower case.

        Raises:
            InvalidInput: it is no credential; the message shows nothing of it.
        """
        return self._key(credential)[1]

    def sign(self, credential: SecretText, kind: str, order: Mapping[str, Any]) -> str:
        """Sign an order or a cancel of `check_allowed`.

        Raises:
            NotAllowed: the request is not one that this system signs.
            InvalidInput: the credential is none.
        """
        _check_order(kind, order)
        if kind == CANCEL and "id" not in order:
            raise NotAllowed("expected the venue's id of the order to cancel, found none")
        digest = order_digest(order) if kind == ORDER else cancel_digest(order)
        return sign_digest(self._key(credential)[0], digest)

    def _key(self, credential: SecretText) -> tuple[PrivateKey, str]:
        name = hashlib.sha256(credential.reveal().encode()).digest()
        found = self._keys.get(name)
        if found is None:
            key = PrivateKey(trading(credential).signing_bytes())
            found = self._keys[name] = (key, address_of(key))
            if len(self._keys) > _KEYS_MAX:
                self._keys.popitem(last=False)
        else:
            self._keys.move_to_end(name)
        return found


def check_allowed(message: str) -> dict[str, Any]:
    """Check that a message is canonical and one that this system signs; return it read.

    Raises:
        NotAllowed: it is not.
    """
    try:
        read = json.loads(message)
    except ValueError as error:
        raise NotAllowed(f"expected a message to sign, found no JSON: {error}") from None
    if not isinstance(read, dict) or set(read) != _MESSAGE_KEYS:
        raise NotAllowed(f"expected a message of {sorted(_MESSAGE_KEYS)} to sign, found another")
    kind, order, window = read["type"], read["order"], read["recvWindow"]
    if not isinstance(window, int) or isinstance(window, bool) or not 0 < window <= 60_000:
        raise NotAllowed(f"expected a recvWindow of 1 to 60000 ms, found {window!r}")
    _check_order(kind, order)
    if canonical(kind, order, window) != message:
        raise NotAllowed(f"expected the canonical spelling of {kind!r}, found another")
    return read


def _check_order(kind: object, order: object) -> None:
    keys = _KEYS.get(kind) if isinstance(kind, str) else None
    if keys is None or not isinstance(order, Mapping):
        raise NotAllowed(f"expected a request of {', '.join(_KEYS)} to sign, found {kind!r}")
    optional = {"timeInForce"} if kind == ORDER else {"id", "orderNonce"}
    if not set(keys) - optional <= set(order) <= set(keys):
        raise NotAllowed(f"expected the keys {sorted(keys)} in {kind!r}, found {sorted(order)}")
    if kind == CANCEL and ("id" in order) == ("orderNonce" in order):
        raise NotAllowed("expected one name of the order to cancel, its id or its nonce")
    for name, value in order.items():
        if type(value) is not keys[name]:
            raise NotAllowed(f"expected {keys[name].__name__} as {name}, found {value!r}"[:200])
        if name in _ORDER_WORDS and value not in _ORDER_WORDS[name]:
            raise NotAllowed(f"expected {name} {_ORDER_WORDS[name]}, found {value!r}"[:200])
        if isinstance(value, int) and value < 0:
            raise NotAllowed(f"expected {name} of 0 or more, found {value}")


def key_of(text: str) -> PrivateKey:
    """Return the private key that 64 hexadecimal digits spell. Raises InvalidInput."""
    try:
        raw = bytes.fromhex(text.strip().removeprefix("0x"))
        if len(raw) != 32:
            raise ValueError("length")
        return PrivateKey(raw)
    except ValueError:
        raise InvalidInput(
            "credential",
            f"expected a private key of 64 hexadecimal digits, found {len(text)} "
            "characters that are none",
        ) from None
