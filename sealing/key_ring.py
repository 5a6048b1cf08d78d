"""The payload key ring: the keys under which workflow payloads are encrypted, and the current one.

Old keys stay in the ring so that what was written under them can still be read. The file is
protected like a private key: JSON `{"current": key id, "keys": {key id: 32 bytes in base64}}`.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from sealing.errors import SecretFileDamaged
from sealing.passphrase import Passphrase
from sealing.protected_file import create_protected, read_protected, replace_protected
from sealing.secret_files import PRIVATE_FILE_MODE, ensure_private_directory

KEY_RING_NAME = "payload-keys"
PAYLOAD_KEY_BYTES = 32

_PURPOSE = "payload key ring"
_KEY_ID_BYTES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadKeyRing:
    """AES-256 keys by key id; new payloads are encrypted under `current`."""

    current: str
    keys: Mapping[str, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        if self.current not in self.keys:
            raise ValueError(f"expected the current key {self.current!r} in the ring")
        for key_id, key in self.keys.items():
            if len(key) != PAYLOAD_KEY_BYTES:
                raise ValueError(f"expected {PAYLOAD_KEY_BYTES} bytes as key {key_id!r}")
        object.__setattr__(self, "keys", MappingProxyType(dict(self.keys)))


def ensure_key_ring(path: Path, passphrase: Passphrase) -> PayloadKeyRing:
    """Return the ring in the file, made with one fresh key if there is no file.

    Several processes may try at once: all return the ring of the one that came first.

    Raises:
        SecretFileUnsafe, SecretFileDamaged: what is there cannot be used; nothing is replaced.
    """
    ensure_private_directory(path.parent)
    if not path.is_symlink() and not path.exists():
        key_id, key = _fresh_key()
        ring = PayloadKeyRing(current=key_id, keys={key_id: key})
        create_protected(path, _spell(ring), passphrase, purpose=_PURPOSE)
    return load_key_ring(path, passphrase)


def load_key_ring(path: Path, passphrase: Passphrase) -> PayloadKeyRing:
    """Return the ring in the file.

    Raises:
        SecretFileMissing, SecretFileUnsafe, SecretFileDamaged: see `read_protected`.
    """
    content = read_protected(path, passphrase, purpose=_PURPOSE)
    try:
        document = json.loads(content)
        keys = {
            str(key_id): base64.b64decode(key, validate=True)
            for key_id, key in document["keys"].items()
        }
        return PayloadKeyRing(current=document["current"], keys=keys)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SecretFileDamaged(
            f"expected a payload key ring in {str(path)!r}, found something else"
        ) from None


def rotate_key_ring(path: Path, passphrase: Passphrase) -> PayloadKeyRing:
    """Add a fresh key, make it the current one, and return the ring with it.

    Running processes keep encrypting under the key they loaded until they are started again;
    every key stays readable. Rotations at the same time follow one another.

    Raises:
        SecretFileMissing, SecretFileUnsafe, SecretFileDamaged: see `load_key_ring`.
    """
    with _exclusive(path):
        ring = load_key_ring(path, passphrase)
        key_id, key = _fresh_key()
        rotated = PayloadKeyRing(current=key_id, keys={**ring.keys, key_id: key})
        replace_protected(path, _spell(rotated), passphrase, purpose=_PURPOSE)
    return rotated


def _fresh_key() -> tuple[str, bytes]:
    return secrets.token_hex(_KEY_ID_BYTES), secrets.token_bytes(PAYLOAD_KEY_BYTES)


def _spell(ring: PayloadKeyRing) -> bytes:
    keys = {key_id: base64.b64encode(key).decode() for key_id, key in ring.keys.items()}
    return json.dumps({"current": ring.current, "keys": keys}).encode()


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    lock = path.with_name(f"{path.name}.lock")
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(lock, flags, PRIVATE_FILE_MODE), "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
