"""Times as EdgeX spells them: milliseconds in a string, now and then a number. Pure."""

from __future__ import annotations

from datetime import datetime

from venues import times
from venues.edgex import wire
from venues.times import to_ms as to_ms


def at_ms(milliseconds: str | int, what: str) -> datetime:
    """Return the time that the venue spells in milliseconds. Raises WireError."""
    found = wire.integer(milliseconds, what)
    if found >= 1 << 48:
        raise wire.WireError(f"expected milliseconds in {what}, found {found}")
    return times.at_ms(found)
