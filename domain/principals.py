"""Who asks, what they may do, and the one question every door puts: `authorize`.

Knows no token and no HTTP: a door finds out who the principal is, this says what it may do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from domain.errors import NotAllowed, NotFound

LOCAL_PRINCIPAL_ID = "local"


class Action(StrEnum):
    """What can be done."""

    READ_MARKET = "read:market"
    READ_ACCOUNT = "read:account"
    TRADE = "trade"
    CLOSE = "close"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A holder of accounts; `actions` are what its key allows."""

    principal_id: str
    actions: frozenset[Action]


def local_principal() -> Principal:
    """Return the one principal of an embedded stack, who may do everything with its own."""
    return Principal(principal_id=LOCAL_PRINCIPAL_ID, actions=frozenset(Action))


def authorize(principal: Principal, action: Action, owner: str | None) -> None:
    """Check that `principal` may do `action` with an object of `owner` (None: of nobody).

    Raises:
        NotFound: the object is another's; its existence is not told.
        NotAllowed: the principal's key does not allow the action.
    """
    if owner is not None and owner != principal.principal_id:
        raise NotFound("no such object")
    if action not in principal.actions:
        raise NotAllowed(f"this key does not allow {action.value!r}")
