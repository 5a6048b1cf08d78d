"""Our own budget of the venue's credits: room for commands, more of it for cancels, and its word.

The venue counts credits over a rolling minute and says with each answer how many are left, also
for other processes behind the same address; that word replaces our own count. A command that this
refuses was not sent. Sans I/O: time comes in as seconds of a monotonic clock.

Source: docs.pacifica.fi api/rate-limits; headers recorded on testnet 2026-06.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.session_states import BudgetLeft

#: What an address without an API config key has a minute, by the newest page of the docs.
CREDITS_PER_MINUTE: Final = 100.0
#: The headers count tenths.
_TOLD_PER_CREDIT: Final = 10
_LEFT: Final = re.compile(r'"credits";\s*r=(\d{1,9})(?:;\s*t=(\d{1,6}))?')
_POLICY: Final = re.compile(r'"credits";\s*q=(\d{1,9});\s*w=(\d{1,6})')
#: After a refusal nothing but cancels is sent for so long at most; how many credits came back in
#: the meantime is known from the headers anyway.
_BACK_OFF_S: Final = 5.0

ORDER_COST: Final = 1.0
CANCEL_COST: Final = 0.5
QUERY_COST: Final = 1.0
#: Histories and candles cost 3 to 12, and less with a key; the answer's header corrects it.
HEAVY_QUERY_COST: Final = 12.0
_HEAVY: Final = ("/kline", "/orders/history", "/trades/history", "/funding", "/account/balance")


class Purpose(StrEnum):
    """What a request is for; the later, the deeper it may reach into the budget."""

    QUERY = "query"
    COMMAND = "command"
    CANCEL = "cancel"


#: Which share of a minute's credits must be left after a request of that purpose.
_RESERVE: Final = {Purpose.QUERY: 0.3, Purpose.COMMAND: 0.1, Purpose.CANCEL: 0.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an answer's headers say; None where they do not."""

    left: float | None = None
    per_minute: float | None = None
    reset_s: float | None = None


def told_by(headers: Mapping[str, str]) -> Told:
    """Read `ratelimit` and `ratelimit-policy`; what is not as documented is left out."""
    left = _LEFT.search(headers.get("ratelimit", ""))
    policy = _POLICY.search(headers.get("ratelimit-policy", ""))
    per_minute = None
    if policy is not None and int(policy[2]) and int(policy[1]):
        per_minute = int(policy[1]) / _TOLD_PER_CREDIT * 60 / int(policy[2])
    return Told(
        left=int(left[1]) / _TOLD_PER_CREDIT if left is not None else None,
        per_minute=per_minute,
        reset_s=float(left[2]) if left is not None and left[2] is not None else None,
    )


def query_cost(path: str) -> float:
    """Return what a question costs at most."""
    return HEAVY_QUERY_COST if path.startswith(_HEAVY) else QUERY_COST


class CreditBudget:
    """A bucket of credits that refills steadily, corrected by what the venue says is left."""

    def __init__(self, *, per_minute: float = CREDITS_PER_MINUTE) -> None:
        self._capacity = per_minute
        self._left = per_minute
        self._under_way = 0.0
        self._at: float | None = None
        self._closed_until = float("-inf")

    @property
    def per_minute(self) -> float:
        """How many credits a minute has, as far as it is known."""
        return self._capacity

    def left(self, now: float) -> BudgetLeft:
        """Return what is left of a minute's credits, as far as it is known."""
        self._refill(now)
        return BudgetLeft(
            unit="credits per minute",
            left=self._left,
            capacity=self._capacity,
            per_s=self._capacity / 60.0,
        )

    def take(self, cost: float, purpose: Purpose, now: float) -> bool:
        """Take `cost` if that leaves the reserve; otherwise take nothing and return False."""
        if self.wait_s(cost, purpose, now) > 0.0:
            return False
        self._left -= cost
        self._under_way += cost
        return True

    def wait_s(self, cost: float, purpose: Purpose, now: float) -> float:
        """Return in how many seconds `cost` would be given, 0 for now; takes nothing."""
        self._refill(now)
        missing = cost + _RESERVE[purpose] * self._capacity - self._left
        wait = max(missing / (self._capacity / 60.0), 0.0)
        if purpose is not Purpose.CANCEL:
            wait = max(wait, self._closed_until - now)
        return max(wait, 0.0)

    def ended(self, cost: float, now: float, told: Told | None = None) -> None:
        """Note that a request which had taken `cost` ended, and what its answer told.

        What is still under way may not be in the venue's count yet, so it is taken off.
        """
        self._refill(now)
        self._under_way = max(self._under_way - cost, 0.0)
        if told is None:
            return
        if told.per_minute is not None:
            self._capacity = told.per_minute
        if told.left is not None:
            self._left = min(told.left, self._capacity) - self._under_way

    def refused(self, now: float, told: Told) -> None:
        """Remember that the venue refused for want of credits: only cancels for a while."""
        wait = _BACK_OFF_S if told.reset_s is None else min(told.reset_s, _BACK_OFF_S)
        self._closed_until = max(self._closed_until, now + wait)

    def _refill(self, now: float) -> None:
        if self._at is not None and now > self._at:
            gained = (now - self._at) * self._capacity / 60.0
            self._left = min(self._capacity, self._left + gained)
        self._at = now if self._at is None else max(self._at, now)
