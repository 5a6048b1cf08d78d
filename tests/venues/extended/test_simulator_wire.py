"""The simulated venue's wire by hand: headers, both kinds of sockets, refusals of form."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from tests.venues.extended.test_signing import VECTORS
from venues.extended.simulator import simulator
from venues.extended.simulator_hashing import Claim, domain_hash, is_signed, message_hash
from venues.simulation import operations
from venues.simulation.exchange import open_exchange
from venues.simulation.faults import FaultKind, FaultPlan
from venues.simulation.server import RunningSimulator, running_simulator

STREAM = "/stream.extended.exchange"


@dataclass
class Wire:
    running: RunningSimulator
    session: aiohttp.ClientSession
    api_key: str

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        async with self.session.get(f"{self.running.url}{path}", headers=headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text.startswith("{") else text

    async def own(self, path: str) -> tuple[int, Any]:
        return await self.get(path, **{"X-Api-Key": self.api_key})

    async def move(self, price: int) -> None:
        exchange = self.running.exchange
        await exchange.durable(operations.set_price(exchange, "BTC-USD", Decimal(price)))
        await asyncio.sleep(0)  # listeners hear of it in the next turn


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with running_simulator(venue="extended") as running:
        opened = await running.simulator.open_account(Decimal(1000), "wire")
        async with aiohttp.ClientSession() as session:
            yield Wire(running, session, opened["api_key"])


@pytest.mark.parametrize(("terms", "digest", "r", "s"), VECTORS)
def test_its_own_hashing_agrees_with_the_librarys(terms: Any, digest: str, r: str, s: str) -> None:
    key = 0x61C5E7E8339B7D56F197F54EA91B776776690E3232313DE0F2ECBD0EF76F466
    claim = Claim(
        is_buy=terms.side.value == "BUY",
        quantity="0.00100",
        price="84077",
        fees=("0.0002", "0.00005"),
        expiry_ms=terms.expiry_ms,
        nonce=terms.salt,
        vault=10002,
        public_key=key,
        synthetic_id=terms.assets.synthetic_id,
        synthetic_resolution=terms.assets.synthetic_resolution,
    )
    assert hex(message_hash(claim, terms.chain_id)) == digest
    assert is_signed(claim, terms.chain_id, int(r, 16), int(s, 16))
    assert not is_signed(claim, terms.chain_id, int(s, 16), int(r, 16))


def test_the_domain_of_the_test_chain() -> None:
    known = 2788850828067604540663615870177667078542240404906059806659101905868929188327
    assert domain_hash("SN_SEPOLIA") == known


async def test_who_does_not_say_what_it_is_gets_nothing(wire: Wire) -> None:
    assert (await wire.get("/api/v1/info/markets", **{"User-Agent": ""}))[0] == 403
    assert (await wire.get("/api/v1/info/markets"))[0] == 200
    assert (await wire.get("/api/v1/user/orders"))[0] == 401
    assert (await wire.own("/api/v1/user/orders"))[0] == 200


async def test_one_request_too_many_where_that_is_counted(wire: Wire) -> None:
    limited = simulator(open_exchange(None), FaultPlan(), {"SIM_EXTENDED_REQUESTS": "3"})
    assert limited is not None
    with pytest.raises(ValueError, match="SIM_EXTENDED_REQUESTS"):
        simulator(open_exchange(None), FaultPlan(), {"SIM_EXTENDED_REQUESTS": "none"})
    wire.running.exchange.switches.ip_limit = True
    simulator_of_it: Any = wire.running.simulator
    simulator_of_it._per_minute = 3
    statuses = [(await wire.get("/api/v1/info/markets"))[0] for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    wire.running.exchange.shift_clock(61_000)
    assert (await wire.get("/api/v1/info/markets"))[0] == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/info/markets?market=NO-USD", 400),
        ("/info/markets/NO-USD/orderbook", 400),
        ("/info/candles/BTC-USD/trades?interval=PT7M", 400),
        ("/info/candles/BTC-USD/nothing?interval=PT1M", 400),
        ("/info/BTC-USD/funding", 400),
        ("/info/BTC-USD/funding?startTime=x&endTime=1", 400),
        ("/user/orders/7", 404),
        ("/user/trades?limit=0", 400),
        ("/user/leverage?market=NO-USD", 400),
        ("/user/positions?market=BTC-USD", 200),
        ("/user/leverage", 200),
    ],
)
async def test_questions_that_make_no_sense(wire: Wire, path: str, status: int) -> None:
    found, answer = await wire.own("/api/v1" + path)
    assert found == status
    assert answer["status"] == ("OK" if status == 200 else "ERROR")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/user/order", "{", 422),
        ("POST", "/user/order", '{"id": "x"}', 422),
        ("POST", "/user/order/massCancel", "[]", 422),
        ("PATCH", "/user/leverage", "{}", 422),
        ("PATCH", "/user/leverage", '{"market":"BTC-USD","leverage":"0.5"}', 400),
        ("PATCH", "/user/leverage", '{"market":"BTC-USD","leverage":"51"}', 400),
        ("PATCH", "/user/leverage", '{"market":"BTC-USD","leverage":"3.5"}', 400),
        ("PATCH", "/user/leverage", '{"market":"NO-USD","leverage":"3"}', 400),
        ("POST", "/user/deadmanswitch", "", 400),
        ("DELETE", "/user/order?externalId=nobody", "", 404),
        ("DELETE", "/user/order/7", "", 404),
    ],
)
async def test_commands_of_no_known_shape(
    wire: Wire, method: str, path: str, body: str, status: int
) -> None:
    url, headers = f"{wire.running.url}/api/v1{path}", {"X-Api-Key": wire.api_key}
    async with wire.session.request(method, url, data=body, headers=headers) as answer:
        assert answer.status == status
        assert (await answer.json(content_type=None))["status"] == "ERROR"


# Sockets


async def heard(socket: aiohttp.ClientWebSocketResponse) -> Any:
    return json.loads((await socket.receive(timeout=5)).data)


async def test_the_first_kind_tells_one_thing_numbered_from_one(wire: Wire) -> None:
    url = wire.running.url + STREAM + "/v1"
    async with wire.session.ws_connect(f"{url}/orderbooks/BTC-USD") as book:
        whole = await heard(book)
        assert (whole["type"], whole["seq"], whole["data"]["d"]) == ("SNAPSHOT", 1, "f")
        await wire.move(66000)
        change = await heard(book)
        assert (change["type"], change["seq"]) == ("DELTA", 2)
        sizes = {row["p"]: Decimal(row["q"]) for row in whole["data"]["b"]}
        for row in change["data"]["b"]:
            assert sizes.get(row["p"], Decimal(0)) + Decimal(row["q"]) == Decimal(row["c"])
    async with wire.session.ws_connect(f"{url}/orderbooks/BTC-USD?depth=1") as top:
        best = (await heard(top))["data"]
        assert (len(best["b"]), len(best["a"]), best["d"]) == (1, 1, "1")
    for path, kind in (("prices/mark", "MP"), ("prices/index", "IP")):
        async with wire.session.ws_connect(f"{url}/{path}/BTC-USD") as prices:
            frame = await heard(prices)
            assert (frame["type"], frame["data"]["p"], frame["seq"]) == (kind, "66000", 1)
    async with wire.session.ws_connect(f"{url}/funding/BTC-USD") as funding:
        assert "type" not in (frame := await heard(funding))
        assert frame["data"]["m"] == "BTC-USD"
    candles = f"{url}/candles/BTC-USD/trades?interval=PT1M"
    async with wire.session.ws_connect(candles) as stream:
        assert (await heard(stream))["data"][0]["c"] == "66000"


async def test_of_an_unknown_market_the_first_kind_says_nothing(wire: Wire) -> None:
    url = wire.running.url + STREAM + "/v1"
    async with wire.session.ws_connect(f"{url}/orderbooks/NO-USD") as silent:
        with pytest.raises(TimeoutError):
            await silent.receive(timeout=0.3)


async def test_an_accounts_stream_needs_its_key_and_begins_with_all(wire: Wire) -> None:
    url = wire.running.url + STREAM + "/v1/account"
    with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
        await wire.session.ws_connect(url)
    headers = {"X-Api-Key": wire.api_key}
    async with wire.session.ws_connect(url, headers=headers) as account:
        frames = [await heard(account) for _ in range(3)]
        assert [frame["type"] for frame in frames] == ["BALANCE", "POSITION", "ORDER"]
        assert [frame["seq"] for frame in frames] == [1, 2, 3]


async def test_a_lost_frame_has_its_number_all_the_same(wire: Wire) -> None:
    url = wire.running.url + STREAM + "/v1/orderbooks/BTC-USD"
    async with wire.session.ws_connect(url) as book:
        await heard(book)
        wire.running.faults.add(FaultKind.STALL, count=1, action="book")
        await wire.move(66000)
        await wire.move(67000)
        assert (await heard(book))["seq"] == 3


async def test_the_second_kind_carries_many_numbered_together_from_zero(wire: Wire) -> None:
    async with wire.session.ws_connect(wire.running.url + STREAM + "/v2/rpc") as rpc:

        async def call(method: str, **parameters: Any) -> Any:
            await rpc.send_json(
                {"jsonrpc": "2.0", "id": method, "method": method, "params": parameters}
            )
            return await heard(rpc)

        market = {"market": "BTC-USD"}
        answer = await call("subscribe", scope="orderbooks", selector={**market, "depth": "full"})
        assert answer["result"]["subscription"] == "orderbooks.BTC-USD"
        first = await heard(rpc)
        assert (first["type"], first["seq"]) == ("ORDERBOOKS.SNAPSHOT", 0)
        await call("subscribe", scope="prices", selector={**market, "type": "mark"})
        second = await heard(rpc)
        assert (second["type"], second["seq"], second["subscription"]) == (
            "PRICES.MP",
            1,
            "prices.mark.BTC-USD",
        )
        listed = await call("list-subscriptions")
        assert listed["result"]["subscriptions"] == ["orderbooks.BTC-USD", "prices.mark.BTC-USD"]
        for gone in ({"scope": "prices", "selector": {**market, "type": "mark"}},):
            assert (await call("unsubscribe", **gone))["result"]["status"] == "OK"
        assert (await call("ping"))["result"]["status"] == "OK"
        codes = [
            (await call(method, **parameters))["error"]["code"]
            for method, parameters in (
                ("what", {}),
                ("subscribe", {}),
                ("subscribe", {"scope": "trades", "selector": {"market": "NO-USD"}}),
                ("subscribe", {"scope": "what", "selector": market}),
            )
        ]
        assert codes == [-32601, -32602, -32602, -32602]
        for text, code in (("{", -32700), ("[]", -32600)):
            await rpc.send_str(text)
            assert (await heard(rpc))["error"]["code"] == code


async def test_a_wrong_depth_gets_no_answer_at_all(wire: Wire) -> None:
    async with wire.session.ws_connect(wire.running.url + STREAM + "/v2/rpc") as rpc:
        selector = {"market": "BTC-USD", "depth": "7"}
        call = {"scope": "orderbooks", "selector": selector}
        await rpc.send_json({"id": "1", "method": "subscribe", "params": call})
        with pytest.raises(TimeoutError):
            await rpc.receive(timeout=0.3)
