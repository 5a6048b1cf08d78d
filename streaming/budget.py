"""How much catching up may ask of each venue, so that trading keeps its share of the rate limit.

One budget per venue and network, shared by all accounts there. Knows no venue's own numbers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from domain.accounts import Network
from streaming.rate import TokenBucket

#: What one listing or one look-up costs, in the units of the budget.
LISTING_COST: Final = 20.0
LOOKUP_COST: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRule:
    """Units a second on average, and at once. The default is half of what Hyperliquid gives an
    address (1,200 a minute; venues/hyperliquid/NOTES.md); a simulator of ours gives more."""

    per_s: float = 10.0
    burst: float = 240.0
    paper_factor: float = 20.0


class ReadBudget:
    """Waits until a read fits into the budget of its venue and network."""

    def __init__(self, rule: BudgetRule, clock: Callable[[], float] = time.monotonic) -> None:
        self._rule = rule
        self._clock = clock
        self._buckets: dict[tuple[str, Network], TokenBucket] = {}

    async def spend(self, venue: str, network: Network, cost: float) -> None:
        """Take `cost` and return when it may be used; who asks first goes first."""
        await asyncio.sleep(self._bucket(venue, network).reserve(cost, self._clock()))

    def spare(self, venue: str, network: Network, cost: float) -> bool:
        """Take `cost` only if half of what may be used at once is left for others afterwards."""
        bucket, now = self._bucket(venue, network), self._clock()
        if bucket.held(now) - cost < bucket.burst / 2:
            return False
        return bucket.take(cost, now)

    def _bucket(self, venue: str, network: Network) -> TokenBucket:
        key = (venue, network)
        if key not in self._buckets:
            factor = self._rule.paper_factor if network is Network.PAPER else 1.0
            self._buckets[key] = TokenBucket(
                self._rule.per_s * factor, self._rule.burst * factor, now=self._clock()
            )
        return self._buckets[key]
