"""A venue's own public feed as a source of market events: one connection for all channels.

Opened when the first channel is wanted; a failure ends `run`, and the next `run` opens it anew.
Knows no wishes and no socket of ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from domain.accounts import Network
from domain.errors import InvalidInput, VenueUnavailable
from domain.instruments import Instrument
from streaming.connectors import Connectors
from streaming.market_sources import STREAM, Deliver, Place
from venues.connector import MarketChannel, MarketFeed

#: Makes a feed of a place over its markets; None where there is no such feed.
MakeFeed = Callable[[Network, tuple[Instrument, ...]], MarketFeed | None]


class VenueSource:
    """Implements `MarketSource` over a `MarketFeed`; `label` says in each event that it came so."""

    def __init__(
        self,
        place: Place,
        make: MakeFeed,
        connectors: Connectors,
        deliver: Deliver,
        label: str = STREAM,
    ) -> None:
        self._place = place
        self._make = make
        self._connectors = connectors
        self._deliver = deliver
        self._label = label
        self._channels: frozenset[MarketChannel] = frozenset()
        self._known: frozenset[str] = frozenset()
        self._feed: MarketFeed | None = None
        self._lock = asyncio.Lock()
        self._opened = asyncio.Event()

    async def follow(self, channels: frozenset[MarketChannel]) -> None:
        """Set the channels to deliver; the first ones open the feed. Raises as the Protocol."""
        async with self._lock:
            if self._feed is None:
                if channels:
                    await self._open(channels)
            else:
                await self._subscribe(self._feed, channels)
            self._channels = channels

    async def run(self) -> None:
        """Deliver the feed's events until it ends or fails; wait while nothing is wanted.

        Raises:
            PerpDexError: the venue does not answer, or takes back what it carried.
        """
        while True:
            async with self._lock:
                self._opened.clear()
                if self._feed is None and self._channels:
                    await self._open_again()
                feed = self._feed
            if feed is not None:
                break
            await self._opened.wait()
        try:
            async for event in feed.events():
                self._deliver(self._place, event, self._label)
        finally:
            if self._feed is feed:
                self._feed = None
            await feed.close()

    async def close(self) -> None:
        """Close the feed."""
        async with self._lock:
            self._channels = frozenset()
            feed, self._feed = self._feed, None
            if feed is not None:
                await feed.close()

    async def renew(self) -> None:
        """Give the present connection up; `run` ends, and the next one opens another."""
        async with self._lock:
            feed, self._feed = self._feed, None
            if feed is not None:
                await feed.close()

    async def _open_again(self) -> None:
        try:
            await self._open(self._channels)
        except InvalidInput:
            # Asked again as a whole it would be refused for ever; whoever wants it sees to it.
            self._channels = frozenset()
            raise

    async def _open(self, channels: frozenset[MarketChannel]) -> None:
        feed = self._made(await self._instruments())
        try:
            await feed.subscribe(channels)
        except BaseException:
            await feed.close()
            raise
        self._feed = feed
        self._opened.set()

    async def _subscribe(self, feed: MarketFeed, channels: frozenset[MarketChannel]) -> None:
        try:
            await feed.subscribe(channels)
        except InvalidInput:
            instruments = await self._instruments()
            if _symbols(instruments) == self._known:
                raise
            # Markets were listed since the feed was made: a feed of the present ones takes over.
            await self._open(channels)
            await feed.close()

    async def _instruments(self) -> tuple[Instrument, ...]:
        connector = await self._connectors.of(self._place.venue, self._place.network)
        return await connector.instruments()

    def _made(self, instruments: tuple[Instrument, ...]) -> MarketFeed:
        self._known = _symbols(instruments)
        feed = self._make(self._place.network, instruments)
        if feed is None:
            raise VenueUnavailable(f"{self._place.venue} has no such feed")
        return feed


def _symbols(instruments: Iterable[Instrument]) -> frozenset[str]:
    return frozenset(instrument.symbol for instrument in instruments)
