"""Ed25519 over the text of a command as it is posted, for trading alone.

Refuses to sign anything but the four commands, each with exactly its own fields: a key may be good
for withdrawals, and none is ever written here. Knows no ledger and no transport.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.accounts import SecretText
from domain.errors import InvalidInput, NotAllowed

#: The commands that are signed, with their fields.
FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "place": frozenset({"market", "side", "price", "size", "rests", "reduces", "tag"}),
    "cancel": frozenset({"market", "order", "tag"}),
    "leverage": frozenset({"market", "leverage"}),
    "whoami": frozenset(),
}
_SEED_BYTES: Final = 32


def message(kind: str, expires_ms: int, **fields: Any) -> str:
    """Return the text of a command: JSON with sorted keys and no spaces."""
    return json.dumps(
        {"do": kind, "expires": expires_ms, **fields}, sort_keys=True, separators=(",", ":")
    )


def check_allowed(text: str) -> dict[str, Any]:
    """Return a command read, if it is one that this system signs. Raises NotAllowed."""
    try:
        read = json.loads(text)
    except ValueError as error:
        raise NotAllowed(f"expected a command to sign, found no JSON: {error}") from None
    kind = str(read.get("do")) if isinstance(read, dict) else ""
    if kind not in FIELDS or set(read) != FIELDS[kind] | {"do", "expires"}:
        raise NotAllowed(f"expected one of {', '.join(FIELDS)} to sign, found {kind!r}")
    return dict(read)


def public_key(credential: SecretText) -> str:
    """Return the public key, in hexadecimal. Raises InvalidInput, which shows nothing of it."""
    return _key(credential).public_key().public_bytes_raw().hex()


def sign(credential: SecretText, text: str) -> str:
    """Sign a command's text. Raises NotAllowed for any other, InvalidInput for no key."""
    check_allowed(text)
    return _key(credential).sign(text.encode()).hex()


def _key(credential: SecretText) -> Ed25519PrivateKey:
    text = credential.reveal().strip()
    try:
        seed = bytes.fromhex(text)
    except ValueError:
        seed = b""
    if len(seed) != _SEED_BYTES:
        raise InvalidInput(
            "credential", f"expected 64 hexadecimal digits, found {len(text)} other characters"
        )
    return Ed25519PrivateKey.from_private_bytes(seed)
