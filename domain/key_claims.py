"""Who holds an idempotency key: the one intent it names, claimed before anything of it starts.

A key is claimed once and for ever, by whatever may end in venue orders. Whoever asks for the same
again holds the claim too, so that a claim of which nothing came is used by the next attempt. Knows
no storage and no HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from domain.errors import Conflict


class IntentKind(StrEnum):
    """What a key can name, in words."""

    ORDER = "order"
    SPLIT = "split order"
    BRACKET = "bracket"
    CLOSE = "close"
    CONDITIONS = "conditional close"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyClaim:
    """One intent's claim on its key.

    `intent_id` is made of owner and key, and names what is started; `fingerprint` says what was
    asked for, so that of two requests the same one holds the claim. `kind` is for people.
    """

    intent_id: str
    kind: IntentKind
    fingerprint: str
    claimed_at: datetime


class KeyClaims(Protocol):
    """Claims. Of all that ask for one key the first one has it, whoever asks besides."""

    async def claim(self, asked: KeyClaim) -> KeyClaim:
        """Keep a claim, or return the one that is there; either is committed.

        Raises:
            Unavailable: the storage does not answer; whether it is kept is unknown, and asking
                again tells.
        """
        ...

    async def held(self, intent_id: str) -> KeyClaim | None:
        """Return the claim on a key, or None while nobody has it."""
        ...


def key_mismatch(kind: IntentKind) -> Conflict:
    """Return the refusal of a request whose key named something else, of this kind, before."""
    return Conflict(
        f"this idempotency key named another request before ({kind}); use a new key for a new "
        "intent",
        code="idempotency_mismatch",
    )
