"""This process's own source of a place's market data: the venue's stream, and what replaces it.

Carries out what `domain.feed_fallback` decides: a new connection, the venue's second stream, or
asking. Every event says which way it came. Knows no wishes and no socket of ours.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from domain.accounts import Network
from domain.errors import InvalidInput, PerpDexError
from domain.feed_fallback import Fallback
from domain.instruments import Instrument
from streaming.budget import BudgetRule, ReadBudget
from streaming.connectors import Connectors, LoadVenue
from streaming.kept_source import KeptSource
from streaming.market_board import channel_of
from streaming.market_poll import POLL_S, MarketPoll
from streaming.market_sources import (
    POLL,
    STREAM,
    STREAM_2,
    Deliver,
    MarketSource,
    Place,
    SourceFactory,
)
from streaming.venue_source import VenueSource
from venues.connector import (
    FeedState,
    MarketChannel,
    MarketEvent,
    MarketFeed,
    SecondFeed,
    TradesSeen,
    VenueSpec,
)

TICK_S: Final = 0.5

_log = logging.getLogger(__name__)


def own_sources(
    load: LoadVenue,
    connectors: Connectors,
    budget: ReadBudget | None = None,
    *,
    tick_s: float = TICK_S,
    poll_s: float = POLL_S,
) -> SourceFactory:
    """Return what makes a source of this process's own for a place; `budget` is for asking."""
    shared = budget or ReadBudget(BudgetRule())

    def make(place: Place, deliver: Deliver) -> MarketSource:
        return FallbackSource(
            place, load, connectors, shared, deliver, tick_s=tick_s, poll_s=poll_s
        )

    return make


class FallbackSource:
    """Implements `MarketSource` by whatever way the venue's data comes at the moment."""

    def __init__(
        self,
        place: Place,
        load: LoadVenue,
        connectors: Connectors,
        budget: ReadBudget,
        deliver: Deliver,
        *,
        tick_s: float = TICK_S,
        poll_s: float = POLL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._place = place
        self._load = load
        self._connectors = connectors
        self._deliver = deliver
        self._tick_s = tick_s
        self._clock = clock
        self._stream: VenueSource | None = None
        self._second: KeptSource | None = None
        self._first = KeptSource(place, self._make_first, self._take, STREAM, self._refused)
        self._poll = MarketPoll(place, connectors, budget, self._take, poll_s=poll_s)
        self._ways: Fallback[MarketChannel] | None = None
        self._refusal = asyncio.Event()
        self._by_second: frozenset[MarketChannel] = frozenset()
        self._second_tasks: tuple[asyncio.Task[None], ...] = ()

    async def follow(self, channels: frozenset[MarketChannel]) -> None:
        """Set the channels to deliver. Raises as the Protocol says."""
        if self._ways is None and not channels:
            return
        ways = self._fallback(self._load(self._place.venue))
        await self._first.follow(channels)
        ways.follow(channels, self._clock())

    async def run(self) -> None:
        """Deliver until cancelled.

        Raises:
            InvalidInput: the venue does not carry any more what it carried.
        """
        self._refusal.clear()
        self._second_tasks = ()
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(self._first.run()),
                tasks.create_task(self._poll.run()),
                tasks.create_task(self._choose_forever(tasks)),
            ]
            await self._refusal.wait()
            for task in (*running, *self._second_tasks):
                task.cancel()
        raise InvalidInput("channels", "some are not carried any more")

    async def close(self) -> None:
        """Close all connections."""
        self._poll.follow(frozenset())
        await self._first.close()
        if self._second is not None:
            await self._second.close()
        self._by_second = frozenset()
        if self._ways is not None:
            self._ways.follow(frozenset(), self._clock())

    async def _choose_forever(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            await asyncio.sleep(self._tick_s)
            if self._ways is None:
                continue
            ways = self._ways.ways(self._clock())
            if ways.renew is not None and self._stream is not None:
                silent = f"{ways.renew.kind} of {ways.renew.symbol}"
                _log.warning("a stream is connected anew, its %s is silent", silent)
                await self._stream.renew()
            if self._second is not None and self._second_tasks == () and ways.second:
                self._second_tasks = (tasks.create_task(self._second.run()),)
            await self._follow_second(ways.second)
            self._poll.follow(ways.poll)

    async def _follow_second(self, channels: frozenset[MarketChannel]) -> None:
        if self._second is None or channels == self._by_second:
            return
        try:
            await self._second.follow(channels)
        except PerpDexError as error:
            # It is asked again at the next tick; until then the venue is asked instead.
            _log.debug("the second stream cannot be followed: %s", error)
            return
        self._by_second = channels
        if not channels:
            await self._second.close()

    def _fallback(self, spec: VenueSpec) -> Fallback[MarketChannel]:
        if self._ways is None:
            silences = dict(spec.capabilities.market_silence_max_s)
            if isinstance(spec, SecondFeed) and self._has_second(spec):
                self._second = KeptSource(
                    self._place, self._make_second(spec), self._take, STREAM_2
                )
            self._ways = Fallback(
                lambda channel: silences.get(channel.kind),
                has_second=self._second is not None,
                now=self._clock(),
            )
        return self._ways

    def _has_second(self, spec: SecondFeed) -> bool:
        return spec.second_market_feed(self._place.network, ()) is not None

    def _make_first(self, place: Place, deliver: Deliver) -> MarketSource:
        def make(network: Network, instruments: tuple[Instrument, ...]) -> MarketFeed:
            return self._load(place.venue).market_feed(network, instruments)

        self._stream = VenueSource(place, make, self._connectors, deliver, STREAM)
        return self._stream

    def _make_second(self, spec: SecondFeed) -> SourceFactory:
        def make(place: Place, deliver: Deliver) -> MarketSource:
            return VenueSource(place, spec.second_market_feed, self._connectors, deliver, STREAM_2)

        return make

    def _refused(self) -> None:
        self._refusal.set()

    def _take(self, place: Place, event: MarketEvent, source: str) -> None:
        if self._ways is None or self._counts(self._ways, event, source):
            self._deliver(place, event, source)

    def _counts(self, ways: Fallback[MarketChannel], event: MarketEvent, source: str) -> bool:
        """Take note of an event; False for what came late another way than the stream's."""
        now = self._clock()
        if isinstance(event, FeedState):
            state = ways.first_state if source == STREAM else ways.second_state
            state(now, live=event.live)
            return True
        if isinstance(event, TradesSeen) and not event.market:
            return False
        channel = channel_of(event)
        if source == STREAM:
            ways.first_heard(channel, now)
            return True
        if source == POLL:
            ways.polled(channel)
        else:
            ways.second_heard(channel, now)
        return ways.comes_otherwise(channel)
