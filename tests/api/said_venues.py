"""What workers say of their venues, without Valkey between."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from domain.venue_sheets import ServedVenue
from venues import registry
from venues.sheets import sheet_of


def hyperliquid() -> ServedVenue:
    """Return what a worker says that serves Hyperliquid's paper exchange."""
    return served("hyperliquid")


def served(venue: str) -> ServedVenue:
    """Return what a worker says that serves a venue's paper exchange."""
    spec = registry.load(venue)
    return ServedVenue(
        sheet=sheet_of(spec.venue, spec.capabilities, spec.proofs),
        connected=("paper",),
        seen_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
    )


@dataclass
class SaidVenues:
    """Implements `domain.venue_sheets.ServedVenues`."""

    said: dict[str, ServedVenue] = field(default_factory=lambda: {"hyperliquid": hyperliquid()})
    error: Exception | None = None

    async def read(self, venue: str) -> ServedVenue | None:
        if self.error is not None:
            raise self.error
        return self.said.get(venue)
