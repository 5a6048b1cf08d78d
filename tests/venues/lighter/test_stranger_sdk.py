"""The venue's own SDK against the simulated exchange: a client that nobody here wrote."""

from __future__ import annotations

import asyncio
import json
import time
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.venues.lighter.building import CHAIN_ID, Desk, desk
from venues.simulation.faults import FaultKind
from venues.simulation.records import OrderStatus

__all__ = ("desk",)
BTC = 1


@pytest.fixture
async def sdk(desk: Desk) -> AsyncIterator[Any]:
    """A client of the account, with the key that nothing else in these tests uses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lighter
    keys = json.loads(desk.secret.reveal())["api_private_keys"]
    sdk: Any = lighter
    client = sdk.SignerClient(
        url=desk.venue.url,
        account_index=int(desk.account.address),
        api_private_keys={9: keys["9"]},
        chain_id=CHAIN_ID,
    )
    client.lighter = sdk
    try:
        yield client
    finally:
        await client.close()


async def placed(sdk: Any, number: int, **changes: Any) -> Any:
    wanted = {
        "market_index": BTC,
        "client_order_index": number,
        "base_amount": 1_000,
        "price": 600_000,
        "is_ask": False,
        "order_type": sdk.ORDER_TYPE_LIMIT,
        "time_in_force": sdk.ORDER_TIME_IN_FORCE_GOOD_TILL_TIME,
    }
    return await sdk.create_order(**{**wanted, **changes})


async def test_the_key_is_the_accounts(sdk: Any) -> None:
    # It asks by itself, and blocks.
    assert await asyncio.to_thread(sdk.check_client) is None


async def test_it_places_changes_and_cancels(sdk: Any, desk: Desk) -> None:
    _, answer, error = await placed(sdk, 11)
    assert error is None and answer.code == 200
    (order,) = desk.venue.exchange.tables.orders.values()
    assert (str(order.price), str(order.quantity)) == ("60000.0", "0.01000")
    assert order.status is OrderStatus.OPEN
    _, _, error = await sdk.modify_order(
        market_index=BTC, order_index=11, base_amount=2_000, price=610_000, trigger_price=0
    )
    assert error is None
    assert (str(order.price), str(order.remaining)) == ("61000.0", "0.02000")

    _, answer, error = await sdk.cancel_order(market_index=BTC, order_index=11)
    assert error is None and answer.code == 200
    assert not order.status.is_live


async def test_a_cancel_of_what_is_not_there_is_acknowledged_all_the_same(sdk: Any) -> None:
    _, answer, error = await sdk.cancel_order(market_index=BTC, order_index=404)
    assert error is None and answer.code == 200


async def test_it_cancels_everything_now_and_later(sdk: Any, desk: Desk) -> None:
    for number in (21, 22):
        await placed(sdk, number)
    _, _, error = await sdk.cancel_all_orders(sdk.CANCEL_ALL_TIF_IMMEDIATE, 0)
    assert error is None
    orders = desk.venue.exchange.tables.orders.values()
    assert {order.status for order in orders} == {OrderStatus.CANCELED}
    at_ms = int(time.time() * 1000) + 600_000
    _, _, error = await sdk.cancel_all_orders(sdk.CANCEL_ALL_TIF_SCHEDULED, at_ms)
    assert error is None
    account = desk.venue.exchange.tables.accounts[desk.account.address]
    assert account.cancel_all_at_ms == at_ms
    _, _, error = await sdk.cancel_all_orders(sdk.CANCEL_ALL_TIF_ABORT, 0)
    assert error is None and account.cancel_all_at_ms is None


async def test_it_sets_leverage(sdk: Any, desk: Desk) -> None:
    _, _, error = await sdk.update_leverage(BTC, sdk.CROSS_MARGIN_MODE, 5)
    assert error is None
    assert desk.venue.exchange.tables.position(desk.account.address, "BTC").leverage == 5


async def test_a_refusal_leaves_the_nonce_and_a_used_one_is_refused(sdk: Any, desk: Desk) -> None:
    _, _, error = await placed(sdk, 31, base_amount=2_000_000_000)
    assert error is not None and "not enough margin" in error
    _, _, error = await placed(sdk, 32)
    assert error is None, "the nonce was left"
    _, _, error = await placed(sdk, 33, nonce=0, api_key_index=9)
    assert error is not None and "invalid nonce" in error
    assert len(desk.venue.exchange.tables.orders) == 1


async def test_it_reads_what_it_did(sdk: Any, desk: Desk) -> None:
    await placed(sdk, 41)
    await placed(sdk, 42, price=660_000)
    token, error = sdk.create_auth_token_with_expiry(api_key_index=9)
    assert error is None
    index = int(desk.account.address)
    orders = sdk.lighter.OrderApi(sdk.api_client)
    accounts = sdk.lighter.AccountApi(sdk.api_client)
    active = await orders.account_active_orders(
        authorization=token, account_index=index, market_id=BTC
    )
    assert [order.client_order_index for order in active.orders] == [41]
    ended = await orders.account_inactive_orders(authorization=token, account_index=index, limit=10)
    assert [(order.client_order_index, order.status) for order in ended.orders] == [(42, "filled")]
    trades = await orders.trades(
        sort_by="timestamp", limit=10, account_index=index, authorization=token
    )
    assert {trade.bid_account_id for trade in trades.trades} == {index}
    details = await orders.order_book_details()
    assert {market.symbol for market in details.order_book_details} >= {"BTC", "ETH"}
    found = await accounts.account(by="index", value=str(index))
    (position,) = found.accounts[0].positions
    assert (position.symbol, position.sign, position.position) == ("BTC", 1, "0.01000")
    keys = await accounts.apikeys(account_index=index, api_key_index=255)
    assert [key.api_key_index for key in keys.api_keys] == list(range(4, 11))


async def test_an_order_whose_answer_was_lost_is_found_by_its_hash(sdk: Any, desk: Desk) -> None:
    desk.venue.faults.add(FaultKind.ERROR_AFTER_APPLY, action="order")
    kind, info, tx_hash, error = sdk.sign_create_order(
        BTC, 51, 1_000, 600_000, False, 0, 1, nonce=0, api_key_index=9
    )
    assert error is None
    with pytest.raises(Exception, match="50"):
        await sdk.send_tx(kind, info)
    found = await sdk.lighter.TransactionApi(sdk.api_client).tx(by="hash", value=tx_hash)
    assert (found.hash, found.status, found.nonce) == (tx_hash, 2, 0)
