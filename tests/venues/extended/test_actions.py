"""Placements and cancels as text: everything that is signed, one spelling, the same bytes again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.accounts import Network
from domain.commands import CancelOrder, PlaceOrder
from domain.errors import InvalidInput, NotAllowed
from domain.instruments import MarketState, OrderSide
from domain.orders import OrderType, TimeInForce, TriggerType
from tests.venues.extended.building import LISTING, MARKET, NOW, ORDER_ID, SLOT, place
from venues.extended.actions import (
    cancel_composer,
    check_allowed,
    leverage_body,
    order_number,
    place_composer,
    signed_parts,
    spelled,
    with_settlements,
)

FEE = Decimal("0.0005")
STOP = place(
    side=OrderSide.SELL,
    order_type=OrderType.STOP_MARKET,
    price=Decimal(78000),
    trigger_price=Decimal(80000),
    reduce_only=True,
)


def composed(
    order: PlaceOrder, *, network: Network = Network.MAINNET, now: datetime = NOW, **slot: Any
) -> dict[str, Any]:
    compose = place_composer(network, MARKET, LISTING, order, fee_rate=FEE, now=now)
    return check_allowed(compose(replace(SLOT, **slot)))


def test_a_limit_order_says_all_that_is_signed() -> None:
    message = composed(place())
    order = message["order"]
    assert message["chain"] == "SN_MAIN"
    assert message["l2"]["syntheticResolution"] == 1_000_000
    assert (order["id"], order["market"], order["type"], order["side"]) == (
        ORDER_ID,
        "BTC-USD",
        "LIMIT",
        "BUY",
    )
    assert (order["qty"], order["price"], order["fee"]) == ("0.001", "84077", "0.0005")
    assert (order["timeInForce"], order["postOnly"], order["reduceOnly"]) == ("GTT", False, False)
    assert 1 <= int(order["nonce"]) < 2**31
    (terms,) = signed_parts(message).values()
    assert (terms.quantity, terms.price, terms.fee_rate) == (
        Decimal("0.001"),
        Decimal(84077),
        FEE,
    )
    assert (terms.salt, terms.expiry_ms) == (int(order["nonce"]), order["expiryEpochMillis"])


@pytest.mark.parametrize(
    ("network", "longest"), [(Network.MAINNET, 90), (Network.TESTNET, 28), (Network.PAPER, 28)]
)
@pytest.mark.parametrize("hour", [0, 12, 23])
def test_a_resting_order_lives_for_weeks_and_no_longer_than_the_venue_lets_it(
    network: Network, longest: int, hour: int
) -> None:
    now = NOW.replace(hour=hour, minute=59, second=59)
    for number in range(40):
        order = composed(place(), network=network, now=now, client_order_id=f"c{number}")["order"]
        lives = datetime.fromtimestamp(order["expiryEpochMillis"] / 1000, UTC) - now
        assert timedelta(days=longest - 2) < lives <= timedelta(days=longest)


@pytest.mark.parametrize("minute", [0, 59])
def test_an_immediate_order_ends_within_hours(minute: int) -> None:
    now = NOW.replace(minute=minute)
    for order in (
        place(time_in_force=TimeInForce.IOC),
        place(order_type=OrderType.MARKET),
    ):
        written = composed(order, now=now)["order"]
        assert written["timeInForce"] == "IOC"
        assert written["type"] == order.order_type.value
        ends = datetime.fromtimestamp(written["expiryEpochMillis"] / 1000, UTC)
        assert timedelta(hours=1) < ends - now <= timedelta(hours=3)


def test_the_same_slot_gives_the_same_bytes_all_day_and_another_slot_another_message() -> None:
    morning, evening = NOW.replace(hour=1), NOW.replace(hour=22)
    assert composed(place(), now=morning) == composed(place(), now=evening)
    signed = set()
    for number in range(300):
        order = composed(place(), client_order_id=f"order-{number}")["order"]
        signed.add((order["nonce"], order["expiryEpochMillis"] // 1000))
    assert len(signed) == 300


def test_paper_orders_are_worth_nothing_on_mainnet() -> None:
    assert composed(place(), network=Network.PAPER)["chain"] == "SN_SEPOLIA"
    assert composed(place(), network=Network.TESTNET)["chain"] == "SN_SEPOLIA"


@pytest.mark.parametrize(
    ("kind", "side", "direction", "execution"),
    [
        (OrderType.STOP_MARKET, OrderSide.SELL, "DOWN", "MARKET"),
        (OrderType.STOP_LIMIT, OrderSide.BUY, "UP", "LIMIT"),
        (OrderType.TAKE_PROFIT_MARKET, OrderSide.SELL, "UP", "MARKET"),
        (OrderType.TAKE_PROFIT_LIMIT, OrderSide.BUY, "DOWN", "LIMIT"),
    ],
)
def test_what_waits_names_its_direction(
    kind: OrderType, side: OrderSide, direction: str, execution: str
) -> None:
    order = composed(replace(STOP, order_type=kind, side=side))["order"]
    assert order["type"] == "CONDITIONAL"
    assert order["trigger"] == {
        "triggerPrice": "80000",
        "triggerPriceType": "MARK",
        "direction": direction,
        "executionPriceType": execution,
    }
    assert (order["price"], order["timeInForce"], order["reduceOnly"]) == ("78000", "GTT", True)
    watched = composed(replace(STOP, trigger_type=TriggerType.LAST))["order"]
    assert watched["trigger"]["triggerPriceType"] == "LAST"


@pytest.mark.parametrize(
    ("kind", "leg"),
    [(OrderType.STOP_MARKET, "stopLoss"), (OrderType.TAKE_PROFIT_LIMIT, "takeProfit")],
)
def test_an_exit_tied_to_its_position_is_signed_for_more_than_any_position(
    kind: OrderType, leg: str
) -> None:
    message = composed(replace(STOP, order_type=kind, position_bound=True))
    order = message["order"]
    assert (order["type"], order["tpSlType"]) == ("TPSL", "POSITION")
    assert (order["qty"], order["price"]) == ("0", "0")
    assert order[leg]["triggerPrice"] == "80000"
    ((name, terms),) = signed_parts(message).items()
    assert name == leg
    # Fifty times the ten millions that a position may be worth, in lots.
    assert terms.quantity == Decimal("6410.25641")
    assert (terms.side, terms.price) == (OrderSide.SELL, Decimal(78000))
    body = with_settlements(message, {leg: {"starkKey": "0x1"}})
    assert body[leg]["settlement"] == {"starkKey": "0x1"}
    assert "settlement" not in body


@pytest.mark.parametrize(
    ("order", "field"),
    [
        (place(quantity=Decimal("0.00001")), "quantity"),
        (place(quantity=Decimal("0.001001")), "quantity"),
        (place(price=Decimal("84077.5")), "price"),
        (place(time_in_force=TimeInForce.FOK), "time_in_force"),
        (place(time_in_force=TimeInForce.GTD), "time_in_force"),
        (place(post_only=True, time_in_force=TimeInForce.IOC), "post_only"),
        (place(trigger_price=Decimal(1)), "trigger_price"),
        (replace(STOP, trigger_price=None), "trigger_price"),
        (replace(STOP, trigger_price=Decimal("80000.5")), "trigger_price"),
        (replace(STOP, position_bound=True, reduce_only=False), "position_bound"),
        (place(quantity=Decimal(10) ** 14, price=Decimal(10) ** 14), "quantity"),
    ],
)
def test_what_the_venue_would_refuse_is_refused_here(order: PlaceOrder, field: str) -> None:
    with pytest.raises(InvalidInput) as seen:
        composed(order)
    assert seen.value.field == field


def test_a_market_that_only_closes_takes_what_closes() -> None:
    closing = replace(MARKET, state=MarketState.CLOSE_ONLY)
    place_composer(Network.PAPER, closing, LISTING, STOP, fee_rate=FEE, now=NOW)
    with pytest.raises(InvalidInput, match="close only"):
        place_composer(Network.PAPER, closing, LISTING, place(), fee_rate=FEE, now=NOW)


def test_cancels_name_one_order() -> None:
    by_ours = CancelOrder(symbol="BTC-PERP", client_order_id=ORDER_ID)
    assert check_allowed(cancel_composer(by_ours)(SLOT)) == {"cancel": {"externalId": ORDER_ID}}
    by_theirs = replace(by_ours, venue_order_id="2051479786538188800")
    assert check_allowed(cancel_composer(by_theirs)(SLOT)) == {
        "cancel": {"id": 2051479786538188800}
    }
    for wrong in ("", "-1", "7 or 1", "9" * 20):
        with pytest.raises(InvalidInput):
            order_number(wrong)


def _changed(**changes: Any) -> str:
    message = composed(place())
    return spelled({**message, **changes})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"cancel": {"id": 1}}',
        spelled({"cancel": {"all": True}}),
        spelled({"cancel": 7}),
        spelled({"transfer": {"to": "1"}}),
        spelled({"chain": "SN_MAIN", "l2": 1, "order": {}}),
        _changed(withdraw="1"),
        _changed(l2={"collateralId": "0x1"}),
        _changed(order={**composed(place())["order"], "recipient": "0x1"}),
    ],
)
def test_nothing_but_orders_and_cancels_is_let_through(text: str) -> None:
    with pytest.raises(NotAllowed):
        check_allowed(text)


def test_leverage_is_bounded() -> None:
    assert leverage_body(MARKET, 7) == {"market": "BTC-USD", "leverage": "7"}
    for wrong in (0, 51):
        with pytest.raises(InvalidInput, match="1 to 50"):
            leverage_body(MARKET, wrong)
