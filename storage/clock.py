"""The clock that storage reads; tests give another."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Gives the present time, aware, in UTC."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc_now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)


def milliseconds(at: datetime) -> int:
    """Return whole milliseconds since the epoch, exactly."""
    return (at - _EPOCH) // timedelta(milliseconds=1)
