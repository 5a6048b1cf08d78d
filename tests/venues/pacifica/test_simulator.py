"""The simulated venue on its own: what it lets through, what it says, and what survives a restart.

Requests are made here by hand, with a key and a canonical text that are nobody's code of ours.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.venues.pacifica.building import AGENT, OWNER, VECTORS, sample
from venues.pacifica.simulator_bodies import BATCH_KINDS, OPERATIONS, read_request
from venues.pacifica.simulator_business import bind_agent
from venues.pacifica.simulator_signature import NotVerified, spell, verify
from venues.simulation.ownership import open_account
from venues.simulation.records import Agent
from venues.simulation.server import RunningSimulator, running_simulator

KEYS = {
    who: Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS[who]["seed_hex"]))
    for who in ("owner", "agent")
}
TYPES = {path: kind for path, (kind, _) in OPERATIONS.items()}
ORDER = {
    "symbol": "BTC",
    "price": "60000",
    "amount": "0.01",
    "side": "bid",
    "tif": "GTC",
    "reduce_only": False,
}


class Hand:
    """One account at a simulator, worked by hand."""

    def __init__(self, running: RunningSimulator, session: aiohttp.ClientSession) -> None:
        self.running = running
        self._session = session

    def body(
        self,
        kind: str,
        data: dict[str, Any],
        *,
        who: str = "agent",
        account: str = OWNER,
        at_ms: int | None = None,
        window_ms: int = 5000,
        **more: Any,
    ) -> dict[str, Any]:
        stamp = int(time.time() * 1000) if at_ms is None else at_ms
        message = {"type": kind, "timestamp": stamp, "expiry_window": window_ms, "data": data}
        text = json.dumps(message, sort_keys=True, separators=(",", ":"))
        body = {
            "account": account,
            "agent_wallet": AGENT if who == "agent" else None,
            "signature": spell(KEYS[who].sign(text.encode())),
            "timestamp": stamp,
            "expiry_window": window_ms,
            **data,
        }
        return {**body, **more}

    async def post(self, path: str, data: dict[str, Any], **more: Any) -> tuple[int, Any]:
        return await self.send(path, self.body(TYPES[path], data, **more))

    async def send(self, path: str, body: Any) -> tuple[int, Any]:
        url = f"{self.running.url}/api/v1{path}"
        async with self._session.post(url, json=body) as response:
            text = await response.text()
            self.headers = response.headers
            is_json = response.content_type == "application/json"
            return response.status, json.loads(text) if is_json else text

    async def get(self, path: str, **query: str) -> tuple[int, Any]:
        url = f"{self.running.url}/api/v1{path}"
        async with self._session.get(url, params=query) as response:
            return response.status, await response.json()


@asynccontextmanager
async def a_hand(home: Path | None = None) -> AsyncIterator[Hand]:
    async with (
        running_simulator(venue="pacifica", home=home) as running,
        aiohttp.ClientSession() as session,
    ):
        exchange = running.exchange
        if OWNER not in exchange.tables.accounts:
            with exchange.action("open") as receipt:
                open_account(exchange.tables, OWNER, Decimal(100_000))
                bind_agent(exchange.tables, OWNER, AGENT)
            await exchange.durable(receipt)
        yield Hand(running, session)


@pytest.fixture
async def hand() -> AsyncIterator[Hand]:
    async with a_hand() as found:
        yield found


def test_recorded_requests_verify_with_the_simulators_own_hashing() -> None:
    recorded = sample("signing/ccxt_signed_requests.json")
    checked = 0
    for vector in recorded["vectors"] if recorded else []:
        if vector["signature_type"] not in TYPES.values():
            continue
        actions = vector["body"].get("actions") or [{"data": vector["body"]}]
        for action in actions:
            kind = BATCH_KINDS.get(action.get("type", ""), vector["signature_type"])
            request = read_request(kind, json.dumps(action["data"]).encode())
            verify(request, request.envelope.timestamp + 100, {})
            checked += 1
    assert recorded is None or checked == 6


def test_computed_requests_verify_with_the_simulators_own_hashing() -> None:
    recorded = sample("signing/computed_vectors.json")
    agents = {AGENT: Agent(address=AGENT, account=OWNER, valid_until_ms=1 << 60)}
    checked = 0
    for vector in recorded["vectors"] if recorded else []:
        if vector["type"] in TYPES.values():
            request = read_request(vector["type"], json.dumps(vector["request"]).encode())
            verify(request, request.envelope.timestamp, agents)
            wrong = "cancel_order" if vector["type"] == "cancel_stop_order" else None
            if wrong is not None:
                other = read_request(wrong, json.dumps(vector["request"]).encode())
                with pytest.raises(NotVerified):
                    verify(other, other.envelope.timestamp, agents)
            checked += 1
    assert recorded is None or checked >= 16


async def test_an_order_is_taken_and_told_with_the_credits_left(hand: Hand) -> None:
    status, answer = await hand.post("/orders/create", ORDER)
    assert status == 200
    assert (answer["success"], answer["error"], answer["code"]) == (True, None, None)
    assert isinstance(answer["data"]["order_id"], int)
    assert hand.headers["ratelimit"].startswith('"credits";r=59990;t=')
    assert hand.headers["ratelimit-policy"] == '"credits";q=60000;w=60'
    _, listed = await hand.get("/orders", account=OWNER)
    assert listed["data"][0]["order_id"] == answer["data"]["order_id"]
    assert listed["last_order_id"] >= answer["data"]["order_id"]
    _, canceled = await hand.post(
        "/orders/cancel", {"symbol": "BTC", "order_id": answer["data"]["order_id"]}
    )
    assert canceled == {"success": True, "data": None, "error": None, "code": None}


async def test_keys_that_the_venue_does_not_know_are_no_part_of_the_signature(hand: Hand) -> None:
    assert (await hand.post("/orders/create", ORDER, slippage=0.05))[0] == 200
    assert (await hand.post("/orders/create", ORDER, price="60001"))[0] == 400


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"at_ms": 1}, "Invalid message"),
        ({"at_ms": 1 << 45}, "Invalid message"),
        ({"signature": "0OIl"}, "Invalid signature"),
        ({"signature": spell(b"\1" * 63)}, "Invalid signature"),
        ({"signature": spell(b"\1" * 64)}, "Verification failed"),
        ({"agent_wallet": "nobody"}, "Invalid public key"),
        ({"who": "owner", "agent_wallet": AGENT}, "Verification failed"),
        ({"window_ms": 0, "at_ms": None}, "Invalid message"),
        ({"account": spell(b"\2" * 32)}, "Agent not authorized"),
    ],
)
async def test_what_is_not_verified(hand: Hand, changes: dict[str, Any], said: str) -> None:
    if changes.get("window_ms") == 0:
        changes = {"window_ms": 0, "at_ms": int(time.time() * 1000) - 50}
    status, answer = await hand.post("/orders/create", ORDER, **changes)
    assert status == 400
    assert answer["error"].startswith(said)
    assert answer["code"] == 400
    assert not hand.running.exchange.tables.orders


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"{}"],
)
async def test_what_cannot_be_read_is_told_in_bare_text(hand: Hand, body: bytes) -> None:
    url = f"{hand.running.url}/api/v1/orders/create"
    async with aiohttp.ClientSession() as session, session.post(url, data=body) as response:
        assert (response.status, response.content_type) == (400, "text/plain")


@pytest.mark.parametrize(
    ("path", "data", "status", "code"),
    [
        ("/orders/create", {**ORDER, "symbol": "DOGE"}, 422, 3),
        ("/orders/create", {**ORDER, "price": "60000.5"}, 400, 400),
        ("/orders/create", {**ORDER, "amount": "0.000001"}, 400, 400),
        ("/orders/create", {**ORDER, "amount": "0.0001"}, 422, 0),
        ("/orders/create", {**ORDER, "amount": "100"}, 422, 8),
        ("/orders/create", {**ORDER, "tif": "RFQ"}, 422, 51),
        ("/orders/create", {**ORDER, "builder_code": "ABC"}, 422, 50),
        ("/orders/cancel", {"symbol": "BTC", "order_id": 7}, 422, 6),
        ("/orders/cancel", {"symbol": "BTC"}, 400, 400),
        ("/orders/cancel_all", {"all_symbols": False, "exclude_reduce_only": False}, 400, 400),
        ("/orders/edit", {"symbol": "BTC", "price": "1", "order_id": 7}, 422, 6),
        (
            "/orders/stop/create",
            {
                "symbol": "BTC",
                "side": "bid",
                "reduce_only": False,
                "stop_order": {"stop_price": "70000"},
            },
            400,
            400,
        ),
        ("/account/leverage", {"symbol": "BTC", "leverage": 51}, 400, 400),
        ("/positions/add_isolated_margin", {"symbol": "BTC", "amount": "5"}, 422, 13),
    ],
)
async def test_refusals(
    hand: Hand, path: str, data: dict[str, Any], status: int, code: int
) -> None:
    found, answer = await hand.post(path, data)
    assert (found, answer["code"]) == (status, code), answer
    _, history = await hand.get("/orders/history", account=OWNER)
    assert history["data"] == []


async def test_agents_are_bound_by_the_main_key_alone(hand: Hand) -> None:
    named = {"agent_wallet": AGENT}
    status, _ = await hand.post("/agent/revoke", named)
    assert status == 400
    assert (await hand.post("/agent/revoke", named, who="owner"))[0] == 200
    assert (await hand.post("/orders/create", ORDER))[1]["error"] == (
        "Agent not authorized for account"
    )
    assert (await hand.post("/agent/bind", named, who="owner"))[0] == 200
    assert (await hand.post("/orders/create", ORDER))[0] == 200
    _, listed = await hand.post("/agent/list", {}, who="owner")
    assert listed["data"] == [named]


async def test_a_batch_is_verified_as_a_whole_and_applied_one_by_one(hand: Hand) -> None:
    actions: list[dict[str, Any]] = [
        {"type": "Create", "data": hand.body("create_order", ORDER)},
        {"type": "Cancel", "data": hand.body("cancel_order", {"symbol": "BTC", "order_id": 7})},
    ]
    status, answer = await hand.send("/orders/batch", {"actions": actions})
    assert status == 200
    created, canceled = answer["data"]["results"]
    assert (created["success"], canceled["success"]) == (True, False)
    forged = {**actions[0]["data"], "price": "1"}
    wrong = [actions[1], {"type": "Create", "data": forged}]
    assert (await hand.send("/orders/batch", {"actions": wrong}))[0] == 400
    assert (await hand.send("/orders/batch", {"actions": []}))[0] == 400
    assert len(hand.running.exchange.tables.orders) == 1


async def test_cancel_all_takes_stops_too(hand: Hand) -> None:
    await hand.post("/orders/create", ORDER)
    stop = {"stop_price": "70000", "amount": "0.01"}
    await hand.post(
        "/orders/stop/create",
        {"symbol": "BTC", "side": "bid", "reduce_only": False, "stop_order": stop},
    )
    _, answer = await hand.post(
        "/orders/cancel_all", {"all_symbols": True, "exclude_reduce_only": False}
    )
    assert answer["data"] == {"cancelled_count": 2}


async def test_exits_are_not_atomic(hand: Hand) -> None:
    market = {"symbol": "BTC", "amount": "0.01", "side": "bid", "reduce_only": False}
    await hand.post("/orders/create_market", {**market, "slippage_percent": "1"})
    exits = {"take_profit": {"stop_price": "70000"}, "stop_loss": {"stop_price": "71000"}}
    status, answer = await hand.post("/positions/tpsl", {"symbol": "BTC", "side": "ask", **exits})
    assert (status, answer["code"]) == (422, 17)
    _, listed = await hand.get("/orders", account=OWNER)
    assert [order["order_type"] for order in listed["data"]] == ["take_profit_market"]


async def test_market_orders_tob_and_exits_with_an_entry(hand: Hand) -> None:
    market = {"symbol": "BTC", "amount": "0.01", "side": "bid", "reduce_only": False}
    status, answer = await hand.post("/orders/create_market", {**market, "slippage_percent": "0"})
    assert (status, answer["code"]) == (422, 25)
    status, answer = await hand.post("/orders/create", {**ORDER, "price": "70000", "tif": "TOB"})
    assert status == 200
    _, events = await hand.get("/orders/history_by_id", order_id=str(answer["data"]["order_id"]))
    assert events["data"][0]["order_status"] == "open"
    entry = {
        **ORDER,
        "price": "66000",
        "tif": "IOC",
        "take_profit": {"stop_price": "80000"},
        "stop_loss": {"stop_price": "50000", "limit_price": "49000"},
    }
    assert (await hand.post("/orders/create", entry))[0] == 200
    _, listed = await hand.get("/orders", account=OWNER)
    assert {order["order_type"] for order in listed["data"]} == {
        "limit",
        "take_profit_market",
        "stop_loss_limit",
    }


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/orders", {}, 400),
        ("/orders/history_by_id", {"order_id": "7"}, 404),
        ("/orders/history", {"account": OWNER, "limit": "5000"}, 400),
        ("/trades/history", {"account": OWNER, "start_time": "0", "end_time": "9" * 13}, 400),
        ("/account", {"account": AGENT}, 404),
        ("/book", {"symbol": "DOGE"}, 400),
        ("/book", {"symbol": "BTC", "agg_level": "7"}, 400),
        ("/kline", {"symbol": "BTC", "interval": "7m"}, 400),
        ("/orders/history", {"account": OWNER, "cursor": "x"}, 400),
    ],
)
async def test_questions_that_make_no_sense(
    hand: Hand, path: str, query: dict[str, str], status: int
) -> None:
    found, answer = await hand.get(path, **query)
    assert (found, answer["success"]) == (status, False)


async def test_other_questions(hand: Hand) -> None:
    assert (await hand.get("/info/fees"))[1]["data"][0]["level"] == 0
    _, prices = await hand.get("/info/prices")
    assert {row["symbol"] for row in prices["data"]} >= {"BTC", "ETH"}


async def test_credits_are_enforced_where_that_is_switched_on(hand: Hand) -> None:
    hand.running.exchange.switches.ip_limit = True
    simulator: Any = hand.running.simulator
    simulator._credits._per_minute = 2
    assert (await hand.get("/info"))[0] == 200
    assert (await hand.post("/orders/create", ORDER))[0] == 200
    status, answer = await hand.post("/orders/create", ORDER)
    assert (status, answer["code"]) == (429, 429)
    assert hand.headers["ratelimit"].startswith('"credits";r=0;t=')


async def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    async with a_hand(tmp_path) as hand:
        _, answer = await hand.post("/orders/create", ORDER)
    async with a_hand(tmp_path) as hand:
        _, listed = await hand.get("/orders", account=OWNER)
        assert listed["data"][0]["order_id"] == answer["data"]["order_id"]
        _, second = await hand.post("/orders/create", ORDER)
        assert second["data"]["order_id"] > answer["data"]["order_id"]


async def test_the_control_port_knows_addresses_in_their_own_case(hand: Hand) -> None:
    await hand.post("/orders/create", ORDER)
    url = hand.running.control_url
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/ledger", params={"account": OWNER}) as response:
            assert len((await response.json())["orders"]) == 1
        async with session.post(
            f"{url}/deposit", json={"address": OWNER, "amount": "5"}
        ) as response:
            assert (await response.json())["cash"] == "100005"


def test_a_wrong_number_of_credits_is_refused() -> None:
    from venues.pacifica.simulator import simulator

    with pytest.raises(ValueError, match="SIM_PACIFICA_CREDITS: expected 1 to 1000000"):
        simulator(None, None, {"SIM_PACIFICA_CREDITS": "many"})  # type: ignore[arg-type]
