"""Times as EdgeX spells them: milliseconds in a string, now and then a number. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from venues.edgex import wire

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def at_ms(milliseconds: str | int, what: str) -> datetime:
    """Return the time that the venue spells in milliseconds. Raises WireError."""
    found = wire.integer(milliseconds, what)
    if found >= 1 << 48:
        raise wire.WireError(f"expected milliseconds in {what}, found {found}")
    return _EPOCH + timedelta(milliseconds=found)


def to_ms(time: datetime) -> int:
    """Return a time in whole milliseconds, rounded down."""
    return (time - _EPOCH) // _MILLISECOND
