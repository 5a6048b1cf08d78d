"""Who a socket's token speaks for: the one token of an embedded stack, read from its file.

The file is read again every moment, so that a replaced token ends the sessions it opened. Knows no
socket; how a token file is read and checked is given in.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from domain.principals import Principal, local_principal

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token turned out to be good for; `mark` changes when the token is replaced."""

    principal: Principal
    mark: bytes


class Authenticator(Protocol):
    """Tells whom a token speaks for."""

    def grant(self, token: str) -> Grant | None:
        """Return what the token is good for, or None."""
        ...

    def is_valid(self, grant: Grant) -> bool:
        """Tell whether a grant still holds."""
        ...

    def refresh(self) -> None:
        """Look whether tokens were replaced."""
        ...


class FileToken:
    """The token in a file. `load` returns it or raises; while it raises, nobody gets in."""

    def __init__(self, load: Callable[[], str]) -> None:
        self._load = load
        self._digest: bytes | None = None
        self._problem: str | None = None
        self.refresh()

    def grant(self, token: str) -> Grant | None:
        """Return the local principal for the right token, compared in constant time."""
        digest = _digest(token)
        if self._digest is None or not hmac.compare_digest(digest, self._digest):
            return None
        return Grant(principal=local_principal(), mark=digest)

    def is_valid(self, grant: Grant) -> bool:
        """Tell whether the grant's token is still the one in the file."""
        return self._digest is not None and hmac.compare_digest(grant.mark, self._digest)

    def refresh(self) -> None:
        """Read the file again; says once when it cannot be read, and once when it can again."""
        try:
            digest = _digest(self._load())
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the file, nobody gets in
            self._digest = None
            if self._problem != str(error):
                self._problem = str(error)
                _log.error("the API token cannot be read: %s", error)
            return
        if self._problem is not None:
            self._problem = None
            _log.info("the API token can be read again")
        self._digest = digest


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
