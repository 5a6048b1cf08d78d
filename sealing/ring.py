"""A ring of secret keys in one file: the current one, and former ones as long as they are needed.

Each change makes a new version of the file, in one step and one after another, however many
processes try. Knows nothing of what the keys are for.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sealing.errors import SecretFileDamaged
from sealing.keepers import Keepers, KeyKeeper, KeyUse
from sealing.kept_file import create_kept, read_kept, replace_kept
from sealing.secret_files import ensure_private_directory, exclusive

KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class RingKey:
    """One key; `superseded_at` None: it is the current one."""

    secret: bytes = field(repr=False)
    since: datetime
    superseded_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """Keys by key id. `version` grows by one with each change of the file.

    `keeper` is who keeps the file they were read from.
    """

    current: str
    keys: Mapping[str, RingKey] = field(repr=False)
    version: int = 1
    keeper: KeyKeeper | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.current not in self.keys:
            raise ValueError(f"expected the current key {self.current!r} in the ring")
        for key_id, key in self.keys.items():
            if len(key.secret) != KEY_BYTES:
                raise ValueError(f"expected {KEY_BYTES} bytes as key {key_id!r}")
        object.__setattr__(self, "keys", MappingProxyType(dict(self.keys)))


Fresh = Callable[[], tuple[str, bytes]]
"""Makes a key: its id and its secret."""


def ensure_ring(
    path: Path, keepers: Keepers, use: KeyUse, fresh: Fresh, *, former: Ring | None = None
) -> Ring:
    """Return the ring in the file, made of `former` or else one fresh key if there is no file.

    Call it holding `exclusive(path)`, so that of many processes one makes the ring.

    Raises:
        SecretFileUnsafe, SecretFileDamaged: what is there cannot be used; nothing is replaced.
        KeeperUnavailable: the keeper of the file, or of new files, is not there.
    """
    ensure_private_directory(path.parent)
    if not path.is_symlink() and not path.exists():
        create_kept(path, _spell(former or _first(fresh)), keepers.chosen, use)
    return load_ring(path, keepers, use)


def adopt_ring(path: Path, keepers: Keepers, use: KeyUse, ring: Ring) -> None:
    """Put a ring in the place of a file of another form, in one step."""
    replace_kept(path, _spell(ring), keepers.chosen, use, version=ring.version)


def load_ring(path: Path, keepers: Keepers, use: KeyUse) -> Ring:
    """Return the ring in the file. Raises as `ensure_ring`, and SecretFileMissing."""
    kept = read_kept(path, keepers, use)
    try:
        document = json.loads(kept.secret)
        keys = {str(key_id): _read_key(key) for key_id, key in document["keys"].items()}
        return Ring(
            current=document["current"], keys=keys, version=kept.version, keeper=kept.keeper
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SecretFileDamaged(
            f"expected a ring of keys in {str(path)!r}, found something else"
        ) from None


def rotate_ring(path: Path, keepers: Keepers, use: KeyUse, fresh: Fresh) -> Ring:
    """Add a fresh key and make it the current one; call it holding `exclusive(path)`."""
    ring, now = load_ring(path, keepers, use), datetime.now(UTC)
    key_id, secret = fresh()
    former = replace(ring.keys[ring.current], superseded_at=now)
    keys = {**ring.keys, ring.current: former, key_id: RingKey(secret=secret, since=now)}
    changed = replace(ring, current=key_id, keys=keys, version=ring.version + 1)
    return _replace(path, keepers, use, changed)


def drop_keys(path: Path, keepers: Keepers, use: KeyUse, key_ids: Iterable[str]) -> Ring:
    """Destroy former keys; the current one stays whatever is asked."""
    with exclusive(path):
        ring = load_ring(path, keepers, use)
        gone = set(key_ids) & set(ring.keys) - {ring.current}
        if not gone:
            return ring
        keys = {key_id: key for key_id, key in ring.keys.items() if key_id not in gone}
        changed = replace(ring, keys=keys, version=ring.version + 1)
        return _replace(path, keepers, use, changed)


def _replace(path: Path, keepers: Keepers, use: KeyUse, ring: Ring) -> Ring:
    keeper = ring.keeper or keepers.chosen
    replace_kept(path, _spell(ring), keeper, use, version=ring.version)
    return ring


def _first(fresh: Fresh) -> Ring:
    key_id, secret = fresh()
    return Ring(current=key_id, keys={key_id: RingKey(secret=secret, since=datetime.now(UTC))})


def _spell(ring: Ring) -> bytes:
    keys = {
        key_id: {
            "key": base64.b64encode(key.secret).decode(),
            "since": key.since.isoformat(),
            "superseded_at": key.superseded_at and key.superseded_at.isoformat(),
        }
        for key_id, key in ring.keys.items()
    }
    return json.dumps({"current": ring.current, "keys": keys}).encode()


def _read_key(document: Mapping[str, Any]) -> RingKey:
    ended = document["superseded_at"]
    return RingKey(
        secret=base64.b64decode(document["key"], validate=True),
        since=datetime.fromisoformat(document["since"]),
        superseded_at=None if ended is None else datetime.fromisoformat(ended),
    )
