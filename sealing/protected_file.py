"""A small secret encrypted under a passphrase: Argon2id, then AES-256-GCM.

The text says how it was made, and all it says is authenticated together with a purpose, so that
one secret cannot stand in for another. Knows nothing of what is inside.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from sealing.errors import KeeperUnavailable, SecretFileDamaged
from sealing.passphrase import Passphrase

_FORMAT = "perp-dex-protected-1"
_KEY_BYTES = 32
_SALT_BYTES = 16
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDerivation:
    """The cost of trying one passphrase: memory in KiB, passes over it, and lanes."""

    memory_kib: int = 65_536
    iterations: int = 3
    lanes: int = 4


DEFAULT_COST = KeyDerivation()
"""What a new file is made with: about a tenth of a second."""

# OpenSSL computes the lanes in threads of one pool for the whole process. Two derivations at once
# wait for each other for ever there, or are refused, which is told as want of memory. (Seen with
# cryptography 50 and its OpenSSL 4.)
_ONE_AT_A_TIME = threading.Lock()

# What we are ready to compute for a file that somebody else may have written.
_COST_MAX = KeyDerivation(memory_kib=1_048_576, iterations=16, lanes=16)


def protect(secret: bytes, passphrase: Passphrase, *, purpose: str) -> bytes:
    """Return `secret` so that only this passphrase opens it, and only for this purpose.

    Raises:
        KeeperUnavailable: there is not enough memory; try again.
    """
    return _encrypt(secret, passphrase, purpose, DEFAULT_COST)


def unprotect(content: bytes, passphrase: Passphrase, *, purpose: str, place: str) -> bytes:
    """Return the secret; `place` says in errors where the text came from.

    Raises:
        SecretFileDamaged: it is truncated or edited, made for another purpose, or the passphrase
            is another one; these cannot be told apart.
        KeeperUnavailable: there is not enough memory; try again.
    """
    try:
        header, sealed = _parse(content)
        key = _derive(passphrase, header)
        return AESGCM(key).decrypt(
            base64.b64decode(header["nonce"], validate=True),
            sealed,
            _associated(header, purpose),
        )
    except (ValueError, KeyError, TypeError):
        raise SecretFileDamaged(
            f"expected something protected in {place!r}, found something else or a part of it; "
            "restore it from a backup"
        ) from None
    except InvalidTag:
        raise SecretFileDamaged(
            f"{place!r} does not open as {purpose!r} with this passphrase: either the "
            "passphrase (or machine-key) is another one, or it was changed"
        ) from None


def _encrypt(secret: bytes, passphrase: Passphrase, purpose: str, cost: KeyDerivation) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    header: dict[str, Any] = {
        "format": _FORMAT,
        "kdf": "argon2id",
        "memory_kib": cost.memory_kib,
        "iterations": cost.iterations,
        "lanes": cost.lanes,
        "salt": base64.b64encode(secrets.token_bytes(_SALT_BYTES)).decode(),
        "nonce": base64.b64encode(nonce).decode(),
    }
    key = _derive(passphrase, header)
    sealed = AESGCM(key).encrypt(nonce, secret, _associated(header, purpose))
    document = header | {"sealed": base64.b64encode(sealed).decode()}
    return json.dumps(document, indent=1).encode() + b"\n"


def _parse(content: bytes) -> tuple[dict[str, Any], bytes]:
    document = json.loads(content)
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise ValueError("another format")
    return document, base64.b64decode(document.pop("sealed"), validate=True)


def _derive(passphrase: Passphrase, header: dict[str, Any]) -> bytes:
    cost = KeyDerivation(
        memory_kib=int(header["memory_kib"]),
        iterations=int(header["iterations"]),
        lanes=int(header["lanes"]),
    )
    if (
        header["kdf"] != "argon2id"
        or cost.memory_kib > _COST_MAX.memory_kib
        or cost.iterations > _COST_MAX.iterations
        or cost.lanes > _COST_MAX.lanes
    ):
        raise ValueError("another key derivation, or one too expensive to be ours")
    derivation = Argon2id(
        salt=base64.b64decode(header["salt"], validate=True),
        length=_KEY_BYTES,
        iterations=cost.iterations,
        lanes=cost.lanes,
        memory_cost=cost.memory_kib,
    )
    try:
        with _ONE_AT_A_TIME:
            return derivation.derive(passphrase.reveal())
    except MemoryError:
        raise KeeperUnavailable(
            f"{cost.memory_kib // 1024} MiB of memory are needed to derive a key from a "
            "passphrase and were not there; free some, or allow this process more, and try again"
        ) from None


def _associated(header: dict[str, Any], purpose: str) -> bytes:
    return json.dumps(header | {"purpose": purpose}, sort_keys=True).encode()
