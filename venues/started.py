"""The started connectors of one process, and our clock's offset to each of their venues.

Made when first needed and kept until the process ends. Knows no venue by name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from domain.accounts import Account, Network
from domain.errors import InvalidInput
from venues import registry
from venues.connector import Connector

CLOCK_OFFSET_BOUND = timedelta(milliseconds=500)

_log = logging.getLogger(__name__)


@dataclass
class Connectors:
    """Started connectors, one per venue and network, of the venues that this process serves."""

    venues: frozenset[str]
    _started: dict[tuple[str, Network], Connector] = field(default_factory=dict)
    _offsets: dict[tuple[str, Network], timedelta] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def connector(self, venue: str, network: Network) -> Connector:
        """Return the started connector of a venue and network.

        Raises:
            InvalidInput: this process does not serve that venue, or it lacks the network.
            VenueUnavailable: it could not be started.
        """
        found = self._started.get((venue, network))
        if found is not None:
            return found
        if venue not in self.venues:
            raise InvalidInput("venue", f"this worker does not serve {venue!r}")
        async with self._lock:
            if (venue, network) not in self._started:
                connector = registry.load(venue).connect(network)
                try:
                    await connector.start()
                except BaseException:
                    await connector.close()
                    raise
                self._started[venue, network] = connector
        return self._started[venue, network]

    def clock_refusal(self, venue: str, network: Network) -> str | None:
        """Return why our clock forbids new exposure, or None."""
        offset = self._offsets.get((venue, network), timedelta(0))
        if abs(offset) <= CLOCK_OFFSET_BOUND:
            return None
        return (
            f"our clock is {offset.total_seconds():+.3f} s from {venue}'s, more than "
            f"{CLOCK_OFFSET_BOUND.total_seconds():g} s; set the clock, then try again"
        )

    def started(self) -> tuple[Connector, ...]:
        """Return all started connectors."""
        return tuple(self._started.values())

    async def measure_clock(self, accounts: Iterable[Account]) -> None:
        """Measure the offset to every venue that an account of ours lives on."""
        by_place = {(account.venue, account.network): account for account in accounts}
        for place, account in by_place.items():
            connector = self._started.get(place)
            if connector is None:
                continue
            before = datetime.now(UTC)
            venue_time = await connector.venue_time(account)
            after = datetime.now(UTC)
            offset = before + (after - before) / 2 - venue_time
            self._offsets[place] = offset
            _log.info("our clock is %s from that of %s (%s)", offset, *place)

    async def close(self) -> None:
        """Close every connector."""
        for connector in self.started():
            await connector.close()
