"""The port of nonces for signed commands that are no order's: leverage, the venue's own timers."""

from __future__ import annotations

from typing import Protocol

from domain.accounts import Network


class SignerNonces(Protocol):
    """Hands out a signer's nonces, one after the other with those of its orders."""

    async def take(self, venue: str, network: Network, signer: str, *, lane: str = "") -> int:
        """Return a nonce that nothing of this signer has or will have: now in ms, or one more
        than its last.

        Raises:
            Unavailable: the database does not answer; nothing may be signed.
        """
        ...
