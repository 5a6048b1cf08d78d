"""The official SDK as an independent client: it signs, parses and listens in its own way."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from eth_account import Account
from hyperliquid.exchange import Exchange
from hyperliquid.info import Info
from hyperliquid.utils.signing import OrderType
from hyperliquid.utils.types import Cloid

from tests.venues.hyperliquid.simulator_client import SimulatorClient
from tests.venues.hyperliquid.simulator_fixtures import client, running
from venues.simulation.server import RunningSimulator

__all__ = ["client", "running"]

GTC: OrderType = {"limit": {"tif": "Gtc"}}
TIMEOUT_S = 10


class Sdk:
    """The SDK's two clients for one account, and what its socket received."""

    def __init__(self, url: str, keys: dict[str, str], *, as_master: bool = False) -> None:
        self.address = keys["address"]
        wallet = Account.from_key(keys["master_private_key" if as_master else "private_key"])
        self.exchange = Exchange(
            wallet, base_url=url, account_address=self.address, timeout=TIMEOUT_S
        )
        self.info = Info(base_url=url, skip_ws=True, timeout=TIMEOUT_S)

    def statuses(self, answer: Any) -> list[Any]:
        assert answer["status"] == "ok", answer
        statuses: list[Any] = answer["response"]["data"]["statuses"]
        return statuses

    def buy(self, price: float, cloid: int | None = None, size: float = 0.01) -> dict[str, Any]:
        answer = self.exchange.order(
            "BTC", True, size, price, GTC, cloid=Cloid.from_int(cloid) if cloid else None
        )
        (status,) = self.statuses(answer)
        assert isinstance(status, dict)
        return status


@pytest.fixture
async def sdk(client: SimulatorClient) -> AsyncIterator[Sdk]:
    yield await asyncio.to_thread(Sdk, client.url, client.keys)


async def in_thread(run: Callable[[], None]) -> None:
    async with asyncio.timeout(60):
        await asyncio.to_thread(run)


async def test_place_look_up_and_cancel(sdk: Sdk) -> None:
    def run() -> None:
        oid = sdk.buy(60_000, 1)["resting"]["oid"]
        assert sdk.info.query_order_by_oid(sdk.address, oid)["order"]["status"] == "open"
        found = sdk.info.query_order_by_cloid(sdk.address, Cloid.from_int(1))
        assert found["order"]["order"]["oid"] == oid
        assert [one["oid"] for one in sdk.info.open_orders(sdk.address)] == [oid]
        assert sdk.statuses(sdk.exchange.cancel("BTC", oid)) == ["success"]
        assert "error" in sdk.statuses(sdk.exchange.cancel("BTC", oid))[0]
        sdk.buy(60_000, 2)
        answer = sdk.exchange.cancel_by_cloid("BTC", Cloid.from_int(2))
        assert sdk.statuses(answer) == ["success"]
        assert sdk.info.frontend_open_orders(sdk.address) == []

    await in_thread(run)


async def test_bulk_orders_and_bulk_cancels(sdk: Sdk) -> None:
    def run() -> None:
        orders: list[Any] = [
            {
                "coin": coin,
                "is_buy": True,
                "sz": size,
                "limit_px": price,
                "order_type": GTC,
                "reduce_only": False,
            }
            for coin, size, price in (("BTC", 0.01, 60_000), ("ETH", 0.1, 2_000), ("SOL", 1, 100))
        ]
        statuses = sdk.statuses(sdk.exchange.bulk_orders(orders))
        cancels: list[Any] = [
            {"coin": order["coin"], "oid": status["resting"]["oid"]}
            for order, status in zip(orders, statuses, strict=True)
        ]
        assert sdk.statuses(sdk.exchange.bulk_cancel(cancels)) == ["success"] * 3

    await in_thread(run)


async def test_brackets(sdk: Sdk) -> None:
    def run() -> None:
        def child(price: float, kind: str) -> dict[str, Any]:
            return {
                "coin": "ETH",
                "is_buy": False,
                "sz": 0.1,
                "limit_px": price,
                "reduce_only": True,
                "order_type": {"trigger": {"isMarket": True, "triggerPx": price, "tpsl": kind}},
            }

        parent = {**child(2_000, "tp"), "is_buy": True, "reduce_only": False, "order_type": GTC}
        orders: list[Any] = [parent, child(2_900, "tp"), child(1_900, "sl")]
        statuses = sdk.statuses(sdk.exchange.bulk_orders(orders, grouping="normalTpsl"))
        assert "resting" in statuses[0]
        assert statuses[1:] == ["waitingForFill"] * 2

    await in_thread(run)


def _tree(price: float, tif: str, *, is_buy: bool = True) -> list[Any]:
    """Return a parent of 0.01 BTC with target and stop, with client ids 1, 2, 3."""

    def child(trigger: float, kind: str, cloid: int) -> dict[str, Any]:
        return {
            "coin": "BTC",
            "is_buy": not is_buy,
            "sz": 0.01,
            "limit_px": trigger,
            "reduce_only": True,
            "cloid": Cloid.from_int(cloid),
            "order_type": {"trigger": {"isMarket": True, "triggerPx": trigger, "tpsl": kind}},
        }

    parent = {
        **child(price, "tp", 1),
        "is_buy": is_buy,
        "reduce_only": False,
        "order_type": {"limit": {"tif": tif}},
    }
    return [parent, child(70_000, "tp", 2), child(55_000, "sl", 3)]


async def test_exits_of_an_entry_wake_with_its_whole_fill(
    sdk: Sdk, client: SimulatorClient
) -> None:
    """Asleep they fire at no price; a part does not wake them; the fill of one ends the other."""

    def status(cloid: int) -> str:
        found = sdk.info.query_order_by_cloid(sdk.address, Cloid.from_int(cloid))
        word: str = found["order"]["status"]
        return word

    def held() -> list[str]:
        state = sdk.info.user_state(sdk.address)
        return [one["position"]["szi"] for one in state["assetPositions"]]

    def place() -> int:
        statuses = sdk.statuses(
            sdk.exchange.bulk_orders(_tree(60_000, "Gtc"), grouping="normalTpsl")
        )
        oid: int = statuses[0]["resting"]["oid"]
        listed = sdk.info.frontend_open_orders(sdk.address)
        parent = next(one for one in listed if one["oid"] == oid)
        assert [one["cloid"] for one in parent["children"]] == [
            Cloid.from_int(2).to_raw(),
            Cloid.from_int(3).to_raw(),
        ]
        return oid

    oid = await asyncio.to_thread(place)
    await client.control("POST", "/fill", {"venue_order_id": str(oid), "quantity": "0.004"})
    assert await asyncio.to_thread(held) == ["0.004"]
    await client.control("POST", "/price", {"symbol": "BTC", "price": "70500"})
    assert [await asyncio.to_thread(status, n) for n in (2, 3)] == ["open", "open"]
    assert await asyncio.to_thread(held) == ["0.004"], "asleep"
    await client.control("POST", "/price", {"symbol": "BTC", "price": "65000"})
    await client.control("POST", "/fill", {"venue_order_id": str(oid), "quantity": "0.006"})
    assert await asyncio.to_thread(held) == ["0.01"]

    await client.control("POST", "/price", {"symbol": "BTC", "price": "70500"})

    assert await asyncio.to_thread(status, 2) == "filled"
    assert await asyncio.to_thread(status, 3) == "siblingFilledCanceled"
    assert await asyncio.to_thread(held) == []


async def test_exits_go_with_an_entry_that_filled_in_part(
    sdk: Sdk, client: SimulatorClient
) -> None:
    def place() -> int:
        statuses = sdk.statuses(
            sdk.exchange.bulk_orders(_tree(60_000, "Gtc"), grouping="normalTpsl")
        )
        oid: int = statuses[0]["resting"]["oid"]
        return oid

    oid = await asyncio.to_thread(place)
    await client.control("POST", "/fill", {"venue_order_id": str(oid), "quantity": "0.004"})

    def run() -> None:
        assert sdk.statuses(sdk.exchange.cancel("BTC", oid)) == ["success"]
        assert sdk.info.frontend_open_orders(sdk.address) == []
        for cloid in (2, 3):
            found = sdk.info.query_order_by_cloid(sdk.address, Cloid.from_int(cloid))
            assert found["order"]["status"].lower().endswith("canceled")
        state = sdk.info.user_state(sdk.address)
        assert [one["position"]["szi"] for one in state["assetPositions"]] == ["0.004"]

    await in_thread(run)


async def test_modify(sdk: Sdk) -> None:
    def run() -> None:
        oid = sdk.buy(60_000, 1)["resting"]["oid"]
        answer = sdk.exchange.modify_order(
            oid, "BTC", True, 0.02, 61_000, GTC, cloid=Cloid.from_int(1)
        )
        new = sdk.statuses(answer)[0]["resting"]["oid"]
        assert new != oid
        answer = sdk.exchange.modify_order(
            Cloid.from_int(1), "BTC", True, 0.03, 62_000, GTC, cloid=Cloid.from_int(1)
        )
        assert "resting" in sdk.statuses(answer)[0]
        (order,) = sdk.info.frontend_open_orders(sdk.address)
        assert (order["sz"], order["limitPx"]) == ("0.03", "62000.0")

    await in_thread(run)


async def test_market_open_and_close(sdk: Sdk) -> None:
    def run() -> None:
        assert sdk.exchange.market_close("BTC") is None
        opened = sdk.statuses(sdk.exchange.market_open("BTC", True, 0.05))[0]["filled"]
        assert opened["totalSz"] == "0.05"
        (entry,) = sdk.info.user_state(sdk.address)["assetPositions"]
        assert entry["position"]["szi"] == "0.05"
        closed = sdk.statuses(sdk.exchange.market_close("BTC"))[0]["filled"]
        assert closed["totalSz"] == "0.05"
        assert sdk.info.user_state(sdk.address)["assetPositions"] == []
        fills = sdk.info.user_fills(sdk.address)
        assert [one["dir"] for one in fills] == ["Close Long", "Open Long"]
        assert len(sdk.info.user_fills_by_time(sdk.address, 0)) == 2
        assert sdk.info.historical_orders(sdk.address)[0]["status"] == "filled"

    await in_thread(run)


async def test_leverage_margin_and_scheduled_cancel(sdk: Sdk) -> None:
    def run() -> None:
        assert sdk.exchange.update_leverage(5, "ETH", is_cross=False)["status"] == "ok"
        sdk.exchange.market_open("ETH", True, 1)
        assert sdk.exchange.update_isolated_margin(10, "ETH")["status"] == "ok"
        at_ms = int(time.time() * 1000) + 60_000
        assert sdk.exchange.schedule_cancel(at_ms)["status"] == "ok"
        assert sdk.exchange.schedule_cancel(None)["status"] == "ok"

    await in_thread(run)


async def test_expiry_and_noop(sdk: Sdk) -> None:
    def run() -> None:
        sdk.exchange.set_expires_after(1)
        assert sdk.exchange.order("BTC", True, 0.01, 60_000, GTC) == {
            "status": "err",
            "response": "Action already expired",
        }
        sdk.exchange.set_expires_after(int(time.time() * 1000) + 60_000)
        assert "resting" in sdk.buy(60_000)
        sdk.exchange.set_expires_after(None)
        nonce = int(time.time() * 1000) + 5
        assert sdk.exchange.noop(nonce)["status"] == "ok"
        assert sdk.exchange.noop(nonce)["response"] == f"Invalid nonce: duplicate nonce {nonce}"

    await in_thread(run)


async def test_the_master_approves_agents_and_moves_money(client: SimulatorClient) -> None:
    def run() -> None:
        master = Sdk(client.url, client.keys, as_master=True)
        answer, agent_key = master.exchange.approve_agent("second")
        assert answer["status"] == "ok"
        agent = Sdk(client.url, {**client.keys, "private_key": agent_key})
        assert "resting" in agent.buy(60_000)
        assert {one["name"] for one in master.info.extra_agents(master.address)} == {
            "perp-dex",
            "second",
        }
        answer, unnamed_key = master.exchange.approve_agent()
        assert answer["status"] == "ok"
        assert "resting" in Sdk(client.url, {**client.keys, "private_key": unnamed_key}).buy(60_000)
        refused, _ = agent.exchange.approve_agent("third")
        assert refused["response"].startswith("Must deposit before performing actions. User: 0x")
        assert master.exchange.create_sub_account("desk")["status"] == "ok"
        (sub,) = master.info.query_sub_accounts(master.address)
        moved = master.exchange.sub_account_transfer(sub["subAccountUser"], True, 1_000_000_000)
        assert moved["status"] == "ok"
        sent = master.exchange.usd_transfer(5, "0x" + "ab" * 20)
        assert sent["status"] == "ok"
        assert master.exchange.withdraw_from_bridge(5, master.address)["status"] == "ok"
        assert (
            "Insufficient"
            in master.exchange.withdraw_from_bridge(10**9, master.address)["response"]
        )
        assert "Insufficient" in master.exchange.usd_transfer(10**9, "0x" + "ab" * 20)["response"]
        assert master.exchange.approve_builder_fee("0x" + "ab" * 20, "0.01%")["status"] == "ok"
        assert master.exchange.usd_class_transfer(100, False)["status"] == "ok"
        (aside,) = master.info.spot_user_state(master.address)["balances"]
        assert aside["total"] == "100.0"
        assert master.exchange.usd_class_transfer(40, True)["status"] == "ok"
        assert "Insufficient" in master.exchange.usd_class_transfer(61, True)["response"]
        mode = master.exchange.user_set_abstraction(master.address, "unifiedAccount")
        assert mode["status"] == "ok"
        refused = master.exchange.usd_class_transfer(1, True)
        assert refused["response"] == "Action disabled when unified account is active"

    await in_thread(run)


@contextmanager
def listening(url: str) -> Iterator[tuple[Info, list[Any]]]:
    """Yield an SDK client with a socket, and stop its threads, which are no daemons."""
    info = Info(base_url=url, timeout=TIMEOUT_S)
    try:
        yield info, []
    finally:
        assert info.ws_manager is not None
        # Closed while its thread waits for it, the socket would leave that thread waiting for ever.
        info.ws_manager.ws.keep_running = False
        if (connected := info.ws_manager.ws.sock) is not None:
            assert connected.sock is not None
            connected.sock.shutdown(socket.SHUT_RDWR)
        info.ws_manager.join(TIMEOUT_S)
        info.disconnect_websocket()


def until(received: list[Any], wanted: set[str]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not wanted <= {one["channel"] for one in received}:
        assert time.monotonic() < deadline, {one["channel"] for one in received}
        time.sleep(0.01)


async def test_subscriptions(sdk: Sdk, client: SimulatorClient) -> None:
    def run() -> None:
        with listening(client.url) as (info, received):
            user = {"user": sdk.address}
            subscriptions: list[Any] = [
                {"type": "orderUpdates", **user},
                {"type": "userEvents", **user},
                {"type": "userFills", **user},
                {"type": "userFundings", **user},
                {"type": "userNonFundingLedgerUpdates", **user},
                {"type": "activeAssetData", "coin": "BTC", **user},
                {"type": "bbo", "coin": "BTC"},
                {"type": "l2Book", "coin": "BTC"},
                {"type": "trades", "coin": "BTC"},
                {"type": "candle", "coin": "BTC", "interval": "1m"},
                {"type": "activeAssetCtx", "coin": "BTC"},
                {"type": "allMids"},
            ]
            numbers = [info.subscribe(one, received.append) for one in subscriptions]
            until(received, {"l2Book", "bbo", "allMids", "activeAssetCtx", "userFills", "candle"})
            sdk.exchange.market_open("BTC", True, 0.01)
            until(received, {"orderUpdates", "user", "trades", "activeAssetData", "userFundings"})
            fills = [one for one in received if one["channel"] == "userFills"]
            assert fills[0]["data"]["isSnapshot"] is True
            assert info.unsubscribe(subscriptions[0], numbers[0])

    await in_thread(run)
    assert not [one for one in threading.enumerate() if "Websocket" in type(one).__name__]


async def test_our_ledger_agrees_with_what_the_sdk_was_told(
    sdk: Sdk, client: SimulatorClient, running: RunningSimulator
) -> None:
    told: list[tuple[str, int]] = []

    def run() -> None:
        for cloid in range(1, 6):
            told.append((f"0x{cloid:032x}", sdk.buy(60_000 + cloid, cloid)["resting"]["oid"]))

    await in_thread(run)
    ledger = await client.control("GET", f"/ledger?account={sdk.address}")
    kept = [(one["client_order_id"], int(one["venue_order_id"])) for one in ledger["orders"]]
    assert kept == told
