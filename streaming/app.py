"""The streaming process put together: feeds to storage, storage to sockets and workflows.

Every part runs by itself; one that fails is started again and does not stop the others. Opens no
file and reads no setting: `streaming.main` gives everything in.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from bus.connection import Bus
from bus.latest_prices import LatestPriceWriter
from bus.lease_rules import Role
from bus.leases import Lease
from bus.market_requests import MarketAnswers
from bus.nudges import Nudge, NudgeKind, NudgePublisher, NudgeSubscriber, new_sender
from bus.session_states import SessionStatesOnBus
from domain.accounts import Network
from domain.condition_store import ConditionStore
from domain.dead_man import WatchedSwitches
from domain.feed_credentials import FeedCredentialSource
from domain.ports import AccountStore, Folded, OrderStore
from domain.position_store import PositionStore
from streaming.account_channels import ACCOUNT, POSITIONS, AccountChannel, PositionsChannel
from streaming.account_sessions import AccountSessions
from streaming.account_share import AccountShare
from streaming.books import Books
from streaming.bridge import Bridge, ReportSink
from streaming.budget import BudgetRule, ReadBudget
from streaming.catch_up import Cadence, CatchUp
from streaming.channels import ORDERS, Channel, OrdersChannel
from streaming.conditions import ConditionSink, ConditionWatch
from streaming.connectors import Connectors, LoadVenue
from streaming.duties import Duty
from streaming.fallback_source import own_sources
from streaming.feed_meters import FeedMeters, MarketMeter
from streaming.freshness import FreshnessBoard
from streaming.group_source import GroupSources
from streaming.handshake import Doors
from streaming.ingest import Ingest
from streaming.intake import Intake
from streaming.life_signs import LifeSigns
from streaming.market_board import MarketBoard, silences_of
from streaming.market_feeds import MarketFeeds, Place, SourceFactory
from streaming.market_past import PastReader
from streaming.market_topics import MarketTopics
from streaming.marks import Marks
from streaming.paths import PATHS
from streaming.positions import PositionBoard
from streaming.prices import Prices
from streaming.protocol import Limits
from streaming.server import StreamServer
from streaming.tokens import Authenticator
from venues import registry

RESTART_FIRST_S: Final = 0.5
RESTART_MAX_S: Final = 30.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingParts:
    """What the process is made of.

    `sources`: who delivers market data, else this process; `venues`: the names of those there are.
    `switches`: whose accounts' feeds are told to be alive; None: nobody's.
    """

    orders: OrderStore
    accounts: AccountStore
    positions: PositionStore
    load: LoadVenue
    sink: ReportSink
    conditions: ConditionStore
    crossings: ConditionSink
    bus: Bus
    authenticator: Authenticator
    hosts: frozenset[str]
    origins: frozenset[str] = frozenset()
    feed_credentials: FeedCredentialSource | None = None
    switches: WatchedSwitches | None = None
    sources: SourceFactory | None = None
    venues: Callable[[], Sequence[str]] = registry.names
    limits: Limits = field(default_factory=Limits)
    budget: BudgetRule = field(default_factory=BudgetRule)
    cadence: Cadence = field(default_factory=Cadence)


class StreamingApp:
    """The parts at work. `start`, then `run` in a task, then `drain` before it is cancelled."""

    def __init__(self, parts: StreamingParts) -> None:
        self.bus = parts.bus
        #: What is measured of the feeds, and how often each part was started again.
        self.meters = FeedMeters(time.monotonic)
        self.restarts: Counter[str] = Counter()
        self.connectors = Connectors(parts.load, parts.feed_credentials)
        self.board = FreshnessBoard(time.monotonic, self._freshness_changed)
        self.budget = ReadBudget(parts.budget)
        own = parts.sources or own_sources(parts.load, self.connectors, self.budget)
        self.sources = GroupSources(parts.bus, own)
        self.feeds = MarketFeeds(self.sources.make)
        self.market_board = MarketBoard(self.feeds, lambda venue: silences_of(parts.load(venue)))
        self.marks = Marks(self.feeds)
        self.positions = PositionBoard(parts.positions, self.marks, self._news)
        self.intake = Intake(parts.orders, self._folded)
        self.catch_up = CatchUp(
            parts.orders,
            self.intake,
            self.positions,
            parts.positions,
            self.connectors,
            self.budget,
            cadence=parts.cadence,
        )
        self.share = AccountShare(parts.bus, self.board, self._roles_changed)
        self.sessions = AccountSessions(SessionStatesOnBus(parts.bus))
        self.ingest = Ingest(
            parts.accounts,
            parts.load,
            self.intake,
            self.positions,
            self.catch_up,
            self.board,
            credentials=parts.feed_credentials,
            meters=self.meters,
            share=self.share,
            sessions=self.sessions,
        )
        self._signs = None if parts.switches is None else LifeSigns(parts.switches, self.board)
        self.bridge = Bridge(parts.orders, parts.sink)
        self.conditions = ConditionWatch(parts.conditions, self.marks, parts.crossings)
        self.bridging = Duty(Lease(parts.bus, "bridge"), self.bridge.run)
        self.watching = Duty(
            Lease(parts.bus, "conditions"), self.conditions.run, self.conditions.stop
        )
        self.books = Books(self.connectors, board=self.market_board)
        self.server = StreamServer(
            channels=self._channels(parts.orders),
            accounts=parts.accounts,
            authenticator=parts.authenticator,
            doors=Doors(channels=PATHS, hosts=parts.hosts, origins=parts.origins),
            limits=parts.limits,
            markets=lambda hub: MarketTopics(
                hub, self.feeds, self.market_board, parts.venues, later=_in_the_next_turn
            ),
        )
        self.feeds.listen(MarketMeter(self.meters, lambda: datetime.now(UTC)).take)
        self._price_writer = LatestPriceWriter(parts.bus)
        self.prices = Prices(
            self.connectors, self.books, self._price_writer, writes=self._writes_prices
        )
        self.feeds.listen(self.prices.take)
        reading = (self.connectors, self.market_board, self.budget)
        self.past = PastReader(*reading, self.prices.ticker, feeds=self.feeds)
        self._answers = MarketAnswers(parts.bus, self.books.book, self.prices.price, self.past.past)
        me = new_sender()
        self._nudges = NudgeSubscriber(parts.bus, self._nudged, sender=me)
        self._nudging = NudgePublisher(parts.bus, sender=me)

    def _channels(self, orders: OrderStore) -> dict[str, Channel]:
        """Return the accounts' channels by name."""
        return {
            ORDERS: OrdersChannel(
                orders,
                self.board,
                lambda: datetime.now(UTC),
                handed_on=self.meters.handed_on[ORDERS].add,
            ),
            POSITIONS: PositionsChannel(
                self.positions, self.board, handed_on=self.meters.handed_on[POSITIONS].add
            ),
            ACCOUNT: AccountChannel(
                self.positions, self.board, handed_on=self.meters.handed_on[ACCOUNT].add
            ),
        }

    async def start(self, host: str, port: int) -> int:
        """Listen for clients; return the port.

        Raises:
            OSError: the address cannot be used.
        """
        return await self.server.start(host, port)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name, work in (
                ("server", self.server.run),
                ("bridge", self.bridging.run),
                ("share", self.share.run),
                ("ingest", self.ingest.run),
                ("sessions", self.sessions.run),
                ("intake", self.intake.run),
                ("catch-up", self.catch_up.run),
                ("nudges", self._nudges.run),
                ("nudging", self._nudging.run),
                ("feeds", self.feeds.run),
                ("conditions", self.watching.run),
                ("market-answers", self._answers.run),
                ("prices", self._price_writer.run),
            ):
                tasks.create_task(keep_running(name, work, self.restarts), name=name)
            if self._signs is not None:
                tasks.create_task(keep_running("life-signs", self._signs.run, self.restarts))

    async def drain(self) -> None:
        """Say goodbye to the clients."""
        await self.server.drain()

    async def close(self) -> None:
        """Release what was opened, after `run` has ended."""
        await self.past.close()
        await self.prices.close()
        await self.books.close()
        await self.feeds.close()
        await self.connectors.close()

    def storage_changed(self, account_id: str) -> None:
        """Hear that something of an account was committed in this process."""
        self.positions.touch(account_id)
        self.conditions.wake()
        self._nudging.nudge(account_id)

    def _news(self) -> None:
        self.server.tail.wake()

    def _folded(self, folded: Folded) -> None:
        self.server.tail.wake()
        # Where another process delivers, a nudge of what was stored wakes it.
        if folded.delivery_id is not None and self.bridging.acts:
            ended = folded.order.order_id if folded.order.is_terminal else None
            self.bridge.wake(ended)

    def _freshness_changed(self, account_id: str) -> None:
        self.server.announce_status(account_id)
        self.share.wake()

    def _roles_changed(self) -> None:
        self.ingest.wake()

    def _writes_prices(self, place: tuple[str, Network]) -> bool:
        return self.sources.role(Place(*place)) is not Role.OTHER

    def _nudged(self, nudge: Nudge) -> None:
        if nudge.kind is NudgeKind.ORDERS:
            self.positions.touch(nudge.account_id)
            self.conditions.wake()
            self.bridge.wake()
        else:
            self.ingest.wake()
            self.server.accounts_changed()


def _in_the_next_turn(do: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(do)


async def keep_running(
    name: str, work: Callable[[], Awaitable[None]], restarts: Counter[str] | None = None
) -> None:
    """Run `work`, again after every failure, with growing pauses; until cancelled.

    `restarts` counts by name how often it had to be started again.
    """
    failures = 0
    while True:
        started = time.monotonic()
        try:
            await work()
            _log.error("a part ended by itself, starting it again", extra={"part": name})
        except Exception:  # noqa: BLE001 - the parts are to be independent of each other
            _log.exception("a part failed, starting it again", extra={"part": name})
        if restarts is not None:
            restarts[name] += 1
        if time.monotonic() - started > RESTART_MAX_S:
            failures = 0
        failures += 1
        await asyncio.sleep(min(RESTART_FIRST_S * 2 ** (failures - 1), RESTART_MAX_S))
