from __future__ import annotations

from datetime import timedelta

import pytest

from domain.candle_intervals import interval_length
from domain.errors import InvalidInput


@pytest.mark.parametrize(
    ("interval", "length"),
    [
        ("1m", timedelta(minutes=1)),
        ("15m", timedelta(minutes=15)),
        ("4h", timedelta(hours=4)),
        ("3d", timedelta(days=3)),
        ("1w", timedelta(days=7)),
        ("1M", timedelta(days=30)),
    ],
)
def test_an_interval_has_a_length(interval: str, length: timedelta) -> None:
    assert interval_length(interval) == length


@pytest.mark.parametrize(
    "interval", ["", "0m", "m", "1", "1x", "1 m", "-1m", "1000m", "1m\n", "１m"]
)
def test_what_spells_no_interval_is_refused(interval: str) -> None:
    with pytest.raises(InvalidInput, match="interval"):
        interval_length(interval)
