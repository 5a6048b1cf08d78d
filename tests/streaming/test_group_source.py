"""Several processes' market data over one feed: a real Valkey, a simulated exchange, one process
for each group of wishes played by its parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from bus import leases
from bus.connection import Bus
from bus.lease_rules import Role
from domain.accounts import Network
from domain.errors import InvalidInput
from streaming import group_source
from streaming.connectors import Connectors
from streaming.fallback_source import own_sources
from streaming.group_source import GroupSources
from streaming.market_feeds import MarketFeeds, Place
from tests.bus.valkey import ValkeyProcess, running_valkey
from tests.streaming.floor import Floor, open_floor
from tests.streaming.stage import Stage
from tests.streaming.test_ingest import until
from venues import registry
from venues.connector import (
    FeedState,
    MarketChannel,
    MarketChannelKind,
    MarketEvent,
    TradesSeen,
)

PLACE = Place("hyperliquid", Network.PAPER)


def channel(kind: str, symbol: str = "BTC-PERP", interval: str | None = None) -> MarketChannel:
    return MarketChannel(kind=MarketChannelKind(kind), symbol=symbol, interval=interval)


@dataclass
class Process:
    """What of a streaming process follows markets."""

    bus: Bus
    feeds: MarketFeeds
    sources: GroupSources
    heard: list[MarketEvent] = field(default_factory=list)

    @property
    def role(self) -> Role:
        return self.sources.role(PLACE)

    def has(self, kind: str, symbol: str = "BTC-PERP") -> bool:
        wanted = {"book": "book", "ticker": "ticker", "trades": "trades", "candles": "candle"}
        return any(event.kind == wanted[kind] and symbol in repr(event) for event in self.heard)

    def has_heard(self, price: str) -> bool:
        return any(price in repr(event) for event in self.heard)


@asynccontextmanager
async def process(valkey: ValkeyProcess) -> AsyncIterator[Process]:
    bus = Bus(valkey.url)
    connectors = Connectors(registry.load)
    sources = GroupSources(bus, own_sources(registry.load, connectors))
    feeds = MarketFeeds(sources.make)
    made = Process(bus, feeds, sources)
    feeds.listen(lambda place, event, source: made.heard.append(event))
    task = asyncio.create_task(feeds.run())
    try:
        yield made
    finally:
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=10)
        assert done
        await feeds.close()
        await connectors.close()
        await bus.close()


@pytest.fixture(autouse=True)
def quick_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "TTL_S", 0.9)
    monkeypatch.setattr(leases, "LOOK_EVERY_S", 0.3)


@pytest.fixture
async def floor(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Floor]:
    async with open_floor(stage) as made:
        monkeypatch.setenv("HYPERLIQUID_PAPER_URL", made.sim.url)
        yield made


def market_feeds(floor: Floor) -> int:
    """Count the sockets at the exchange that follow markets."""
    simulator: Any = floor.sim.simulator
    return len(simulator._feeds._clients)


async def price(floor: Floor, to: str) -> None:
    await floor.control("/price", {"symbol": "BTC", "price": to})


async def test_one_feed_serves_all_and_each_hears_what_it_wished_for(floor: Floor) -> None:
    with running_valkey() as valkey:
        async with process(valkey) as first, process(valkey) as second, process(valkey) as third:
            await first.feeds.join(PLACE, channel("ticker"))
            await second.feeds.join(PLACE, channel("ticker", "ETH-PERP"))
            await second.feeds.join(PLACE, channel("book", "ETH-PERP"))
            await third.feeds.join(PLACE, channel("ticker"))
            await third.feeds.join(PLACE, channel("candles", interval="1m"))
            await until(lambda: first.has("ticker"))
            await until(lambda: second.has("ticker", "ETH-PERP") and second.has("book", "ETH-PERP"))
            await until(lambda: third.has("ticker") and third.has("candles"))
            assert [one.role for one in (first, second, third)] == [
                Role.OWNER,
                Role.OTHER,
                Role.OTHER,
            ]
            assert market_feeds(floor) == 1
            assert all(one.feeds.is_live(PLACE) for one in (first, second, third))
            # Of markets only: what a process did not wish for it is not told.
            assert not second.has("ticker")
            before = len(third.heard)
            await price(floor, "99000")
            await until(lambda: any("99000" in repr(event) for event in third.heard[before:]))


async def test_what_the_venue_refuses_is_refused_in_its_words_and_spoils_nothing(
    floor: Floor,
) -> None:
    with running_valkey() as valkey:
        async with process(valkey) as owner, process(valkey) as other:
            await owner.feeds.join(PLACE, channel("ticker"))
            await other.feeds.join(PLACE, channel("ticker"))
            for wrong in (channel("ticker", "NOTHING-PERP"), channel("candles", interval="7m")):
                with pytest.raises(InvalidInput) as of_owner:
                    await owner.feeds.join(PLACE, wrong)
                with pytest.raises(InvalidInput) as of_other:
                    await other.feeds.join(PLACE, wrong)
                assert str(of_owner.value) == str(of_other.value)
            await other.feeds.join(PLACE, channel("ticker", "ETH-PERP"))
            await until(lambda: other.has("ticker", "ETH-PERP"))
            assert market_feeds(floor) == 1


async def test_who_leaves_is_followed_by_another(floor: Floor) -> None:
    with running_valkey() as valkey:
        async with AsyncExitStack() as stack:
            async with process(valkey) as owner:
                await owner.feeds.join(PLACE, channel("ticker"))
                other = await stack.enter_async_context(process(valkey))
                await other.feeds.join(PLACE, channel("ticker"))
                await until(lambda: other.has("ticker"))
                assert (owner.role, other.role) == (Role.OWNER, Role.OTHER)
            await until(lambda: other.role is Role.OWNER)
            other.heard.clear()
            await price(floor, "98000")
            await until(lambda: any("98000" in repr(event) for event in other.heard))
            await until(lambda: market_feeds(floor) == 1)
            assert other.feeds.is_live(PLACE)


async def test_with_valkey_away_each_follows_alone_and_one_again_afterwards(
    floor: Floor,
) -> None:
    with running_valkey() as valkey:
        async with process(valkey) as one, process(valkey) as two:
            await one.feeds.join(PLACE, channel("ticker"))
            await two.feeds.join(PLACE, channel("ticker"))
            await until(lambda: two.has("ticker"))
            valkey.kill()
            await until(lambda: (one.role, two.role) == (Role.ALONE, Role.ALONE))
            await until(lambda: market_feeds(floor) == 2)
            two.heard.clear()
            await price(floor, "97000")
            await until(lambda: any("97000" in repr(event) for event in two.heard))
            valkey.start()
            await until(lambda: {one.role, two.role} == {Role.OWNER, Role.OTHER})
            await until(lambda: market_feeds(floor) == 1)
            for each in (one, two):
                each.heard.clear()
            await price(floor, "96000")
            for each in (one, two):
                await until(partial(each.has_heard, "96000"))


async def test_a_cut_relay_is_stale_and_begins_with_a_snapshot(floor: Floor) -> None:
    with running_valkey() as valkey:
        async with process(valkey) as owner, process(valkey) as other:
            await owner.feeds.join(PLACE, channel("ticker"))
            for kind in ("ticker", "trades"):
                await other.feeds.join(PLACE, channel(kind))
            await until(lambda: other.has("ticker") and other.feeds.is_live(PLACE))
            other.heard.clear()
            valkey.command("CLIENT", "KILL", "TYPE", "pubsub")
            await until(lambda: other.has("ticker") and other.feeds.is_live(PLACE))
            states = [event.live for event in other.heard if isinstance(event, FeedState)]
            assert states == [False, True]
            assert all(e.is_backlog for e in other.heard if isinstance(e, TradesSeen))
            assert market_feeds(floor) == 1


async def test_an_owner_that_was_paused_stops_by_itself(floor: Floor) -> None:
    with running_valkey() as valkey:
        async with process(valkey) as owner, process(valkey) as other:
            await owner.feeds.join(PLACE, channel("ticker"))
            await other.feeds.join(PLACE, channel("ticker"))
            await until(lambda: other.has("ticker"))
            # As if the process had been paused: another took the lease meanwhile.
            valkey.command("SET", f"perp-dex:lease:market:hyperliquid:{Network.PAPER}", "third")
            await until(lambda: owner.role is Role.OTHER)
            await until(lambda: market_feeds(floor) == 0)
            await until(lambda: not other.feeds.is_live(PLACE))
            valkey.command("DEL", f"perp-dex:lease:market:hyperliquid:{Network.PAPER}")
            await until(lambda: {owner.role, other.role} == {Role.OWNER, Role.OTHER})
            await until(lambda: market_feeds(floor) == 1)
            await until(lambda: owner.feeds.is_live(PLACE) and other.feeds.is_live(PLACE))


async def test_a_wish_nobody_answers_counts_as_taken(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_source, "ANSWER_S", 0.1)
    with running_valkey() as valkey:
        valkey.command(
            "SET", f"perp-dex:lease:market:hyperliquid:{Network.PAPER}", "dead", "EX", "2"
        )
        async with process(valkey) as late:
            await late.feeds.join(PLACE, channel("ticker"))
            assert late.role is Role.OTHER
            assert not late.feeds.is_live(PLACE)
            await until(lambda: late.role is Role.OWNER)
            await until(lambda: late.has("ticker") and late.feeds.is_live(PLACE))


async def test_a_place_nobody_needs_is_left_to_others(floor: Floor) -> None:
    with running_valkey() as valkey:
        async with process(valkey) as owner:
            await owner.feeds.join(PLACE, channel("ticker"))
            await until(lambda: owner.has("ticker"))
            await owner.feeds.close()
            assert owner.role is Role.UNDECIDED
            await until(lambda: market_feeds(floor) == 0)
            assert (
                valkey.command("EXISTS", f"perp-dex:lease:market:hyperliquid:{Network.PAPER}")
                == b":0\r\n"
            )
            await owner.feeds.join(PLACE, channel("ticker", "ETH-PERP"))
            await until(lambda: owner.has("ticker", "ETH-PERP"))
