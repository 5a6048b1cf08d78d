"""Market data from the simulated exchange to clients' sockets, through the whole process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from bus.market_requests import BookRequest
from domain.accounts import Network
from storage.opening import Storage
from streaming.app import StreamingApp
from tests.bus.valkey import running_valkey
from tests.streaming.floor import Floor
from tests.streaming.sockets import TOKEN, Served, ask, hear
from tests.streaming.stage import Stage
from tests.streaming.test_app import floor, working
from tests.streaming.test_bridge import Workflows
from tests.streaming.test_ingest import until

__all__ = ["floor"]

PLACE = {"venue": "hyperliquid", "network": "paper", "symbol": "BTC-PERP"}


@pytest.fixture
async def at_work(floor: Floor, storage: Storage) -> AsyncIterator[tuple[StreamingApp, Served]]:
    with running_valkey() as valkey:
        async with working(storage, Workflows(), valkey) as (app, served):
            await until(lambda: app.bus.is_up)
            yield app, served


@asynccontextmanager
async def client_of(served: Served, path: str = "markets") -> AsyncIterator[ClientConnection]:
    async with connect(f"ws://127.0.0.1:{served.port}/ws/v1/{path}") as client:
        assert (await hear(client))["channel"] == path
        assert (await ask(client, op="auth", token=TOKEN))["type"] == "ack"
        yield client


async def subscribe(client: ClientConnection, channel: str, **more: Any) -> dict[str, Any]:
    wanted = {"op": "subscribe", "channel": channel, "id": 7, **PLACE, **more}
    await client.send(json.dumps(wanted))
    return await message_of(client, lambda m: m["type"] == "ack" and m["channel"] == channel)


async def message_of(
    client: ClientConnection, fits: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Return the next message that fits."""
    async with asyncio.timeout(15):
        while not fits(message := await hear(client, 15.0)):
            assert message["type"] != "error", message
    return message


async def until_type(client: ClientConnection, kind: str, channel: str) -> dict[str, Any]:
    return await message_of(client, lambda m: m["type"] == kind and m.get("channel") == channel)


class Follower:
    """A client's own view of a book, from snapshot and updates alone."""

    def __init__(self, snapshot: dict[str, Any]) -> None:
        self.seq = snapshot["seq"]
        self.sides = {side: dict(snapshot[side]) for side in ("bids", "asks")}

    def take(self, update: dict[str, Any]) -> None:
        assert update["prev_seq"] == self.seq
        assert update["seq"] == self.seq + 1
        self.seq = update["seq"]
        for side, levels in self.sides.items():
            if update["full"]:
                levels.clear()
            for price, quantity in update[side]:
                if quantity == "0":
                    del levels[price]
                else:
                    levels[price] = quantity

    def best(self) -> tuple[Decimal, Decimal]:
        bids, asks = (map(Decimal, self.sides[side]) for side in ("bids", "asks"))
        return max(bids), min(asks)


async def test_every_channel_from_the_venue_to_a_socket(
    floor: Floor, at_work: tuple[StreamingApp, Served]
) -> None:
    _, served = at_work
    await floor.open_account()
    await floor.send(1, price=floor.bid * 2, quantity="0.25")
    async with client_of(served) as client:
        for channel in ("book", "top", "ticker", "trades"):
            ack = await subscribe(client, channel)
            assert ack["markets"] == [{"channel": channel, "interval": None, **PLACE}]
            first = await message_of(client, lambda m: m["channel"] == channel)  # noqa: B023
            assert (first["type"], first["stale"], first["age_ms"]) == ("status", True, None)
            first = await until_type(client, "snapshot", channel)
            assert first["snapshot"] is True
            assert first["symbol"] == "BTC-PERP"
            status = await until_type(client, "status", channel)
            assert (status["stale"], status["source"]) == (False, "stream")
        await subscribe(client, "candles", interval="1m")
        await floor.send(2, price=floor.bid * 2, quantity="0.5")
        seen: set[tuple[str, str]] = set()
        while not {("update", "trades"), ("snapshot", "candles"), ("update", "ticker")} <= seen:
            message = await hear(client, 10.0)
            seen.add((message["type"], message["channel"]))
            if message["type"] == "update" and message["channel"] == "trades":
                assert not message["backlog"]
                assert sum(Decimal(each["quantity"]) for each in message["trades"]) == Decimal(
                    "0.5"
                )
            if message["type"] == "snapshot" and message["channel"] == "candles":
                assert message["candles"][-1]["open_time"]
                assert message["interval"] == "1m"


async def test_a_book_is_the_same_from_its_changes(
    floor: Floor, at_work: tuple[StreamingApp, Served]
) -> None:
    app, served = at_work
    async with client_of(served) as client:
        await subscribe(client, "book")
        follower = Follower(await until_type(client, "snapshot", "book"))
        book = await floor.connector.order_book("BTC-PERP")
        assert book.mid_price is not None
        for step in range(1, 5):
            price = (book.mid_price * (1 + Decimal(step) / 1000)).quantize(Decimal(1))
            await floor.control("/price", {"symbol": "BTC", "price": str(price)})
            deltas = 0
            while not follower.best()[0] <= price <= follower.best()[1]:
                update = await until_type(client, "update", "book")
                deltas += not update["full"]
                follower.take(update)
        follower.take(await until_type(client, "update", "book"))
        assert app.server.markets is not None
        async with client_of(served) as second:
            await subscribe(second, "book")
            fresh = Follower(await until_type(second, "snapshot", "book"))
            while follower.seq < fresh.seq:
                follower.take(await until_type(client, "update", "book"))
            assert follower.sides == fresh.sides


async def test_what_cannot_be_followed_is_an_error_and_changes_nothing(
    at_work: tuple[StreamingApp, Served],
) -> None:
    app, served = at_work
    async with client_of(served) as client:
        await subscribe(client, "ticker")
        for wrong, field in (
            ({"channel": "ticker", "symbol": "NONE-PERP"}, "symbol"),
            ({"channel": "ticker", "symbol": "btc"}, "symbol"),
            ({"channel": "ticker", "venue": "elsewhere"}, "venue"),
            ({"channel": "ticker", "venue": None}, "venue"),
            ({"channel": "candles", "interval": "7m"}, "interval"),
            ({"channel": "candles"}, "interval"),
            ({"channel": "book", "interval": "1m"}, "interval"),
            ({"channel": "book", "account_id": "acc-1"}, "account_id"),
            ({"channel": "orders"}, "channel"),
            ({"channel": None}, "channel"),
            ({"channel": "book", "venue": None, "symbol": "NONE-PERP"}, "symbol"),
        ):
            await client.send(json.dumps({"op": "subscribe", "id": 1, **PLACE, **wrong}))
            error = await error_of(client)
            assert (error["code"], error["field"]) == ("invalid_input", field), (wrong, error)
        (session,) = app.server.hub.sessions
        assert [topic.channel for topic in session.subscriptions] == ["ticker"]


async def error_of(client: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(15):
        while (message := await hear(client, 15.0))["type"] != "error":
            pass
    return message


async def test_what_nobody_follows_any_more_is_dropped_at_the_venue(
    at_work: tuple[StreamingApp, Served],
) -> None:
    app, served = at_work

    def wanted() -> set[str]:
        places = app.feeds._places
        return {channel.kind.value for place in places for channel in app.feeds.wanted(place)}

    async with client_of(served) as first:
        await subscribe(first, "book")
        await subscribe(first, "top")
        async with client_of(served) as second:
            await subscribe(second, "book")
            assert wanted() == {"book", "top"}
            ack = await unsubscribe(first, channel="book", **PLACE)
            assert ack["markets"] == [{"channel": "book", "interval": None, **PLACE}]
            assert wanted() == {"book", "top"}
        await until(lambda: wanted() == {"top"})
        assert (await unsubscribe(first, channel="top"))["markets"][0]["channel"] == "top"
        assert wanted() == set()
        await subscribe(first, "ticker")
        await unsubscribe(first)
        assert wanted() == set()
        await first.send(json.dumps({"op": "unsubscribe", "channel": "top", **PLACE}))
        assert (await error_of(first))["message"] == "not subscribed"


async def unsubscribe(client: ClientConnection, **named: Any) -> dict[str, Any]:
    await client.send(json.dumps({"op": "unsubscribe", "id": 9, **named}))
    return await message_of(client, lambda m: m["type"] == "ack")


async def test_one_socket_carries_everything(
    floor: Floor, stage: Stage, at_work: tuple[StreamingApp, Served]
) -> None:
    app, served = at_work
    await floor.open_account()
    app.ingest.wake()
    await until(lambda: app.board.of("acc-1").live)
    async with client_of(served, "stream") as client:
        for channel in ("orders", "positions", "account"):
            ack = await ask(client, op="subscribe", channel=channel, account_id="acc-1")
            assert (ack["channel"], ack["accounts"]) == (channel, ["acc-1"])
            assert (await hear(client))["type"] == "snapshot"
            assert (await hear(client))["type"] == "status"
        await subscribe(client, "top")
        await floor.send(1)
        seen: set[tuple[str, str]] = set()
        while not {("update", "orders"), ("snapshot", "top")} <= seen:
            message = await hear(client, 10.0)
            seen.add((message["type"], message["channel"]))
        no_channel = await ask_past_updates(client, op="subscribe", account_id="acc-1")
        assert no_channel["field"] == "channel"
        mixed = await ask_past_updates(client, op="subscribe", channel="orders", symbol="BTC-PERP")
        assert mixed["field"] == "symbol"
        ack = await unsubscribe(client)
        assert (ack["accounts"], len(ack["markets"])) == (["acc-1"] * 3, 1)
        (session,) = app.server.hub.sessions
        assert session.subscriptions == {}


async def ask_past_updates(client: ClientConnection, **message: Any) -> dict[str, Any]:
    await client.send(json.dumps(message))
    return await error_of(client)


async def test_a_lost_connection_is_told_at_once_and_its_end_too(
    floor: Floor, at_work: tuple[StreamingApp, Served]
) -> None:
    _, served = at_work
    async with client_of(served) as client:
        await subscribe(client, "ticker")
        await until_type(client, "snapshot", "ticker")
        assert not (await until_type(client, "status", "ticker"))["stale"]
        await floor.control("/maintenance", {"on": True})
        await floor.cut()
        gone = await until_type(client, "status", "ticker")
        assert gone["stale"] and gone["age_ms"] is not None
        assert gone["reason"] == "the connection to the venue is lost"
        await floor.control("/maintenance", {"on": False})
        while (await until_type(client, "status", "ticker"))["stale"]:
            pass


async def test_subscriptions_of_one_client_are_bounded(
    at_work: tuple[StreamingApp, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, served = at_work
    assert app.server.markets is not None
    async with client_of(served) as client:
        limits = app.server._limits
        object.__setattr__(limits, "subscriptions_max", 1)
        await subscribe(client, "ticker")
        await client.send(json.dumps({"op": "subscribe", "channel": "top", **PLACE}))
        assert (await error_of(client))["code"] == "not_allowed"
        # The same again is no further one: it brings a new snapshot.
        await client.send(json.dumps({"op": "subscribe", "channel": "ticker", **PLACE}))
        await until_type(client, "snapshot", "ticker")


async def test_all_venues_together_when_none_is_named(
    floor: Floor, at_work: tuple[StreamingApp, Served]
) -> None:
    _, served = at_work
    async with client_of(served) as client:
        await subscribe(client, "book", venue=None)
        book = await until_type(client, "snapshot", "book")
        assert book["venue"] is None
        price, quantity, shares = book["bids"][0]
        assert shares == [["hyperliquid", quantity]]
        assert Decimal(price) < Decimal(book["asks"][0][0])
        assert [(each["venue"], each["included"]) for each in book["venues"]] == [
            ("hyperliquid", True)
        ]
        await subscribe(client, "top", venue=None)
        top = await until_type(client, "snapshot", "top")
        assert top["bid"][2][0][0] == "hyperliquid"
        update = await until_type(client, "update", "book")
        assert update["seq"] == update["prev_seq"] + 1
        await floor.control("/maintenance", {"on": True})
        await floor.cut()
        message = await message_of(
            client, lambda m: m["type"] == "update" and m["channel"] == "book" and not m["bids"]
        )
        assert not message["venues"][0]["included"]
        status = await until_type(client, "status", "book")
        assert status["stale"]


async def test_nobody_unknown_follows_markets(at_work: tuple[StreamingApp, Served]) -> None:
    _, served = at_work
    async with connect(f"ws://127.0.0.1:{served.port}/ws/v1/markets") as client:
        await hear(client)
        await client.send(json.dumps({"op": "subscribe", "channel": "top", **PLACE}))
        async with asyncio.timeout(5):
            await client.wait_closed()
        assert client.close_code == 4001


async def test_a_followed_book_is_answered_without_asking_the_venue(
    floor: Floor, at_work: tuple[StreamingApp, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, served = at_work

    def request(depth: int, symbol: str = "BTC-PERP") -> BookRequest:
        return BookRequest(
            request_id="r",
            venue="hyperliquid",
            network=Network.PAPER,
            symbol=symbol,
            depth=depth,
            until_ms=2**62,
        )

    connector: Any = await app.connectors.of("hyperliquid", Network.PAPER)
    asked: list[str] = []
    really = connector.order_book

    async def order_book(symbol: str, *, depth: int = 20) -> Any:
        asked.append(symbol)
        return await really(symbol, depth=depth)

    monkeypatch.setattr(connector, "order_book", order_book)
    await app.books.book(request(5))
    assert asked == ["BTC-PERP"]
    async with client_of(served) as client:
        await subscribe(client, "book")
        await until_type(client, "snapshot", "book")
        answered = await app.books.book(request(3))
        assert (len(answered.bids), len(answered.asks)) == (3, 3)
        assert asked == ["BTC-PERP"]
        assert len((await app.books.book(request(20))).bids) > 5, "the stream has no 20 levels"
        assert asked == ["BTC-PERP"] * 2
        await subscribe(client, "top", symbol="ETH-PERP")
        await until_type(client, "snapshot", "top")
        assert len((await app.books.book(request(1, "ETH-PERP"))).bids) == 1
        assert asked == ["BTC-PERP"] * 2
