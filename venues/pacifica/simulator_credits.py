"""The simulated venue's credits: a rolling minute per remote address, told with every answer.

Always counted and told, enforced only where the switch `ip_limit` says so.

Source: docs.pacifica.fi api/rate-limits; headers recorded on testnet 2026-06.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from venues.simulation.exchange import Exchange

_MINUTE_MS: Final = 60_000
_TOLD_PER_CREDIT: Final = 10
_HEAVY: Final = ("/kline", "/orders/history", "/trades/history", "/funding")
_HEAVY_COST: Final = 3.0
_CANCEL_COST: Final = 0.5


def cost_of(path: str) -> float:
    """Return what a request costs."""
    if path in ("/orders/cancel", "/orders/stop/cancel", "/orders/cancel_all"):
        return _CANCEL_COST
    return _HEAVY_COST if path.startswith(_HEAVY) else 1.0


class Credits:
    """What each address has spent in the last minute."""

    def __init__(self, exchange: Exchange, per_minute: int) -> None:
        self._exchange = exchange
        self._per_minute = per_minute
        self._spent: dict[str, deque[tuple[int, float]]] = {}
        self._sums: dict[str, float] = {}

    def take(self, remote: str, cost: float) -> bool:
        """Count a request; False where it is one too many, which then costs nothing."""
        left = self._left(remote)
        if self._exchange.switches.ip_limit and cost > left:
            return False
        self._spent[remote].append((self._exchange.now_ms(), cost))
        self._sums[remote] += cost
        return True

    def told(self, remote: str) -> dict[str, int]:
        """Return `r` left, `q` in all, in tenths, and `t` seconds until some come back."""
        left = max(self._left(remote), 0.0)
        window = self._spent[remote]
        now_ms = self._exchange.now_ms()
        reset_ms = window[0][0] + _MINUTE_MS - now_ms if window else _MINUTE_MS
        return {
            "q": self._per_minute * _TOLD_PER_CREDIT,
            "r": int(left * _TOLD_PER_CREDIT),
            "t": max(reset_ms // 1000, 0),
        }

    def headers(self, remote: str) -> dict[str, str]:
        """Return the same as HTTP headers."""
        told = self.told(remote)
        return {
            "ratelimit": f'"credits";r={told["r"]};t={told["t"]}',
            "ratelimit-policy": f'"credits";q={told["q"]};w=60',
        }

    def _left(self, remote: str) -> float:
        window = self._spent.setdefault(remote, deque())
        total = self._sums.setdefault(remote, 0.0)
        oldest = self._exchange.now_ms() - _MINUTE_MS
        while window and window[0][0] <= oldest:
            total -= window.popleft()[1]
        self._sums[remote] = total
        return self._per_minute - total
