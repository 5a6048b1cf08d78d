"""A secret on disk under a data key that a keeper wraps: AES-256-GCM, with a version in it.

The header names the keeper and the version, and is authenticated together with the use, so that
one file cannot stand in for another. Which version is the newest is for others to remember. Knows
nothing of what is inside.
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sealing.errors import SecretFileDamaged
from sealing.keepers import KeeperKind, Keepers, KeyKeeper, KeyUse
from sealing.secret_files import create_file, read_private_file, replace_file

_FORMAT = "perp-dex-kept-1"
_DATA_KEY_BYTES = 32
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What was read of a key file: its secret, its version, and who keeps its data key."""

    secret: bytes = field(repr=False)
    version: int
    keeper: KeyKeeper


def create_kept(path: Path, secret: bytes, keeper: KeyKeeper, use: KeyUse) -> bool:
    """Create the file with `secret` as version 1; return False, writing nothing, if it is there."""
    return create_file(path, _encrypt(secret, keeper, use, version=1))


def replace_kept(
    path: Path, secret: bytes, keeper: KeyKeeper, use: KeyUse, *, version: int
) -> None:
    """Put `secret` in the place of what the file holds, in one step."""
    replace_file(path, _encrypt(secret, keeper, use, version=version))


def read_kept(path: Path, keepers: Keepers, use: KeyUse) -> Kept:
    """Return what is in the file.

    Raises:
        SecretFileMissing, SecretFileUnsafe: see `read_private_file`.
        SecretFileDamaged: it is truncated, edited, or of another use.
        KeeperUnavailable: its keeper is not there, or not allowed by the settings.
    """
    header, sealed = _parse(path, read_private_file(path))
    keeper = keepers.of(KeeperKind(header["keeper"]))
    data_key = keeper.unwrap(use, base64.b64decode(header["wrapped"], validate=True))
    try:
        nonce = base64.b64decode(header["nonce"], validate=True)
        secret = AESGCM(data_key).decrypt(nonce, sealed, _associated(header, use))
    except (InvalidTag, ValueError):
        raise SecretFileDamaged(
            f"{str(path)!r} does not open as a file of {use.value!r}: it was changed; "
            "restore it from a backup"
        ) from None
    return Kept(secret=secret, version=header["version"], keeper=keeper)


def is_kept(path: Path) -> bool:
    """Tell whether the file has this form, rather than an earlier one or none."""
    return f'"{_FORMAT}"'.encode() in read_private_file(path)


def rewrap_kept(path: Path, keepers: Keepers, use: KeyUse) -> str:
    """Put the file under the chosen keeper's newest key; return where its key was before."""
    content = read_private_file(path)
    header, sealed = _parse(path, content)
    keeper, chosen = keepers.of(KeeperKind(header["keeper"])), keepers.chosen
    if keeper.kind is chosen.kind:
        # What is inside need not be opened for that.
        wrapped = chosen.rewrap(use, base64.b64decode(header["wrapped"], validate=True))
        replace_file(path, _spell(header | {"wrapped": base64.b64encode(wrapped).decode()}, sealed))
    else:
        kept = read_kept(path, keepers, use)
        replace_kept(path, kept.secret, chosen, use, version=kept.version)
    return keeper.where()


def _encrypt(secret: bytes, keeper: KeyKeeper, use: KeyUse, *, version: int) -> bytes:
    data_key = secrets.token_bytes(_DATA_KEY_BYTES)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    header: dict[str, Any] = {
        "format": _FORMAT,
        "version": version,
        "keeper": keeper.kind.value,
        "wrapped": base64.b64encode(keeper.wrap(use, data_key)).decode(),
        "nonce": base64.b64encode(nonce).decode(),
    }
    sealed = AESGCM(data_key).encrypt(nonce, secret, _associated(header, use))
    return _spell(header, sealed)


def _spell(header: dict[str, Any], sealed: bytes) -> bytes:
    document = header | {"sealed": base64.b64encode(sealed).decode()}
    return json.dumps(document, indent=1).encode() + b"\n"


def _parse(path: Path, content: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        document = json.loads(content)
        if document["format"] != _FORMAT or type(document["version"]) is not int:
            raise ValueError("another format")
        KeeperKind(document["keeper"])
        base64.b64decode(document["wrapped"], validate=True)
        sealed = base64.b64decode(document.pop("sealed"), validate=True)
    except (ValueError, KeyError, TypeError):
        raise SecretFileDamaged(
            f"expected a key file in {str(path)!r}, found something else or a part of one; "
            "restore it from a backup"
        ) from None
    return document, sealed


def _associated(header: dict[str, Any], use: KeyUse) -> bytes:
    # The wrapped key proves itself by opening the rest; without it here it can be wrapped anew.
    bound = {name: value for name, value in header.items() if name != "wrapped"}
    return json.dumps(bound | {"use": use.value}, sort_keys=True).encode()
