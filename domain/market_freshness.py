"""Whether what is known of a market is fresh. One rule for every channel and source. Pure.

A stream is fresh while its connection is live and the data came over that connection. Where a
venue is known to send regularly, silence beyond a stated time is stale too. Polled data is fresh
for a stated time.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Polled data older than this is stale, in seconds: three polls of 2 s missing.
POLLED_FRESH_S = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardLast:
    """The last word on a channel.

    `age_s` is since it was received. `is_polled`: it was asked for. `is_connected`: the connection
    it came over is live still. `silence_max_s`: longer silence is no silence of this venue's.
    """

    source: str
    age_s: float
    is_polled: bool = False
    is_connected: bool = True
    silence_max_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFreshness:
    """How fresh a channel is. `age_s` and `source` are None where nothing was ever heard."""

    stale: bool
    age_s: float | None
    source: str | None
    reason: str


def freshness_of(heard: HeardLast | None) -> MarketFreshness:
    """Return how fresh a channel is, from the last word on it."""
    if heard is None:
        return MarketFreshness(
            stale=True, age_s=None, source=None, reason="nothing was received yet"
        )
    reason = _why_stale(heard)
    return MarketFreshness(
        stale=reason is not None,
        age_s=heard.age_s,
        source=heard.source,
        reason=reason or ("polled" if heard.is_polled else "live"),
    )


def _why_stale(heard: HeardLast) -> str | None:
    if heard.is_polled:
        if heard.age_s > POLLED_FRESH_S:
            return f"not answered for more than {POLLED_FRESH_S:g} s"
        return None
    if not heard.is_connected:
        return "the connection to the venue is lost"
    if heard.silence_max_s is not None and heard.age_s > heard.silence_max_s:
        return f"silent for more than {heard.silence_max_s:g} s"
    return None
