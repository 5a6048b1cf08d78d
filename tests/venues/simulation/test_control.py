"""The operator's port, over HTTP, against a running simulator."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.venues.hyperliquid.simulator_client import SimulatorClient, eventually
from venues.simulation.server import RunningSimulator, running_simulator


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningSimulator]:
    async with running_simulator(home=tmp_path, seed=5) as running:
        yield running


@pytest.fixture
async def client(running: RunningSimulator) -> AsyncIterator[SimulatorClient]:
    async with SimulatorClient.opened(running.url, running.control_url) as client:
        yield client


async def refused(client: SimulatorClient, path: str, body: Any) -> tuple[int, str]:
    async with client.session.post(client.control_url + path, json=body) as response:
        return response.status, (await response.json())["error"]


async def test_health_says_where_the_venue_is(
    client: SimulatorClient, running: RunningSimulator
) -> None:
    assert await client.control("GET", "/healthz") == {
        "status": "ok",
        "venue": "hyperliquid",
        "endpoint": running.url,
        "ws_endpoint": running.ws_url,
    }


async def test_a_new_account_is_funded_and_its_agent_may_trade(
    client: SimulatorClient, running: RunningSimulator
) -> None:
    made = await client.control("POST", "/accounts", {"balance": "250", "name": "desk"})
    assert set(made) == {
        "endpoint",
        "ws_endpoint",
        "address",
        "agent_address",
        "private_key",
        "master_private_key",
    }
    assert made["endpoint"] == running.url
    (listed,) = [
        one
        for one in (await client.control("GET", "/accounts"))["accounts"]
        if one["account"] == made["address"]
    ]
    assert (listed["cash"], listed["name"]) == ("250", "desk")
    role = await client.info({"type": "userRole", "user": made["agent_address"]})
    assert role == {"role": "agent", "data": {"user": made["address"]}}
    answer = await client.deposit_check(made["address"], "50")
    assert answer == {"address": made["address"], "cash": "300"}


async def test_prices_fills_and_ledger_agree(client: SimulatorClient) -> None:
    await client.order(price="60000", cloid=1)
    oid = await client.resting(price="59000", cloid=2)
    assert await client.control("POST", "/price", {"symbol": "BTC-PERP", "price": "60000"}) == {
        "symbol": "BTC",
        "price": "60000",
        "previous_price": "65000",
    }
    part = {"venue_order_id": str(oid), "quantity": "0.004"}
    filled = await client.control("POST", "/fill", part)
    assert (filled["filled_quantity"], filled["status"]) == ("0.004", "open")
    await client.control("POST", "/fill", {"client_order_id": f"0x{2:032x}"})
    ledger = await client.control("GET", f"/ledger?account={client.address.upper()[2:]}")
    assert ledger == {"orders": [], "fills": [], "positions": [], "balances": []}
    ledger = await client.control("GET", f"/ledger?account={client.address}")
    assert [one["status"] for one in ledger["orders"]] == ["filled", "filled"]
    assert [one["client_order_id"] for one in ledger["orders"]] == [f"0x{n:032x}" for n in (1, 2)]
    assert [one["quantity"] for one in ledger["fills"]] == ["0.01", "0.004", "0.006"]
    (position,) = ledger["positions"]
    assert position["quantity"] == "0.020"
    assert {"trade_id", "client_order_id", "venue_order_id", "price", "fee", "time"} <= set(
        ledger["fills"][0]
    )


async def test_a_symbol_means_its_oldest_resting_order(client: SimulatorClient) -> None:
    await client.order(price="60000", cloid=1)
    await client.order(price="61000", cloid=2)
    filled = await client.control("POST", "/fill", {"symbol": "BTC-PERP"})
    assert filled["client_order_id"] == f"0x{1:032x}"
    assert (await refused(client, "/fill", {"symbol": "ETH"}))[0] == 409


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/price", {"symbol": "NOPE", "price": "1"}, 400, "symbol"),
        ("/price", {"symbol": "BTC", "price": "many"}, 400, "price"),
        ("/price", {"symbol": "BTC", "price": "-1"}, 409, "price"),
        ("/price", [1], 400, "JSON object"),
        ("/fill", {"venue_order_id": "77"}, 409, "found none"),
        ("/fill", {"client_order_id": "zz"}, 400, "cloid"),
        ("/walk", {"symbol": "BTC", "steps": 0}, 400, "steps"),
        ("/faults", {"kind": "earthquake"}, 400, "kind"),
        ("/faults", {"kind": "delay"}, 400, "delay_ms"),
        ("/faults", {"kind": "429", "count": -1}, 400, "count"),
        ("/faults", {"kind": "429", "count": "x"}, 400, "count"),
        ("/faults", {"kind": "429", "action": 5}, 400, "action"),
        ("/accounts", {"balance": "-1"}, 400, "balance"),
        ("/deposit", {"address": "0x1", "amount": "5"}, 409, "address"),
        ("/clock", {}, 400, "offset_ms"),
        ("/switches", {"nonsense": 1}, 400, "nonsense"),
        ("/maintenance", {"on": 1}, 400, "on"),
    ],
)
async def test_wrong_input_is_explained(
    client: SimulatorClient, path: str, body: Any, status: int, text: str
) -> None:
    answered, error = await refused(client, path, body)
    assert answered == status
    assert text in error


async def test_text_that_is_not_json_is_explained(client: SimulatorClient) -> None:
    async with client.session.post(client.control_url + "/price", data=b"{") as response:
        assert response.status == 400


async def test_faults_are_armed_listed_and_cleared(client: SimulatorClient) -> None:
    first = await client.control("POST", "/faults", {"kind": "429", "action": "noop", "count": 2})
    await client.control("POST", "/faults", {"kind": "stall"})
    listed = (await client.control("GET", "/faults"))["faults"]
    assert [(one["kind"], one["count"], one["action"]) for one in listed] == [
        ("429", 2, "noop"),
        ("stall", None, None),
    ]
    assert await client.control("DELETE", f"/faults/{first['id']}") == {"cleared": 1}
    assert await client.control("DELETE", "/faults") == {"cleared": 1}
    assert await client.control("GET", "/faults") == {"faults": []}


async def test_maintenance_answers_nothing_until_it_is_over(client: SimulatorClient) -> None:
    socket = await client.socket()
    assert await client.control("POST", "/maintenance", {"on": True}) == {"on": True}
    assert (await socket.receive(5)).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
    for _ in range(2):
        assert (await client.post("/info", {"type": "meta"}))[0] == 503
        assert (await client.post("/exchange", client.signed({"type": "noop"})))[0] == 503
    assert await client.control("POST", "/maintenance", {"on": False}) == {"on": False}
    assert (await client.post("/info", {"type": "meta"}))[0] == 200


async def test_the_clock_is_the_venues_time(client: SimulatorClient) -> None:
    state = {"type": "clearinghouseState", "user": client.address}
    before = (await client.info(state))["time"]
    await client.control("POST", "/clock", {"offset_ms": 3_600_000})
    moved = await client.control("POST", "/clock", {"advance_ms": 1_000})
    assert moved["offset_ms"] == 3_601_000
    assert (await client.info(state))["time"] >= before + 3_601_000
    assert (await client.control("GET", "/clock"))["offset_ms"] == 3_601_000


async def test_switches_are_read_and_set(client: SimulatorClient) -> None:
    assert (await client.control("GET", "/switches"))["refuse_duplicate_client_ids"] is False
    changed = await client.control("POST", "/switches", {"order_retention": 7})
    assert changed["order_retention"] == 7
    assert await client.control("GET", "/switches") == changed


async def test_funding_is_paid_on_demand(client: SimulatorClient) -> None:
    await client.order(price="66000", tif="Ioc")
    paid = await client.control("POST", "/funding", {"symbol": "BTC-PERP", "rate": "0.001"})
    assert paid == {"symbol": "BTC", "rate": "0.001"}
    (row,) = await client.info({"type": "userFunding", "user": client.address, "startTime": 0})
    assert row["delta"]["usdc"] == "-0.65"
    assert row["delta"]["szi"] == "0.01"


async def test_a_walk_runs_at_once_or_in_steps_until_stopped(client: SimulatorClient) -> None:
    once = {"symbol": "BTC-PERP", "steps": 5, "step_bps": 20, "seed": 3}
    moved = await client.control("POST", "/walk", once)
    assert moved["price"] != "65000"
    slow = {"symbol": "ETH", "steps": 10_000, "step_bps": 20, "interval_ms": 1}
    await client.control("POST", "/walk", slow)

    async def has_moved() -> bool:
        price: str = (await client.control("GET", "/book?symbol=ETH"))["mark_price"]
        return price != "2500"

    await eventually(has_moved)
    assert await client.control("DELETE", "/walk") == {"stopped": 1}
    still = await client.control("GET", "/book?symbol=ETH")
    assert await client.control("GET", "/book?symbol=ETH") == still
    assert len(still["bids"]) == 20
