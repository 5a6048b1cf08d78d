"""Telling the others which venues this worker serves, and what each of them can do."""

from __future__ import annotations

from typing import Protocol

from domain.venue_sheets import ServedVenue
from serving.settings import now
from venues import registry
from venues.sheets import sheet_of
from venues.started import Connectors

SAY_EVERY_S = 5.0


class VenueNews(Protocol):
    """Where it is said."""

    async def say(self, served: ServedVenue) -> None:
        """Say that this process serves a venue. Raises Unavailable."""
        ...


async def say_venues(connectors: Connectors, news: VenueNews) -> None:
    """Say of every venue that this process serves what it is, and which networks are connected.

    Raises:
        Unavailable: nobody hears it now; say it again.
    """
    started = connectors.started()
    for venue in sorted(connectors.venues):
        spec = registry.load(venue)
        networks = sorted(each.network.value for each in started if each.venue == venue)
        served = ServedVenue(
            sheet=sheet_of(spec.venue, spec.capabilities, spec.proofs),
            connected=tuple(networks),
            seen_at=now(),
            opening_refused=_refused(connectors, venue),
        )
        await news.say(served)


def _refused(connectors: Connectors, venue: str) -> tuple[str, ...]:
    """Return the networks of a venue whose circuit is open."""
    waits = connectors.circuits.opens_in_s().items()
    are_open = {place for place, wait_s in waits if wait_s is not None}
    return tuple(sorted(network.value for name, network in are_open if name == venue))
