"""Reading a signing key: from a file, from stdin, or from a prompt that shows nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

_KEY_BYTES_MAX = 4_096


def read_key(key_file: str | None) -> str:
    """Return the key in `key_file` ('-': stdin), or what is typed where nobody sees it."""
    if key_file == "-":
        text = sys.stdin.read(_KEY_BYTES_MAX + 1)
    elif key_file is not None:
        path = Path(key_file)
        try:
            with path.open(encoding="utf-8") as file:
                text = file.read(_KEY_BYTES_MAX + 1)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise typer.BadParameter(
                f"--key-file: expected a readable file, found {key_file!r}: {reason}"
            ) from None
    elif sys.stdin.isatty():
        import getpass

        text = getpass.getpass("Signing key (hidden): ")
    else:
        raise typer.BadParameter(
            "expected --key-file PATH, or --key-file - with the key on stdin; there is no "
            "terminal to ask on"
        )
    key = text.strip()
    if not key or len(key) > _KEY_BYTES_MAX:
        raise typer.BadParameter(
            f"the signing key: expected 1 to {_KEY_BYTES_MAX} characters, found {len(key)}"
        )
    return key
