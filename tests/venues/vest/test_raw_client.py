"""The simulator against a client written from the page alone: both understand the page alike."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from coincurve import PrivateKey
from eth_account import Account
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.venues.vest.raw_client import RawClient, heard, now_ms
from venues.simulation import operations
from venues.simulation.ownership import open_account
from venues.simulation.server import RunningSimulator, running_simulator


@dataclass
class Corner:
    running: RunningSimulator
    client: RawClient

    @property
    def address(self) -> str:
        return str(Account.from_key(self.client.primary_key).address.lower())

    @property
    def quirks(self) -> Any:
        simulator: Any = self.running.simulator
        return simulator.quirks

    def fill(self, quantity: str | None = None) -> None:
        exchange = self.running.exchange
        (order,) = exchange.tables.live_orders[self.address].values()
        operations.fill_order(exchange, order, Decimal(quantity) if quantity else None, None)


@pytest.fixture
async def corner() -> AsyncIterator[Corner]:
    async with running_simulator(venue="vest") as running, aiohttp.ClientSession() as session:
        keys = [PrivateKey().secret.hex() for _ in range(2)]
        corner = Corner(running, RawClient(running.url, session, keys[0], keys[1]))
        with running.exchange.action("fund"):
            open_account(running.exchange.tables, corner.address, Decimal(100_000))
        status, answer = await corner.client.register()
        assert status == 200, answer
        yield corner


async def test_a_registered_key_places_is_told_and_cancels(corner: Corner) -> None:
    client = corner.client
    async with client.private_socket() as socket:
        status, placed = await client.place()
        assert (status, set(placed)) == (200, {"id"})
        new = await heard(socket)
        assert (new["id"], new["status"], new["nonce"]) == (placed["id"], "NEW", client.last_nonce)
        (row,) = await client.orders(nonce=client.last_nonce)
        assert (row["status"], row["size"], row["limitPrice"]) == ("NEW", "0.0100", "60000.00")
        assert row["lastFilledSize"] is None
        corner.fill("0.0040")
        part = await heard(socket)
        assert (part["status"], part["lastFilledSize"]) == ("PARTIALLY_FILLED", "0.0040")
        assert await client.cancel(placed["id"]) == (200, {"id": placed["id"]})
        end = await heard(socket)
        assert set(end) == {"id", "status", "nonce", "postTime"}
        assert end["status"] == "CANCELLED"
    (row,) = await client.orders(id=placed["id"])
    assert (row["status"], row["lastFilledSize"], row["code"]) == ("CANCELLED", "0.0040", None)


async def test_a_market_order_is_bound_by_its_limit_price(corner: Corner) -> None:
    client = corner.client
    market = {"orderType": "MARKET", "timeInForce": None}
    _, placed = await client.place(**market, limitPrice="66000.00")
    (row,) = await client.orders(id=placed["id"])
    assert (row["status"], row["orderType"]) == ("FILLED", "MARKET")
    _, missed = await client.place(**market, limitPrice="50000.00")
    (row,) = await client.orders(id=missed["id"])
    assert (row["status"], row["code"]) == ("REJECTED", 3001)
    _, account = await client.ask("GET", "/account", time=now_ms())
    (position,) = account["positions"]
    assert (position["size"], position["isLong"]) == ("0.0100", True)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"symbol": "NOPE-PERP"}, 1121),
        ({"size": "0.01001"}, 1111),
        ({"limitPrice": "60000.001"}, 1111),
        ({"size": "0"}, 1130),
        ({"orderType": "STOP_LOSS"}, 1116),
        ({"timeInForce": "IOC"}, 1133),
        ({"orderType": "MARKET"}, 1133),
        ({"timeInForce": None}, 1133),
        ({"time": 1}, 1132),
        ({"key": "0x" + "22" * 32}, 1022),
    ],
)
async def test_what_is_wrong_with_a_request_is_an_error(
    corner: Corner, changes: dict[str, Any], code: int
) -> None:
    status, answer = await corner.client.place(**changes)
    assert (status, answer["code"]) == (400, code), answer
    assert not corner.running.exchange.tables.orders


async def test_what_the_signature_does_not_cover_may_be_changed_and_nothing_else(
    corner: Corner,
) -> None:
    body = corner.client.order()
    body["order"]["timeInForce"] = "FOK"
    status, _ = await corner.client.ask("POST", "/orders", body)
    assert status == 200
    body["order"]["limitPrice"] = "60000.01"
    _, answer = await corner.client.ask("POST", "/orders", body)
    assert answer["code"] == 1022


async def test_the_matching_side_rejects_by_status(corner: Corner) -> None:
    client = corner.client
    cases = (
        ({"size": "900.0000"}, 3002),
        ({"reduceOnly": True, "isBuy": False}, 3018),
        ({"timeInForce": "FOK", "limitPrice": "1000.00"}, 3001),
    )
    for changes, code in cases:
        status, placed = await client.place(**changes)
        assert status == 200
        (row,) = await client.orders(id=placed["id"])
        assert (row["status"], row["code"]) == ("REJECTED", code)
    await client.place(timeInForce="FOK", limitPrice="66000.00")
    larger = {"reduceOnly": True, "isBuy": False, "size": "0.0200", "limitPrice": "60000.00"}
    _, placed = await client.place(**larger)
    (row,) = await client.orders(id=placed["id"])
    assert (row["status"], row["code"]) == ("REJECTED", 3019)


async def test_the_same_bytes_are_executed_twice_unless_that_is_switched_off(
    corner: Corner,
) -> None:
    """Nobody has verified that the venue refuses them: an exchange that did would hide ours."""
    body = corner.client.order()
    for _ in range(2):
        status, _ = await corner.client.ask("POST", "/orders", body)
        assert status == 200
    corner.running.exchange.switches.refuse_duplicate_client_ids = True
    _, answer = await corner.client.ask("POST", "/orders", body)
    assert answer["code"] == 3015
    assert len(await corner.client.orders(nonce=body["order"]["nonce"])) == 2


async def test_keys_and_groups_are_checked(corner: Corner) -> None:
    client = corner.client
    group, key = client.group, client.api_key
    client.group = (group + 1) % 4
    assert (await client.ask("GET", "/account", time=now_ms()))[1]["code"] == 1146
    client.group = 9
    assert (await client.ask("GET", "/exchangeInfo"))[1]["code"] == 1146
    client.group, client.api_key = group, "nobody"
    status, answer = await client.ask("GET", "/account", time=now_ms())
    assert (status, answer["code"]) == (401, 1002)
    client.api_key = key
    assert (await client.ask("GET", "/account"))[1]["code"] == 1130
    assert (await client.register(networkType=1))[1]["code"] == 1024
    assert (await client.register(expiryTime=1))[1]["code"] == 1022
    assert (await client.register(primaryAddr="0x" + "11" * 20))[1]["code"] == 1022
    status, answer = await client.register(signingAddr="0X")
    assert status == 422
    assert answer["detail"][0]["loc"] == ["body"]


async def test_a_second_registration_ends_the_first_api_key(corner: Corner) -> None:
    client = corner.client
    before = client.api_key
    await client.register()
    assert client.api_key != before
    assert (await client.place())[0] == 200
    client.api_key = before
    assert (await client.place())[1]["code"] == 1002


async def test_errors_in_other_envelopes(corner: Corner) -> None:
    corner.quirks.detail_envelope = True
    assert (await corner.client.cancel("0x1"))[1] == {
        "detail": {"code": 3017, "msg": "ORDER_NOT_FOUND"}
    }
    corner.quirks.detail_envelope = False
    corner.quirks.errors_with_200 = True
    assert (await corner.client.cancel("0x1"))[0] == 200
    corner.quirks.takes_any_cancel = True
    assert await corner.client.cancel("0x1") == (200, {"id": "0x1"})


async def test_market_data_is_written_as_the_page_has_it(corner: Corner) -> None:
    client = corner.client
    await client.place(timeInForce="FOK", limitPrice="66000.00")
    _, info = await client.ask("GET", "/exchangeInfo", symbols="BTC-PERP")
    (market,) = info["symbols"]
    assert (market["sizeDecimals"], market["priceDecimals"]) == (4, 2)
    _, depth = await client.ask("GET", "/depth", symbol="BTC-PERP", limit=1)
    assert [len(depth[side]) for side in ("bids", "asks")] == [1, 1]
    assert all(len(number.partition(".")[2]) in (2, 4) for number in depth["bids"][0])
    _, trades = await client.ask("GET", "/trades", symbol="BTC-PERP")
    assert set(trades[0]) == {"id", "price", "qty", "quoteQty", "time"}
    assert isinstance(trades[0]["id"], int)
    _, klines = await client.ask("GET", "/klines", symbol="BTC-PERP", interval="1m")
    assert len(klines[-1]) == 9
    assert isinstance(klines[-1][8], int)
    for path in ("/klines?symbol=BTC-PERP&interval=9m", "/depth?symbol=X", "/trades?symbol=X"):
        assert (await client.ask("GET", path))[1]["code"] in (1121, 1130)


async def test_the_public_socket_subscribes_pings_and_unsubscribes(corner: Corner) -> None:
    corner.quirks.binary_frames = True
    address = f"ws{corner.running.url.removeprefix('http')}/ws-api"
    group = "xwebsocketserver=restserver0"
    async with asyncio.timeout(10), connect(f"{address}?version=1.0&{group}") as socket:
        asked = {"method": "SUBSCRIBE", "params": ["BTC-PERP@depth", "tickers"], "id": 5}
        await socket.send(json.dumps(asked))
        frames = [await socket.recv() for _ in range(3)]
        assert all(isinstance(frame, bytes) for frame in frames)
        read = [json.loads(frame) for frame in frames]
        assert read[0] == {"result": None, "id": 5}
        assert {frame.get("channel") for frame in read[1:]} == {"BTC-PERP@depth", "tickers"}
        await socket.send(json.dumps({**asked, "method": "UNSUBSCRIBE", "id": 6}))
        await socket.send('{"method":"PING","params":[],"id":0}')
        await socket.send(json.dumps({**asked, "params": ["NOPE@depth"], "id": 7}))
        await socket.send("what?")
        answers: list[Any] = []
        while len(answers) < 4:
            frame = json.loads(await socket.recv())
            if "channel" not in frame:
                answers.append(frame)
        assert answers[:2] == [{"result": None, "id": 6}, {"data": "PONG"}]
        assert [answer["code"] for answer in answers[2:]] == [1121, 1130]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("version=2.0&xwebsocketserver=restserver0", 4000),
        ("version=1.0", 4002),
        ("version=1.0&xwebsocketserver=restserver77", 4001),
        ("version=1.0&xwebsocketserver=restserver0&listenKey=none", 4004),
    ],
)
async def test_a_socket_is_closed_with_the_pages_codes(
    corner: Corner, query: str, code: int
) -> None:
    address = f"ws{corner.running.url.removeprefix('http')}/ws-api?{query}"
    assert await closed_with(address) == code


async def test_a_listen_key_is_needed_ends_and_is_extended(corner: Corner) -> None:
    client = corner.client
    base = f"ws{corner.running.url.removeprefix('http')}/ws-api?version=1.0"
    base += f"&xwebsocketserver=restserver{client.group}"
    ask = json.dumps({"method": "SUBSCRIBE", "params": ["account_private"], "id": 1})
    assert await closed_with(base, ask) == 4003
    _, first = await client.ask("POST", "/account/listenKey")
    corner.running.exchange.shift_clock(50 * 60_000)
    _, again = await client.ask("PUT", "/account/listenKey")
    assert again == first
    keyed = f"{base}&listenKey={first['listenKey']}"
    corner.running.exchange.shift_clock(100 * 60_000)
    async with connect(keyed):
        pass
    corner.running.exchange.shift_clock(200 * 60_000)
    assert await closed_with(keyed) == 4005
    await client.ask("DELETE", "/account/listenKey")
    assert await closed_with(keyed) == 4004


async def closed_with(address: str, first: str | None = None) -> int | None:
    """Connect, say something, and return the code that the venue closes with."""
    async with asyncio.timeout(5), connect(address) as socket:
        if first is not None:
            await socket.send(first)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    return int(closed.value.rcvd.code)
