"""The feeds over real sockets: loss, silence, fragments, refusals, and coming back."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import picows
import pytest

from tests.venues.hyperliquid.building import ADDRESS, META, account
from tests.venues.hyperliquid.test_account_stream import fill_row, fills, frame, update
from venues.connections import ConnectionBudget
from venues.connector import (
    AccountEvent,
    AccountFeed,
    BookSeen,
    FeedState,
    FillsSeen,
    MarketChannel,
    MarketChannelKind,
    OrdersSeen,
)
from venues.hyperliquid import wire
from venues.hyperliquid.account_stream import account_feed
from venues.hyperliquid.market_stream import market_feed
from venues.hyperliquid.translate import instruments
from venues.stream import Backoff, EventQueue, Follower
from venues.stream_core import Step

TEXT = picows.WSMsgType.TEXT
OTHER = "0x" + "0d" * 20


class Exchange:
    """A venue's socket: acknowledges, sends snapshots, and does what a test tells it to."""

    def __init__(self) -> None:
        self.url = ""
        self.sockets: list[picows.WSTransport] = []
        self.users: list[str] = []
        self.heard: list[bytes] = []
        self.opened = 0
        self.acknowledges = True
        self.on_subscribe: Callable[[picows.WSTransport, dict[str, Any]], None] | None = None

    def send(self, payload: bytes, socket: int = -1) -> None:
        self.sockets[socket].send(TEXT, payload)

    def drop(self) -> None:
        for socket in list(self.sockets):
            socket.disconnect(graceful=False)


class _Server(picows.WSListener):
    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self._exchange = exchange

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self._exchange.opened += 1
        self._exchange.sockets.append(transport)
        transport.send(TEXT, b"Websocket connection established.")

    def on_ws_frame(self, transport: picows.WSTransport, frame_: picows.WSFrame) -> None:
        if frame_.msg_type is not TEXT:
            return
        payload = frame_.get_payload_as_bytes()
        self._exchange.heard.append(payload)
        message = json.loads(payload)
        if message["method"] != "subscribe" or not self._exchange.acknowledges:
            return
        subscription = message["subscription"]
        transport.send(TEXT, frame("subscriptionResponse", message))
        if subscription["type"] == "userFills":
            self._exchange.users.append(subscription["user"])
            transport.send(TEXT, fills(snapshot=True, user=subscription["user"]))
        if self._exchange.on_subscribe is not None:
            self._exchange.on_subscribe(transport, subscription)

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self._exchange.sockets.remove(transport)


@asynccontextmanager
async def exchange() -> AsyncIterator[Exchange]:
    made = Exchange()
    server = await picows.ws_create_server(lambda _: _Server(made), "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        made.drop()
        await server.wait_closed()


class Reader:
    """Reads a feed's events with a deadline."""

    def __init__(self, events: AsyncIterator[Any]) -> None:
        self._events = events

    async def next(self, kind: type[Any] | None = None) -> Any:
        async with asyncio.timeout(10):
            async for event in self._events:
                if kind is None or isinstance(event, kind):
                    return event
        raise AssertionError("the feed ended")

    async def until_live(self, live: bool = True) -> FeedState:
        while True:
            state = await self.next(FeedState)
            if state.live is live:
                assert isinstance(state, FeedState)
                return state


@asynccontextmanager
async def following(made: Exchange, **options: Any) -> AsyncIterator[tuple[AccountFeed, Reader]]:
    feed = account_feed(made.url, **options)
    try:
        yield feed, Reader(feed.events())
    finally:
        await feed.close()


def test_it_is_an_account_feed() -> None:
    feed: AccountFeed = account_feed("http://127.0.0.1:1")
    assert feed is not None


async def test_orders_and_fills_come_through_and_a_loss_is_told_and_healed() -> None:
    async with exchange() as made, following(made) as (feed, reader):
        await feed.watch([account()])
        assert (await reader.until_live()).account_id == "acc"
        made.send(frame("orderUpdates", [update("open")]))
        made.send(fills(fill_row(1)))
        assert isinstance(await reader.next(), OrdersSeen)
        assert isinstance(await reader.next(), FillsSeen)
        made.drop()
        lost = await reader.until_live(False)
        assert lost.reason
        await reader.until_live()
        assert made.opened == 2
        made.send(fills(fill_row(2)))
        assert (await reader.next(FillsSeen)).fills[0].trade_id == "2"


async def test_each_account_has_its_own_socket_and_can_be_let_go() -> None:
    second = replace(account(address=OTHER), account_id="second")
    async with exchange() as made, following(made) as (feed, reader):
        await feed.watch([account(), second])
        states = {(await reader.until_live()).account_id for _ in range(2)}
        assert states == {"acc", "second"}
        assert (made.opened, set(made.users)) == (2, {ADDRESS, OTHER})
        await feed.watch([second])
        async with asyncio.timeout(5):
            while len(made.sockets) > 1:
                await asyncio.sleep(0.01)
        await feed.watch([second])
        assert made.opened == 2
        # A changed address is another account at the venue.
        await feed.watch([replace(second, address=ADDRESS)])
        assert (await reader.until_live()).account_id == "second"
        assert made.users[-1] == ADDRESS


async def test_a_message_in_fragments_is_joined() -> None:
    async with exchange() as made, following(made) as (feed, reader):
        await feed.watch([account()])
        await reader.until_live()
        payload = fills(*(fill_row(n) for n in range(50)))
        socket = made.sockets[0]
        socket.send(TEXT, payload[:100], fin=False)
        socket.send(picows.WSMsgType.CONTINUATION, payload[100:200], fin=False)
        socket.send(picows.WSMsgType.PING, b"")
        socket.send(picows.WSMsgType.CONTINUATION, payload[200:])
        assert len((await reader.next(FillsSeen)).fills) == 50


async def test_a_refused_connection_is_told_and_tried_again() -> None:
    feed = account_feed("http://127.0.0.1:1")
    reader = Reader(feed.events())
    await feed.watch([account()])
    assert "no connection" in (await reader.until_live(False)).reason
    await feed.close()
    with pytest.raises(AssertionError, match="ended"):
        await reader.next(FillsSeen)


async def test_a_connection_cut_during_its_handshake_is_made_again() -> None:
    cut = asyncio.Event()

    async def door(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.transport.abort()
        cut.set()

    server = await asyncio.start_server(door, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    feed = account_feed(f"http://127.0.0.1:{port}")
    try:
        reader = Reader(feed.events())
        await feed.watch([account()])
        assert "cut before" in (await reader.until_live(False)).reason
        cut.clear()
        await asyncio.wait_for(cut.wait(), 10)
    finally:
        await feed.close()
        server.close()


async def test_a_close_frame_and_an_unreadable_message_are_reasons() -> None:
    async with exchange() as made, following(made) as (feed, reader):
        await feed.watch([account()])
        await reader.until_live()
        made.sockets[0].send_close(picows.WSCloseCode.TRY_AGAIN_LATER)
        assert "(1013)" in (await reader.until_live(False)).reason
        await reader.until_live()
        made.send(b"nonsense")
        assert "unreadable" in (await reader.until_live(False)).reason
        await reader.until_live()


async def test_connection_limit_is_told_and_waited_for() -> None:
    async with exchange() as made:
        budget = ConnectionBudget(connections_max=1)
        async with following(made, connections=budget) as (feed, reader):
            second = replace(account(address=OTHER), account_id="second")
            await feed.watch([account(), second])
            seen = {}
            for _ in range(2):
                state = await reader.next(FeedState)
                seen[state.account_id] = state
            assert seen["acc"].live
            assert not seen["second"].live
            assert "limit of connections" in seen["second"].reason


async def test_dead_silence_is_noticed_and_pings_are_sent() -> None:
    class Core:
        def __init__(self) -> None:
            self.ticks = 0

        def connected(self, now: float, at: Any) -> Step[str]:
            return Step(events=("connected",))

        def received(self, payload: bytes, now: float, at: Any) -> Step[str]:
            return Step()

        def tick(self, now: float, at: Any) -> Step[str]:
            self.ticks += 1
            return Step(send=(b'{"method":"ping"}',), close="dead" if self.ticks == 2 else None)

        def disconnected(self, reason: str, at: Any) -> tuple[str, ...]:
            return (reason,)

    async with exchange() as made:
        queue: EventQueue[str] = EventQueue()
        url = "ws" + made.url.removeprefix("http") + "/ws"
        follower = Follower(url, Core(), queue, ConnectionBudget())
        follower.apply(Step(events=("before",)))
        task = asyncio.create_task(follower.run())
        reader = Reader(aiter(queue))
        assert [await reader.next() for _ in range(3)] == ["before", "connected", "dead"]
        task.cancel()
        await asyncio.wait([task])
        assert b'{"method":"ping"}' in made.heard


async def test_a_follower_that_breaks_breaks_the_iteration() -> None:
    class Broken:
        def connected(self, now: float, at: Any) -> Step[AccountEvent]:
            return Step()

        def received(self, payload: bytes, now: float, at: Any) -> Step[AccountEvent]:
            return Step()

        def tick(self, now: float, at: Any) -> Step[AccountEvent]:
            return Step()

        def disconnected(self, reason: str, at: Any) -> tuple[AccountEvent, ...]:
            raise ZeroDivisionError(reason)

    queue: EventQueue[AccountEvent] = EventQueue()
    follower = Follower("ws://127.0.0.1:1/ws", Broken(), queue, ConnectionBudget())
    task = asyncio.create_task(follower.run())
    task.add_done_callback(queue.fail_with)
    with pytest.raises(ZeroDivisionError):
        await Reader(aiter(queue)).next()


async def test_a_consumer_far_behind_loses_the_connection_not_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("venues.stream._EVENTS_MAX", 20)
    async with exchange() as made, following(made) as (feed, reader):
        await feed.watch([account()])
        async with asyncio.timeout(10):
            while not made.users:
                await asyncio.sleep(0.01)
            while made.opened < 2:
                if made.sockets:
                    made.send(fills(fill_row(1)))
                await asyncio.sleep(0.002)
        while True:
            state = await reader.next(FeedState)
            if not state.live:
                break
        assert state.reason == "the consumer of the feed is too slow"


async def test_market_feed_subscribes_changes_and_comes_back() -> None:
    markets = instruments(wire.decode(json.dumps(META).encode(), wire.Meta))
    book = MarketChannel(kind=MarketChannelKind.BOOK, symbol="BTC-PERP")
    async with exchange() as made:
        asked: list[dict[str, Any]] = []

        def answer(transport: picows.WSTransport, subscription: dict[str, Any]) -> None:
            asked.append(subscription)
            data = {"coin": subscription["coin"], "time": 1, "levels": [[], []]}
            transport.send(TEXT, frame("l2Book", data))

        made.on_subscribe = answer
        feed = market_feed(made.url, markets)
        reader = Reader(feed.events())
        await feed.subscribe([book])
        await reader.until_live()
        assert (await reader.next(BookSeen)).book.symbol == "BTC-PERP"
        await feed.subscribe([book, replace(book, symbol="ETH-PERP")])
        assert (await reader.next(BookSeen)).book.symbol == "ETH-PERP"
        made.drop()
        await reader.until_live(False)
        await reader.until_live()
        async with asyncio.timeout(5):
            while len(asked) < 4:
                await asyncio.sleep(0.01)
        assert [found["coin"] for found in asked] == ["BTC", "ETH", "BTC", "ETH"]
        await feed.close()
        await feed.close()


def test_backoff_doubles_within_bounds_and_begins_anew() -> None:
    backoff = Backoff(rng=random.Random(7))
    waits = [backoff.next_s() for _ in range(40)]
    assert all(0.25 <= wait <= 30 for wait in waits)
    assert max(waits) > 10
    assert waits[0] <= 0.5
    backoff.lasted(59)
    assert backoff._failures > 0
    backoff.lasted(61)
    assert backoff.next_s() <= 0.5
