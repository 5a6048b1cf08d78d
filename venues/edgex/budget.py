"""Our own budget of requests to EdgeX: room for commands, more of it for cancels, and its word.

The venue publishes no limit and tells none with its answers, but for a 429, and for an account's
own limit of orders a minute (`createOrderPerMinuteLimit`). So this is how much we allow ourselves;
a command that it refuses was not sent. Sans I/O: time comes in as seconds of a monotonic clock.

Source: edgeX gitbook api/private-api/account-api; NOTES.md "Rate limits".
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import Final

from domain.session_states import BudgetLeft

#: A burst may use so many seconds' worth.
BURST_S: Final = 20.0
#: After a 429 that names no time nothing but cancels is sent for so long.
_BACK_OFF_S: Final = 5.0
_BACK_OFF_MAX_S: Final = 60.0
_MINUTE_S: Final = 60.0


class Purpose(StrEnum):
    """What a request is for; the later, the deeper it may reach into the budget."""

    QUERY = "query"
    COMMAND = "command"
    CANCEL = "cancel"


#: Which share of a burst must be left after a request of that purpose.
_RESERVE: Final = {Purpose.QUERY: 0.3, Purpose.COMMAND: 0.1, Purpose.CANCEL: 0.0}


class RequestBudget:
    """A bucket of requests that refills steadily, closed for a while by the venue's refusals."""

    def __init__(self, *, per_second: float) -> None:
        self._rate = per_second
        self._capacity = max(per_second * BURST_S, 10.0)
        self._left = self._capacity
        self._at: float | None = None
        self._closed_until = float("-inf")
        self._orders_per_minute: dict[str, int] = {}
        self._ordered: dict[str, deque[float]] = {}

    def left(self, now: float) -> BudgetLeft:
        """Return what is left of a burst, as far as it is known."""
        self._refill(now)
        return BudgetLeft(
            unit="requests", left=self._left, capacity=self._capacity, per_s=self._rate
        )

    def take(self, purpose: Purpose, now: float) -> bool:
        """Take one request if that leaves the reserve; otherwise take nothing, return False."""
        if self.wait_s(purpose, now) > 0.0:
            return False
        self._left -= 1.0
        return True

    def take_order(self, account_id: str, purpose: Purpose, now: float) -> bool:
        """Take one request that places an order of an account, within the account's own limit."""
        limit = self._orders_per_minute.get(account_id)
        placed = self._ordered.setdefault(account_id, deque())
        while placed and placed[0] <= now - _MINUTE_S:
            placed.popleft()
        if limit is not None and len(placed) >= limit:
            return False
        if not self.take(purpose, now):
            return False
        placed.append(now)
        return True

    def wait_s(self, purpose: Purpose, now: float) -> float:
        """Return in how many seconds a request would be given, 0 for now; takes nothing."""
        self._refill(now)
        missing = 1.0 + _RESERVE[purpose] * self._capacity - self._left
        wait = max(missing / self._rate, 0.0)
        if purpose is not Purpose.CANCEL:
            wait = max(wait, self._closed_until - now)
        return max(wait, 0.0)

    def refused(self, now: float, retry_after_s: float | None) -> None:
        """Remember that the venue refused for its limit: only cancels for a while.

        What was left was too much, so of a burst nothing but the cancels' share stays.
        """
        wait = _BACK_OFF_S if retry_after_s is None else min(retry_after_s, _BACK_OFF_MAX_S)
        self._closed_until = max(self._closed_until, now + wait)
        self._refill(now)
        self._left = min(self._left, _RESERVE[Purpose.COMMAND] * self._capacity)

    def allow_orders(self, account_id: str, per_minute: int) -> None:
        """Note what the venue says of an account: 0 is its own default, below none at all."""
        if per_minute > 0:
            self._orders_per_minute[account_id] = per_minute
        else:
            self._orders_per_minute.pop(account_id, None)

    def _refill(self, now: float) -> None:
        if self._at is not None and now > self._at:
            self._left = min(self._capacity, self._left + (now - self._at) * self._rate)
        self._at = now if self._at is None else max(self._at, now)
