"""The API token of an embedded stack: 256 random bits in a file that only its owner can read."""

from __future__ import annotations

import secrets
from pathlib import Path

from sealing.errors import SecretFileDamaged
from sealing.secret_files import create_file, read_private_file

_TOKEN_BYTES = 32
_TOKEN_LENGTH = 43


def ensure_api_token(path: Path) -> str:
    """Return the token in the file, made if there is none; all who try at once get the same.

    Raises:
        SecretFileUnsafe, SecretFileDamaged: what is there cannot be used; nothing is replaced.
    """
    if not path.is_symlink() and not path.exists():
        create_file(path, secrets.token_urlsafe(_TOKEN_BYTES).encode() + b"\n")
    return load_api_token(path)


def load_api_token(path: Path) -> str:
    """Return the token in the file.

    Raises:
        SecretFileMissing, SecretFileUnsafe: see `read_private_file`.
        SecretFileDamaged: it holds no token; removing the file makes the next start write one.
    """
    content = read_private_file(path).strip()
    if len(content) != _TOKEN_LENGTH or not content.isascii():
        raise SecretFileDamaged(
            f"expected a token of {_TOKEN_LENGTH} characters in {str(path)!r}, found "
            f"{len(content)}; remove the file to have a new one made at the next start"
        )
    return content.decode()
