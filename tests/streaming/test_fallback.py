"""What replaces a venue's lost stream: its second one, then asking; at the simulated exchange."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest

from domain import feed_fallback
from domain.accounts import Network
from domain.market_freshness import MarketFreshness
from streaming import market_sources
from streaming.budget import BudgetRule, ReadBudget
from streaming.connectors import Connectors, LoadVenue
from streaming.fallback_source import own_sources
from streaming.market_board import ChannelKey, MarketBoard, silences_of
from streaming.market_feeds import MarketFeeds, Place
from streaming.marks import Mark, MarketKey, Marks
from tests.streaming.floor import Floor
from tests.streaming.test_app import floor
from tests.streaming.test_ingest import until
from venues import registry
from venues.connections import ConnectionBudget
from venues.connector import BookSeen, FeedState, MarketChannel, MarketChannelKind, MarketEvent
from venues.hyperliquid import market_stream
from venues.hyperliquid import spec as hyperliquid
from venues.stream import Backoff

__all__ = ["floor"]

HOME = Place("hyperliquid", Network.PAPER)
BOOK = MarketChannel(kind=MarketChannelKind.BOOK, symbol="BTC-PERP")
TOP = MarketChannel(kind=MarketChannelKind.TOP, symbol="BTC-PERP")
TICKER = MarketChannel(kind=MarketChannelKind.TICKER, symbol="BTC-PERP")


@dataclass
class Gate:
    """A way to the exchange whose sockets can be shut: cut, and new ones refused.

    What is asked over HTTP passes all the same.
    """

    target: str
    port: int = 0
    is_open: bool = True
    sockets: set[asyncio.StreamWriter] = field(default_factory=set)
    opened: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def shut(self) -> None:
        self.is_open = False
        for writer in tuple(self.sockets):
            writer.transport.abort()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(self.target)
        first = await reader.read(65_536)
        is_socket = first.startswith(b"GET /ws")
        if is_socket and not self.is_open:
            writer.write(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            writer.close()
            return
        there, back = await asyncio.open_connection(parts.hostname, parts.port)
        back.write(first)
        if is_socket:
            self.opened += 1
            self.sockets.add(writer)
        try:
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        finally:
            self.sockets.discard(writer)
            for each in (writer, back):
                each.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def gate_to(url: str) -> AsyncIterator[Gate]:
    gate = Gate(url)
    server = await asyncio.start_server(gate.pass_on, "127.0.0.1", 0)
    gate.port = server.sockets[0].getsockname()[1]
    try:
        yield gate
    finally:
        server.close()


@dataclass
class Followed:
    feeds: MarketFeeds
    board: MarketBoard
    marks: Marks
    sources: list[tuple[str, MarketEvent]] = field(default_factory=list)
    heard: list[Mark] = field(default_factory=list)

    def fresh(self, channel: MarketChannel) -> MarketFreshness:
        return self.board.freshness(ChannelKey(HOME, channel))

    def polled(self) -> frozenset[MarketChannel]:
        source: Any = self.feeds._places[HOME]._source
        found: frozenset[MarketChannel] = source._source._poll._channels
        return found

    def only_by(self, source: str) -> Callable[[], bool]:
        """Return whether the last few events came one way."""
        self.sources.clear()

        def found() -> bool:
            ways = [way for way, event in self.sources if not isinstance(event, FeedState)]
            return len(ways) >= 5 and set(ways[-5:]) == {source}

        return found

    async def comes_by(self, source: str, *channels: MarketChannel) -> None:
        await until(
            lambda: all(
                self.fresh(channel).source == source and not self.fresh(channel).stale
                for channel in channels
            ),
            20.0,
        )


@asynccontextmanager
async def following(
    budget: ReadBudget | None = None, load: LoadVenue = registry.load
) -> AsyncIterator[Followed]:
    connectors = Connectors(load)
    feeds = MarketFeeds(own_sources(load, connectors, budget, tick_s=0.02, poll_s=0.1))
    board = MarketBoard(feeds, lambda venue: silences_of(load(venue)))
    followed = Followed(feeds, board, Marks(feeds))
    feeds.listen(lambda place, event, source: followed.sources.append((source, event)))
    followed.marks.listen(lambda key, mark: followed.heard.append(mark))
    task = asyncio.create_task(feeds.run())
    try:
        yield followed
    finally:
        task.cancel()
        await asyncio.wait([task])
        await feeds.close()
        await connectors.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_fallback, "SECOND_AFTER_S", 0.1)
    monkeypatch.setattr(feed_fallback, "POLL_AFTER_S", 0.3)
    monkeypatch.setattr(market_sources, "RESTART_FIRST_S", 0.05)
    # The venue's own patience between connections: not what is tested here.
    monkeypatch.setattr(Backoff, "next_s", lambda self: 0.05)
    patient = partial(ConnectionBudget, connections_max=1)
    monkeypatch.setattr(
        market_stream, "ConnectionBudget", lambda **_: patient(opened_per_minute_max=10_000)
    )


@pytest.fixture
async def gate(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gate]:
    async with gate_to(floor.sim.url) as made:
        monkeypatch.setenv("HYPERLIQUID_PAPER_URL", made.url)
        yield made


async def test_a_lost_stream_is_replaced_by_asking_and_comes_back(gate: Gate) -> None:
    async with following() as followed:
        for channel in (BOOK, TOP, TICKER):
            await followed.feeds.join(HOME, channel)
        key = MarketKey(*HOME, "BTC-PERP")
        followed.marks.want(key)
        await followed.comes_by("stream", BOOK, TOP, TICKER)
        assert followed.marks.is_live(*HOME)
        gate.shut()
        await followed.comes_by("poll", BOOK, TOP, TICKER)
        assert not followed.marks.is_live(*HOME), "what is asked for is no stream"
        followed.heard.clear()
        await until(lambda: bool(followed.heard))
        assert followed.heard[0].source == "poll"
        gate.is_open = True
        await followed.comes_by("stream", BOOK, TOP, TICKER)
        # Its last question may have been on its way.
        await until(followed.only_by("stream"))


async def test_the_second_stream_takes_over_before_anything_is_asked(
    floor: Floor, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_fallback, "POLL_AFTER_S", 60.0)
    async with gate_to(floor.sim.url) as second:
        monkeypatch.setenv("HYPERLIQUID_PAPER_SECOND_URL", second.url)
        async with following() as followed:
            for channel in (BOOK, TICKER):
                await followed.feeds.join(HOME, channel)
            await followed.comes_by("stream", BOOK, TICKER)
            assert second.opened == 0
            gate.shut()
            await followed.comes_by("stream-2", BOOK, TICKER)
            assert followed.feeds.is_live(HOME), "it is a stream of the venue's"
            gate.is_open = True
            await followed.comes_by("stream", BOOK, TICKER)
            await until(lambda: not second.sockets)
            assert "poll" not in {source for source, _ in followed.sources}
            gate.shut()
            await followed.comes_by("stream-2", BOOK, TICKER)


async def test_both_streams_lost_the_venue_is_asked(
    floor: Floor, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gate_to(floor.sim.url) as second:
        monkeypatch.setenv("HYPERLIQUID_PAPER_SECOND_URL", second.url)
        second.is_open = False
        async with following() as followed:
            await followed.feeds.join(HOME, BOOK)
            await followed.comes_by("stream", BOOK)
            gate.shut()
            await followed.comes_by("poll", BOOK)
            second.is_open = True
            await followed.comes_by("stream-2", BOOK)
            await until(followed.only_by("stream-2"))
            gate.is_open = True
            await followed.comes_by("stream", BOOK)


async def test_asking_leaves_others_their_share_of_the_budget(gate: Gate) -> None:
    spent: list[float] = []
    refused = [0]

    class Counting(ReadBudget):
        def spare(self, venue: str, network: Network, cost: float) -> bool:
            taken = super().spare(venue, network, cost)
            if taken:
                spent.append(cost)
            else:
                refused[0] += 1
            return taken

    rule = BudgetRule(per_s=0.0001, burst=100.0, paper_factor=1.0)
    gate.is_open = False
    async with following(Counting(rule)) as followed:
        await followed.feeds.join(HOME, TICKER)
        await until(lambda: followed.fresh(TICKER).source == "poll")
        await until(lambda: refused[0] >= 5)
        assert sum(spent) == 40.0, "half of what may be used at once stays for catching up"


async def test_a_silent_channel_is_stale_and_the_stream_made_anew(
    floor: Floor, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_fallback, "RENEW_AGAIN_S", 3.0)
    spec = hyperliquid.SPEC
    silences = ((MarketChannelKind.BOOK, 1.5),)
    capabilities = replace(spec.capabilities, market_silence_max_s=silences)
    impatient = replace(spec, capabilities=capabilities)
    async with following(load=lambda venue: impatient) as followed:
        await followed.feeds.join(HOME, BOOK)
        await followed.comes_by("stream", BOOK)
        opened = gate.opened
        set_cadence(floor, 3_600_000)
        await until(lambda: gate.opened > opened)
        await until(lambda: followed.fresh(BOOK).source == "poll")
        assert not followed.fresh(BOOK).stale
        set_cadence(floor, 100)
        await followed.comes_by("stream", BOOK)


def set_cadence(floor: Floor, interval_ms: int) -> None:
    floor.sim.exchange.switches.fast_book_interval_ms = interval_ms


async def test_an_answer_that_comes_late_counts_no_more(gate: Gate) -> None:
    async with following() as followed:
        await followed.feeds.join(HOME, TOP)
        await followed.comes_by("stream", TOP)
        source: Any = followed.feeds._places[HOME]._source
        latest = followed.board.latest(ChannelKey(HOME, TOP))
        assert latest is not None and latest.book is not None
        source._source._take(HOME, BookSeen(book=latest.book, is_top=True), "poll")
        assert followed.fresh(TOP).source == "stream"


async def test_a_market_that_is_gone_spoils_no_other(gate: Gate) -> None:
    async with following() as followed:
        other = replace(BOOK, symbol="ETH-PERP")
        await followed.feeds.join(HOME, BOOK)
        await followed.feeds.join(HOME, other)
        await followed.comes_by("stream", BOOK, other)
        source: Any = followed.feeds._places[HOME]._source
        connector: Any = await source._source._connectors.of(*HOME)
        left = [each for each in await connector.instruments() if each.symbol != "ETH-PERP"]

        async def instruments(**_: Any) -> Any:
            return tuple(left)

        connector.instruments = instruments
        await source._source._stream.renew()
        await until(lambda: other in followed.feeds._places[HOME].refused)
        await followed.comes_by("stream", BOOK)
        assert followed.fresh(other).stale


async def test_what_nobody_wants_any_more_is_not_asked_for(gate: Gate) -> None:
    async with following() as followed:
        await followed.feeds.join(HOME, BOOK)
        await followed.feeds.join(HOME, TICKER)
        await followed.comes_by("stream", BOOK, TICKER)
        gate.shut()
        await followed.comes_by("poll", BOOK, TICKER)
        followed.feeds.release(HOME, BOOK)
        await until(lambda: followed.polled() == {TICKER})
        followed.feeds.release(HOME, TICKER)
        await until(lambda: followed.polled() == frozenset())
