"""How fresh each account's data is: whether its feed is live, and since when it is not.

One place that ingest writes and sockets read. Pure; time is given in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """An account's state. `age_s` counts since its feed was last live, None if it never was."""

    live: bool
    age_s: float | None
    reason: str


@dataclass(slots=True)
class _Kept:
    live: bool
    last_live: float | None
    reason: str


class FreshnessBoard:
    """The present state of all accounts; `on_change` hears of every account that changes."""

    def __init__(
        self, clock: Callable[[], float], on_change: Callable[[str], None] = lambda account_id: None
    ) -> None:
        self._clock = clock
        self._on_change = on_change
        self._kept: dict[str, _Kept] = {}

    def set(self, account_id: str, *, live: bool, reason: str) -> None:
        """Take note of an account's state."""
        kept = self._kept.get(account_id)
        was_live = kept is not None and kept.live
        last_live = kept.last_live if kept else None
        if live or was_live:
            last_live = self._clock()
        self._kept[account_id] = _Kept(live=live, last_live=last_live, reason=reason)
        if kept is None or kept.live != live:
            self._on_change(account_id)

    def forget(self, account_id: str) -> None:
        """Drop an account that is followed no more."""
        self._kept.pop(account_id, None)

    def of(self, account_id: str) -> Freshness:
        """Return an account's state; one never heard of is not live."""
        kept = self._kept.get(account_id)
        if kept is None:
            return Freshness(live=False, age_s=None, reason="its feed is not followed")
        if kept.live:
            return Freshness(live=True, age_s=0.0, reason=kept.reason)
        age_s = None if kept.last_live is None else self._clock() - kept.last_live
        return Freshness(live=False, age_s=age_s, reason=kept.reason)

    def live_accounts(self) -> frozenset[str]:
        """Return the accounts whose feed is live."""
        return frozenset(account_id for account_id, kept in self._kept.items() if kept.live)
