"""What this worker hears of accounts' private feeds, which another process follows.

That process folds what a feed tells into the database and nudges; so an order is read when its
account was nudged, and every quarter of a second. Whether a feed is live is what that process said
of it last. Nothing here is needed: without it the venue is asked. Knows no venue.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final, Protocol

from bus.connection import Bus
from bus.nudges import Nudge, NudgeKind, NudgeSubscriber
from domain.errors import Unavailable
from domain.ledger import CommandRow
from domain.orders import OrderReport
from domain.ports import OrderStore
from domain.session_states import FeedSession, is_heard
from domain.settlement import told_of
from domain.verdict_looks import OrderNews
from serving.settings import now

#: A nudge that was lost costs so much of a verdict's latency.
LOOK_EVERY_S: Final = 0.25
#: What was said of a feed is asked for again after so long, and awaited no longer than that.
ASK_EVERY_S: Final = 0.5
_ASK_WITHIN_S: Final = 0.2
#: A feed that did not tell in time what the venue then showed is not waited for meanwhile: a
#: connection may be dead for long before anybody notices.
MISSED_FOR_S: Final = 10.0


class FeedStates(Protocol):
    """Tells what was said of accounts' feeds: `bus.session_states`."""

    async def feed_of(self, account_id: str) -> FeedSession | None:
        """Return what was said last of an account's feed. Raises Unavailable."""
        ...


class HeardFeeds:
    """Implements `domain.verdict_looks.FeedWord` for one worker; `clock` counts seconds."""

    def __init__(
        self,
        orders: OrderStore,
        states: FeedStates,
        *,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], datetime] = now,
    ) -> None:
        self._orders = orders
        self._states = states
        self._clock = clock
        self._today = today
        self._ears: dict[str, set[_Ear]] = {}
        self._live: dict[str, tuple[float, bool]] = {}
        self._missed_until: dict[str, float] = {}
        self._wanted = asyncio.Event()

    @contextmanager
    def follow(self, row: CommandRow) -> Iterator[OrderNews]:
        """Hear of the order that a command concerns."""
        self._wanted.set()
        ear = _Ear(self, self._orders, row)
        ears = self._ears.setdefault(row.account_id, set())
        ears.add(ear)
        try:
            yield ear
        finally:
            ears.discard(ear)

    def nudged(self, nudge: Nudge) -> None:
        """Take note that an account, or any, has changes."""
        if nudge.kind is not NudgeKind.ORDERS:
            return
        for account_id, ears in self._ears.items():
            if nudge.account_id in (None, account_id):
                for ear in ears:
                    ear.stirred.set()

    async def run(self, bus: Bus, sender: bytes) -> None:
        """Listen to nudges but those of `sender`, from when somebody first wants to know."""
        await self._wanted.wait()
        await NudgeSubscriber(bus, self.nudged, sender=sender).run()

    async def is_live(self, account_id: str) -> bool:
        """Tell whether an account's feed is live, and tells what it should."""
        moment = self._clock()
        if self._missed_until.get(account_id, moment) > moment:
            return False
        asked_at, live = self._live.get(account_id, (moment - ASK_EVERY_S, False))
        if moment - asked_at >= ASK_EVERY_S:
            live = await self._asked(account_id)
            self._live[account_id] = (moment, live)
        return live

    async def _asked(self, account_id: str) -> bool:
        try:
            async with asyncio.timeout(_ASK_WITHIN_S):
                return is_heard(await self._states.feed_of(account_id), self._today())
        except (Unavailable, TimeoutError):
            return False

    def was_missed(self, account_id: str) -> None:
        """Take note that an account's feed did not tell in time."""
        self._missed_until[account_id] = self._clock() + MISSED_FOR_S


class _Ear:
    """Implements `OrderNews` for one command."""

    def __init__(self, feeds: HeardFeeds, orders: OrderStore, row: CommandRow) -> None:
        self._feeds = feeds
        self._orders = orders
        self._row = row
        self.stirred = asyncio.Event()

    async def told(self) -> OrderReport | None:
        self.stirred.clear()
        try:
            order = await self._orders.get(self._row.key.order_id)
        except Unavailable:
            return None
        if order is None:
            return None
        try:
            return told_of(order, self._row.target_revision)
        except KeyError:
            return None

    async def is_live(self) -> bool:
        return await self._feeds.is_live(self._row.account_id)

    async def changed(self, within_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(within_s, LOOK_EVERY_S)):
                await self.stirred.wait()

    def was_missed(self) -> None:
        self._feeds.was_missed(self._row.account_id)
