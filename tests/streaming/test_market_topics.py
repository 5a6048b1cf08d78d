"""Followed market channels by themselves: several venues, slow clients, trades after gaps, ages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from domain.accounts import Network
from domain.errors import InvalidInput, VenueUnavailable
from domain.instruments import OrderSide
from domain.market_data import BookLevel, Candle, OrderBook, Trade
from streaming import market_topics
from streaming.gathering import Later
from streaming.hub import Hub, Session
from streaming.market_board import CANDLES_KEPT, TRADES_KEPT, MarketBoard
from streaming.market_feeds import POLL, STREAM_2, MarketFeeds, Place
from streaming.market_names import MarketName
from streaming.market_topics import STATUS_AGAIN_S, MarketTopics
from streaming.protocol import Limits
from tests.streaming.building import T0
from tests.streaming.contract import assert_documented
from tests.streaming.test_hub import Client, joined
from tests.streaming.test_ingest import until
from tests.streaming.test_market_feeds import Played
from venues.connector import (
    BookSeen,
    CandleSeen,
    FeedState,
    MarketChannelKind,
    MarketEvent,
    TradesSeen,
)

ONE, TWO = Place("one", Network.PAPER), Place("two", Network.PAPER)
TOP = MarketName(MarketChannelKind.TOP, "one", Network.PAPER, "BTC-PERP")
BOOK = replace(TOP, kind=MarketChannelKind.BOOK)
TRADES = replace(TOP, kind=MarketChannelKind.TRADES)
CANDLES = replace(TOP, kind=MarketChannelKind.CANDLES, interval="1m")


@dataclass
class Scene:
    """Two venues whose words the test says, and clients that remember what they were sent."""

    venues: list[str] = field(default_factory=lambda: ["one", "two"])
    now: float = 100.0
    later: Later | None = None

    def __post_init__(self) -> None:
        self.played = Played()
        self.hub = Hub(Limits(sessions_per_principal_max=1_000))
        self.feeds = MarketFeeds(self.played.make)
        self.board = MarketBoard(
            self.feeds,
            lambda venue: {MarketChannelKind.BOOK: 5.0},
            clock=lambda: self.now,
            now=lambda: T0,
        )
        self.topics = MarketTopics(
            self.hub,
            self.feeds,
            self.board,
            lambda: self.venues,
            later=self.later,
            clock=lambda: self.now,
            now=lambda: T0,
        )
        self._clients = 0

    async def follow(self, name: MarketName) -> tuple[Session, Client]:
        self._clients += 1
        session, client = joined(self.hub, f"s{self._clients}")
        await self.topics.open(name)
        self.topics.attach(session, name.topic)
        return session, client

    def live(self, place: Place, source: str = "stream", *, live: bool = True) -> None:
        state = FeedState(account_id=None, live=live, reason="", at=T0)
        self.say(place, state, source)

    def say(self, place: Place, event: MarketEvent, source: str = "stream") -> None:
        self.played.sources[place].deliver(place, event, source)

    def check(self) -> None:
        for topic in list(self.topics._states):
            self.topics._check(topic)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    yield made
    await made.feeds.close()


def told(client: Client, *kinds: str) -> list[dict[str, Any]]:
    """Return what a client was sent, of these kinds; all of it is documented."""
    messages = [json.loads(data) for data in client.sent]
    for message in messages:
        assert_documented(message)
    return [message for message in messages if not kinds or message["type"] in kinds]


def top(bid: int, ask: int, place: Place = ONE, quantity: int = 1, *, is_top: bool = True) -> Any:
    def side(price: int) -> tuple[BookLevel, ...]:
        return (BookLevel(price=Decimal(price), quantity=Decimal(quantity)),)

    book = OrderBook(
        venue=place.venue,
        symbol="BTC-PERP",
        bids=side(bid),
        asks=side(ask),
        event_time=T0,
        received_time=T0,
    )
    return BookSeen(book=book, is_top=is_top)


def trades(*ids: int, is_backlog: bool = False) -> TradesSeen:
    made = tuple(
        Trade(
            venue="one",
            symbol="BTC-PERP",
            trade_id=str(number),
            price=Decimal(100),
            quantity=Decimal(1),
            aggressor_side=OrderSide.BUY,
            event_time=T0 + timedelta(seconds=number),
            received_time=T0 + timedelta(seconds=number),
        )
        for number in ids
    )
    return TradesSeen(trades=made, is_backlog=is_backlog)


def candle(minute: int, close: int) -> CandleSeen:
    opened = T0 + timedelta(minutes=minute)
    return CandleSeen(
        candle=Candle(
            venue="one",
            symbol="BTC-PERP",
            interval="1m",
            open_time=opened,
            close_time=opened + timedelta(minutes=1),
            open=Decimal(1),
            high=Decimal(9),
            low=Decimal(1),
            close=Decimal(close),
            volume=Decimal(3),
        )
    )


async def test_all_get_the_same_bytes_encoded_once(scene: Scene) -> None:
    clients = [(await scene.follow(TOP))[1] for _ in range(3)]
    scene.live(ONE)
    scene.say(ONE, top(99, 101))
    scene.say(ONE, top(98, 102))
    late = (await scene.follow(TOP))[1]
    for number in (1, 2, 3):
        first, *others = (client.sent[number] for client in clients)
        assert all(other is first for other in others)
    late_snapshot = told(late, "snapshot")[0]
    assert late_snapshot["seq"] == told(clients[0], "update")[-1]["seq"]
    assert (await scene.follow(TOP))[1].sent[0] is late.sent[0]


async def test_two_venues_as_one_and_one_of_them_lost(scene: Scene) -> None:
    _, client = await scene.follow(replace(TOP, venue=None))
    scene.live(ONE)
    scene.live(TWO)
    scene.say(ONE, top(99, 102, ONE, 3))
    scene.say(TWO, top(99, 101, TWO, 5))
    assert told(client, "snapshot")[0]["bid"] == ["99", "3", [["one", "3"]]]
    both = told(client, "update")[-1]
    assert both["bid"] == ["99", "8", [["two", "5"], ["one", "3"]]]
    assert both["ask"] == ["101", "5", [["two", "5"]]]
    scene.live(TWO, live=False)
    alone = told(client, "update")[-1]
    assert alone["ask"] == ["102", "3", [["one", "3"]]]
    assert [(v["venue"], v["included"]) for v in alone["venues"]] == [("one", True), ("two", False)]
    assert alone["venues"][1]["reason"] == "the connection to the venue is lost"
    assert not told(client, "status")[-1]["stale"], "one is fresh"
    scene.live(ONE, live=False)
    assert told(client, "update")[-1]["bid"] is None
    status = told(client, "status")[-1]
    assert (status["stale"], status["source"]) == (True, "stream")
    numbers = [(m["prev_seq"], m["seq"]) for m in told(client, "update")]
    assert all(after[0] == before[1] for before, after in pairwise(numbers))


async def test_a_view_of_two_ways_says_so(scene: Scene) -> None:
    _, client = await scene.follow(replace(BOOK, venue=None))
    scene.live(ONE)
    scene.live(TWO, STREAM_2)
    scene.say(ONE, top(99, 101, ONE, is_top=False))
    scene.say(TWO, top(99, 101, TWO, is_top=False), STREAM_2)
    scene.check()
    assert told(client, "status")[-1]["source"] == "mixed"
    update = told(client, "update")[-1]
    assert update["full"] is True
    assert {v["source"] for v in update["venues"]} == {"stream", "stream-2"}


async def test_a_venue_that_lacks_the_market_is_left_out_and_one_that_is_away_comes_later(
    scene: Scene,
) -> None:
    shared = replace(TOP, venue=None)
    for place in (ONE, TWO):
        scene.feeds.want(place, shared.channel)
        scene.feeds.release(place, shared.channel)
    scene.played.sources[ONE].error = VenueUnavailable("no connection")
    scene.played.sources[TWO].error = InvalidInput("symbol", "no such market")
    session, _ = await scene.follow(shared)
    assert scene.feeds.wanted(ONE) == {shared.channel}
    assert scene.feeds.wanted(TWO) == frozenset()
    scene.hub.forget(session)
    assert scene.feeds.wanted(ONE) == frozenset()
    scene.played.sources[ONE].error = InvalidInput("symbol", "no such market")
    scene.now += 3600.0
    with pytest.raises(InvalidInput, match="any venue on paper"):
        await MarketTopics(
            Hub(Limits()), MarketFeeds(refusing), scene.board, lambda: ["one", "two"]
        ).open(shared)


async def test_a_venue_that_does_not_answer_holds_up_no_view_of_all(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(market_topics, "JOIN_S", 0.05)
    shared = replace(TOP, venue=None)
    scene.feeds.want(TWO, shared.channel)
    answers = asyncio.Event()
    source = scene.played.sources[TWO]
    follow = source.follow

    async def hang(channels: Any) -> None:
        await answers.wait()
        await follow(channels)

    source.follow = hang  # type: ignore[method-assign]
    scene.feeds.release(TWO, shared.channel)
    running = asyncio.create_task(scene.feeds.run())
    _, client = await scene.follow(shared)
    scene.live(ONE)
    scene.say(ONE, top(99, 101))
    assert told(client, "snapshot")[0]["bid"] == ["99", "1", [["one", "1"]]]
    answers.set()
    await until(lambda: source.carried == {shared.channel})
    scene.live(TWO)
    scene.say(TWO, top(100, 101, TWO))
    assert told(client, "update")[-1]["bid"] == ["100", "1", [["two", "1"]]]
    running.cancel()
    await asyncio.wait([running])


@pytest.mark.parametrize("name", [TOP, replace(TOP, venue=None)])
async def test_who_leaves_while_venues_are_asked_leaves_no_wish(
    scene: Scene, name: MarketName
) -> None:
    for steps in range(12):
        opening = asyncio.create_task(scene.topics.open(name))
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])
        for _ in range(10):
            await asyncio.sleep(0)
        scene.topics.close_unfollowed(name.topic)
        assert scene.feeds.wanted(ONE) == scene.feeds.wanted(TWO) == frozenset(), steps


def refusing(place: Place, deliver: Any) -> Any:
    source = Played().make(place, deliver)
    source.error = InvalidInput("symbol", "no such market")  # type: ignore[attr-defined]
    return source


async def test_two_who_ask_at_once_share_one_channel(scene: Scene) -> None:
    one, other = await asyncio.gather(scene.follow(TOP), scene.follow(TOP))
    assert scene.feeds._places[ONE].wanted[TOP.channel] == 1
    scene.hub.forget(one[0])
    assert scene.feeds.wanted(ONE) == {TOP.channel}
    scene.hub.forget(other[0])
    assert scene.feeds.wanted(ONE) == frozenset()


async def test_who_left_while_it_was_opened_leaves_nothing_behind(scene: Scene) -> None:
    await scene.topics.open(TOP)
    scene.topics.close_unfollowed(TOP.topic)
    assert scene.feeds.wanted(ONE) == frozenset()
    session, _ = await scene.follow(TOP)
    scene.topics.close_unfollowed(TOP.topic)
    assert scene.feeds.wanted(ONE) == {TOP.channel}
    scene.hub.forget(session)
    scene.topics.attach(session, TOP.topic)
    scene.topics.resync(session, TOP.topic)
    scene.topics.close_unfollowed(TOP.topic)


async def test_a_slow_client_gets_states_newest_only_and_trades_in_order(scene: Scene) -> None:
    session, client = await scene.follow(TOP)
    await scene.topics.open(TRADES)
    scene.topics.attach(session, TRADES.topic)
    scene.live(ONE)
    scene.say(ONE, top(99, 101))
    scene.say(ONE, trades(1))
    session.outbox.pause(scene.now)
    for number in range(2, 8):
        scene.say(ONE, top(99, 100 + number))
        scene.say(ONE, trades(number))
    assert session.outbox.waiting == 6, "the trades wait, the prices do not"
    before = len(client.sent)
    session.outbox.resume(scene.now)
    for who, topic in scene.hub.due_for_resync():
        scene.topics.resync(who, topic)
    after = [json.loads(data) for data in client.sent[before:]]
    ids = [t["trade_id"] for m in after if m["channel"] == "trades" for t in m["trades"]]
    assert ids == ["2", "3", "4", "5", "6", "7"]
    prices = [m for m in after if m["channel"] == "top"]
    assert [m["type"] for m in prices] == ["resync", "snapshot", "status"]
    assert prices[1]["ask"] == ["107", "1"]
    scene.say(ONE, top(99, 200))
    update = told(client, "update")[-1]
    assert update["prev_seq"] == prices[1]["seq"]


async def test_a_quiet_market_is_not_stale_while_its_trades_are_followed(scene: Scene) -> None:
    quiet = TradesSeen(trades=(), is_backlog=True, symbol="BTC-PERP")
    _, client = await scene.follow(TRADES)
    scene.say(ONE, quiet)
    scene.live(ONE)
    (snapshot,) = told(client, "snapshot")
    assert snapshot["trades"] == []
    scene.now += 3_600
    scene.check()
    before = [m["stale"] for m in told(client, "status")]
    assert before[-1] is False
    scene.live(ONE, live=False)
    scene.live(ONE)
    assert [m["stale"] for m in told(client, "status")] == [*before, True]
    scene.say(ONE, quiet)
    scene.check()
    assert [m["stale"] for m in told(client, "status")] == [*before, True, False]
    assert told(client, "update") == []
    scene.say(ONE, trades(1))
    (update,) = told(client, "update")
    assert [t["trade_id"] for t in update["trades"]] == ["1"]
    assert update["prev_seq"] == snapshot["seq"]


async def test_no_trade_is_told_twice_after_a_gap(scene: Scene) -> None:
    _, client = await scene.follow(TRADES)
    scene.live(ONE)
    scene.say(ONE, trades(1, 2, is_backlog=True))
    scene.say(ONE, trades(3))
    scene.live(ONE, live=False)
    scene.live(ONE)
    scene.say(ONE, trades(2, 3, 4, 5, is_backlog=True))
    scene.say(ONE, trades(4, 5, is_backlog=True))
    snapshot = told(client, "snapshot")[0]
    assert snapshot["backlog"] is True
    assert [t["trade_id"] for t in snapshot["trades"]] == ["1", "2"]
    updates = told(client, "update")
    assert [[t["trade_id"] for t in m["trades"]] for m in updates] == [["3"], ["4", "5"]]
    assert [m["backlog"] for m in updates] == [False, True]
    for start in range(10, 10 + 3 * TRADES_KEPT, 10):
        scene.say(ONE, trades(*range(start, start + 10)))
    (late,) = told((await scene.follow(TRADES))[1], "snapshot")
    assert len(late["trades"]) == TRADES_KEPT


async def test_candles_grow_and_are_bounded(scene: Scene) -> None:
    _, client = await scene.follow(CANDLES)
    scene.live(ONE)
    for minute in range(CANDLES_KEPT + 5):
        scene.say(ONE, candle(minute, 2))
        scene.say(ONE, candle(minute, 3))
    assert told(client, "update")[-1]["candle"]["close"] == "3"
    (late,) = told((await scene.follow(CANDLES))[1], "snapshot")
    assert len(late["candles"]) == CANDLES_KEPT
    times = [each["open_time"] for each in late["candles"]]
    assert times == sorted(times)


async def test_silence_is_told_with_its_age_again_and_again(scene: Scene) -> None:
    _, client = await scene.follow(BOOK)
    _, quiet = await scene.follow(TOP)
    scene.live(ONE)
    scene.say(ONE, top(99, 101, is_top=False))
    scene.say(ONE, top(99, 101))
    before = len(told(client, "status"))
    scene.now += 5.0
    scene.check()
    assert len(told(client, "status")) == before
    scene.now += 0.125
    scene.check()
    scene.check()
    status = told(client, "status")[-1]
    assert (status["stale"], status["age_ms"]) == (True, 5125)
    assert status["reason"] == "silent for more than 5 s"
    assert len(told(client, "status")) == before + 1
    scene.now += STATUS_AGAIN_S
    scene.check()
    assert told(client, "status")[-1]["age_ms"] == 10_125
    scene.say(ONE, top(99, 101, is_top=False))
    assert told(client, "status")[-1]["stale"] is False
    assert all(not m["stale"] for m in told(quiet, "status")[1:]), "it speaks on changes only"


async def test_another_way_is_told_and_polled_data_ages(scene: Scene) -> None:
    _, client = await scene.follow(TOP)
    scene.live(ONE)
    scene.say(ONE, top(99, 101))
    scene.live(ONE, live=False)
    assert told(client, "status")[-1]["stale"] is True
    scene.say(ONE, top(98, 102), POLL)
    status, update = told(client, "status")[-1], told(client, "update")[-1]
    assert (status["stale"], status["source"], update["source"]) == (False, "poll", "poll")
    scene.now += 6.5
    scene.check()
    assert told(client, "status")[-1]["reason"] == "not answered for more than 6 s"


async def test_a_book_that_changes_wholly_is_sent_whole(scene: Scene) -> None:
    _, client = await scene.follow(BOOK)
    scene.live(ONE)
    scene.say(ONE, top(99, 101, is_top=False))
    scene.say(ONE, top(99, 101, quantity=1, is_top=False))
    scene.say(ONE, top(99, 102, is_top=False))
    scene.say(ONE, top(50, 60, is_top=False))
    same, moved, whole = told(client, "update")
    assert (same["full"], same["bids"], same["asks"]) == (False, [], [])
    assert (moved["full"], moved["bids"]) == (True, [["99", "1"]])
    assert (whole["full"], whole["bids"], whole["asks"]) == (True, [["50", "1"]], [["60", "1"]])


async def test_what_a_venue_says_in_one_turn_reaches_all_in_order_whenever_they_came() -> None:
    turn: list[Callable[[], None]] = []
    scene = Scene(later=turn.append)
    session, early = await scene.follow(TOP)
    scene.live(ONE)
    scene.say(ONE, top(99, 101))
    scene.say(ONE, top(98, 101))
    _, between = await scene.follow(TOP)
    scene.say(ONE, top(97, 101))
    scene.say(ONE, top(96, 101))
    scene.live(ONE, live=False)
    scene.say(ONE, top(95, 101))
    scene.topics.resync(session, TOP.topic)
    scene.say(ONE, top(94, 101))
    assert told(between)[-1].get("bid") != ["94", "1"]
    for do in turn:
        do()

    def heard(client: Client) -> list[str]:
        return [m["bid"][0] if "bid" in m else m["type"] for m in told(client)]

    # The word that all is stale comes after 96, at which it was not, and not before it.
    prices = ["97", "96", "status", "95"]
    assert heard(between) == ["98", "status", *prices, "94"]
    assert heard(early)[-9:] == ["98", *prices, "resync", "95", "status", "94"]
    for client in (early, between):
        for before, after in pairwise(m for m in told(client) if "seq" in m):
            assert after["seq"] == before["seq"] + (after["type"] == "update")
    await scene.feeds.close()
