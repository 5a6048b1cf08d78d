"""Which venues workers serve, and what each can do: workers say it, the API reads it.

Each venue is one key that expires, so that a venue nobody serves any more is soon not shown as
served. Shown and nothing else: no command depends on it. Knows no venue.
"""

from __future__ import annotations

import logging
from typing import Final

import msgspec

from bus.connection import Bus, as_bytes
from domain.venue_sheets import ServedVenue

KEY: Final = "perp-dex:venue:"
#: A worker says it again several times within this.
EXPIRES_S: Final = 60

_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ServedVenue)


class ServedVenuesOnBus:
    """Implements `domain.venue_sheets.ServedVenues`, and says what it tells."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def say(self, served: ServedVenue) -> None:
        """Say that this process serves a venue.

        Raises:
            Unavailable: Valkey does not answer; say it again.
        """
        key, said = self._bus.key(KEY + served.sheet.venue), _encoder.encode(served)
        await self._bus.call(lambda redis: redis.set(key, said, ex=EXPIRES_S))

    async def read(self, venue: str) -> ServedVenue | None:
        """Return what was said of a venue within the last minute, or None.

        Raises:
            Unavailable: Valkey does not answer.
        """
        key = self._bus.key(KEY + venue)
        found = await self._bus.call(lambda redis: redis.get(key))
        if found is None:
            return None
        try:
            served = _decoder.decode(as_bytes(found))
        except msgspec.DecodeError as error:
            # Of a worker of another version: for this one the venue is not described.
            _log.warning("expected a venue's sheet, found other bytes", extra={"error": str(error)})
            return None
        return served if served.sheet.venue == venue else None
