"""`GET /ws`: acknowledgements, snapshots, events, errors and the two ways to be cut off."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.venues.hyperliquid.simulator_client import (
    SimulatorClient,
    frame,
    order_action,
    order_wire,
    trigger_wire,
)
from tests.venues.hyperliquid.simulator_fixtures import client, running

__all__ = ["client", "running"]

CUT = (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


async def test_ping(client: SimulatorClient) -> None:
    socket = await client.socket()
    await socket.send_json({"method": "ping"})
    assert await socket.receive_json() == {"channel": "pong"}


@pytest.mark.parametrize(
    ("wanted", "echo"),
    [
        (
            {"type": "l2Book", "coin": "BTC"},
            {"type": "l2Book", "coin": "BTC", "nSigFigs": None, "mantissa": None, "fast": False},
        ),
        (
            {"type": "l2Book", "coin": "BTC", "nSigFigs": 5, "mantissa": 2, "fast": True},
            {"type": "l2Book", "coin": "BTC", "nSigFigs": 5, "mantissa": 2, "fast": True},
        ),
        ({"type": "bbo", "coin": "BTC"}, {"type": "bbo", "coin": "BTC"}),
        ({"type": "allMids"}, {"type": "allMids"}),
        ({"type": "allMids", "dex": ""}, {"type": "allMids", "dex": ""}),
        (
            {"type": "candle", "coin": "BTC", "interval": "1d"},
            {"type": "candle", "interval": "1d", "coin": "BTC"},
        ),
        ({"type": "trades", "coin": "BTC"}, {"type": "trades", "coin": "BTC"}),
        ({"type": "activeAssetCtx", "coin": "BTC"}, {"type": "activeAssetCtx", "coin": "BTC"}),
    ],
)
async def test_market_channels_are_acknowledged_and_begin(
    client: SimulatorClient, wanted: dict[str, Any], echo: dict[str, Any]
) -> None:
    socket = await client.socket(wanted)
    acknowledged = await socket.receive_json()
    assert acknowledged == {
        "channel": "subscriptionResponse",
        "data": {"method": "subscribe", "subscription": echo},
    }
    data = await frame(socket, wanted["type"])
    match wanted["type"]:
        case "l2Book":
            assert len(data["levels"][0]) == (5 if echo["fast"] else 20)
        case "bbo":
            assert [one["n"] for one in data["bbo"]] == [1, 1]
        case "allMids":
            assert data["mids"]["BTC"] == "65000.0"
        case "candle":
            assert (data["s"], data["i"]) == ("BTC", "1d")
        case "trades":
            assert data == []
        case "activeAssetCtx":
            assert data["ctx"]["markPx"] == "65000.0"


@pytest.mark.parametrize("kind", ["userFills", "userFundings", "userNonFundingLedgerUpdates"])
async def test_histories_begin_with_a_snapshot(client: SimulatorClient, kind: str) -> None:
    await client.order(price="66000", tif="Ioc")
    await client.control("POST", "/funding", {"symbol": "BTC"})
    socket = await client.socket({"type": kind, "user": client.address})
    data = await frame(socket, kind)
    assert data["isSnapshot"] is True
    assert data["user"] == client.address
    if kind == "userFills":
        assert len(data["fills"]) == 1


@pytest.mark.parametrize("kind", ["openOrders", "clearinghouseState", "spotState"])
async def test_state_channels_send_it_whole_at_first_and_on_change(
    client: SimulatorClient, kind: str
) -> None:
    socket = await client.socket({"type": kind, "user": client.address})
    first = await frame(socket, kind)
    assert first["user"] == client.address
    await client.order(cloid=1)
    second = await frame(socket, kind)
    if kind == "openOrders":
        assert (first["orders"], len(second["orders"])) == ([], 1)


async def test_asset_data_names_market_and_user(client: SimulatorClient) -> None:
    socket = await client.socket({"type": "activeAssetData", "user": client.address, "coin": "BTC"})
    data = await frame(socket, "activeAssetData")
    assert (data["user"], data["coin"]) == (client.address, "BTC")


async def test_the_life_of_an_order(client: SimulatorClient) -> None:
    user = {"user": client.address.upper().replace("X", "x")}
    socket = await client.socket(
        {"type": "orderUpdates", **user},
        {"type": "userEvents", **user},
        {"type": "userFills", **user},
    )
    await frame(socket, "userFills")
    oid = await client.resting(cloid=1)
    (update,) = await frame(socket, "orderUpdates")
    assert update["status"] == "open"
    assert update["order"] == {
        "coin": "BTC",
        "side": "B",
        "limitPx": "60000.0",
        "sz": "0.01",
        "oid": oid,
        "timestamp": update["statusTimestamp"],
        "origSz": "0.01",
        "cloid": f"0x{1:032x}",
    }
    await client.control("POST", "/fill", {"venue_order_id": str(oid), "quantity": "0.004"})
    (update,) = await frame(socket, "orderUpdates")
    assert (update["status"], update["order"]["sz"]) == ("open", "0.006")
    event = await frame(socket, "user")
    assert [one["sz"] for one in event["fills"]] == ["0.004"]
    fills = await frame(socket, "userFills")
    assert "isSnapshot" not in fills
    assert (fills["user"], fills["fills"]) == (client.address, event["fills"])
    await client.act({"type": "cancel", "cancels": [{"a": 0, "o": oid}]})
    (update,) = await frame(socket, "orderUpdates")
    assert (update["status"], update["order"]["sz"]) == ("canceled", "0.006")


async def test_cancels_of_the_venues_own_are_named(client: SimulatorClient) -> None:
    socket = await client.socket({"type": "userEvents", "user": client.address})
    await frame(socket, "subscriptionResponse")
    oid = await client.resting(price="64997", cloid=1)
    await client.order(buy=False, price="64997", cloid=2)
    event = await frame(socket, "user")
    assert event == {"nonUserCancel": [{"coin": "BTC", "oid": oid}]}


async def test_funding_is_told_on_two_channels(client: SimulatorClient) -> None:
    await client.order(price="66000", tif="Ioc")
    socket = await client.socket(
        {"type": "userFundings", "user": client.address},
        {"type": "userEvents", "user": client.address},
    )
    await frame(socket, "userFundings")
    await client.control("POST", "/funding", {"symbol": "BTC", "rate": "0.001"})
    told = await frame(socket, "userFundings")
    assert (told["isSnapshot"], told["fundings"][0]["usdc"]) == (False, "-0.65")
    assert (await frame(socket, "user"))["funding"] == told["fundings"][0]


async def test_a_market_tells_trades_bbo_and_candles(client: SimulatorClient) -> None:
    socket = await client.socket(
        {"type": "trades", "coin": "BTC"},
        {"type": "bbo", "coin": "BTC"},
        {"type": "candle", "coin": "BTC", "interval": "1m"},
        {"type": "candle", "coin": "BTC", "interval": "1h"},
    )
    for channel in ("trades", "bbo", "candle", "candle"):
        await frame(socket, channel)
    await client.order(price="66000", size="0.02", tif="Ioc")
    (trade,) = await frame(socket, "trades")
    assert (trade["side"], trade["sz"]) == ("B", "0.02")
    candles = [await frame(socket, "candle") for _ in range(2)]
    assert {one["i"] for one in candles} == {"1m", "1h"}
    assert {one["v"] for one in candles} == {"0.02"}
    await client.control("POST", "/price", {"symbol": "BTC", "price": "70000"})
    best = await frame(socket, "bbo")
    assert float(best["bbo"][0]["px"]) < 70_000 < float(best["bbo"][1]["px"])


async def test_periodic_channels_keep_their_cadence(client: SimulatorClient) -> None:
    fast = {f"{name}_interval_ms": 20 for name in ("book", "fast_book", "mids", "context")}
    await client.control("POST", "/switches", fast)
    socket = await client.socket(
        {"type": "l2Book", "coin": "BTC"},
        {"type": "l2Book", "coin": "ETH", "fast": True},
        {"type": "allMids"},
        {"type": "activeAssetCtx", "coin": "BTC"},
        {"type": "clearinghouseState", "user": client.address},
    )
    wanted = {"l2Book", "allMids", "activeAssetCtx", "clearinghouseState"}
    seen: dict[str, int] = {}
    async with asyncio.timeout(10):
        while any(seen.get(channel, 0) < 4 for channel in wanted):
            channel = (await socket.receive_json())["channel"]
            seen[channel] = seen.get(channel, 0) + 1


class TestErrors:
    @pytest.mark.parametrize(
        "text",
        [
            "hello",
            '{"method":"dance"}',
            '{"method":"subscribe"}',
            '{"method":"subscribe","subscription":{"type":"weather"}}',
            '{"method":"subscribe","subscription":{"type":"bbo","coin":["BTC"]}}',
            '{"method":"subscribe","subscription":{"type":"userFills"}}',
            '{"method":"subscribe","subscription":{"type":"userFills","user":"me"}}',
            '{"method":"post","id":1,"request":{"type":"gossip"}}',
        ],
    )
    async def test_a_frame_that_means_nothing(self, client: SimulatorClient, text: str) -> None:
        socket = await client.socket()
        await socket.send_str(text)
        data = await frame(socket, "error")
        assert data == f"Error parsing JSON into valid websocket request: {text}"

    async def test_twice_and_never(self, client: SimulatorClient) -> None:
        book = {"type": "l2Book", "coin": "SOL"}
        socket = await client.socket(book, book)
        listed = '{"type":"l2Book","coin":"SOL","nSigFigs":null,"mantissa":null,"fast":false}'
        assert await frame(socket, "error") == f"Already subscribed: {listed}"
        for expected in ("subscriptionResponse", "error"):
            await socket.send_json({"method": "unsubscribe", "subscription": book})
            data = await frame(socket, expected)
        assert data == f"Already unsubscribed: {listed}"

    async def test_nothing_comes_after_unsubscribing(self, client: SimulatorClient) -> None:
        updates = {"type": "orderUpdates", "user": client.address}
        socket = await client.socket(updates)
        await socket.send_json({"method": "unsubscribe", "subscription": updates})
        await frame(socket, "subscriptionResponse")
        await frame(socket, "subscriptionResponse")
        await client.order(cloid=1)
        await socket.send_json({"method": "ping"})
        assert await socket.receive_json() == {"channel": "pong"}

    async def test_too_many_users(self, client: SimulatorClient) -> None:
        many = [{"type": "openOrders", "user": f"0x{n:040x}"} for n in range(16)]
        socket = await client.socket(*many)
        assert await frame(socket, "error") == "Cannot track more than 15 total users."

    @pytest.mark.parametrize(
        "wanted",
        [
            {"type": "bbo", "coin": "NOPE"},
            {"type": "trades", "coin": "btc"},
            {"type": "l2Book", "coin": "BTC", "nSigFigs": 6},
            {"type": "l2Book", "coin": "BTC", "nSigFigs": 4, "mantissa": 2},
            {"type": "candle", "coin": "BTC", "interval": "7m"},
            {"type": "activeAssetData", "coin": "NOPE", "user": "0x" + "ab" * 20},
        ],
    )
    async def test_a_bad_parameter_kills_the_socket_without_a_word(
        self, client: SimulatorClient, wanted: dict[str, Any]
    ) -> None:
        socket = await client.socket({"type": "allMids"})
        await frame(socket, "allMids")
        await socket.send_json({"method": "subscribe", "subscription": wanted})
        message = await socket.receive(5)
        assert message.type in CUT
        assert socket.close_code in (None, 1006)

    async def test_sixty_seconds_of_silence_end_it(self, client: SimulatorClient) -> None:
        await client.control("POST", "/switches", {"socket_silence_ms": 150})
        quiet = await client.socket({"type": "orderUpdates", "user": client.address})
        await frame(quiet, "subscriptionResponse")
        assert (await quiet.receive(5)).type in CUT


class TestPost:
    async def _post(self, socket: Any, number: int, kind: str, payload: Any) -> Any:
        request = {"type": kind, "payload": payload}
        await socket.send_json({"method": "post", "id": number, "request": request})
        data = await frame(socket, "post")
        assert data["id"] == number
        return data["response"]

    async def test_actions_are_answered_as_over_http(self, client: SimulatorClient) -> None:
        socket = await client.socket()
        body = client.signed(order_action(order_wire(cloid=1)))
        answer = await self._post(socket, 5, "action", body)
        assert answer["type"] == "action"
        assert "resting" in answer["payload"]["response"]["data"]["statuses"][0]
        again = await self._post(socket, 6, "action", body)
        assert "duplicate nonce" in again["payload"]["response"]

    async def test_queries_name_their_type(self, client: SimulatorClient) -> None:
        socket = await client.socket()
        answer = await self._post(socket, 1, "info", {"type": "l2Book", "coin": "BTC"})
        assert (answer["type"], answer["payload"]["type"]) == ("info", "l2Book")
        assert answer["payload"]["data"]["coin"] == "BTC"
        nothing = await self._post(socket, 2, "info", {"type": "l2Book", "coin": "NOPE"})
        assert nothing["payload"]["data"] is None
        failing = await self._post(socket, 3, "info", {"type": "recentTrades", "coin": "NOPE"})
        assert failing["payload"]["data"] is None

    async def test_errors_carry_the_status(self, client: SimulatorClient) -> None:
        socket = await client.socket()
        assert (await self._post(socket, 1, "action", {"nonsense": 1}))["payload"].startswith("422")
        assert (await self._post(socket, 2, "info", {"type": "weather"}))["type"] == "error"
        await client.control("POST", "/faults", {"kind": "429"})
        limited = await self._post(socket, 3, "action", client.signed({"type": "noop"}))
        assert limited == {"type": "error", "payload": "429 null"}

    async def test_a_hundred_may_be_in_flight(self, client: SimulatorClient) -> None:
        await client.control("POST", "/switches", {"commit_delay_ms": 300})
        socket = await client.socket()
        for number in range(101):
            request = {"type": "action", "payload": client.signed({"type": "noop"})}
            await socket.send_json({"method": "post", "id": number, "request": request})
        assert await frame(socket, "error") == "too many pending post requests id=100"


async def test_a_client_that_does_not_read_is_cut_off(
    client: SimulatorClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    import venues.simulation.socket as module

    monkeypatch.setattr(module, "_QUEUE_MAX", 5)
    socket = await client.socket({"type": "trades", "coin": "BTC"})
    await frame(socket, "trades")
    for _ in range(20):
        # All frames of one turn of the loop have to fit in the queue.
        await socket.send_str("nonsense")
    message = await socket.receive(5)
    while message.type is aiohttp.WSMsgType.TEXT:
        message = await socket.receive(5)
    assert message.type in CUT


async def test_triggered_orders_are_told_step_by_step(client: SimulatorClient) -> None:
    await client.order(price="66000", tif="Ioc")
    socket = await client.socket({"type": "orderUpdates", "user": client.address})
    await frame(socket, "subscriptionResponse")
    await client.order(
        buy=False, price="50000", reduce_only=True, trigger=trigger_wire("60000", "sl"), cloid=1
    )
    assert [one["status"] for one in await frame(socket, "orderUpdates")] == ["open"]
    await client.control("POST", "/price", {"symbol": "BTC", "price": "59000"})
    told = await frame(socket, "orderUpdates")
    assert [one["status"] for one in told] == ["triggered", "filled"]
