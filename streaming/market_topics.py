"""The market channels that somebody follows: numbered, encoded once, and never silently old.

Between the board and the hub: everything new on the board becomes the next message of its topics;
a change of freshness becomes a `status`. Knows no socket and no client message.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

import msgspec

from domain.errors import InvalidInput, Unavailable
from domain.market_freshness import MarketFreshness
from streaming.gathering import Gathering, Later
from streaming.hub import Hub, Session, Topic
from streaming.market_board import ChannelKey, Latest, MarketBoard
from streaming.market_feeds import MarketFeeds, Place
from streaming.market_messages import MarketResync, MarketStatus
from streaming.market_names import MarketName
from streaming.market_states import MarketState, OneVenueState, SharedState
from streaming.market_views import named
from streaming.protocol import encode

CHECK_S: Final = 0.25
#: While a channel is stale its age is told again so often.
STATUS_AGAIN_S: Final = 5.0
#: So long a venue is waited for before a view of all begins without it.
JOIN_S: Final = 2.0
#: Topics that are checked at once before others get their turn.
CHECKED_TOGETHER: Final = 200


class MarketTopics:
    """All followed market channels of this process.

    `later` has a function called at the end of a turn of the loop: what channels tell in one turn
    is then sent together. Without it each message is sent by itself.
    """

    def __init__(
        self,
        hub: Hub,
        feeds: MarketFeeds,
        board: MarketBoard,
        venues: Callable[[], Sequence[str]],
        *,
        later: Later | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._hub = hub
        self._out = Gathering(hub, later)
        self._feeds = feeds
        self._board = board
        self._venues = venues
        self._clock = clock
        self._now = now
        self._states: dict[Topic, MarketState] = {}
        self._fed_by: dict[ChannelKey, dict[Topic, MarketState]] = {}
        self._told: dict[Topic, tuple[bool, str | None, float]] = {}
        board.listen(self._news)
        board.listen_places(self._place_changed)
        hub.unfollowed = self._unfollowed

    async def open(self, name: MarketName) -> None:
        """Have a channel carried for a follower that is attached next.

        Raises:
            InvalidInput: no such venue, network, market or interval, or more than is carried.
            Unavailable: the venue does not answer.
        """
        if name.topic in self._states:
            return
        keys = await self._wish(name)
        if name.topic in self._states:
            # Somebody else was quicker; this channel is carried for both.
            self._release(keys)
            return
        # Numbers of an earlier life of this topic are all below.
        first = int(self._now().timestamp() * 1000) * 1000
        state: MarketState
        if name.venue is None:
            state = SharedState(name, keys, self._board, first)
        else:
            state = OneVenueState(name, keys[0], self._board, first)
        self._states[name.topic] = state
        for key in keys:
            self._fed_by.setdefault(key, {})[name.topic] = state

    def attach(self, session: Session, topic: Topic, before: Sequence[bytes] = ()) -> None:
        """Give a session the present state and what follows, or as soon as there is any."""
        state = self._states.get(topic)
        if state is None:
            return
        self._out.flush(topic)
        fresh = state.freshness()
        status = self._status(state, fresh)
        self._told.setdefault(topic, (fresh.stale, fresh.source, self._clock()))
        if state.has_data:
            messages = [*before, state.snapshot(), status]
            self._hub.attach(session, topic, state.sequence, messages)
        else:
            self._hub.expect(session, topic)
            self._hub.send(session, status)

    def close_unfollowed(self, topic: Topic) -> None:
        """Drop a channel that was opened for somebody who has left meanwhile."""
        if topic in self._states and not self._hub.is_followed(topic):
            self._unfollowed(topic)

    def resync(self, session: Session, topic: Topic) -> None:
        """Bring a session to the newest state that messages were left out for."""
        state = self._states.get(topic)
        if state is not None:
            reason = "reading slower than messages come"
            message = MarketResync(
                **named(state.name), reason=reason, interval=_interval(state.name)
            )
            self._hub.counts.resyncs += 1
            self.attach(session, topic, [encode(message)])

    async def run(self) -> None:
        """Watch how fresh everything is until cancelled."""
        while True:
            for number, topic in enumerate(list(self._states)):
                if number % CHECKED_TOGETHER == CHECKED_TOGETHER - 1:
                    await asyncio.sleep(0)
                self._check(topic)
            await asyncio.sleep(CHECK_S)

    async def _wish(self, name: MarketName) -> tuple[ChannelKey, ...]:
        venues = self._venues()
        if name.venue is not None:
            if name.venue not in venues:
                known = ", ".join(venues)
                raise InvalidInput("venue", f"expected one of {known}, found {name.venue[:64]!r}")
            place = Place(name.venue, name.network)
            await self._feeds.join(place, name.channel)
            return (ChannelKey(place, name.channel),)
        keys = [ChannelKey(Place(venue, name.network), name.channel) for venue in venues]
        joining = {key: asyncio.ensure_future(self._joined(key)) for key in keys}
        try:
            await asyncio.gather(*joining.values())
        except BaseException:
            # Who asked has left: what was wished for meanwhile is taken back.
            for key, task in joining.items():
                task.add_done_callback(partial(self._take_back, key))
                task.cancel()
            raise
        carried = tuple(key for key, task in joining.items() if task.result())
        if not carried:
            raise InvalidInput(
                "symbol", f"expected a market of any venue on {name.network}, found {name.symbol!r}"
            )
        return carried

    async def _joined(self, key: ChannelKey) -> bool:
        """Wish for a venue's part of a view; False if the venue has no such market."""
        try:
            async with asyncio.timeout(JOIN_S):
                await self._feeds.join(key.place, key.channel)
        except InvalidInput:
            return False
        except (Unavailable, TimeoutError):
            # It joins the others when it answers, unless it turns out to have no such market.
            self._feeds.want(key.place, key.channel)
        return True

    def _take_back(self, key: ChannelKey, joined: asyncio.Future[bool]) -> None:
        if not joined.cancelled() and joined.exception() is None and joined.result():
            self._release([key])

    def _release(self, keys: Sequence[ChannelKey]) -> None:
        for key in keys:
            self._feeds.release(key.place, key.channel)

    def _unfollowed(self, topic: Topic) -> None:
        state = self._states.pop(topic, None)
        if state is None:
            return
        self._told.pop(topic, None)
        self._out.forget(topic)
        for key in state.keys:
            fed = self._fed_by[key]
            del fed[topic]
            if not fed:
                del self._fed_by[key]
        self._release(state.keys)

    def _news(self, key: ChannelKey, latest: Latest) -> None:
        for topic, state in tuple(self._fed_by.get(key, {}).items()):
            self._publish(topic, state, state.take(latest))

    def _publish(self, topic: Topic, state: MarketState, data: bytes | None) -> None:
        if data is not None:
            self._out.publish(topic, state.sequence, data)
        self._begin(topic, state)
        told = self._told.get(topic)
        if told is None or told[0]:
            # What was told to be stale is not any more.
            self._check(topic)

    def _begin(self, topic: Topic, state: MarketState) -> None:
        """Give those who wait for a first word what there is by now."""
        if state.has_data:
            for session in self._hub.expecting(topic):
                self._out.flush(topic)
                self._hub.attach(session, topic, state.sequence, [state.snapshot()])

    def _place_changed(self, place: Place) -> None:
        for topic, state in tuple(self._states.items()):
            if any(key.place == place for key in state.keys):
                self._check(topic)

    def _check(self, topic: Topic) -> None:
        """Tell the followers of a topic how fresh it is, if that is another than they know."""
        state = self._states.get(topic)
        if state is None:
            return
        data = state.look_again()
        if data is not None:
            self._out.publish(topic, state.sequence, data)
        self._begin(topic, state)
        fresh, now = state.freshness(), self._clock()
        told = self._told.get(topic)
        is_known = told is not None and told[:2] == (fresh.stale, fresh.source)
        if told is not None and is_known and not (fresh.stale and now - told[2] >= STATUS_AGAIN_S):
            return
        self._told[topic] = (fresh.stale, fresh.source, now)
        self._out.flush(topic)
        self._hub.announce(topic, self._status(state, fresh))

    def _status(self, state: MarketState, fresh: MarketFreshness) -> bytes:
        return encode(
            MarketStatus(
                **named(state.name),
                stale=fresh.stale,
                age_ms=None if fresh.age_s is None else int(fresh.age_s * 1000),
                source=fresh.source,
                reason=fresh.reason,
                interval=_interval(state.name),
            )
        )


def _interval(name: MarketName) -> str | msgspec.UnsetType:
    return msgspec.UNSET if name.interval is None else name.interval
