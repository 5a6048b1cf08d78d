"""Our own budget of Vest's requests: room for commands, more of it for cancels, and its word.

Nothing is documented but that too many requests are refused. A bucket that refills steadily is
corrected by the headers that the venue's newer gateway sends, where they come; one account that is
told to wait lets its cancels pass. A command that this refuses was not sent. Sans I/O: time comes
in as seconds of a monotonic clock.

Source: codes 429 and 1003 of the official v2 API page; `x-ratelimit-…` observed on the v3 gateway.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.session_states import BudgetLeft

_NUMBER: Final = re.compile(r"\d{1,9}")
_MINUTE_S: Final = 60.0
#: The bucket holds so many seconds of its refill, until the venue says how much there is.
_BURST_S: Final = 12.0
#: After a refusal nothing but cancels is sent for so long, where the venue does not say how long.
_BACK_OFF_S: Final = 5.0
_BACK_OFF_MAX_S: Final = 30.0
_ACCOUNTS_MAX: Final = 1_000


class Purpose(StrEnum):
    """What a request is for; the later, the deeper it may reach into the budget."""

    QUERY = "query"
    COMMAND = "command"
    CANCEL = "cancel"


#: Which share of the bucket must be left after a request of that purpose.
_RESERVE: Final = {Purpose.QUERY: 0.3, Purpose.COMMAND: 0.1, Purpose.CANCEL: 0.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an answer's headers say of a minute; None where they do not."""

    left: float | None = None
    limit: float | None = None


def told_by(headers: Mapping[str, str]) -> Told:
    """Read `x-ratelimit-limit` and `x-ratelimit-remaining`; what is no number is left out."""
    limit = _NUMBER.fullmatch(headers.get("x-ratelimit-limit", "").strip())
    left = _NUMBER.fullmatch(headers.get("x-ratelimit-remaining", "").strip())
    return Told(
        left=float(left[0]) if left is not None else None,
        limit=float(limit[0]) if limit is not None and int(limit[0]) else None,
    )


class RateBudget:
    """A bucket of requests that refills steadily, corrected by what the venue says is left."""

    def __init__(self, *, per_minute: float) -> None:
        self._per_minute = per_minute
        self._capacity = per_minute * _BURST_S / _MINUTE_S
        self._left = self._capacity
        self._under_way = 0
        self._at: float | None = None
        self._closed_until = float("-inf")
        self._accounts: OrderedDict[str, float] = OrderedDict()

    @property
    def per_minute(self) -> float:
        """How many requests a minute has, as far as it is known."""
        return self._per_minute

    def take(self, purpose: Purpose, now: float, *, account: str = "") -> bool:
        """Take one request if that leaves the reserve; otherwise take nothing and return False."""
        if self.wait_s(purpose, now, account=account) > 0.0:
            return False
        self._left -= 1
        self._under_way += 1
        return True

    def wait_s(self, purpose: Purpose, now: float, *, account: str = "") -> float:
        """Return in how many seconds a request would be given, 0 for now; takes nothing."""
        self._refill(now)
        missing = 1 + _RESERVE[purpose] * self._capacity - self._left
        wait = max(missing * _MINUTE_S / self._per_minute, 0.0)
        if purpose is Purpose.CANCEL:
            return wait
        closed_until = max(self._closed_until, self._accounts.get(account, float("-inf")))
        return max(wait, closed_until - now)

    def left(self, now: float) -> BudgetLeft:
        """Return what is left of our own budget."""
        self._refill(now)
        return BudgetLeft(
            unit="requests",
            left=self._left,
            capacity=self._capacity,
            per_s=self._per_minute / _MINUTE_S,
        )

    def ended(self, now: float, told: Told | None = None) -> None:
        """Note that a request ended, and what its answer told of the rest.

        What is still under way may not be in the venue's count yet, so it is taken off.
        """
        self._refill(now)
        self._under_way = max(self._under_way - 1, 0)
        if told is None:
            return
        if told.limit is not None:
            self._per_minute = self._capacity = told.limit
        if told.left is not None:
            self._left = min(told.left, self._capacity) - self._under_way

    def refused(self, now: float, retry_after_s: float | None) -> None:
        """Remember that the venue refused everything for a while: only cancels go."""
        self._closed_until = max(self._closed_until, now + _bounded(retry_after_s))

    def refused_account(self, account: str, now: float, retry_after_s: float | None) -> None:
        """Remember that the venue told one account to wait: only its cancels go."""
        self._accounts[account] = now + _bounded(retry_after_s)
        self._accounts.move_to_end(account)
        while len(self._accounts) > _ACCOUNTS_MAX:
            self._accounts.popitem(last=False)

    def _refill(self, now: float) -> None:
        if self._at is not None and now > self._at:
            gained = (now - self._at) * self._per_minute / _MINUTE_S
            self._left = min(self._capacity, self._left + gained)
        self._at = now if self._at is None else max(self._at, now)


def _bounded(retry_after_s: float | None) -> float:
    return _BACK_OFF_S if retry_after_s is None else min(retry_after_s, _BACK_OFF_MAX_S)
