"""The ports of nonces: taking one for what is no order's (leverage, timers), and reading lanes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from domain.accounts import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class NonceLane:
    """One lane of a signer's nonces, and the last one taken of it."""

    lane: str
    last_nonce: int


class NonceLanes(Protocol):
    """Tells what was taken."""

    async def lanes(self, venue: str, network: Network, signer: str) -> tuple[NonceLane, ...]:
        """Return a signer's lanes by name; none where it never signed here."""
        ...


class SignerNonces(Protocol):
    """Hands out a signer's nonces, one after the other with those of its orders."""

    async def take(self, venue: str, network: Network, signer: str, *, lane: str = "") -> int:
        """Return a nonce that nothing of this signer has or will have: now in ms, or one more
        than its last.

        Raises:
            Unavailable: the database does not answer; nothing may be signed.
        """
        ...
