"""The addresses of a venue's API: what a setting may say, and which one a network has.

Knows no venue and reads no setting.
"""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator
from pydantic_settings import SettingsConfigDict

from domain.accounts import Network
from domain.errors import InvalidInput

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


def settings_of(prefix: str) -> SettingsConfigDict:
    """Return how a venue's settings are read: from variables of that prefix, or `.env`."""
    return SettingsConfigDict(
        env_prefix=prefix,
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        validate_default=True,
    )


def origin_of(
    network: Network, *, mainnet: str, testnet: str, paper: str | None, paper_variable: str
) -> str:
    """Return the origin of a network's API.

    Raises:
        InvalidInput: paper is asked for and the variable of its address is not set.
    """
    if network is Network.MAINNET:
        return mainnet
    if network is Network.TESTNET:
        return testnet
    if paper is None:
        raise InvalidInput(
            "network",
            f"expected {paper_variable} for paper accounts, found nothing; "
            "start the simulator or set it",
        )
    return paper


def socket_url(origin: str, path: str = "/ws") -> str:
    """Return the WebSocket address at an origin that is spelled with http or https."""
    return "ws" + origin.removeprefix("http") + path
