"""When market data counts as fresh."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.market_freshness import POLLED_FRESH_S, HeardLast, freshness_of

STREAMED = HeardLast(source="stream", age_s=1.0)
POLLED = HeardLast(source="poll", age_s=1.0, is_polled=True, is_connected=False)


@pytest.mark.parametrize(
    ("heard", "stale", "reason"),
    [
        (None, True, "nothing was received yet"),
        (STREAMED, False, "live"),
        (replace(STREAMED, age_s=3600.0), False, "live"),
        (replace(STREAMED, is_connected=False), True, "the connection to the venue is lost"),
        (replace(STREAMED, silence_max_s=5.0, age_s=5.0), False, "live"),
        (replace(STREAMED, silence_max_s=5.0, age_s=5.1), True, "silent for more than 5 s"),
        (POLLED, False, "polled"),
        (replace(POLLED, age_s=POLLED_FRESH_S), False, "polled"),
        (replace(POLLED, age_s=POLLED_FRESH_S + 0.1), True, "not answered for more than 6 s"),
    ],
)
def test_fresh_or_stale(heard: HeardLast | None, stale: bool, reason: str) -> None:
    fresh = freshness_of(heard)
    assert (fresh.stale, fresh.reason) == (stale, reason)
    assert fresh.age_s == (heard.age_s if heard else None)
    assert fresh.source == (heard.source if heard else None)
