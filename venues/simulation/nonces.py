"""Which nonces a signer may still use: unused, inside a time window, above the lowest kept one.

The rule is Hyperliquid's (the 100 highest nonces per signer are kept); sizes are parameters.
https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/nonces-and-api-wallets
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

KEPT_NONCES: Final = 100
#: Both edges were measured about two minutes further out than documented.
_EDGE_MS: Final = 120_000
OLDEST_MS: Final = 2 * 86_400_000 + _EDGE_MS
NEWEST_MS: Final = 86_400_000 + _EDGE_MS


class NonceProblem(StrEnum):
    """Why a nonce is refused."""

    DUPLICATE = "duplicate"
    TOO_LOW = "too low"
    TOO_HIGH = "too high"


@dataclass(frozen=True, slots=True, kw_only=True)
class NonceRefusal:
    """A refused nonce and the bound that it violated (None for a duplicate)."""

    problem: NonceProblem
    nonce: int
    bound: int | None = None


class NonceBook:
    """The nonces of every signer."""

    def __init__(self) -> None:
        self._seen: dict[str, set[int]] = {}
        self._kept: dict[str, list[int]] = {}

    def refusal(self, signer: str, nonce: int, now_ms: int) -> NonceRefusal | None:
        """Tell why the nonce cannot be used, or None. A seen one is a duplicate before all else."""
        oldest, newest = now_ms - OLDEST_MS, now_ms + NEWEST_MS
        if nonce <= oldest:
            return NonceRefusal(problem=NonceProblem.TOO_LOW, nonce=nonce, bound=oldest)
        if nonce >= newest:
            return NonceRefusal(problem=NonceProblem.TOO_HIGH, nonce=nonce, bound=newest)
        if nonce in self._seen.get(signer, ()):
            return NonceRefusal(problem=NonceProblem.DUPLICATE, nonce=nonce)
        kept = self._kept.get(signer)
        if kept is not None and len(kept) == KEPT_NONCES and nonce < kept[0]:
            return NonceRefusal(problem=NonceProblem.TOO_LOW, nonce=nonce, bound=kept[0])
        return None

    def use(self, signer: str, nonce: int) -> None:
        """Mark the nonce as used."""
        self._seen.setdefault(signer, set()).add(nonce)
        kept = self._kept.setdefault(signer, [])
        if len(kept) < KEPT_NONCES:
            heapq.heappush(kept, nonce)
        else:
            heapq.heappushpop(kept, nonce)

    def forget(self, signer: str) -> None:
        """Drop a signer's memory, as the venue may when an agent is pruned."""
        self._seen.pop(signer, None)
        self._kept.pop(signer, None)
