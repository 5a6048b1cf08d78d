"""The simulated venue's socket: subscriptions, heartbeat, and trading over it."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.venues.pacifica.building import OWNER
from tests.venues.pacifica.test_simulator import ORDER, Hand, a_hand

CLIENT_ID = "7b22b026-1b4f-4823-95bc-cb584a783b18"


class Socket:
    """One connection, read frame by frame."""

    def __init__(self, hand: Hand, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.hand = hand
        self._socket = socket

    async def say(self, frame: Any) -> None:
        await self._socket.send_str(frame if isinstance(frame, str) else json.dumps(frame))

    async def hear(self, channel: str | None = None) -> Any:
        async with asyncio.timeout(5):
            while True:
                message = await self._socket.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return None
                frame = json.loads(message.data)
                if channel is None or frame.get("channel") == channel:
                    return frame

    async def subscribe(self, source: str, **more: Any) -> Any:
        await self.say({"method": "subscribe", "params": {"source": source, **more}})
        return await self.hear("subscribe")

    async def trade(self, kind: str, body: Any) -> Any:
        request_id = str(uuid.uuid4())
        await self.say({"id": request_id, "params": {kind: body}})
        while (answer := await self.hear()).get("id") != request_id:
            pass
        return answer


@pytest.fixture
async def socket() -> AsyncIterator[Socket]:
    async with (
        a_hand() as hand,
        aiohttp.ClientSession() as session,
        session.ws_connect(hand.running.ws_url) as connected,
    ):
        yield Socket(hand, connected)


async def test_heartbeat_and_what_is_no_request(socket: Socket) -> None:
    await socket.say({"method": "ping"})
    assert await socket.hear() == {"channel": "pong"}
    unknown = {"method": "subscribe", "params": {"source": "x"}}
    wrong_frames: tuple[Any, ...] = ("no json", {"op": "ping"}, [], unknown)
    for wrong in wrong_frames:
        await socket.say(wrong)
        assert (await socket.hear())["code"] == 400


async def test_what_does_not_exist_is_answered_by_nothing(socket: Socket) -> None:
    for wanted in ({"source": "book", "symbol": "DOGE"}, {"source": "candle", "symbol": "BTC"}):
        await socket.say({"method": "subscribe", "params": wanted})
    await socket.say({"method": "ping"})
    assert await socket.hear() == {"channel": "pong"}


async def test_snapshots_and_acknowledgements(socket: Socket) -> None:
    assert (await socket.subscribe("account_info", account=OWNER))["data"] == {
        "source": "account_info",
        "account": OWNER,
        "full": False,
    }
    assert (await socket.hear())["data"]["ae"] == "100000"
    acknowledged = await socket.subscribe("book", symbol="BTC", agg_level=1)
    assert acknowledged["data"] == {"source": "book", "symbol": "BTC"}
    assert len((await socket.hear("book"))["data"]["l"][0]) == 10
    await socket.subscribe("account_positions", account=OWNER)
    positions = await socket.hear("account_positions")
    assert positions["data"] == [] and isinstance(positions["li"], int)
    await socket.say({"method": "unsubscribe", "params": {"source": "book", "symbol": "BTC"}})
    assert await socket.hear("unsubscribe")


async def test_twenty_of_a_channel_and_no_more(socket: Socket) -> None:
    for number in range(20):
        await socket.subscribe("account_trades", account=f"{OWNER}{number}")
    await socket.say(
        {"method": "subscribe", "params": {"source": "account_trades", "account": OWNER}}
    )
    assert (await socket.hear())["code"] == 429


async def test_the_life_of_an_order_as_it_was_recorded(socket: Socket) -> None:
    await socket.subscribe("account_order_updates", account=OWNER)
    data = {**ORDER, "client_order_id": CLIENT_ID}
    answer = await socket.trade("create_order", socket.hand.body("create_order", data))
    assert (answer["code"], answer["type"]) == (200, "create_order")
    assert answer["data"]["I"] == CLIENT_ID
    assert set(answer["rl"]) == {"q", "r", "t"}
    cancel = {"symbol": "BTC", "client_order_id": CLIENT_ID}
    answer = await socket.trade("cancel_order", socket.hand.body("cancel_order", cancel))
    assert answer["data"] == {"I": CLIENT_ID, "i": None, "s": "BTC"}
    again = await socket.trade("cancel_order", socket.hand.body("cancel_order", cancel))
    assert (again["code"], again["err"]) == (420, f"Unused client order id: {CLIENT_ID}")
    forged = {**socket.hand.body("cancel_order", cancel), "symbol": "ETH"}
    assert (await socket.trade("cancel_order", forged))["code"] == 400
    assert (await socket.trade("cancel_order", {}))["code"] == 400
    assert (await socket.trade("withdraw", {}))["code"] == 400


async def test_an_order_that_fills_as_it_comes_has_two_rows_of_one_number(socket: Socket) -> None:
    await socket.subscribe("account_order_updates", account=OWNER)
    market = {"symbol": "BTC", "amount": "0.01", "side": "bid", "reduce_only": False}
    await socket.hand.post("/orders/create_market", {**market, "slippage_percent": "1"})
    made, filled = (await socket.hear("account_order_updates"))["data"]
    assert (made["oe"], made["os"], made["f"]) == ("make", "open", "0")
    assert (filled["oe"], filled["os"], filled["f"]) == ("fulfill_market", "filled", "0.01")
    assert made["li"] == filled["li"] >= filled["i"]
    _, second = await socket.hand.post("/orders/create", ORDER)
    assert second["data"]["order_id"] > made["li"]


async def test_a_batch_over_the_socket(socket: Socket) -> None:
    action = {"type": "Create", "data": socket.hand.body("create_order", ORDER)}
    answer = await socket.trade("batch_orders", {"actions": [action]})
    assert answer["data"]["results"][0]["success"] is True


async def test_open_orders_as_a_channel(socket: Socket) -> None:
    await socket.hand.post("/orders/create", ORDER)
    await socket.subscribe("account_orders", account=OWNER)
    (listed,) = (await socket.hear("account_orders"))["data"]
    assert (listed["s"], listed["d"], listed["f"]) == ("BTC", "bid", "0")


async def test_a_client_that_says_nothing_is_cut_off(socket: Socket) -> None:
    socket.hand.running.exchange.switches.socket_silence_ms = 1
    assert await socket.hear() is None
