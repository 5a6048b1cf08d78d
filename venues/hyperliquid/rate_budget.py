"""Our own rate budget: so many requests that the venue never has to refuse one, and room to cancel.

The venue counts weight per IP address and minute, and actions per account. A command that this
refuses was not sent. Sans I/O: time comes in as seconds of a monotonic clock.

Source: docs api/rate-limits-and-user-limits.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from domain.session_states import BudgetLeft

WEIGHT_PER_MINUTE: Final = 1200.0

#: Weights of /info types; what is not listed weighs 20.
_LIGHT: Final = frozenset(
    {
        "l2Book",
        "allMids",
        "clearinghouseState",
        "orderStatus",
        "spotClearinghouseState",
        "exchangeStatus",
    }
)
_ROWS_PER_WEIGHT: Final = 20
_CANDLES_PER_WEIGHT: Final = 60
_ROWED: Final = frozenset(
    {"recentTrades", "historicalOrders", "userFillsByTime", "fundingHistory", "userFunding"}
)

#: An account over its own limit may do about one action per 10 s (11.1 s measured).
_ACCOUNT_PAUSE_S: Final = 11.5
#: After a 429 nothing but cancels is sent for this long.
_BACK_OFF_S: Final = 5.0


class Purpose(StrEnum):
    """What a request is for; the later, the deeper it may reach into the budget."""

    QUERY = "query"
    COMMAND = "command"
    CANCEL = "cancel"


#: Which share of a minute's weight must be left after a request of that purpose.
_RESERVE: Final = {Purpose.QUERY: 1 / 6, Purpose.COMMAND: 1 / 15, Purpose.CANCEL: 0.0}


def info_weight(kind: str) -> int:
    """Return the weight of an /info request before its rows are counted."""
    if kind in _LIGHT:
        return 2
    return 60 if kind == "userRole" else 20


def rows_weight(kind: str, rows: int) -> int:
    """Return the weight that an answer's rows add."""
    if kind == "candleSnapshot":
        return rows // _CANDLES_PER_WEIGHT
    return rows // _ROWS_PER_WEIGHT if kind in _ROWED else 0


def exchange_weight(items: int) -> int:
    """Return the weight of an /exchange action over `items` orders or cancels."""
    return 1 + items // 40


class RateBudget:
    """A bucket of weight that refills steadily, with room kept for commands and for cancels."""

    def __init__(self, *, per_minute: float = WEIGHT_PER_MINUTE) -> None:
        self._capacity = per_minute
        self._rate = per_minute / 60.0
        self._left = per_minute
        self._at: float | None = None
        self._closed_until = float("-inf")
        self._paused: dict[str, float] = {}

    def take(self, weight: int, purpose: Purpose, now: float) -> bool:
        """Take `weight` if that leaves the reserve; otherwise take nothing and return False."""
        return self.wait_s(weight, purpose, now) == 0.0 and self._spend(weight)

    def wait_s(self, weight: int, purpose: Purpose, now: float) -> float:
        """Return in how many seconds `weight` would be given, 0 for now; takes nothing."""
        self._refill(now)
        missing = weight + _RESERVE[purpose] * self._capacity - self._left
        wait = max(missing / self._rate, 0.0)
        if purpose is not Purpose.CANCEL:
            wait = max(wait, self._closed_until - now)
        return max(wait, 0.0)

    def left(self, now: float) -> BudgetLeft:
        """Return what is left of a minute's weight."""
        self._refill(now)
        return BudgetLeft(
            unit="weight per minute", left=self._left, capacity=self._capacity, per_s=self._rate
        )

    def charge(self, weight: int, now: float) -> None:
        """Count weight that is known only after the answer; the bucket may go below zero."""
        self._refill(now)
        self._left -= weight

    def refused(self, now: float, retry_after_s: float | None) -> None:
        """Remember that the venue refused for weight: only cancels for a while."""
        self._closed_until = max(self._closed_until, now + (retry_after_s or _BACK_OFF_S))

    def account_refused(self, address: str, now: float) -> None:
        """Remember that an account is over its own limit."""
        self._paused = {kept: until for kept, until in self._paused.items() if until > now}
        self._paused[address] = now + _ACCOUNT_PAUSE_S

    def account_is_paused(self, address: str, now: float) -> bool:
        """Tell whether an account should send nothing but cancels now."""
        return self._paused.get(address, now) > now

    def _refill(self, now: float) -> None:
        if self._at is not None and now > self._at:
            self._left = min(self._capacity, self._left + (now - self._at) * self._rate)
        self._at = now if self._at is None else max(self._at, now)

    def _spend(self, weight: int) -> bool:
        self._left -= weight
        return True
