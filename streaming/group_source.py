"""Market data of one place, followed by one process of a group and heard by the others.

The owner of the place's lease follows the venue for everybody and says what it hears; the others
wish and listen. With Valkey away each follows by itself. Implements `MarketSource` around the
process's own source; losing the lease or the relay costs a moment of stale prices, nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from bus.channels import ChannelListener
from bus.connection import Bus, backoff_s
from bus.lease_rules import Role
from bus.leases import Lease
from bus.market_relay import Batch, Refusal, RelayChannels, Wishes, batch_in
from domain.accounts import Network
from domain.errors import InvalidInput, Unavailable, VenueUnavailable
from streaming.market_feeds import Deliver, MarketSource, Place, SourceFactory
from streaming.racing import until_first
from streaming.relay_following import RelayFollowing, Said
from streaming.relay_leading import RelayLeader
from streaming.relay_words import channel_in, relayed_channel
from venues.connector import FeedState, MarketChannel, MarketEvent

#: The owner says something at least so often, and looks so often at what others wish for.
BEAT_S: Final = 1.0
SNAPSHOT_EVERY_S: Final = 5.0
#: So long a new wish waits for the owner's word; then it counts as taken.
ANSWER_S: Final = 1.5
DECIDED_WITHIN_S: Final = 3.0
_ASK_AGAIN_S: Final = 0.25

_log = logging.getLogger(__name__)


class GroupSources:
    """Makes the sources of a process; `make` is the factory that `MarketFeeds` is given."""

    def __init__(self, bus: Bus, own: SourceFactory) -> None:
        self._bus = bus
        self._own = own
        self._process = os.urandom(8).hex()
        self._made: dict[Place, GroupSource] = {}

    def make(self, place: Place, deliver: Deliver) -> MarketSource:
        """Return the source of a place."""
        source = self._made[place] = GroupSource(
            place, deliver, self._own, self._bus, self._process
        )
        return source

    def role(self, place: Place) -> Role:
        """Tell what this process is to a place."""
        source = self._made.get(place)
        return Role.UNDECIDED if source is None else source.role

    def roles(self) -> Mapping[tuple[str, Network], Role]:
        """Return what this process is to each place that it needs."""
        return {place: source.role for place, source in self._made.items()}


class GroupSource:
    """Implements `MarketSource` for one place of a group of processes."""

    def __init__(
        self, place: Place, deliver: Deliver, own: SourceFactory, bus: Bus, process: str
    ) -> None:
        self._place = place
        self._deliver = deliver
        self._process = process
        self._own = own(place, self._from_own)
        self._relay = RelayChannels(bus, place.venue, place.network)
        self._lease = Lease(bus, f"market:{place.venue}:{place.network.value}")
        self._leasing: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._channels: frozenset[MarketChannel] = frozenset()
        self._needed = asyncio.Event()
        # As owner
        self._leader: RelayLeader | None = None
        self._live: set[str] = set()
        self._wishes: dict[str, Wishes] = {}
        self._others: frozenset[MarketChannel] = frozenset()
        self._to_say = asyncio.Event()
        self._asked = asyncio.Event()
        self._snapshot_due = False
        # As one of the others
        self._following: RelayFollowing | None = None
        self._wished: frozenset[MarketChannel] = frozenset()
        self._version = time.time_ns()
        self._answered = 0
        self._refused: tuple[Refusal, ...] = ()
        self._heard = asyncio.Event()

    @property
    def role(self) -> Role:
        """What this process is to the place."""
        return self._lease.role

    async def follow(self, channels: frozenset[MarketChannel]) -> None:
        """Set the channels to deliver. Raises as the Protocol."""
        async with self._lock:
            if channels and self._leasing is None:
                name = f"lease-{self._lease.name}"
                self._leasing = asyncio.create_task(self._lease.run(), name=name)
                self._needed.set()
            if self._leasing is None:
                return
            if (await self._decided()).acts:
                await self._own.follow(channels | self._others)
            elif channels != self._channels:
                await self._wish(channels)
            self._channels = channels

    async def run(self) -> None:
        """Deliver until cancelled.

        Raises:
            PerpDexError: the venue does not answer, or takes back what it carried.
        """
        while True:
            role = self._lease.role
            if self._leasing is None:
                self._needed.clear()
                await self._needed.wait()
            elif role is Role.UNDECIDED:
                await self._lease.changed_from(role)
            else:
                work = self._lead() if role.acts else self._listen()
                await until_first(work, self._as_long_as(acts=role.acts))

    async def close(self) -> None:
        """Leave the place to others."""
        async with self._lock:
            self._channels = self._others = frozenset()
            leasing, self._leasing = self._leasing, None
            if leasing is not None:
                leasing.cancel()
                await asyncio.wait([leasing])
            await self._own.close()

    async def _decided(self) -> Role:
        try:
            async with asyncio.timeout(DECIDED_WITHIN_S):
                while (role := self._lease.role) is Role.UNDECIDED:
                    await self._lease.changed_from(role)
        except TimeoutError:
            raise VenueUnavailable("expected to know who follows the venue, found none") from None
        return role

    async def _as_long_as(self, *, acts: bool) -> None:
        """Wait until this process is known to be the other thing, or has left.

        An owner that was paused goes on until Valkey has said whose the place is now; what it hears
        meanwhile it keeps to itself.
        """
        until = Role.OTHER if acts else Role.OWNER
        while self._leasing is not None:
            role = self._lease.role
            if role is until or (not acts and role.acts):
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._lease.changed_from(role)

    # As owner, or alone

    async def _lead(self) -> None:
        self._leader = RelayLeader(os.urandom(6).hex())
        self._snapshot_due = True
        asks = ChannelListener(self._relay.bus, self._relay.asks, self._was_asked)
        try:
            await self._look_at_wishes()
            await until_first(
                self._own.run(), asks.run(), self._say_forever(), self._look_forever()
            )
        finally:
            self._leader = None
            self._others, self._wishes = frozenset(), {}
            await self._own.close()
            self._say_lost("another process follows the venue")

    def _from_own(self, place: Place, event: MarketEvent, source: str) -> None:
        if isinstance(event, FeedState):
            if event.live:
                self._live.add(source)
            else:
                self._live.discard(source)
        self._deliver(place, event, source)
        # A process that was paused is no owner any more, whatever waited in its sockets.
        if self._leader is None:
            return
        if self._wishes and self._lease.role is Role.OWNER:
            self._leader.take(event, source)
            self._to_say.set()
        else:
            self._leader.remember(event, source)

    def _was_asked(self, _: bytes) -> None:
        self._snapshot_due = True
        self._asked.set()

    async def _look_forever(self) -> None:
        while True:
            try:
                async with asyncio.timeout(BEAT_S):
                    await self._asked.wait()
            except TimeoutError:
                pass
            self._asked.clear()
            await self._look_at_wishes()

    async def _look_at_wishes(self) -> None:
        """Follow what all together wish for, but for what the venue refuses.

        Raises:
            PerpDexError: the venue does not answer.
        """
        try:
            wishes = dict(await self._relay.wishes(but=self._process))
        except Unavailable:
            wishes = self._wishes
        async with self._lock:
            wished = {c for one in wishes.values() for r in one.channels if (c := channel_in(r))}
            if wished != self._others or wishes.keys() != self._wishes.keys():
                self._snapshot_due = True
            refused = await self._carry(frozenset(wished))
            self._wishes = wishes
            if self._leader is not None:
                self._leader.keep(self._channels | self._others)
                self._leader.answered = {name: one.version for name, one in wishes.items()}
                self._leader.refused = refused
        self._to_say.set()

    async def _carry(self, wished: frozenset[MarketChannel]) -> list[Refusal]:
        try:
            await self._own.follow(self._channels | wished)
        except InvalidInput:
            pass
        else:
            self._others = wished
            return []
        kept = self._others & wished
        await self._own.follow(self._channels | kept)
        refused: list[Refusal] = []
        for channel in sorted(wished - kept, key=lambda c: (c.symbol, c.kind, c.interval or "")):
            try:
                await self._own.follow(self._channels | kept | {channel})
                kept |= {channel}
            except InvalidInput as error:
                refused.append(Refusal(relayed_channel(channel), error.field, error.message))
        self._others = kept
        return refused

    async def _say_forever(self) -> None:
        failures = 0
        snapshot_at = float("-inf")
        while True:
            try:
                async with asyncio.timeout(BEAT_S):
                    await self._to_say.wait()
            except TimeoutError:
                pass
            self._to_say.clear()
            leader = self._leader
            if leader is None or not self._wishes or self._lease.role is not Role.OWNER:
                continue
            now = time.monotonic()
            is_snapshot = self._snapshot_due or now - snapshot_at > SNAPSHOT_EVERY_S
            self._snapshot_due = False
            batches = leader.snapshot() if is_snapshot else [leader.batch()]
            snapshot_at = now if is_snapshot else snapshot_at
            try:
                for batch in batches:
                    await self._relay.say(batch)
            except Unavailable:
                leader.broke()
                self._snapshot_due = True
                failures += 1
                await asyncio.sleep(backoff_s(failures))
            else:
                failures = 0

    def _say_lost(self, reason: str) -> None:
        live, self._live = sorted(self._live), set()
        at = datetime.now(UTC)
        for source in live:
            state = FeedState(account_id=None, live=False, reason=reason, at=at)
            self._deliver(self._place, state, source)

    # As one of the others

    async def _wish(self, channels: frozenset[MarketChannel]) -> None:
        """Say what is wished for and wait for the owner's word, for a while.

        Raises:
            InvalidInput: the venue refuses; what was wished before is wished again.
            VenueUnavailable: it cannot be said now.
        """
        before = self._channels
        await self._say_wishes(channels)
        if self._following is not None:
            self._following.want(channels)
        try:
            async with asyncio.timeout(ANSWER_S):
                while self._answered < self._version:
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            # Whoever takes the place over looks at the wishes; until then it shows as stale.
            return
        refused = {channel_in(one.channel): one for one in self._refused}
        for channel in channels - before:
            if channel in refused:
                await self._say_wishes(before)
                if self._following is not None:
                    self._following.want(before)
                raise InvalidInput(refused[channel].field, refused[channel].message)

    async def _say_wishes(self, channels: frozenset[MarketChannel]) -> None:
        self._wished = channels
        self._version += 1
        try:
            await self._relay.wish(
                self._process, self._version, [relayed_channel(one) for one in channels]
            )
            await self._relay.ask()
        except Unavailable as error:
            raise VenueUnavailable(str(error)) from error

    async def _listen(self) -> None:
        following = self._following = RelayFollowing(lambda: datetime.now(UTC), time.monotonic)
        self._wished = self._channels
        following.want(self._channels)
        listener = ChannelListener(
            self._relay.bus,
            self._relay.events,
            self._hear,
            lambda: self._bring(following.lost("the connection to Valkey was lost")),
        )
        try:
            await until_first(listener.run(), self._wish_forever(following))
        finally:
            self._following = None
            self._bring(following.lost("this process follows the venue now"))

    def _hear(self, data: bytes) -> None:
        batch: Batch | None = batch_in(data)
        if batch is None or self._following is None:
            return
        self._answered = max(self._answered, batch.answered.get(self._process, 0))
        self._refused = tuple(batch.refused)
        self._heard.set()
        self._bring(self._following.receive(batch))

    def _bring(self, said: list[Said]) -> None:
        for event, source in said:
            self._deliver(self._place, event, source)

    async def _wish_forever(self, following: RelayFollowing) -> None:
        """Say the wishes again before they end, and ask for what is missing."""
        said_at = float("-inf")
        while True:
            now = time.monotonic()
            try:
                if now - said_at >= BEAT_S:
                    said_at = now
                    await self._relay.wish(
                        self._process, self._version, [relayed_channel(c) for c in self._wished]
                    )
                if following.needs_snapshot:
                    await self._relay.ask()
            except Unavailable:
                await asyncio.sleep(BEAT_S)
            self._bring(following.silent())
            await asyncio.sleep(_ASK_AGAIN_S)
