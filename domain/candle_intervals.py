"""How intervals of candles are spelled, `1m` to `1M`, and how long they are. Knows no venue."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from domain.errors import InvalidInput

_SPELLED: Final = re.compile(r"([1-9][0-9]{0,2})([mhdwM])")
_UNITS: Final = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(days=7),
    "M": timedelta(days=30),
}


def interval_length(interval: str) -> timedelta:
    """Return how long an interval is; a month counts as 30 days.

    Raises:
        InvalidInput: it is spelled in no such way.
    """
    spelled = _SPELLED.fullmatch(interval)
    if spelled is None:
        raise InvalidInput(
            "interval", f"expected one such as 1m, 15m, 1h, 1d or 1w, found {interval[:16]!r}"
        )
    count, unit = spelled.groups()
    return int(count) * _UNITS[unit]
