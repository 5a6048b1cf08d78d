"""The recipients' key pairs: who may open which part of a credential.

The private key lies in a protected file, the public one beside it in the open, for processes that
only seal. Knows nothing of accounts.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from sealing.errors import SecretFileDamaged
from sealing.passphrase import Passphrase
from sealing.protected_file import create_protected, read_protected
from sealing.secret_files import (
    PUBLIC_FILE_MODE,
    create_file,
    ensure_private_directory,
    read_public_file,
)

KEY_ID_BYTES = 8

_RAW_KEY_BYTES = 32


class Recipient(StrEnum):
    """A process that opens sealed credentials: WORKER the trading part, STREAMING the feed part."""

    WORKER = "worker"
    STREAMING = "streaming"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What a credential is sealed with."""

    raw: bytes

    @property
    def key_id(self) -> bytes:
        """The first bytes of the key's hash: tells keys apart, without secrecy."""
        return hashlib.sha256(self.raw).digest()[:KEY_ID_BYTES]

    def x25519(self) -> X25519PublicKey:
        """Return the key in the library's form."""
        return X25519PublicKey.from_public_bytes(self.raw)


class PrivateKey:
    """What a sealed credential is opened with; never shown."""

    __slots__ = ("_key", "public")

    def __init__(self, raw: bytes) -> None:
        self._key = X25519PrivateKey.from_private_bytes(raw)
        self.public = PublicKey(self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> PrivateKey:
        """Return a fresh key."""
        return cls(X25519PrivateKey.generate().private_bytes_raw())

    def x25519(self) -> X25519PrivateKey:
        """Return the key in the library's form."""
        return self._key

    def reveal(self) -> bytes:
        """Return the key's 32 bytes."""
        return self._key.private_bytes_raw()

    def __repr__(self) -> str:
        return f"PrivateKey('***', key_id={self.public.key_id.hex()})"

    def __reduce__(self) -> str:
        raise TypeError("a private key is not pickled")


def private_key_path(secrets_directory: Path, recipient: Recipient) -> Path:
    """Return where a recipient's private key lies."""
    return secrets_directory / f"{recipient.value}.key"


def public_key_path(secrets_directory: Path, recipient: Recipient) -> Path:
    """Return where a recipient's public key lies."""
    return secrets_directory / f"{recipient.value}.pub"


def ensure_key_pair(
    secrets_directory: Path, recipient: Recipient, passphrase: Passphrase
) -> PublicKey:
    """Make a recipient's key pair if there is none; return its public key.

    Several processes may try at once: all return the key of the one that came first.

    Raises:
        SecretFileUnsafe, SecretFileDamaged: what is there cannot be used; nothing is replaced.
    """
    ensure_private_directory(secrets_directory)
    path = private_key_path(secrets_directory, recipient)
    if not path.is_symlink() and not path.exists():
        fresh = PrivateKey.generate().reveal()
        create_protected(path, fresh, passphrase, purpose=_purpose(recipient))
    public = load_private_key(secrets_directory, recipient, passphrase).public
    spelled = base64.b64encode(public.raw) + b"\n"
    create_file(public_key_path(secrets_directory, recipient), spelled, mode=PUBLIC_FILE_MODE)
    if load_public_key(public_key_path(secrets_directory, recipient)) != public:
        raise SecretFileDamaged(
            f"{recipient.value}.pub does not belong to {recipient.value}.key in "
            f"{str(secrets_directory)!r}; remove the .pub file and start again to have it rewritten"
        )
    return public


def load_private_key(
    secrets_directory: Path, recipient: Recipient, passphrase: Passphrase
) -> PrivateKey:
    """Return a recipient's private key.

    Raises:
        SecretFileMissing, SecretFileUnsafe, SecretFileDamaged: see `read_protected`.
    """
    path = private_key_path(secrets_directory, recipient)
    raw = read_protected(path, passphrase, purpose=_purpose(recipient))
    if len(raw) != _RAW_KEY_BYTES:
        raise SecretFileDamaged(
            f"expected {_RAW_KEY_BYTES} bytes in {str(path)!r}, found {len(raw)}"
        )
    return PrivateKey(raw)


def load_public_key(path: Path) -> PublicKey:
    """Return the public key in a file.

    Raises:
        SecretFileMissing, SecretFileUnsafe, SecretFileDamaged: it is not there, others can write
            it, or it is no public key.
    """
    try:
        raw = base64.b64decode(read_public_file(path).strip(), validate=True)
    except ValueError:
        raw = b""
    if len(raw) != _RAW_KEY_BYTES:
        raise SecretFileDamaged(
            f"expected {_RAW_KEY_BYTES} bytes in base64 in {str(path)!r}, found something else"
        )
    return PublicKey(raw)


def _purpose(recipient: Recipient) -> str:
    return f"private key of {recipient.value}"
