"""Commands become exactly the messages the venue's SDK makes, or are refused by field."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounts import MarginMode
from domain.commands import BurnNonce, CancelOrder, ModifyOrder, PlaceOrder
from domain.errors import CorruptState, InvalidInput
from domain.instruments import Instrument, OrderSide
from domain.ledger import CommandSlot
from domain.orders import OrderType, TimeInForce, TriggerType
from tests.venues.hyperliquid.building import CLOID, META, NOW, place
from venues.hyperliquid import actions, batch, wire
from venues.hyperliquid.actions import Grouping
from venues.hyperliquid.translate import at_ms, instruments, wire_decimal

BODIES = {
    vector["name"]: vector["body"]["action"]
    for vector in json.loads((Path(__file__).parent / "vectors.json").read_text())
}
MARKETS = {
    found.symbol: found for found in instruments(wire.decode(json.dumps(META).encode(), wire.Meta))
}
BTC, ETH, MATIC, PEPE = MARKETS.values()
SLOT = CommandSlot(client_order_id=CLOID, nonce=1, admitted_until=NOW)
EXIT = {"side": OrderSide.SELL, "quantity": Decimal("0.1"), "reduce_only": True}


def composed(market: Instrument, order: PlaceOrder) -> Any:
    return json.loads(actions.place_composer(market, order)(SLOT))


@pytest.mark.parametrize(
    ("name", "market", "order"),
    [
        ("limit gtc mainnet", BTC, place()),
        (
            "ioc reduce-only with expiry",
            ETH,
            place(
                side=OrderSide.SELL,
                quantity=Decimal("0.5000"),
                price=Decimal("2500.50"),
                time_in_force=TimeInForce.IOC,
                reduce_only=True,
            ),
        ),
        (
            "post only",
            ETH,
            place(quantity=Decimal(1), price=Decimal("2499.0"), post_only=True),
        ),
        (
            "stop market",
            BTC,
            place(
                **EXIT,
                order_type=OrderType.STOP_MARKET,
                price=Decimal(74000),
                trigger_price=Decimal("75000"),
            ),
        ),
        (
            "take profit limit",
            BTC,
            place(
                **EXIT,
                order_type=OrderType.TAKE_PROFIT_LIMIT,
                price=Decimal(95000),
                trigger_price=Decimal(95100),
            ),
        ),
    ],
)
def test_placements_are_spelled_as_the_sdk_spells_them(
    name: str, market: Instrument, order: PlaceOrder
) -> None:
    message = actions.place_composer(market, order)(SLOT)
    assert message == json.dumps(BODIES[name], separators=(",", ":"))


def test_market_order_is_an_immediate_limit_order() -> None:
    order = place(order_type=OrderType.MARKET)
    assert composed(BTC, order)["orders"][0]["t"] == {"limit": {"tif": "Ioc"}}


def test_cancels_by_either_id() -> None:
    command = CancelOrder(symbol="ETH-PERP", client_order_id=CLOID)
    by_cloid = actions.cancel_composer(ETH, command)(SLOT)
    assert by_cloid == json.dumps(BODIES["cancel by cloid"], separators=(",", ":"))
    by_oid = actions.cancel_composer(ETH, replace(command, venue_order_id="123456789"))(SLOT)
    assert by_oid == json.dumps(BODIES["cancel by oid"], separators=(",", ":"))
    with pytest.raises(InvalidInput, match="venue_order_id"):
        actions.cancel_composer(ETH, replace(command, venue_order_id="abc"))


def test_modify_is_a_batch_of_one() -> None:
    order = place(symbol="ETH-PERP", quantity=Decimal("0.25"), price=Decimal(2400))
    command = ModifyOrder(venue_order_id="77", order=order)
    message = actions.modify_composer(ETH, command)(SLOT)
    assert message == json.dumps(BODIES["batch modify"], separators=(",", ":"))


def test_noop_burns_the_rows_nonce_only() -> None:
    assert actions.noop_composer(BurnNonce(nonce=1))(SLOT) == '{"type":"noop"}'
    with pytest.raises(CorruptState, match="nonce 2"):
        actions.noop_composer(BurnNonce(nonce=2))(SLOT)


def test_leverage_and_schedule() -> None:
    assert actions.leverage_action(BTC, 10, MarginMode.CROSS) == BODIES["leverage"]
    assert actions.leverage_action(BTC, 3, MarginMode.ISOLATED)["isCross"] is False
    for wrong in (0, 41):
        with pytest.raises(InvalidInput, match="1 to 40"):
            actions.leverage_action(BTC, wrong, MarginMode.CROSS)
    at = at_ms(BODIES["schedule cancel"]["time"])
    assert actions.schedule_cancel_action(at) == BODIES["schedule cancel"]
    assert actions.schedule_cancel_action(None) == {"type": "scheduleCancel"}


@pytest.mark.parametrize(
    ("market", "changes", "field"),
    [
        (BTC, {"price": Decimal("83000.5")}, "price"),
        (BTC, {"price": Decimal("0")}, "price"),
        (BTC, {"quantity": Decimal("0.000001")}, "quantity"),
        (BTC, {"quantity": Decimal("0")}, "quantity"),
        (BTC, {"quantity": Decimal("0.0001")}, "quantity"),
        (ETH, {"quantity": Decimal(1), "price": Decimal("2620.33")}, "price"),
        (MATIC, {"quantity": Decimal(100), "price": Decimal("0.5")}, "symbol"),
        (BTC, {"time_in_force": TimeInForce.FOK}, "time_in_force"),
        (BTC, {"time_in_force": TimeInForce.GTD}, "time_in_force"),
        (BTC, {"post_only": True, "time_in_force": TimeInForce.IOC}, "post_only"),
        (BTC, {"post_only": True, "order_type": OrderType.MARKET}, "post_only"),
        (BTC, {"trigger_price": Decimal(80000)}, "trigger_price"),
        (BTC, {"order_type": OrderType.STOP_MARKET}, "trigger_price"),
        (
            BTC,
            {"order_type": OrderType.STOP_MARKET, "trigger_price": Decimal("80000.5")},
            "trigger_price",
        ),
        (
            BTC,
            {
                "order_type": OrderType.STOP_MARKET,
                "trigger_price": Decimal(80000),
                "trigger_type": TriggerType.LAST,
            },
            "trigger_type",
        ),
        (
            BTC,
            {
                "order_type": OrderType.STOP_LIMIT,
                "trigger_price": Decimal(80000),
                "time_in_force": TimeInForce.IOC,
            },
            "time_in_force",
        ),
    ],
)
def test_what_the_venue_would_refuse_for_its_form_is_refused_by_field(
    market: Instrument, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        actions.place_composer(market, place(**changes))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("market", "changes"),
    [
        (BTC, {"price": Decimal("123457")}),
        (BTC, {"price": Decimal("83001")}),
        (ETH, {"quantity": Decimal(1), "price": Decimal("2620.3")}),
        (PEPE, {"quantity": Decimal(10000), "price": Decimal("0.012345")}),
        # Closing a whole position is exempt from the minimum; the venue knows the position.
        (BTC, {"quantity": Decimal("0.00001"), "reduce_only": True}),
        # A market sell's bound lies below the market, so it says nothing of the value.
        (
            BTC,
            {
                "quantity": Decimal("0.00012"),
                "side": OrderSide.SELL,
                "order_type": OrderType.MARKET,
                "price": Decimal(79000),
            },
        ),
    ],
)
def test_what_the_venue_takes_is_composed(market: Instrument, changes: dict[str, Any]) -> None:
    assert composed(market, place(**changes))["orders"][0]["a"] == market.asset_index


@given(st.integers(1, 10**9), st.integers(1, 99999), st.integers(-2, 1))
def test_numbers_survive_the_wire_exactly(lots: int, figures: int, exponent: int) -> None:
    quantity, price = Decimal(lots) / 10**5, Decimal(figures).scaleb(exponent)
    if not BTC.price_rule.allows(price):
        return
    order = place(quantity=quantity, price=price, reduce_only=True)
    element = composed(BTC, order)["orders"][0]
    assert (Decimal(element["s"]), Decimal(element["p"])) == (quantity, price)
    for text in (element["s"], element["p"]):
        assert "E" not in text
        assert not ("." in text and text.endswith(("0", ".")))


def test_more_decimals_than_the_venue_reads() -> None:
    with pytest.raises(InvalidInput, match="at most 8 decimals"):
        wire_decimal("price", Decimal("0.000000001"))


OTHER = "0x" + "f" * 32
STOP = place(
    **EXIT, order_type=OrderType.STOP_MARKET, price=Decimal(74000), trigger_price=Decimal(75000)
)


def test_batch_of_orders_keeps_their_order() -> None:
    compose = batch.place_batch_composer([(BTC, place()), (BTC, STOP)], Grouping.PARENT_AND_EXITS)
    action = json.loads(compose([SLOT, replace(SLOT, client_order_id=OTHER)]))
    assert action["grouping"] == "normalTpsl"
    assert [order["c"] for order in action["orders"]] == [CLOID, OTHER]
    with pytest.raises(ValueError, match="shorter"):
        compose([SLOT])


def test_batch_checks_grouping_and_length() -> None:
    with pytest.raises(InvalidInput, match="reduce-only trigger"):
        batch.place_batch_composer([(BTC, place()), (BTC, place())], Grouping.PARENT_AND_EXITS)
    with pytest.raises(InvalidInput, match="reduce-only trigger"):
        batch.place_batch_composer([(BTC, place())], Grouping.POSITION_EXITS)
    for length in (0, 41):
        with pytest.raises(InvalidInput, match="1 to 40"):
            batch.place_batch_composer([(BTC, place())] * length, Grouping.NONE)
    with pytest.raises(InvalidInput, match="price"):
        batch.place_batch_composer([(BTC, place(price=Decimal("1.23456789")))], Grouping.NONE)


def test_batch_of_cancels_uses_one_kind_of_id() -> None:
    known = CancelOrder(symbol="BTC-PERP", client_order_id=CLOID, venue_order_id="5")
    unknown = CancelOrder(symbol="ETH-PERP", client_order_id=OTHER)
    all_known = json.loads(batch.cancel_batch_composer([(BTC, known)])([SLOT]))
    assert all_known == {"type": "cancel", "cancels": [{"a": 0, "o": 5}]}
    mixed = json.loads(batch.cancel_batch_composer([(BTC, known), (ETH, unknown)])([SLOT, SLOT]))
    assert mixed == {
        "type": "cancelByCloid",
        "cancels": [{"asset": 0, "cloid": CLOID}, {"asset": 1, "cloid": OTHER}],
    }


def test_a_position_bound_exit_is_grouped_with_its_position() -> None:
    stop = place(
        **EXIT,
        order_type=OrderType.STOP_MARKET,
        price=Decimal(74000),
        trigger_price=Decimal(75000),
        position_bound=True,
    )

    assert composed(BTC, stop)["grouping"] == "positionTpsl"
    assert composed(BTC, replace(stop, position_bound=False))["grouping"] == "na"
    for wrong in (
        replace(stop, reduce_only=False),
        replace(stop, order_type=OrderType.LIMIT, trigger_price=None),
    ):
        with pytest.raises(InvalidInput, match="position_bound"):
            composed(BTC, wrong)
