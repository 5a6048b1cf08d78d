"""The file in which the embedded stack keeps its API token, for programs on the same machine."""

from __future__ import annotations

from pathlib import Path

from perp_dex_client.errors import NotAuthorized
from sealing.errors import SealingError
from sealing.token import load_api_token


def read_token(path: Path) -> str:
    """Return the token in the file.

    Raises:
        NotAuthorized: there is none, or it is open to others; the message says what to do.
    """
    try:
        return load_api_token(path)
    except SealingError as error:
        raise NotAuthorized({"detail": str(error), "code": "no_token"}, 401) from None
