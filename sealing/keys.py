"""The recipients' key pairs: who may open which part of a credential.

The private keys lie in a ring in one protected file, the current public one beside it in the open,
for processes that only seal. Knows nothing of accounts.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from sealing.errors import SealingError, SecretFileDamaged, SecretFileMissing, UnsealError
from sealing.keepers import Keepers, KeyUse
from sealing.protected_file import unprotect
from sealing.ring import Ring, RingKey, drop_keys, ensure_ring, load_ring, rotate_ring
from sealing.secret_files import (
    PUBLIC_FILE_MODE,
    create_file,
    ensure_private_directory,
    exclusive,
    read_private_file,
    read_public_file,
    replace_file,
)
from sealing.watching import Watched

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

    def holding(self, key_id: bytes) -> PrivateKey:
        """Return this key, the only one there is, whichever is asked for."""
        return self

    async def find(self, key_id: bytes) -> PrivateKey:
        """Return this key, as `holding`."""
        return self

    def __repr__(self) -> str:
        return f"PrivateKey('***', key_id={self.public.key_id.hex()})"

    def __reduce__(self) -> str:
        raise TypeError("a private key is not pickled")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPairs:
    """A recipient's private keys by key id in hex; credentials are sealed for `current`.

    `superseded` says since when each former key is not the current one any more.
    """

    current: str
    keys: Mapping[str, PrivateKey] = field(repr=False)
    superseded: Mapping[str, datetime] = field(default_factory=dict)
    version: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", MappingProxyType(dict(self.keys)))

    @property
    def public(self) -> PublicKey:
        """What new credentials are sealed with."""
        return self.keys[self.current].public

    def holding(self, key_id: bytes) -> PrivateKey:
        """Return the private key of that id.

        Raises:
            UnsealError: there is none such, or none such any more.
        """
        key = self.keys.get(key_id.hex())
        if key is None:
            raise UnsealError(
                f"a credential was sealed for key {key_id.hex()}, found here "
                f"{', '.join(sorted(self.keys))}; add the account's credential again"
            )
        return key

    async def find(self, key_id: bytes) -> PrivateKey:
        """Return the private key of that id, as `holding`."""
        return self.holding(key_id)


def private_keys_path(secrets_directory: Path, recipient: Recipient) -> Path:
    """Return where the ring of a recipient's private keys lies."""
    return secrets_directory / f"{recipient.value}.keys"


def public_key_path(secrets_directory: Path, recipient: Recipient) -> Path:
    """Return where a recipient's public key lies."""
    return secrets_directory / f"{recipient.value}.pub"


def ensure_key_pairs(secrets_directory: Path, recipient: Recipient, keepers: Keepers) -> KeyPairs:
    """Return a recipient's keys, made if there are none, with the public one in its place.

    Several processes may try at once: all return the keys of the one that came first.

    Raises:
        SecretFileUnsafe, SecretFileDamaged: what is there cannot be used; nothing is replaced.
        KeeperUnavailable: the keeper of the file, or of new files, is not there.
    """
    ensure_private_directory(secrets_directory)
    path = private_keys_path(secrets_directory, recipient)
    with exclusive(path):
        former = _former(secrets_directory, recipient, keepers)
        pairs = _pairs(ensure_ring(path, keepers, _use(recipient), _fresh_pair, former=former))
        _former_path(secrets_directory, recipient).unlink(missing_ok=True)
        _publish(secrets_directory, recipient, pairs)
    return pairs


def load_key_pairs(secrets_directory: Path, recipient: Recipient, keepers: Keepers) -> KeyPairs:
    """Return a recipient's keys. Raises as `ensure_key_pairs`, and SecretFileMissing."""
    path = private_keys_path(secrets_directory, recipient)
    return _pairs(load_ring(path, keepers, _use(recipient)))


def rotate_key_pair(secrets_directory: Path, recipient: Recipient, keepers: Keepers) -> KeyPairs:
    """Make a fresh pair the current one: from now on credentials are sealed for it.

    The private key is in its file before the public one is shown, so that whatever is sealed can
    be opened; a rotation that was cut short between the two is completed by the recipient.

    Raises:
        SealingError: see `load_key_pairs`.
    """
    path = private_keys_path(secrets_directory, recipient)
    with exclusive(path):
        pairs = _pairs(rotate_ring(path, keepers, _use(recipient), _fresh_pair))
        _publish(secrets_directory, recipient, pairs)
    return pairs


def drop_private_keys(
    secrets_directory: Path, recipient: Recipient, keepers: Keepers, key_ids: Iterable[str]
) -> KeyPairs:
    """Destroy former private keys: what is still sealed for them stays shut for ever."""
    path = private_keys_path(secrets_directory, recipient)
    return _pairs(drop_keys(path, keepers, _use(recipient), key_ids))


class LiveKeyPairs(Watched[KeyPairs]):
    """A recipient's keys as they are in the file now."""

    def __init__(
        self,
        secrets_directory: Path,
        recipient: Recipient,
        keepers: Keepers,
        failed: Callable[[SealingError], None] = lambda error: None,
    ) -> None:
        ensure_key_pairs(secrets_directory, recipient, keepers)
        super().__init__(
            private_keys_path(secrets_directory, recipient),
            lambda: load_key_pairs(secrets_directory, recipient, keepers),
            failed=failed,
        )

    async def find(self, key_id: bytes) -> PrivateKey:
        """Return the private key of that id, looked for in the file when it is not known.

        Raises:
            UnsealError: this recipient has no such key, or has it no more.
        """
        if key_id.hex() not in self.value.keys:
            await self.refresh()
        return self.value.holding(key_id)


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


def _publish(secrets_directory: Path, recipient: Recipient, pairs: KeyPairs) -> None:
    path = public_key_path(secrets_directory, recipient)
    spelled = base64.b64encode(pairs.public.raw) + b"\n"
    try:
        found = load_public_key(path)
    except SecretFileMissing:
        create_file(path, spelled, mode=PUBLIC_FILE_MODE)
        found = load_public_key(path)
    if found.key_id.hex() not in pairs.keys:
        raise SecretFileDamaged(
            f"{path.name} belongs to no key in {recipient.value}.keys of "
            f"{str(secrets_directory)!r}: one of the two is another's, or an older one was put "
            "back. If it is the .pub file, remove it and start again to have it rewritten"
        )
    if found != pairs.public:
        replace_file(path, spelled, mode=PUBLIC_FILE_MODE)


def _former_path(secrets_directory: Path, recipient: Recipient) -> Path:
    return secrets_directory / f"{recipient.value}.key"


def _former(secrets_directory: Path, recipient: Recipient, keepers: Keepers) -> Ring | None:
    """Return the one key of the form before this one, if it is all there is."""
    path = _former_path(secrets_directory, recipient)
    if private_keys_path(secrets_directory, recipient).exists() or not path.exists():
        return None
    purpose = f"private key of {recipient.value}"
    content = read_private_file(path)
    raw = unprotect(content, keepers.former_passphrase(), purpose=purpose, place=str(path))
    if len(raw) != _RAW_KEY_BYTES:
        raise SecretFileDamaged(
            f"expected {_RAW_KEY_BYTES} bytes in {str(path)!r}, found {len(raw)}"
        )
    key_id = PrivateKey(raw).public.key_id.hex()
    return Ring(current=key_id, keys={key_id: RingKey(secret=raw, since=datetime.now(UTC))})


def _pairs(ring: Ring) -> KeyPairs:
    return KeyPairs(
        current=ring.current,
        keys={key_id: PrivateKey(key.secret) for key_id, key in ring.keys.items()},
        superseded={
            key_id: key.superseded_at
            for key_id, key in ring.keys.items()
            if key.superseded_at is not None
        },
        version=ring.version,
    )


def _fresh_pair() -> tuple[str, bytes]:
    key = PrivateKey.generate()
    return key.public.key_id.hex(), key.reveal()


def _use(recipient: Recipient) -> KeyUse:
    return KeyUse(recipient.value)
