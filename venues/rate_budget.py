"""Our own budget of a venue's requests: room for commands, more of it for cancels.

For venues that count requests by the minute and say nothing with their answers but a 429: after
one, and for as long as it asks for, nothing but cancels goes, and what the bucket held is gone. A
command that it refuses was not sent. Sans I/O but for `admit`; knows no venue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from domain.session_states import BudgetLeft

#: After a refusal that names no time.
_BACK_OFF_S: Final = 2.0
_BACK_OFF_MAX_S: Final = 60.0


class Purpose(StrEnum):
    """What a request is for; the later, the deeper it may reach into the budget."""

    QUERY = "query"
    COMMAND = "command"
    CANCEL = "cancel"


#: Which share of a minute's requests must be left after one of that purpose.
_RESERVE: Final = {Purpose.QUERY: 0.3, Purpose.COMMAND: 0.1, Purpose.CANCEL: 0.0}


class RateBudget:
    """A bucket of requests that refills steadily and is emptied by the venue's refusal."""

    def __init__(self, *, per_minute: float) -> None:
        self._capacity = per_minute
        self._left = per_minute
        self._at: float | None = None
        self._closed_until = float("-inf")

    def left(self, now: float) -> BudgetLeft:
        """Return what is left of a minute's requests, as far as it is known."""
        self._refill(now)
        return BudgetLeft(
            unit="requests per minute",
            left=self._left,
            capacity=self._capacity,
            per_s=self._capacity / 60.0,
        )

    def take(self, purpose: Purpose, now: float) -> bool:
        """Take one request if that leaves the reserve; otherwise take nothing and return False."""
        if self.wait_s(purpose, now) > 0.0:
            return False
        self._left -= 1.0
        return True

    def wait_s(self, purpose: Purpose, now: float) -> float:
        """Return in how many seconds a request would be given, 0 for now; takes nothing."""
        self._refill(now)
        missing = 1.0 + _RESERVE[purpose] * self._capacity - self._left
        wait = max(missing / (self._capacity / 60.0), 0.0)
        if purpose is not Purpose.CANCEL:
            wait = max(wait, self._closed_until - now)
        return max(wait, 0.0)

    def refused(self, now: float, retry_after_s: float | None) -> None:
        """Remember that the venue refused: others at our address have used what we counted on."""
        self._refill(now)
        wait = min(retry_after_s or _BACK_OFF_S, _BACK_OFF_MAX_S)
        self._closed_until = max(self._closed_until, now + wait)
        reserve = _RESERVE[Purpose.QUERY] * self._capacity
        self._left = min(self._left, reserve)

    def _refill(self, now: float) -> None:
        if self._at is not None and now > self._at:
            gained = (now - self._at) * self._capacity / 60.0
            self._left = min(self._capacity, self._left + gained)
        self._at = now if self._at is None else max(self._at, now)


async def admit(budget: RateBudget, monotonic: Callable[[], float], *, wait_max_s: float) -> float:
    """Take one request for a question as soon as there is one, and return 0.

    Where that would take longer than `wait_max_s`, take nothing and return how many seconds.
    """
    deadline = monotonic() + wait_max_s
    while not budget.take(Purpose.QUERY, monotonic()):
        now = monotonic()
        wait = budget.wait_s(Purpose.QUERY, now)
        if now + wait > deadline:
            return wait
        await asyncio.sleep(wait)
    return 0.0
