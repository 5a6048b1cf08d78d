"""The venue's own SDK, unmodified, against our simulator: orders, reads, settings, both sockets.

It signs with its own code (eth_account), so what verifies here is not our own spelling. Its sockets
are threads with blocking reads, so they run beside the loop.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from edgex_sdk import Client, WebSocketManager
from edgex_sdk.account.client import GetCollateralTransactionPageParams, SetMarginModeParams
from edgex_sdk.order.types import (
    CancelOrderParams,
    CreateOrderParams,
    GetActiveOrderParams,
    GetHistoryOrderPageParams,
    OrderFillTransactionParams,
    OrderSide,
    OrderType,
    TimeInForce,
)
from edgex_sdk.quote.client import GetKLineParams, GetOrderBookDepthParams, KlineType

from venues.simulation import operations
from venues.simulation.records import Order
from venues.simulation.server import RunningSimulator, running_simulator

BTC = "30000001"
ETH = "30000002"


@dataclass
class Sdk:
    """The client with its account, and the exchange that it trades at."""

    running: RunningSimulator
    client: Client
    address: str
    keys: dict[str, str] = field(repr=False)

    @property
    def orders(self) -> list[Order]:
        return list(self.running.exchange.tables.orders.values())

    def sockets(self) -> WebSocketManager:
        return WebSocketManager(
            base_url=self.running.url.replace("http", "ws"),
            account_id=int(self.address),
            api_key=self.keys["api_key"],
            api_passphrase=self.keys["api_passphrase"],
            api_secret=self.keys["api_secret"],
        )


def client_of(url: str, opened: dict[str, str], **changes: str) -> Client:
    keys = {**json.loads(opened["private_key"]), **changes}
    return Client(
        base_url=url,
        account_id=int(opened["address"]),
        api_key=keys["api_key"],
        api_passphrase=keys["api_passphrase"],
        api_secret=keys["api_secret"],
        trading_private_key=keys["trading_private_key"],
    )


@pytest.fixture
async def sdk() -> AsyncIterator[Sdk]:
    async with running_simulator(venue="edgex") as running:
        opened = await running.simulator.open_account(Decimal(100_000), "sdk")
        async with client_of(running.url, opened) as client:
            yield Sdk(running, client, opened["address"], json.loads(opened["private_key"]))


def succeeded(answer: dict[str, Any]) -> Any:
    assert answer["code"] == "SUCCESS", answer
    return answer["data"]


async def rest(sdk: Sdk, client_order_id: str = "o/1+é,b&c", **more: Any) -> str:
    made = await sdk.client.create_limit_order(
        contract_id=BTC,
        size="0.01",
        price="60000.1",
        side=OrderSide.BUY,
        client_order_id=client_order_id,
        **more,
    )
    order_id: str = succeeded(made)["orderId"]
    return order_id


async def test_its_signatures_are_verified_and_its_order_rests(sdk: Sdk) -> None:
    order_id = await rest(sdk)
    (order,) = sdk.orders
    assert (str(order.venue_order_id), order.price) == (order_id, Decimal("60000.1"))
    listed = succeeded(await sdk.client.get_active_orders(GetActiveOrderParams(size="50")))
    (row,) = listed["dataList"]
    assert (row["id"], row["status"], row["clientOrderId"]) == (order_id, "OPEN", "o/1+é,b&c")
    orders = sdk.client.order
    (by_id,) = succeeded(await orders.get_orders_by_id([order_id, "1"]))
    assert by_id == row
    await rest(sdk, "second")
    # Commas stay bare in its queries, the rest is percent-encoded: decoded before it is sorted.
    found = succeeded(await orders.get_orders_by_client_order_id(["second", "nobody"]))
    assert [one["clientOrderId"] for one in found] == ["second"]


async def test_its_cancels_by_every_way(sdk: Sdk) -> None:
    first, second = await rest(sdk, "a"), await rest(sdk, "b")
    by_id = await sdk.client.cancel_order(CancelOrderParams(order_id=first))
    assert succeeded(by_id) == {"cancelResultMap": {first: "SUCCESS"}}
    again = await sdk.client.cancel_order(CancelOrderParams(order_id=first))
    assert succeeded(again)["cancelResultMap"] == {first: "SUCCESS_ORDER_CANCELED"}
    by_client_id = await sdk.client.order.cancel_order_by_client_order_id(["b", "nobody"])
    assert succeeded(by_client_id)["cancelResultMap"] == {
        "b": "SUCCESS",
        "nobody": "FAILED_ORDER_NOT_FOUND",
    }
    third = await rest(sdk, "c")
    everything = await sdk.client.cancel_order(CancelOrderParams(contract_id=BTC))
    assert succeeded(everything)["cancelResultMap"] == {third: "SUCCESS"}
    params = GetHistoryOrderPageParams(size=2)
    page = succeeded(await sdk.client.order.get_history_order_page(params))
    assert [row["id"] for row in page["dataList"]] == [third, second]
    params.offset_data = page["nextPageOffsetData"]
    page = succeeded(await sdk.client.order.get_history_order_page(params))
    assert ([row["id"] for row in page["dataList"]], page["nextPageOffsetData"]) == ([first], "")


@pytest.mark.parametrize("side", [OrderSide.BUY, OrderSide.SELL])
async def test_its_market_order_signed_for_ten_times_the_price_fills_at_the_books(
    sdk: Sdk, side: OrderSide
) -> None:
    made = await sdk.client.create_market_order(contract_id=ETH, size="0.5", side=side)
    (order,) = sdk.orders
    assert succeeded(made)["orderId"] == str(order.venue_order_id)
    assert order.filled == Decimal("0.5")
    fills = await sdk.client.get_order_fill_transactions(OrderFillTransactionParams(size="10"))
    rows = succeeded(fills)["dataList"]
    assert sum(Decimal(row["fillSize"]) for row in rows) == Decimal("0.5")
    mark = sdk.running.exchange.tables.markets["ETH"].mark_price
    for row in rows:
        price = Decimal(row["fillValue"]) / Decimal(row["fillSize"])
        assert abs(price / mark - 1) < Decimal("0.01")
    asset = succeeded(await sdk.client.get_account_asset())
    (position,) = asset["positionList"]
    sign = 1 if side is OrderSide.BUY else -1
    assert Decimal(position["openSize"]) == sign * Decimal("0.5")
    # Money is what is left after notionals: equity is that and what the position is worth.
    (money,), (model,) = asset["collateralList"], asset["collateralAssetModelList"]
    worth = Decimal(position["openSize"]) * mark
    assert abs(Decimal(money["amount"]) + worth - Decimal(model["totalEquity"])) < Decimal("0.001")


async def test_its_stop_waits_and_acts(sdk: Sdk) -> None:
    await sdk.client.create_market_order(contract_id=BTC, size="0.01", side=OrderSide.BUY)
    stop = CreateOrderParams(
        contract_id=BTC,
        price="0",
        size="0.01",
        type=OrderType.STOP_MARKET,
        side=OrderSide.SELL,
        reduce_only=True,
        trigger_price="60000",
        trigger_price_type="ORACLE_PRICE",
    )
    succeeded(await sdk.client.create_order(stop))
    (row,) = succeeded(await sdk.client.get_active_orders(GetActiveOrderParams()))["dataList"]
    assert (row["status"], row["type"]) == ("UNTRIGGERED", "STOP_MARKET")
    exchange = sdk.running.exchange
    await exchange.durable(operations.set_price(exchange, "BTC", Decimal(59_900)))
    assert exchange.tables.quantity_held(sdk.address, "BTC") == 0


async def test_post_only_immediate_and_reduce_only_orders_end_as_the_venue_ends_them(
    sdk: Sdk,
) -> None:
    async def ended(client_order_id: str, **more: Any) -> dict[str, Any]:
        fields = {"contract_id": BTC, "size": "0.01", "side": OrderSide.BUY, **more}
        made = await sdk.client.create_limit_order(client_order_id=client_order_id, **fields)
        order_id = succeeded(made)["orderId"]
        params = GetHistoryOrderPageParams(filter_order_id_list=[order_id])
        page = succeeded(await sdk.client.order.get_history_order_page(params))
        row: dict[str, Any] = page["dataList"][0]
        return row

    crossing = await ended("a", price="66000", time_in_force=TimeInForce.POST_ONLY)
    assert (crossing["status"], crossing["cancelReason"]) == ("CANCELED", "COULD_NOT_FILL")
    missing = await ended("b", price="60000", time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL)
    assert (missing["status"], missing["cumMatchSize"]) == ("CANCELED", "0")
    nothing = await ended("c", price="60000", reduce_only=True)
    assert nothing["cancelReason"] == "REDUCE_ONLY_CANCELED"


async def test_its_settings_and_public_questions(sdk: Sdk) -> None:
    account = sdk.client.account
    assert (await account.update_leverage_setting(BTC, "7"))["code"] == "SUCCESS"
    row = succeeded(await account.get_account_by_id())
    assert row["contractIdToTradeSetting"][BTC]["maxLeverage"] == "7"
    await rest(sdk)
    refused = await account.update_leverage_setting(BTC, "8")
    # It returns refusals as if they were answers.
    assert refused["code"] == "ACCOUNT_UPDATE_LEVERAGE_FAILED_ORDER"
    margin = await sdk.client.set_margin_mode(SetMarginModeParams(BTC, "1"))
    assert margin["code"] == "SUCCESS"
    most = succeeded(await sdk.client.get_max_order_size(BTC, Decimal(65_000)))
    assert Decimal(most["maxBuySize"]) > 0
    depth = GetOrderBookDepthParams(BTC, limit=15)
    (book,) = succeeded(await sdk.client.quote.get_order_book_depth(depth))
    assert Decimal(book["asks"][0]["price"]) > Decimal(book["bids"][0]["price"])
    (ticker,) = succeeded(await sdk.client.get_24_hour_quote(BTC))
    assert ticker["contractName"] == "BTCUSDC"
    await sdk.client.create_market_order(contract_id=BTC, size="0.01", side=OrderSide.BUY)
    klines = GetKLineParams(BTC, KlineType.HOUR_6, size=5)
    page = succeeded(await sdk.client.quote.get_k_line(klines))
    assert Decimal(page["dataList"][0]["size"]) >= Decimal("0.01")
    paid = GetCollateralTransactionPageParams(filter_type_list=["POSITION_FUNDING"])
    exchange = sdk.running.exchange
    await exchange.durable(operations.pay_funding(exchange, "BTC", Decimal("0.001")))
    page = succeeded(await account.get_collateral_transaction_page(paid))
    assert [row["fundingRate"] for row in page["dataList"]] == ["0.001"]


async def test_keys_that_are_not_the_accounts_are_refused(sdk: Sdk) -> None:
    opened = await sdk.running.simulator.open_account(Decimal(1), "other")
    own = {"address": sdk.address, "private_key": json.dumps(sdk.keys)}
    wrong = {
        "INVALID_API_KEY": {"api_key": "nope"},
        "INVALID_SIGNATURE": {"api_secret": "nope"},
    }
    for code, changes in wrong.items():
        async with client_of(sdk.running.url, own, **changes) as client:
            with pytest.raises(ValueError, match=code):
                await client.get_account_asset()
    foreign = json.loads(opened["private_key"])
    async with client_of(
        sdk.running.url, own, trading_private_key=foreign["trading_private_key"]
    ) as client:
        made = await client.create_limit_order(BTC, "0.01", "60000", OrderSide.BUY)
        assert made["code"] == "INVALID_L2_SIGNATURE"
    async with client_of(sdk.running.url, {**own, "private_key": opened["private_key"]}) as client:
        with pytest.raises(ValueError, match="ACCOUNT_NOT_FOUND"):
            await client.get_account_asset()
    assert sdk.orders == []


# Sockets


class Heard:
    """What a reader thread has heard."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def __call__(self, text: str) -> None:
        with self._lock:
            self.frames.append(json.loads(text))

    async def until(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(10):
            while True:
                with self._lock:
                    for frame in self.frames:
                        if fits(frame):
                            return frame
                await asyncio.sleep(0.02)


async def test_its_private_socket_hears_orders_fills_and_money(sdk: Sdk) -> None:
    manager, heard = sdk.sockets(), Heard()
    manager.get_private_client().on_message_hook(heard)
    # Its client refuses a handshake whose subprotocol is not echoed.
    await asyncio.to_thread(manager.connect_private)
    try:
        await heard.until(lambda frame: frame["type"] == "connected")
        first = await heard.until(lambda frame: frame["type"] == "trade-event")
        assert first["content"]["event"] == "Snapshot"
        assert first["content"]["accountId"] == 0
        await sdk.client.create_market_order(contract_id=BTC, size="0.01", side=OrderSide.BUY)
        filled = await heard.until(
            lambda frame: bool(frame.get("content", {}).get("data", {}).get("orderFillTransaction"))
        )
        data = filled["content"]["data"]
        assert data["order"][0]["status"] == "FILLED"
        assert data["position"][0]["openSize"] == "0.01"
        versions = [f["content"]["version"] for f in heard.frames if f["type"] == "trade-event"]
        assert versions == sorted(set(versions))
    finally:
        await asyncio.to_thread(manager.disconnect_all)


async def test_its_public_socket_hears_a_book_and_its_changes(sdk: Sdk) -> None:
    manager, heard, shown = sdk.sockets(), Heard(), Heard()
    manager.get_public_client().on_message_hook(shown)
    await asyncio.to_thread(manager.connect_public)
    try:
        await asyncio.to_thread(manager.subscribe_depth, BTC, heard)
        (first,) = (await heard.until(lambda frame: True))["content"]["data"]
        assert first["depthType"] == "SNAPSHOT"
        await rest(sdk, "in-the-book")
        exchange = sdk.running.exchange
        await exchange.durable(operations.set_price(exchange, "BTC", Decimal(64_000)))
        changed = await heard.until(lambda frame: frame["content"]["dataType"] == "changed")
        (change,) = changed["content"]["data"]
        assert change["startVersion"] == first["endVersion"]
        await asyncio.to_thread(manager.subscribe_depth, "99999999", heard)
        error = await shown.until(lambda frame: frame["type"] == "error")
        assert error["content"]["code"] == "GATEWAY_INVALID_CONTRACT_ID"
        # It pings in JSON as soon as it is connected.
        await shown.until(lambda frame: frame["type"] == "pong")
    finally:
        await asyncio.to_thread(manager.disconnect_all)
