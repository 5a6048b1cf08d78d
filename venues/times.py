"""Times as venues spell them: whole milliseconds since 1970. Knows no venue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def at_ms(milliseconds: int) -> datetime:
    """Return the time that a venue spells in milliseconds."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def to_ms(time: datetime) -> int:
    """Return a time in whole milliseconds, rounded down."""
    return (time - _EPOCH) // _MILLISECOND
