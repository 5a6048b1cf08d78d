"""Ed25519 over Pacifica's canonical JSON, for trading alone.

Signs trading requests only, each with exactly the keys it may have: a transfer, a withdrawal, the
binding of an agent or a builder's code is refused here whoever asks for it. Knows no ledger and no
transport.

Source: docs.pacifica.fi api/signing/implementation, api/signing/operation-types; NOTES.md "Keys".
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from domain.accounts import SecretText
from domain.errors import InvalidInput, NotAllowed
from venues.pacifica import base58

_LEG: Final = frozenset(
    {"stop_price", "limit_price", "amount", "client_order_id", "trigger_price_type"}
)
_NAMED: Final = frozenset({"symbol", "order_id", "client_order_id"})

#: What may be signed: request types, and the keys of each one's data.
_DATA_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "create_order": frozenset(
        {"symbol", "price", "amount", "side", "tif", "reduce_only", "client_order_id"}
    ),
    "create_stop_order": frozenset({"symbol", "side", "reduce_only", "stop_order"}),
    "set_position_tpsl": frozenset({"symbol", "side", "take_profit", "stop_loss"}),
    "edit_order": frozenset({"symbol", "price", "amount", "order_id", "client_order_id"}),
    "cancel_order": _NAMED,
    "cancel_stop_order": _NAMED,
    "update_leverage": frozenset({"symbol", "leverage"}),
    "update_margin_mode": frozenset({"symbol", "is_isolated"}),
}
_LEGS: Final = ("stop_order", "take_profit", "stop_loss")
_MESSAGE_KEYS: Final = frozenset({"type", "timestamp", "expiry_window", "data"})
_KEYPAIR_BYTES: Final = 64
_SEED_BYTES: Final = 32
_KEYS_MAX: Final = 64


def canonical(kind: str, timestamp_ms: int, expiry_window_ms: int, data: Mapping[str, Any]) -> str:
    """Return the text that is signed: keys sorted at every depth, no spaces, ASCII."""
    message = {
        "type": kind,
        "timestamp": timestamp_ms,
        "expiry_window": expiry_window_ms,
        "data": data,
    }
    return json.dumps(message, sort_keys=True, separators=(",", ":"))


def address_bytes(address: str) -> bytes:
    """Return the public key that an account's address is.

    Raises:
        InvalidInput: it is no address.
    """
    try:
        return base58.decode(address, _SEED_BYTES)
    except ValueError as error:
        raise InvalidInput("address", f"{error}; expected a Solana address") from None


class Signer:
    """Signs with opened credentials; remembers the last few keys as objects, not their text."""

    def __init__(self) -> None:
        self._keys: OrderedDict[bytes, tuple[Ed25519PrivateKey, str]] = OrderedDict()

    def address(self, credential: SecretText) -> str:
        """Return the address that a private key signs as.

        Raises:
            InvalidInput: it is no private key; the message shows nothing of it.
        """
        return self._key(credential)[1]

    def sign(self, credential: SecretText, message: str) -> str:
        """Sign a message of `canonical` and return the signature in base58.

        Raises:
            NotAllowed: the message is not one that this system signs.
            InvalidInput: the credential is no private key.
        """
        check_allowed(message)
        return base58.encode(self._key(credential)[0].sign(message.encode()))

    def _key(self, credential: SecretText) -> tuple[Ed25519PrivateKey, str]:
        text = credential.reveal().strip()
        name = hashlib.sha256(text.encode()).digest()
        found = self._keys.get(name)
        if found is None:
            found = _open_key(text)
            self._keys[name] = found
            if len(self._keys) > _KEYS_MAX:
                self._keys.popitem(last=False)
        else:
            self._keys.move_to_end(name)
        return found


def _open_key(text: str) -> tuple[Ed25519PrivateKey, str]:
    """Open a Solana keypair (64 bytes: seed, public key) or a bare seed (32), in base58."""
    expected = "a Solana private key in base58, as the venue's API key page shows it"
    raw = b""
    for length in (_KEYPAIR_BYTES, _SEED_BYTES):
        try:
            raw = base58.decode(text, length)
            break
        except ValueError:
            continue
    if not raw:
        raise InvalidInput(
            "credential", f"expected {expected}, found {len(text)} characters that are none"
        )
    key = Ed25519PrivateKey.from_private_bytes(raw[:_SEED_BYTES])
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    if len(raw) == _KEYPAIR_BYTES and raw[_SEED_BYTES:] != public:
        raise InvalidInput(
            "credential", f"expected {expected}, found one whose two halves do not belong together"
        )
    return key, base58.encode(public)


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
    kind, data = read["type"], read["data"]
    allowed = _DATA_KEYS.get(kind) if isinstance(kind, str) else None
    if allowed is None or not isinstance(data, dict):
        raise NotAllowed(
            f"expected a request of {', '.join(sorted(_DATA_KEYS))} to sign, found {kind!r}"
        )
    legs = [data[name] for name in _LEGS if name in data]
    extra = set(data) - allowed
    for leg in legs:
        extra |= set(leg) - _LEG if isinstance(leg, dict) else {str(leg)}
    if extra:
        raise NotAllowed(f"expected only known keys in {kind!r}, found {sorted(extra)}")
    if canonical(kind, read["timestamp"], read["expiry_window"], data) != message:
        raise NotAllowed(f"expected the canonical spelling of {kind!r}, found another")
    return read
