"""Token buckets: how much of something is taken per time. Pure; time is given in, in seconds."""

from __future__ import annotations


class TokenBucket:
    """Allows `burst` at once and `per_s` a second on average."""

    def __init__(self, per_s: float, burst: float, *, now: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._held = burst
        self._at = now

    @property
    def burst(self) -> float:
        """What is allowed at once."""
        return self._burst

    def held(self, now: float) -> float:
        """Return what could be taken now; below zero where more was reserved."""
        self._refill(now)
        return self._held

    def take(self, cost: float, now: float) -> bool:
        """Take `cost` if it is there; nothing is taken otherwise."""
        self._refill(now)
        if self._held < cost:
            return False
        self._held -= cost
        return True

    def reserve(self, cost: float, now: float) -> float:
        """Take `cost` in any case; return how long to wait before using it, in seconds."""
        self._refill(now)
        self._held -= cost
        return max(0.0, -self._held / self._per_s)

    def _refill(self, now: float) -> None:
        self._held = min(self._burst, self._held + max(0.0, now - self._at) * self._per_s)
        self._at = max(self._at, now)
