"""Which public channels are wanted of which venue and network, and who delivers them.

Wishes are counted; what nobody wants any more is dropped. A wish that the venue refuses spoils no
other, and a venue that fails touches no other venue. Who delivers is a `MarketSource`, obtained
from a factory: the venue's own feed, or another process that has it. Knows no socket of ours.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from domain.errors import InvalidInput, PerpDexError, VenueUnavailable
from streaming.kept_source import KeptSource
from streaming.market_sources import (
    POLL,
    RESTART_FIRST_S,
    STREAM,
    STREAM_2,
    Deliver,
    MarketSource,
    Place,
    SourceFactory,
    pause_s,
)
from venues.connector import FeedState, MarketChannel, MarketEvent

__all__ = [
    "POLL",
    "STREAM",
    "STREAM_2",
    "Deliver",
    "MarketFeeds",
    "MarketSource",
    "Place",
    "SourceFactory",
]

#: A connection that nobody needs is kept so long: whoever comes back at once finds it open.
LINGER_S: Final = 30.0
#: What was refused is asked for again so often: a market may have been listed meanwhile.
REFUSED_AGAIN_S: Final = 60.0

_log = logging.getLogger(__name__)


class MarketFeeds:
    """The wishes of this process, and the sources that fulfil them."""

    def __init__(
        self,
        make: SourceFactory,
        *,
        linger_s: float = LINGER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._linger_s = linger_s
        self._clock = clock
        self._places: dict[Place, _Followed] = {}
        self._live: dict[Place, set[str]] = {}
        self._listeners: list[Deliver] = []
        self._dropped: list[Callable[[Place, MarketChannel], None]] = []
        self._changed = asyncio.Event()

    def listen(self, listener: Deliver) -> None:
        """Have `listener` told of every event of every place."""
        self._listeners.append(listener)

    def listen_dropped(self, listener: Callable[[Place, MarketChannel], None]) -> None:
        """Have `listener` told of every channel that nobody wants any more."""
        self._dropped.append(listener)

    def want(self, place: Place, channel: MarketChannel) -> None:
        """Wish for a channel; as often as it is wished for it has to be released.

        What the venue refuses is logged, and tried again now and then.
        """
        self._of(place).add(channel)

    async def join(self, place: Place, channel: MarketChannel) -> None:
        """Wish for a channel as `want` does, and see that it is carried.

        Raises:
            InvalidInput: the venue has no such thing, or carries no more; nothing was wished for.
            VenueUnavailable: the venue does not answer; nothing was wished for.
        """
        followed = self._of(place)
        followed.add(channel)
        followed.joining[channel] += 1
        try:
            await followed.settle()
            refusal = followed.refused.get(channel)
            if refusal is not None:
                raise InvalidInput(refusal.field, refusal.message)
        except BaseException:
            self.release(place, channel)
            raise
        finally:
            followed.joining -= Counter({channel: 1})

    def release(self, place: Place, channel: MarketChannel) -> None:
        """Take one wish back."""
        followed = self._of(place)
        followed.remove(channel)
        if channel not in followed.wanted:
            for listener in self._dropped:
                listener(place, channel)

    def wanted(self, place: Place) -> frozenset[MarketChannel]:
        """Return what is wished for of a place."""
        followed = self._places.get(place)
        return frozenset() if followed is None else frozenset(followed.wanted)

    def is_wanted(self, place: Place, channel: MarketChannel) -> bool:
        """Tell whether anybody wishes for a channel."""
        followed = self._places.get(place)
        return followed is not None and channel in followed.wanted

    def is_live(self, place: Place) -> bool:
        """Tell whether a stream of the place is up and subscribed; polling is no stream."""
        return bool(self._live.get(place))

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            running: set[Place] = set()
            while True:
                self._changed.clear()
                for place in self._places.keys() - running:
                    running.add(place)
                    name = f"market-feed-{place.venue}-{place.network}"
                    tasks.create_task(self._places[place].run(), name=name)
                await self._changed.wait()

    async def close(self) -> None:
        """Close every source, after `run` has ended."""
        for followed in self._places.values():
            await followed.close()

    def _of(self, place: Place) -> _Followed:
        followed = self._places.get(place)
        if followed is None:
            followed = _Followed(place, self._make, self._take, self._linger_s, self._clock)
            self._places[place] = followed
            self._changed.set()
        return followed

    def _take(self, place: Place, event: MarketEvent, source: str) -> None:
        if isinstance(event, FeedState):
            live = self._live.setdefault(place, set())
            if event.live:
                live.add(source)
            else:
                live.discard(source)
        for listener in self._listeners:
            listener(place, event, source)


class _Followed:
    """One place: what is wanted of it, what its source carries, and its source at work."""

    def __init__(
        self,
        place: Place,
        make: SourceFactory,
        deliver: Deliver,
        linger_s: float,
        clock: Callable[[], float],
    ) -> None:
        self.wanted: Counter[MarketChannel] = Counter()
        self.refused: dict[MarketChannel, InvalidInput] = {}
        #: Wishes of those who wait to hear whether they are refused.
        self.joining: Counter[MarketChannel] = Counter()
        self._place = place
        self._source = KeptSource(place, make, deliver, STREAM, self._carried_is_refused)
        self._linger_s = linger_s
        self._clock = clock
        self._carried: frozenset[MarketChannel] = frozenset()
        self._lock = asyncio.Lock()
        self._changed = asyncio.Event()
        self._away: VenueUnavailable | None = None
        self._away_times = 0
        self._away_until = float("-inf")
        self._told: set[MarketChannel] = set()

    def add(self, channel: MarketChannel) -> None:
        self.wanted[channel] += 1
        if self.wanted[channel] == 1:
            self._changed.set()

    def remove(self, channel: MarketChannel) -> None:
        self.wanted[channel] -= 1
        if self.wanted[channel] <= 0:
            del self.wanted[channel]
            # There may be room now for what was too much before.
            self.refused.clear()
            self._changed.set()

    def _carried_is_refused(self) -> None:
        """Find out what still is carried."""
        self._carried = frozenset()
        self._changed.set()

    async def settle(self) -> None:
        """Have the source carry what is wanted, but for what it refuses (`refused`).

        Raises:
            VenueUnavailable: the venue cannot be asked, or could not a moment ago.
        """
        async with self._lock:
            wanted = frozenset(self.wanted)
            self.refused = {c: error for c, error in self.refused.items() if c in wanted}
            target = wanted - self.refused.keys()
            if target == self._carried:
                return
            if self._away is not None and self._clock() < self._away_until:
                raise VenueUnavailable(str(self._away))
            try:
                await self._carry(target)
            except PerpDexError as error:
                self._away_times += 1
                self._away_until = self._clock() + pause_s(self._away_times)
                self._away = VenueUnavailable(str(error))
                raise self._away from error
            self._away, self._away_times = None, 0

    async def _carry(self, target: frozenset[MarketChannel]) -> None:
        try:
            await self._source.follow(target)
        except InvalidInput:
            kept = self._carried & target
            await self._source.follow(kept)
            self._carried = kept
            for channel in sorted(target - kept, key=_in_order):
                await self._carry_one_more(channel)
        else:
            self._carried = target

    async def _carry_one_more(self, channel: MarketChannel) -> None:
        try:
            await self._source.follow(self._carried | {channel})
        except InvalidInput as error:
            self.refused[channel] = error
        else:
            self._carried |= {channel}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._settle_forever())
            tasks.create_task(self._source.run())

    async def close(self) -> None:
        async with self._lock:
            self._carried = frozenset()
            await self._source.close()

    async def _settle_forever(self) -> None:
        while True:
            self._changed.clear()
            pause = REFUSED_AGAIN_S if self.wanted else self._linger_s
            try:
                await self.settle()
                self._tell_refused()
            except VenueUnavailable as error:
                if self._away_times == 1:
                    _log.warning("a market feed cannot be followed: %s", error)
                pause = max(self._away_until - self._clock(), 0.01)
            except Exception:  # noqa: BLE001 - whatever a feed does, it is asked again
                _log.exception("a market feed failed on being asked")
                pause = RESTART_FIRST_S
            try:
                async with asyncio.timeout(pause):
                    await self._changed.wait()
            except TimeoutError:
                self.refused.clear()
                if not self.wanted and not self._carried:
                    await self.close()

    def _tell_refused(self) -> None:
        """Log once what is wanted and refused; who only asked has been told already."""
        refused = {c for c in self.refused if self.wanted[c] > self.joining[c]}
        news = refused - self._told
        self._told = refused
        if news:
            symbols = sorted({channel.symbol for channel in news})
            _log.warning(
                "channels that the venue refuses: %s",
                self.refused[next(iter(news))],
                extra={"venue": self._place.venue, "symbols": symbols},
            )


def _in_order(channel: MarketChannel) -> tuple[str, str, str]:
    return channel.symbol, channel.kind, channel.interval or ""
