"""The connectors of this process: one per venue and network, made when first needed.

Used for queries only; nothing is signed or sent here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from domain.accounts import Network
from domain.errors import PerpDexError
from domain.feed_credentials import FeedCredentialSource
from venues.connector import Connector, CredentialedQueries, VenueSpec

_log = logging.getLogger(__name__)

LoadVenue = Callable[[str], VenueSpec]


class Connecting(Protocol):
    """What is needed of a venue's entry to ask it: all of `VenueSpec` that is used here."""

    def connect(self, network: Network) -> Connector:
        """Return a connector, not yet started. Raises InvalidInput for a network it lacks."""
        ...


class Connectors:
    """Makes, keeps and closes connectors."""

    def __init__(
        self, load: Callable[[str], Connecting], credentials: FeedCredentialSource | None = None
    ) -> None:
        self._load = load
        self._credentials = credentials
        self._made: dict[tuple[str, Network], Connector] = {}
        self._locks: dict[tuple[str, Network], asyncio.Lock] = {}

    async def of(self, venue: str, network: Network) -> Connector:
        """Return the started connector of a venue and network.

        Raises:
            InvalidInput: there is no such venue, or it lacks that network.
            Unavailable, VenueRefused: it could not be started; ask again.
        """
        key = (venue, network)
        if key in self._made:
            return self._made[key]
        spec = self._load(venue)
        async with self._locks.setdefault(key, asyncio.Lock()):
            if key not in self._made:
                connector = spec.connect(network)
                if self._credentials is not None and isinstance(connector, CredentialedQueries):
                    connector.use_credentials(self._credentials)
                try:
                    await connector.start()
                except BaseException:
                    await connector.close()
                    raise
                self._made[key] = connector
        return self._made[key]

    async def close(self) -> None:
        """Close all connectors."""
        made, self._made = list(self._made.values()), {}
        for connector in made:
            try:
                await connector.close()
            except (OSError, PerpDexError) as error:
                _log.warning("a connector did not close: %s", error)
