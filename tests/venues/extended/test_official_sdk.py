"""The venue's own SDK against our simulator: `x10-python-trading-starknet`, its REST half.

It signs and asks in its own way, so what is taken here is not our own spelling. Its streams of the
first kind do not work with the websockets that everything else here needs (14 and newer), so they
are tried by our own feeds alone.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from x10.clients.rest.rest_api_client import RestApiClient
from x10.config import TESTNET_CONFIG
from x10.core.stark_account import StarkPerpetualAccount
from x10.errors import ApiError, ApiNotAuthorizedError
from x10.models.order import (
    OrderPriceType,
    OrderSide,
    OrderStatus,
    OrderTpslType,
    OrderTriggerPriceType,
    TimeInForce,
)
from x10.signing.order_object import OrderTpslTriggerParam

from venues.simulation.records import Order
from venues.simulation.server import RunningSimulator, running_simulator

FEE = Decimal("0.0005")


def config_at(url: str) -> Any:
    endpoints = replace(
        TESTNET_CONFIG.endpoints,
        api_base_url=f"{url}/api/v1",
        api_base_order_management_url=f"{url}/api/v1",
    )
    return replace(TESTNET_CONFIG, endpoints=endpoints)


@dataclass
class Sdk:
    """The client with its account, and the exchange that it trades at."""

    running: RunningSimulator
    client: RestApiClient
    vault: str

    @property
    def orders(self) -> list[Order]:
        return list(self.running.exchange.tables.orders.values())

    async def place(self, **changes: Any) -> Any:
        fields: dict[str, Any] = {
            "market_name": "BTC-USD",
            "amount_of_synthetic": Decimal("0.01"),
            "price": Decimal(60000),
            "side": OrderSide.BUY,
            "taker_fee": FEE,
        }
        placed = await self.client.place_order(**{**fields, **changes})
        assert placed.data is not None
        return placed.data


@pytest.fixture
async def sdk() -> AsyncIterator[Sdk]:
    async with running_simulator(venue="extended") as running:
        opened = await running.simulator.open_account(Decimal(100_000), "sdk")
        client = client_of(running, opened)
        try:
            yield Sdk(running, client, opened["address"])
        finally:
            await client.close()


def client_of(running: RunningSimulator, opened: dict[str, str], **changes: str) -> RestApiClient:
    keys = {**read_keys(opened), **changes}
    account = StarkPerpetualAccount(
        keys["vault"], keys["private_key"], keys["public_key"], keys["api_key"]
    )
    return RestApiClient(config_at(running.url), account)


def read_keys(opened: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = json.loads(opened["private_key"])
    return found


async def test_its_signature_is_verified_and_its_order_rests(sdk: Sdk) -> None:
    placed = await sdk.place()
    (order,) = sdk.orders
    assert placed.id == order.venue_order_id > 2**53
    # Left to itself, it takes the message's hash for a name.
    assert placed.external_id == order.client_order_id
    assert placed.external_id.isdigit()
    assert (order.price, order.quantity, order.status.value) == (
        Decimal(60000),
        Decimal("0.01"),
        "open",
    )


async def test_every_kind_of_order_is_taken(sdk: Sdk) -> None:
    await sdk.place(side=OrderSide.SELL, price=Decimal("70000"), post_only=True)
    await sdk.place(price=Decimal(66000), time_in_force=TimeInForce.IOC)
    await sdk.place(builder_fee=Decimal("0.0001"), builder_id=7, external_id="mine")
    odd = datetime.now(UTC) + timedelta(hours=3, microseconds=123_457)
    await sdk.place(expire_time=odd, amount_of_synthetic=Decimal("0.01234"))
    await sdk.place(
        side=OrderSide.SELL, price=Decimal(64000), reduce_only=True, time_in_force=TimeInForce.IOC
    )
    statuses = [order.status.value for order in sdk.orders]
    assert statuses == ["open", "filled", "open", "open", "filled"]


async def test_an_entry_takes_its_exits_along(sdk: Sdk) -> None:
    await sdk.place(
        price=Decimal(66000),
        time_in_force=TimeInForce.IOC,
        tp_sl_type=OrderTpslType.ORDER,
        take_profit=OrderTpslTriggerParam(
            trigger_price=Decimal(75000),
            trigger_price_type=OrderTriggerPriceType.MARK,
            price=Decimal(74000),
            price_type=OrderPriceType.LIMIT,
        ),
        stop_loss=OrderTpslTriggerParam(
            trigger_price=Decimal(60000),
            trigger_price_type=OrderTriggerPriceType.MARK,
            price=Decimal(59000),
            price_type=OrderPriceType.MARKET,
        ),
    )
    entry, target, stop = sdk.orders
    assert (entry.status.value, target.status.value, stop.status.value) == (
        "filled",
        "untriggered",
        "untriggered",
    )
    assert (target.parent, stop.parent) == (entry.venue_order_id, entry.venue_order_id)


async def test_both_ids_cancel_and_so_does_the_whole(sdk: Sdk) -> None:
    first, second = await sdk.place(), await sdk.place(external_id="second")
    await sdk.client.orders.cancel_order(first.id)
    await sdk.client.orders.cancel_order_by_external_id("second")
    third, fourth = await sdk.place(), await sdk.place(external_id="fourth")
    await sdk.client.orders.mass_cancel(order_ids=[third.id], external_order_ids=["fourth"])
    await sdk.place()
    await sdk.client.orders.mass_cancel(markets=["BTC-USD"])
    await sdk.place()
    await sdk.client.orders.mass_cancel(cancel_all=True)
    assert {order.status.value for order in sdk.orders} == {"canceled"}
    with pytest.raises(ApiError, match="404"):
        await sdk.client.orders.cancel_order(second.id)
    assert fourth.external_id == "fourth"


async def test_a_replacement_takes_the_place_of_the_old_order(sdk: Sdk) -> None:
    await sdk.place(external_id="old")
    await sdk.place(external_id="new", price=Decimal(59000), previous_order_id="old")
    old, new = sdk.orders
    assert (old.status.value, new.status.value, new.price) == (
        "canceled",
        "open",
        Decimal(59000),
    )
    with pytest.raises(ApiError, match="1142"):
        await sdk.place(external_id="newer", previous_order_id="old")


async def test_its_models_read_what_is_told_of_an_account(sdk: Sdk) -> None:
    resting = await sdk.place()
    await sdk.place(price=Decimal(66000), time_in_force=TimeInForce.IOC)
    account = sdk.client.account
    info = (await account.get_account()).data
    assert info is not None and str(info.l2_vault) == sdk.vault
    balance = (await account.get_balance()).data
    assert balance is not None and 0 < balance.available_for_trade < balance.equity
    (position,) = (await account.get_positions()).data or []
    assert (position.market, position.size) == ("BTC-USD", Decimal("0.01"))
    (listed,) = (await account.get_open_orders()).data or []
    assert (listed.id, listed.status) == (resting.id, OrderStatus.NEW)
    (ended,) = (await account.get_orders_history()).data or []
    assert ended.status == OrderStatus.FILLED
    by_id = (await account.get_order_by_id(resting.id)).data
    assert by_id is not None and by_id.external_id == resting.external_id
    by_name = (await account.get_order_by_external_id(resting.external_id)).data or []
    assert [found.id for found in by_name] == [resting.id]
    trades = (await account.get_trades()).data or []
    assert sum(trade.qty for trade in trades) == Decimal("0.01")
    (fees,) = (await account.get_fees(market_names=["BTC-USD"])).data or []
    assert fees.taker_fee_rate < FEE
    await account.update_leverage("BTC-USD", Decimal(7))
    (leverage,) = (await account.get_leverage(market_names=["BTC-USD"])).data or []
    assert leverage.leverage == 7


async def test_its_models_read_the_markets(sdk: Sdk) -> None:
    markets = await sdk.client.info.get_markets_dict()
    assert set(markets) == set(sdk.running.exchange.tables.instruments)
    book = (await sdk.client.info.get_orderbook_snapshot(market_name="BTC-USD")).data
    assert book is not None and book.bid[0].price < book.ask[0].price


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"taker_fee": Decimal("0.0001")}, "1128"),
        ({"amount_of_synthetic": Decimal("0.00001")}, "1120"),
        ({"amount_of_synthetic": Decimal("0.000105")}, "1121"),
        ({"price": Decimal("60000.5")}, "1124"),
        ({"price": Decimal(80000)}, "1141"),
        ({"amount_of_synthetic": Decimal(40)}, "1140"),
        ({"amount_of_synthetic": Decimal(4000)}, "1122"),
        ({"reduce_only": True}, "1137"),
        ({"expire_time": datetime(2020, 1, 1, tzinfo=UTC)}, "1135"),
    ],
)
async def test_refusals_have_the_venues_numbers(
    sdk: Sdk, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(ApiError, match=code):
        await sdk.place(**changes)


async def test_keys_that_do_not_belong_together_are_refused(sdk: Sdk) -> None:
    mine = await sdk.running.simulator.open_account(Decimal(100_000), "mine")
    theirs = await sdk.running.simulator.open_account(Decimal(100_000), "theirs")
    other = read_keys(theirs)
    for changes, error, code in (
        ({"private_key": other["private_key"]}, ApiError, "1101"),
        ({"public_key": other["public_key"]}, ApiError, "1100"),
        ({"vault": other["vault"]}, ApiError, "1102"),
        ({"api_key": "nobody's-own-key"}, ApiNotAuthorizedError, ""),
    ):
        client = client_of(sdk.running, mine, **changes)
        try:
            with pytest.raises(error, match=code or None):
                await Sdk(sdk.running, client, mine["address"]).place()
        finally:
            await client.close()
    assert sdk.orders == []
