"""What an address of a venue's API may look like in a setting: an origin, and a safe one.

Knows no venue and reads no setting.
"""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def _origin(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address such as https://api.example.com")
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise ValueError("an origin only: scheme, host and port, nothing after it")
    return url.rstrip("/")


def _secure_origin(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError("https, unless the host is this machine")
    return url


Origin = Annotated[str, AfterValidator(_origin)]
"""Scheme, host and port, without a slash at the end."""
SecureOrigin = Annotated[Origin, AfterValidator(_secure_origin)]
"""An origin by https, or of this machine."""
