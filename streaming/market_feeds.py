"""Which public channels are wanted of which venue and network, and who delivers them.

Wishes are counted; what nobody wants any more is dropped. A wish that the venue refuses spoils no
other, and a venue that fails touches no other venue. Who delivers is a `MarketSource`, obtained
from a factory: the venue's own feed, or another process that has it. Knows no socket of ours.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple, Protocol

from domain.accounts import Network
from domain.errors import InvalidInput, PerpDexError, VenueUnavailable
from venues.connector import FeedState, MarketChannel, MarketEvent

STREAM: Final = "stream"
STREAM_2: Final = "stream-2"
POLL: Final = "poll"
RESTART_FIRST_S: Final = 0.5
RESTART_MAX_S: Final = 30.0
#: A connection that nobody needs is kept so long: whoever comes back at once finds it open.
LINGER_S: Final = 30.0
#: What was refused is asked for again so often: a market may have been listed meanwhile.
REFUSED_AGAIN_S: Final = 60.0

_log = logging.getLogger(__name__)


class Place(NamedTuple):
    """A venue on one network."""

    venue: str
    network: Network


class Deliver(Protocol):
    """Takes an event of a place; `source` says which way it came. Quick, and never raises."""

    def __call__(self, place: Place, event: MarketEvent, source: str) -> None:
        """Take one event."""
        ...


class MarketSource(Protocol):
    """What delivers one place's events, to the function it was made with."""

    async def follow(self, channels: frozenset[MarketChannel]) -> None:
        """Set the channels to deliver.

        Raises:
            InvalidInput: no such venue, network, market or interval, or more than can be carried;
                nothing is changed. Never for a part of what is carried already, nor for none.
            Unavailable: it cannot be asked now; ask again.
        """
        ...

    async def run(self) -> None:
        """Deliver until cancelled; a return or an exception is a failure, and it is run anew."""
        ...

    async def close(self) -> None:
        """Release connections; `follow` and `run` may begin anew."""
        ...


SourceFactory = Callable[[Place, Deliver], MarketSource]


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
        try:
            await followed.settle()
            refusal = followed.refused.get(channel)
            if refusal is not None:
                raise InvalidInput(refusal.field, refusal.message)
        except BaseException:
            self.release(place, channel)
            raise

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
            source = self._make(place, self._take)
            followed = _Followed(place, source, self._take, self._linger_s, self._clock)
            self._places[place] = followed
            self._changed.set()
        return followed

    def _take(self, place: Place, event: MarketEvent, source: str) -> None:
        if isinstance(event, FeedState):
            live = self._live.setdefault(place, set())
            if event.live:
                live.add(source)
                self._places[place].came_up()
            else:
                live.discard(source)
        for listener in self._listeners:
            listener(place, event, source)


class _Followed:
    """One place: what is wanted of it, what its source carries, and its source at work."""

    def __init__(
        self,
        place: Place,
        source: MarketSource,
        deliver: Deliver,
        linger_s: float,
        clock: Callable[[], float],
    ) -> None:
        self.wanted: Counter[MarketChannel] = Counter()
        self.refused: dict[MarketChannel, InvalidInput] = {}
        self._place = place
        self._source = source
        self._deliver = deliver
        self._linger_s = linger_s
        self._clock = clock
        self._carried: frozenset[MarketChannel] = frozenset()
        self._lock = asyncio.Lock()
        self._changed = asyncio.Event()
        self._failures = 0
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

    def came_up(self) -> None:
        """Hear that the source works."""
        self._failures = 0

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
            tasks.create_task(self._deliver_forever())

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
        news = self.refused.keys() - self._told
        self._told = set(self.refused)
        if news:
            symbols = sorted({channel.symbol for channel in news})
            _log.warning(
                "channels that the venue refuses: %s",
                self.refused[next(iter(news))],
                extra={"venue": self._place.venue, "symbols": symbols},
            )

    async def _deliver_forever(self) -> None:
        while True:
            try:
                await self._source.run()
                reason = "it ended"
            except PerpDexError as error:
                reason = str(error)
                if isinstance(error, InvalidInput):
                    # What was carried is not any more: find out what still is.
                    self._carried = frozenset()
                    self._changed.set()
                if self._failures == 0:
                    _log.warning("a market feed failed: %s", error)
            except Exception:  # noqa: BLE001 - whatever a feed does, it is followed anew
                reason = "it failed"
                _log.exception("a market feed failed, following it anew")
            at = datetime.now(UTC)
            state = FeedState(account_id=None, live=False, reason=reason, at=at)
            self._deliver(self._place, state, STREAM)
            if self.wanted:
                self._failures += 1
                await asyncio.sleep(pause_s(self._failures))


def pause_s(failures: int) -> float:
    """Return how long to wait after so many failures in a row (at least one), with jitter."""
    bound = min(RESTART_FIRST_S * 2 ** min(failures - 1, 16), RESTART_MAX_S)
    return random.uniform(bound / 2, bound)


def _in_order(channel: MarketChannel) -> tuple[str, str, str]:
    return channel.symbol, channel.kind, channel.interval or ""
