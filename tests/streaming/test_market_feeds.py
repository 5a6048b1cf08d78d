"""Wishes for market channels: counted, refused one by one, dropped; and venues that fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from domain.accounts import Network
from domain.errors import InvalidInput, Unavailable, VenueUnavailable
from streaming import market_feeds as market_feeds_module
from streaming import market_sources
from streaming.connectors import Connectors
from streaming.fallback_source import own_sources
from streaming.market_feeds import STREAM, Deliver, MarketFeeds, MarketSource, Place
from tests.streaming.building import T0
from tests.streaming.floor import Floor
from tests.streaming.test_app import floor
from tests.streaming.test_ingest import until
from venues import registry
from venues.connector import (
    BookSeen,
    FeedState,
    MarketChannel,
    MarketChannelKind,
    MarketEvent,
    TickerSeen,
)
from venues.hyperliquid import market_stream

__all__ = ["floor"]

HOME = Place("hyperliquid", Network.PAPER)
AWAY = Place("elsewhere", Network.PAPER)


def ticker(symbol: str = "BTC-PERP") -> MarketChannel:
    return MarketChannel(kind=MarketChannelKind.TICKER, symbol=symbol)


def book(symbol: str = "BTC-PERP") -> MarketChannel:
    return MarketChannel(kind=MarketChannelKind.BOOK, symbol=symbol)


class PlayedSource:
    """A source that carries at most two channels, fails when told to, and remembers."""

    def __init__(self, place: Place, deliver: Deliver) -> None:
        self.place = place
        self.deliver = deliver
        self.carried: frozenset[MarketChannel] = frozenset()
        self.asked: list[frozenset[MarketChannel]] = []
        self.error: Exception | None = None
        self.breaks = asyncio.Event()
        self.break_with: Exception | None = None
        self.runs = 0
        self.closed = 0

    async def follow(self, channels: frozenset[MarketChannel]) -> None:
        self.asked.append(channels)
        await asyncio.sleep(0)
        is_refusal = isinstance(self.error, InvalidInput)
        if self.error is not None and not (is_refusal and channels <= self.carried):
            raise self.error
        if len(channels) > 2:
            raise InvalidInput("channels", f"expected at most 2, found {len(channels)}")
        self.carried = channels

    async def run(self) -> None:
        self.runs += 1
        self.say(FeedState(account_id=None, live=True, reason="subscribed", at=T0))
        await self.breaks.wait()
        self.breaks.clear()
        if self.break_with is not None:
            raise self.break_with

    async def close(self) -> None:
        self.closed += 1
        self.carried = frozenset()

    def say(self, event: MarketEvent) -> None:
        self.deliver(self.place, event, STREAM)


class Played:
    def __init__(self) -> None:
        self.sources: dict[Place, PlayedSource] = {}

    def make(self, place: Place, deliver: Deliver) -> MarketSource:
        source = self.sources[place] = PlayedSource(place, deliver)
        return source


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market_sources, "RESTART_FIRST_S", 0.01)
    monkeypatch.setattr(market_feeds_module, "RESTART_FIRST_S", 0.01)


@asynccontextmanager
async def at_work(make: Any, **options: Any) -> AsyncIterator[MarketFeeds]:
    feeds = MarketFeeds(make, **options)
    task = asyncio.create_task(feeds.run())
    try:
        yield feeds
    finally:
        task.cancel()
        await asyncio.wait([task])
        await feeds.close()


async def test_wishes_are_counted_and_dropped_with_the_last() -> None:
    played = Played()
    async with at_work(played.make) as feeds:
        await feeds.join(HOME, book())
        await feeds.join(HOME, book())
        feeds.want(HOME, ticker())
        source = played.sources[HOME]
        await until(lambda: source.carried == {book(), ticker()})
        feeds.release(HOME, book())
        assert feeds.wanted(HOME) == {book(), ticker()}
        feeds.release(HOME, book())
        await until(lambda: source.carried == {ticker()})
        assert feeds.wanted(HOME) == {ticker()}
        assert feeds.wanted(AWAY) == frozenset()


async def test_one_wish_too_many_is_refused_and_spoils_no_other() -> None:
    played = Played()
    async with at_work(played.make) as feeds:
        await feeds.join(HOME, book())
        await feeds.join(HOME, ticker())
        with pytest.raises(InvalidInput, match="expected at most 2"):
            await feeds.join(HOME, ticker("ETH-PERP"))
        source = played.sources[HOME]
        assert source.carried == {book(), ticker()} == feeds.wanted(HOME)
        feeds.release(HOME, book())
        await feeds.join(HOME, ticker("ETH-PERP"))
        assert source.carried == {ticker(), ticker("ETH-PERP")}


async def test_what_is_wished_for_and_refused_gets_its_place_when_there_is_room(
    caplog: pytest.LogCaptureFixture,
) -> None:
    played = Played()
    async with at_work(played.make) as feeds:
        symbols = ["A-PERP", "B-PERP", "C-PERP"]
        for symbol in symbols:
            feeds.want(HOME, ticker(symbol))
        source = played.sources[HOME]
        await until(lambda: source.carried == {ticker("A-PERP"), ticker("B-PERP")})
        assert "channels that the venue refuses" in caplog.text
        feeds.release(HOME, ticker("A-PERP"))
        await until(lambda: source.carried == {ticker("B-PERP"), ticker("C-PERP")})


async def test_a_refusal_is_asked_about_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market_feeds_module, "REFUSED_AGAIN_S", 0.02)
    played = Played()
    async with at_work(played.make) as feeds:
        await feeds.join(HOME, book())
        source = played.sources[HOME]
        source.error = InvalidInput("symbol", "no such market")
        with pytest.raises(InvalidInput):
            await feeds.join(HOME, ticker())
        feeds.want(HOME, ticker())
        source.error = None
        await until(lambda: source.carried == {book(), ticker()})


async def test_a_venue_that_does_not_answer_is_not_asked_all_the_time() -> None:
    now = 100.0
    played = Played()
    feeds = MarketFeeds(played.make, clock=lambda: now)
    feeds.want(HOME, ticker())
    source = played.sources[HOME]
    source.error = VenueUnavailable("no connection")
    for _ in range(5):
        with pytest.raises(Unavailable, match="no connection"):
            await feeds.join(HOME, book())
    assert len(source.asked) == 1
    assert feeds.wanted(HOME) == {ticker()}
    source.error = None
    now += 60.0
    await feeds.join(HOME, book())
    assert source.carried == {ticker(), book()}


async def test_wishes_wait_for_a_venue_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    played = Played()
    async with at_work(played.make) as feeds:
        feeds.want(HOME, ticker())
        source = played.sources[HOME]
        source.error = VenueUnavailable("no connection")
        await until(lambda: len(source.asked) >= 2)
        assert caplog.text.count("cannot be followed") == 1
        source.error = RuntimeError("a defect")
        await until(lambda: "failed on being asked" in caplog.text)
        source.error = None
        await until(lambda: source.carried == {ticker()})


@pytest.mark.parametrize("error", [None, RuntimeError("a defect"), VenueUnavailable("gone")])
async def test_a_source_that_fails_is_run_anew_and_touches_no_other(
    error: Exception | None,
) -> None:
    played = Played()
    heard: list[tuple[Place, MarketEvent]] = []
    async with at_work(played.make) as feeds:
        feeds.listen(lambda place, event, source: heard.append((place, event)))
        await feeds.join(HOME, ticker())
        await feeds.join(AWAY, ticker())
        await until(lambda: feeds.is_live(HOME) and feeds.is_live(AWAY))
        home, away = played.sources[HOME], played.sources[AWAY]
        home.break_with = error

        def has_run(times: int) -> bool:
            return home.runs == times

        for runs in (2, 3):
            home.breaks.set()
            await until(partial(has_run, runs))
        await until(lambda: feeds.is_live(HOME))
        assert away.runs == 1
        states = [
            event.live for place, event in heard if place == HOME and isinstance(event, FeedState)
        ]
        assert states == [True, False, True, False, True]


async def test_a_source_that_takes_back_a_market_keeps_the_others() -> None:
    played = Played()
    async with at_work(played.make) as feeds:
        await feeds.join(HOME, ticker())
        source = played.sources[HOME]
        asked = len(source.asked)
        source.break_with = InvalidInput("symbol", "no such market any more")
        source.breaks.set()
        await until(lambda: len(source.asked) > asked)
        assert source.asked[-1] == {ticker()}


async def test_a_connection_that_nobody_needs_is_closed_after_a_while() -> None:
    played = Played()
    async with at_work(played.make, linger_s=0.02) as feeds:
        await feeds.join(HOME, ticker())
        feeds.release(HOME, ticker())
        source = played.sources[HOME]
        await until(lambda: source.closed > 0)
        await feeds.join(HOME, ticker())
        assert source.carried == {ticker()}


class Heard:
    """What came, by kind and symbol."""

    def __init__(self, feeds: MarketFeeds) -> None:
        self.events: list[MarketEvent] = []
        feeds.listen(lambda place, event, source: self.events.append(event))

    def has(self, kind: type[Any], symbol: str) -> Callable[[], bool]:
        def found() -> bool:
            for event in self.events:
                if isinstance(event, kind):
                    of = event.ticker if isinstance(event, TickerSeen) else event.book
                    if of.symbol == symbol:
                        return True
            return False

        return found


async def test_the_venue_carries_exactly_what_is_wanted(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(market_stream, "_SUBSCRIPTIONS_MAX", 2)
    connectors = Connectors(registry.load)
    async with at_work(own_sources(registry.load, connectors)) as feeds:
        heard = Heard(feeds)
        for wrong in (ticker("NONE-PERP"), candles("7m")):
            with pytest.raises(InvalidInput):
                await feeds.join(HOME, wrong)
        with pytest.raises(InvalidInput, match="venue"):
            await feeds.join(AWAY, ticker())
        await feeds.join(HOME, ticker())
        await feeds.join(HOME, book("ETH-PERP"))
        with pytest.raises(InvalidInput, match="expected at most 2"):
            await feeds.join(HOME, book())
        await until(heard.has(TickerSeen, "BTC-PERP"))
        await until(heard.has(BookSeen, "ETH-PERP"))
        assert feeds.is_live(HOME)
        await floor.cut()
        await until(lambda: not feeds.is_live(HOME))
        await until(lambda: feeds.is_live(HOME))
        heard.events.clear()
        await until(heard.has(TickerSeen, "BTC-PERP"))
        feeds.release(HOME, ticker())
        feeds.release(HOME, book("ETH-PERP"))
        await feeds.join(HOME, book())
        await until(heard.has(BookSeen, "BTC-PERP"))
    await connectors.close()


def candles(interval: str) -> MarketChannel:
    return MarketChannel(kind=MarketChannelKind.CANDLES, symbol="BTC-PERP", interval=interval)


async def test_a_market_that_was_listed_meanwhile_is_carried(floor: Floor) -> None:
    connectors = Connectors(registry.load)
    connector: Any = await connectors.of(*HOME)
    everything = await connector.instruments()
    listed = [each for each in everything if each.symbol != "ETH-PERP"]

    async def instruments(**_: Any) -> Any:
        return tuple(listed)

    connector.instruments = instruments
    async with at_work(own_sources(registry.load, connectors)) as feeds:
        heard = Heard(feeds)
        await feeds.join(HOME, ticker())
        with pytest.raises(InvalidInput, match="ETH-PERP"):
            await feeds.join(HOME, ticker("ETH-PERP"))
        listed = list(everything)
        await feeds.join(HOME, ticker("ETH-PERP"))
        await until(heard.has(TickerSeen, "ETH-PERP"))
        heard.events.clear()
        await until(heard.has(TickerSeen, "BTC-PERP"))
    await connectors.close()
