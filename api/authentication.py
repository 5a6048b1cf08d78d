"""Who is calling: the bearer token of the token file, or the operator's cookie for one purpose.

The cookie is signed with a key derived from the token, so it outlives a restart of this process
and ends when the token is replaced. Knows no route and no permission.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from domain.principals import Principal, local_principal

COOKIE_NAME: Final = "perp_dex_operator"
SESSION_S: Final = 8 * 3600
TICKET_S: Final = 60
TICKETS_MAX: Final = 64


class Authenticator:
    """Checks the one bearer token of an embedded stack, in constant time."""

    def __init__(self, token: str) -> None:
        if len(token) < 32:
            raise ValueError("the API token: expected at least 32 characters, found fewer")
        self._digest = hashlib.sha256(token.encode()).digest()

    def principal_of(self, authorization: str | None) -> Principal | None:
        """Return who an Authorization header speaks for, or None."""
        if authorization is None:
            return None
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        digest = hashlib.sha256(given.strip().encode("utf-8", "surrogateescape")).digest()
        return local_principal() if hmac.compare_digest(digest, self._digest) else None

    def derived_key(self, purpose: str) -> bytes:
        """Return a key that changes with the token and serves one purpose only."""
        return hmac.digest(self._digest, purpose.encode(), "sha256")


class OperatorSessions:
    """One-time tickets, and the cookies that a browser gets for them."""

    def __init__(self, key: bytes, now: Callable[[], datetime]) -> None:
        self._key = key
        self._now = now
        self._tickets: dict[str, datetime] = {}

    def ticket(self) -> str:
        """Return a ticket that opens one session within a minute."""
        self._forget_old()
        while len(self._tickets) >= TICKETS_MAX:
            self._tickets.pop(next(iter(self._tickets)))
        ticket = secrets.token_urlsafe(32)
        self._tickets[_digest(ticket)] = self._now() + timedelta(seconds=TICKET_S)
        return ticket

    def open(self, ticket: str) -> str | None:
        """Take a ticket, once, and return the cookie's value; None for any other ticket."""
        self._forget_old()
        if self._tickets.pop(_digest(ticket), None) is None:
            return None
        until = int(self._now().timestamp()) + SESSION_S
        body = f"{until}.{secrets.token_urlsafe(16)}"
        return f"{body}.{self._signature(body)}"

    def principal_of(self, cookie: str | None) -> Principal | None:
        """Return who a cookie speaks for, or None when it is forged or too old."""
        body, _, signature = (cookie or "").rpartition(".")
        expected = self._signature(body)
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            return None
        until = int(body.partition(".")[0])
        return local_principal() if self._now().timestamp() < until else None

    def _signature(self, body: str) -> str:
        return hmac.digest(self._key, body.encode("utf-8", "replace"), "sha256").hex()

    def _forget_old(self) -> None:
        now = self._now()
        self._tickets = {text: until for text, until in self._tickets.items() if until > now}


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode("utf-8", "replace")).hexdigest()
