"""Lanes: where a venue counts nonces for each key, each key is a lane that one worker owns.

A lane's transactions go one after the other, so that two workers on one lane would refuse each
other's. A worker owns a lane by a lease in the database, with an epoch that rises with each new
owner: whoever lost the lease cannot take a nonce any more. Knows no venue and no SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from domain.accounts import Network
from domain.ledger import CommandRow

LEASE = timedelta(seconds=8)
"""A dead owner's lanes are free so long after it last renewed them."""
RENEWED_AFTER = timedelta(seconds=2)
"""A lease is renewed once so much of it is over: a live owner never loses one by waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSet:
    """The lanes of an account's credential: those that place, and those that cancel.

    `spare` is nobody's: whoever sends on it takes the nonce that the venue names, for what has no
    order and for an emergency without the database.
    """

    orders: tuple[str, ...]
    cancels: tuple[str, ...]
    spare: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneLease:
    """Whose a lane is and until when; `epoch` counts its ownerships."""

    venue: str
    network: Network
    signer: str
    lane: str
    owner: str
    epoch: int
    expires_at: datetime

    def is_fresh(self, now: datetime) -> bool:
        """Tell whether it need not be renewed yet."""
        return now < self.expires_at - (LEASE - RENEWED_AFTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneState:
    """How far a lane's nonces are: the last one given out, None before the first."""

    last_nonce: int | None


class LaneStore(Protocol):
    """Leases of lanes, and what the ledger knows of a lane."""

    async def claim(
        self, venue: str, network: Network, signer: str, lanes: Sequence[str], *, owner: str
    ) -> LaneLease | None:
        """Own one of `lanes` for a `LEASE` from now: one that `owner` has, else a free one.

        Returns None where others own all of them. An epoch is one more with each change of owner.

        Raises:
            Unavailable: the database does not answer.
        """
        ...

    async def holders(self, venue: str, network: Network, signer: str) -> tuple[LaneLease, ...]:
        """Return the leases of a signer's lanes that have not run out. Raises Unavailable."""
        ...

    async def release(self, owner: str) -> None:
        """Free all lanes of an owner that goes. Raises Unavailable."""
        ...

    async def last_nonce(self, venue: str, network: Network, signer: str, lane: str) -> int | None:
        """Return the last nonce that was given out on a lane. Raises Unavailable."""
        ...

    async def learn(
        self, venue: str, network: Network, signer: str, lane: str, *, last_nonce: int
    ) -> None:
        """Remember that the venue has seen a nonce of a lane; never goes back."""
        ...

    async def row_of(
        self, venue: str, network: Network, signer: str, lane: str, nonce: int
    ) -> CommandRow | None:
        """Return the command that has a nonce of a lane and has not given it back."""
        ...
