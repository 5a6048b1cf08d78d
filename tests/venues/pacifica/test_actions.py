"""Messages carry what was asked and nothing else, dated so that the venue's fence is known."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from domain.accounts import MarginMode
from domain.commands import CancelOrder, ModifyOrder, PlaceOrder
from domain.errors import CorruptState, InvalidInput
from domain.instruments import OrderSide
from domain.orders import OrderType, TimeInForce, TriggerType
from tests.venues.pacifica.building import NOW_MS, ORDER_ID, SLOT, place
from tests.venues.pacifica.test_translate import MARKET, read
from venues.connector import MessageComposer
from venues.pacifica import actions, wire
from venues.pacifica.proofs import ADMISSION_WINDOW_S, BACKDATED_MS, EXPIRY_WINDOW_MS
from venues.pacifica.signing import check_allowed
from venues.pacifica.translate import instruments

(BTC,) = instruments(read(list[wire.MarketRow], [MARKET]))
STOP: dict[str, Any] = {
    "side": OrderSide.SELL,
    "order_type": OrderType.STOP_MARKET,
    "trigger_price": Decimal(60000),
    "price": Decimal(59000),
    "reduce_only": True,
}


def composed(composer: MessageComposer) -> tuple[str, dict[str, Any]]:
    message = check_allowed(composer(SLOT))
    assert message["timestamp"] == NOW_MS - BACKDATED_MS
    assert message["expiry_window"] == EXPIRY_WINDOW_MS
    return message["type"], message["data"]


def placed(**changes: Any) -> tuple[str, dict[str, Any]]:
    return composed(actions.place_composer(BTC, place(**changes)))


def test_the_venue_admits_a_message_exactly_as_long_as_the_ledger_says() -> None:
    message = json.loads(actions.place_composer(BTC, place())(SLOT))
    until = message["timestamp"] + message["expiry_window"]
    assert until == NOW_MS + ADMISSION_WINDOW_S * 1000


def test_a_limit_order() -> None:
    assert placed() == (
        "create_order",
        {
            "symbol": "BTC",
            "price": "62958",
            "amount": "0.0002",
            "side": "bid",
            "tif": "GTC",
            "reduce_only": False,
            "client_order_id": ORDER_ID,
        },
    )


@pytest.mark.parametrize(
    ("changes", "tif"),
    [
        ({"post_only": True}, "ALO"),
        ({"time_in_force": TimeInForce.IOC}, "IOC"),
        ({"order_type": OrderType.MARKET}, "IOC"),
    ],
)
def test_times_in_force(changes: dict[str, Any], tif: str) -> None:
    assert placed(**changes)[1]["tif"] == tif


def test_a_stop_watches_the_mark_price() -> None:
    kind, data = placed(**STOP)
    assert kind == "create_stop_order"
    assert data["reduce_only"] is True
    assert data["stop_order"] == {
        "stop_price": "60000",
        "amount": "0.0002",
        "client_order_id": ORDER_ID,
        "trigger_price_type": "mark_price",
    }
    _, limited = placed(**{**STOP, "order_type": OrderType.STOP_LIMIT})
    assert limited["stop_order"]["limit_price"] == "59000"


def test_exits_tied_to_the_position() -> None:
    kind, data = placed(**{**STOP, "position_bound": True})
    assert (kind, data["side"]) == ("set_position_tpsl", "ask")
    assert "amount" not in data["stop_loss"]
    kind, data = placed(
        **{**STOP, "order_type": OrderType.TAKE_PROFIT_LIMIT, "trigger_price": Decimal(70000)}
    )
    assert kind == "set_position_tpsl"
    assert data["take_profit"]["limit_price"] == "59000"
    assert data["take_profit"]["amount"] == "0.0002"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"quantity": Decimal("0.000001")}, "quantity"),
        ({"price": Decimal("62958.5")}, "price"),
        ({"quantity": Decimal("0.0001"), "price": Decimal(60000)}, "quantity"),
        ({"time_in_force": TimeInForce.FOK}, "time_in_force"),
        ({"post_only": True, "time_in_force": TimeInForce.IOC}, "post_only"),
        ({"trigger_price": Decimal(1)}, "trigger_price"),
        ({"order_type": OrderType.STOP_MARKET}, "trigger_price"),
        ({**STOP, "trigger_price": Decimal("0.5")}, "trigger_price"),
        ({**STOP, "trigger_type": TriggerType.LAST}, "trigger_type"),
        ({**STOP, "reduce_only": False, "position_bound": True}, "position_bound"),
        (
            {**STOP, "order_type": OrderType.TAKE_PROFIT_MARKET, "reduce_only": False},
            "reduce_only",
        ),
        (
            {**STOP, "order_type": OrderType.STOP_LIMIT, "time_in_force": TimeInForce.IOC},
            "time_in_force",
        ),
    ],
)
def test_what_the_venue_would_refuse_for_its_form(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{field}: "):
        actions.place_composer(BTC, place(**changes))


def test_a_market_sell_is_not_measured_by_its_bound() -> None:
    order = place(side=OrderSide.SELL, order_type=OrderType.MARKET, price=Decimal(1))
    assert composed(actions.place_composer(BTC, order))[1]["price"] == "1"


def test_cancels() -> None:
    command = CancelOrder(symbol="BTC-PERP", client_order_id=ORDER_ID)
    assert composed(actions.cancel_composer(BTC, command)) == (
        "cancel_order",
        {"symbol": "BTC", "client_order_id": ORDER_ID},
    )
    named = replace(command, venue_order_id="336538012", waits_for_trigger=True)
    assert composed(actions.cancel_composer(BTC, named)) == (
        "cancel_stop_order",
        {"symbol": "BTC", "order_id": 336538012},
    )
    with pytest.raises(InvalidInput, match="venue_order_id"):
        actions.cancel_composer(BTC, replace(command, venue_order_id="0x1"))


def modify(order: PlaceOrder) -> ModifyOrder:
    return ModifyOrder(venue_order_id="7", order=order)


def test_an_edit_is_post_only_because_the_venue_makes_it_so() -> None:
    assert composed(actions.edit_composer(BTC, modify(place(post_only=True)))) == (
        "edit_order",
        {"symbol": "BTC", "price": "62958", "amount": "0.0002", "order_id": 7},
    )
    with pytest.raises(InvalidInput, match="post_only"):
        actions.edit_composer(BTC, modify(place()))


def test_settings() -> None:
    assert actions.leverage_data(BTC, 50) == {"symbol": "BTC", "leverage": 50}
    assert actions.margin_mode_data(BTC, MarginMode.ISOLATED)["is_isolated"] is True
    for leverage in (0, 51):
        with pytest.raises(InvalidInput, match="expected 1 to 50"):
            actions.leverage_data(BTC, leverage)


def test_without_an_end_of_admission_nothing_is_written() -> None:
    with pytest.raises(CorruptState, match="end of admission"):
        actions.place_composer(BTC, place())(replace(SLOT, admitted_until=None))
