"""The payload key ring: the keys under which workflow payloads are encrypted, and the current one.

Old keys stay in the ring so that what was written under them can still be read. Running processes
follow the file: a key that is not in the ring they know is looked for in the file first.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from sealing.errors import SealingError, SecretFileDamaged
from sealing.keepers import Keepers, KeyUse
from sealing.kept_file import is_kept
from sealing.protected_file import unprotect
from sealing.ring import (
    KEY_BYTES,
    Ring,
    RingKey,
    adopt_ring,
    drop_keys,
    ensure_ring,
    load_ring,
    rotate_ring,
)
from sealing.secret_files import ensure_private_directory, exclusive, read_private_file
from sealing.watching import Watched

KEY_RING_NAME = "payload-keys"
PAYLOAD_KEY_BYTES = KEY_BYTES

_FORMER_PURPOSE = "payload key ring"
_KEY_ID_BYTES = 6
_NONE_YET = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadKeyRing:
    """AES-256 keys by key id; new payloads are encrypted under `current`.

    `superseded` says since when each former key is not the current one any more.
    """

    current: str
    keys: Mapping[str, bytes] = field(repr=False)
    superseded: Mapping[str, datetime] = field(default_factory=dict)
    version: int = 1

    def __post_init__(self) -> None:
        if self.current not in self.keys:
            raise ValueError(f"expected the current key {self.current!r} in the ring")
        for key_id, key in self.keys.items():
            if len(key) != PAYLOAD_KEY_BYTES:
                raise ValueError(f"expected {PAYLOAD_KEY_BYTES} bytes as key {key_id!r}")
        object.__setattr__(self, "keys", MappingProxyType(dict(self.keys)))


def ensure_key_ring(path: Path, keepers: Keepers) -> PayloadKeyRing:
    """Return the ring in the file, made with one fresh key if there is no file.

    Several processes may try at once: all return the ring of the one that came first.

    Raises:
        SecretFileUnsafe, SecretFileDamaged: what is there cannot be used; nothing is replaced.
        KeeperUnavailable: the keeper of the file, or of new files, is not there.
    """
    ensure_private_directory(path.parent)
    with exclusive(path):
        _adopt_former(path, keepers)
        return _payload(ensure_ring(path, keepers, KeyUse.PAYLOAD, _fresh_key))


def load_key_ring(path: Path, keepers: Keepers) -> PayloadKeyRing:
    """Return the ring in the file. Raises as `ensure_key_ring`, and SecretFileMissing."""
    return _payload(load_ring(path, keepers, KeyUse.PAYLOAD))


def rotate_key_ring(path: Path, keepers: Keepers) -> PayloadKeyRing:
    """Add a fresh key, make it the current one, and return the ring with it.

    Running processes take it up by themselves; every key stays readable.

    Raises:
        SealingError: see `load_key_ring`.
    """
    with exclusive(path):
        return _payload(rotate_ring(path, keepers, KeyUse.PAYLOAD, _fresh_key))


def drop_payload_keys(path: Path, keepers: Keepers, key_ids: Iterable[str]) -> PayloadKeyRing:
    """Destroy former keys that nothing needs any more."""
    return _payload(drop_keys(path, keepers, KeyUse.PAYLOAD, key_ids))


class LiveKeyRing(Watched[PayloadKeyRing]):
    """The ring as it is in the file now; fits `workflows.payloads.KeySource`."""

    def __init__(
        self,
        path: Path,
        keepers: Keepers,
        failed: Callable[[SealingError], None] = lambda error: None,
    ) -> None:
        ensure_key_ring(path, keepers)
        super().__init__(path, lambda: load_key_ring(path, keepers), failed=failed)

    def ring(self) -> PayloadKeyRing:
        """Return the ring as it was last read."""
        return self.value

    async def lacking(self, key_id: str) -> PayloadKeyRing:
        """Return the ring after a look into the file, because a key is not in it."""
        return self.value if key_id in self.value.keys else await self.refresh()


def _adopt_former(path: Path, keepers: Keepers) -> None:
    """Write a ring that is there in the form before this one in the present form."""
    if path.is_symlink() or not path.exists() or is_kept(path):
        return
    content = unprotect(
        read_private_file(path),
        keepers.former_passphrase(),
        purpose=_FORMER_PURPOSE,
        place=str(path),
    )
    try:
        document = json.loads(content)
        keys = {
            str(key_id): RingKey(
                secret=base64.b64decode(key, validate=True),
                since=_NONE_YET,
                superseded_at=None if key_id == document["current"] else datetime.now(UTC),
            )
            for key_id, key in document["keys"].items()
        }
        ring = Ring(current=document["current"], keys=keys)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SecretFileDamaged(
            f"expected a payload key ring in {str(path)!r}, found something else"
        ) from None
    adopt_ring(path, keepers, KeyUse.PAYLOAD, ring)


def _payload(ring: Ring) -> PayloadKeyRing:
    return PayloadKeyRing(
        current=ring.current,
        keys={key_id: key.secret for key_id, key in ring.keys.items()},
        superseded={
            key_id: key.superseded_at
            for key_id, key in ring.keys.items()
            if key.superseded_at is not None
        },
        version=ring.version,
    )


def _fresh_key() -> tuple[str, bytes]:
    return secrets.token_hex(_KEY_ID_BYTES), secrets.token_bytes(PAYLOAD_KEY_BYTES)
