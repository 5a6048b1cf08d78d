"""The passphrase under which key files lie: an operator's file, or a key of this machine.

The machine key guards against a copied key file, not against whoever reads the whole directory;
an operator who wants more mounts a passphrase file from elsewhere.
"""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

from sealing.errors import SecretFileDamaged
from sealing.secret_files import (
    create_file,
    ensure_private_directory,
    read_mounted_file,
    read_private_file,
)

MACHINE_KEY_NAME = "machine-key"
PASSPHRASE_LENGTH_MIN = 16

_MACHINE_KEY_BYTES = 32


class Passphrase:
    """A passphrase that shows itself to nobody but who calls `reveal`."""

    __slots__ = ("_content",)

    def __init__(self, content: bytes) -> None:
        self._content = content

    def reveal(self) -> bytes:
        """Return the passphrase itself."""
        return self._content

    def __repr__(self) -> str:
        return "Passphrase('***')"

    def __reduce__(self) -> str:
        raise TypeError("a passphrase is not pickled")


def load_passphrase(
    secrets_directory: Path,
    passphrase_file: Path | None = None,
    *,
    machine_key: str = MACHINE_KEY_NAME,
) -> Passphrase:
    """Return the passphrase in `passphrase_file`, or else a key of this machine, made if missing.

    `passphrase_file` is what PERP_DEX_KEY_PASSPHRASE_FILE names. A line end after the passphrase
    is not part of it. `machine_key` names the file in `secrets_directory` otherwise.

    Raises:
        SecretFileMissing: `passphrase_file` is given and is not there.
        SecretFileUnsafe: the file, or the directory, is open to others.
        SecretFileDamaged: what is in it is shorter than a passphrase or key can be.
    """
    if passphrase_file is not None:
        content = read_mounted_file(passphrase_file).rstrip(b"\r\n")
        if len(content) < PASSPHRASE_LENGTH_MIN:
            raise SecretFileDamaged(
                f"expected a passphrase of at least {PASSPHRASE_LENGTH_MIN} characters in "
                f"{str(passphrase_file)!r}, found {len(content)}"
            )
        return Passphrase(content)
    return _machine_key(secrets_directory, machine_key)


def _machine_key(secrets_directory: Path, name: str) -> Passphrase:
    ensure_private_directory(secrets_directory)
    path = secrets_directory / name
    if not path.is_symlink() and not path.exists():
        fresh = base64.b64encode(secrets.token_bytes(_MACHINE_KEY_BYTES)) + b"\n"
        create_file(path, fresh)
    content = read_private_file(path).rstrip(b"\r\n")
    try:
        length = len(base64.b64decode(content, validate=True))
    except ValueError:
        length = 0
    if length != _MACHINE_KEY_BYTES:
        raise SecretFileDamaged(
            f"expected {_MACHINE_KEY_BYTES} bytes in base64 in {str(path)!r}, found "
            f"{len(content)} characters that are not that; restore it from a backup: key files "
            "made with it cannot be opened without it"
        )
    return Passphrase(content)
