"""Our own budget of the venue's requests: room for commands, more of it for cancels.

A standard account has 60 requests in a rolling minute, reads and transactions together; higher
tiers count weights. What the venue says corrects it: the tier of an account, and a refusal. A
command that this refuses was not sent. Sans I/O: time comes in as seconds of a monotonic clock.

Source: apidocs.lighter.xyz rate-limits (2026-09).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from domain.session_states import BudgetLeft

STANDARD_PER_MINUTE: Final = 60.0
#: After a refusal that names no time nothing but cancels is sent for so long.
BACK_OFF_S: Final = 10.0
#: The firewall before the API refuses for so long once it has begun to.
FIREWALL_PAUSE_S: Final = 60.0
BACK_OFF_MAX_S: Final = 60.0

_WEIGHTS: Final = {
    "/sendTx": 6.0,
    "/nextNonce": 6.0,
    "/accountOrders": 100.0,
    "/accountActiveOrders": 100.0,
    "/accountInactiveOrders": 100.0,
    "/apikeys": 150.0,
    "/trades": 600.0,
    "/recentTrades": 600.0,
}
_WEIGHT: Final = 300.0


class Tier(StrEnum):
    """What kind of account it is."""

    STANDARD = "standard"
    PREMIUM = "premium"
    PLUS = "plus"
    BUILDER = "builder"


class Purpose(StrEnum):
    """What a request is for; the later, the deeper it may reach into the budget."""

    QUERY = "query"
    VERDICT = "verdict"
    COMMAND = "command"
    CANCEL = "cancel"


#: Of Plus the pages name 120,000 and 24,000: the lower one.
WEIGHT_PER_MINUTE_BY_TIER: Final = {
    Tier.PREMIUM: 24_000.0,
    Tier.PLUS: 24_000.0,
    Tier.BUILDER: 240_000.0,
}
#: Which share of a minute's requests must be left after one of that purpose.
_RESERVE: Final = {
    Purpose.QUERY: 0.3,
    Purpose.VERDICT: 0.2,
    Purpose.COMMAND: 0.1,
    Purpose.CANCEL: 0.0,
}


class RequestBudget:
    """A bucket that refills steadily; `per_minute` is a standard account's."""

    def __init__(
        self, *, tier: Tier = Tier.STANDARD, per_minute: float = STANDARD_PER_MINUTE
    ) -> None:
        self._tier = tier
        self._standard = per_minute
        self._capacity = self._capacity_of(tier)
        self._left = self._capacity
        self._at: float | None = None
        self._closed_until = float("-inf")

    @property
    def tier(self) -> Tier:
        """What kind of account the budget is for."""
        return self._tier

    @property
    def per_minute(self) -> float:
        """What a minute has: requests of a standard account, weights of another."""
        return self._capacity

    def left(self, now: float) -> BudgetLeft:
        """Return what is left of a minute, in the unit that the account's tier is counted in."""
        self._refill(now)
        counted = "requests" if self._tier is Tier.STANDARD else "weight"
        return BudgetLeft(
            unit=f"{counted} per minute",
            left=self._left,
            capacity=self._capacity,
            per_s=self._capacity / 60.0,
        )

    def learn_tier(self, name: str, now: float) -> None:
        """Take the venue's word for the account's tier; an unknown one is taken for standard.

        Several accounts of one process share what the least of them has, unless each has a process
        of its own; so a lower tier counts, and a higher one only replaces the first guess.
        """
        self._refill(now)
        lowered = name.strip().lower()
        tier = next((one for one in Tier if lowered.startswith(one.value)), Tier.STANDARD)
        if tier is self._tier:
            return
        share = self._left / self._capacity
        self._tier, self._capacity = tier, self._capacity_of(tier)
        self._left = self._capacity * share

    def take(self, path: str, purpose: Purpose, now: float) -> bool:
        """Take a request's cost if that leaves the reserve; otherwise take nothing."""
        if self.wait_s(path, purpose, now) > 0.0:
            return False
        self._left -= self._cost(path)
        return True

    def wait_s(self, path: str, purpose: Purpose, now: float) -> float:
        """Return in how many seconds a request would be let through, 0 for now; takes nothing."""
        self._refill(now)
        missing = self._cost(path) + _RESERVE[purpose] * self._capacity - self._left
        wait = max(missing / (self._capacity / 60.0), 0.0)
        if purpose is not Purpose.CANCEL:
            wait = max(wait, self._closed_until - now)
        return max(wait, 0.0)

    def spare(self, path: str, purpose: Purpose, now: float) -> int:
        """Return how many such requests would be let through now, one after the other."""
        if self.wait_s(path, purpose, now) > 0.0:
            return 0
        return int((self._left - _RESERVE[purpose] * self._capacity) / self._cost(path))

    def refused(self, now: float, wait_s: float | None = None) -> None:
        """Remember that the venue refused for want of requests: only cancels for a while."""
        wait = BACK_OFF_S if wait_s is None else min(wait_s, BACK_OFF_MAX_S)
        self._refill(now)
        self._closed_until = max(self._closed_until, now + wait)
        self._left = min(self._left, _RESERVE[Purpose.QUERY] * self._capacity)

    def _cost(self, path: str) -> float:
        return 1.0 if self._tier is Tier.STANDARD else _WEIGHTS.get(path, _WEIGHT)

    def _capacity_of(self, tier: Tier) -> float:
        return WEIGHT_PER_MINUTE_BY_TIER.get(tier, self._standard)

    def _refill(self, now: float) -> None:
        if self._at is not None and now > self._at:
            gained = (now - self._at) * self._capacity / 60.0
            self._left = min(self._capacity, self._left + gained)
        self._at = now if self._at is None else max(self._at, now)
