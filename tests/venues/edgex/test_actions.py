"""Commands become requests: every field of a body, and what is refused before anything is sent."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.commands import CancelOrder
from domain.errors import InvalidInput, VenueUnavailable
from domain.instruments import MarketState, OrderSide
from domain.orders import OrderType, TimeInForce, TriggerType
from tests.venues.edgex.building import (
    CLIENT_ID,
    NOW,
    SLOT,
    btc,
    catalog,
    contract_row,
    metadata,
    place,
)
from venues.edgex import wire
from venues.edgex.actions import cancel_composer, leverage_message, place_composer
from venues.edgex.catalog import Catalog
from venues.edgex.signing import check_allowed

DAY_MS = 86_400_000
MIDNIGHT_MS = int(datetime(2026, 11, 18, tzinfo=UTC).timestamp()) * 1000


def body_of(*, now: datetime = NOW, **changes: Any) -> dict[str, Any]:
    found = catalog()
    compose = place_composer(btc(), found.terms(btc()), place(**changes), now=now)
    body: dict[str, Any] = check_allowed(compose(SLOT))["body"]
    return body


def test_a_limit_orders_body() -> None:
    assert body_of() == {
        "contractId": "30000001",
        "price": "64000.1",
        "size": "0.003",
        "type": "LIMIT",
        "side": "BUY",
        "timeInForce": "GOOD_TIL_CANCEL",
        "clientOrderId": CLIENT_ID,
        "expireTime": str(MIDNIGHT_MS + 22 * DAY_MS),
        "l2Nonce": "1793270415",
        "l2ExpireTime": str(MIDNIGHT_MS + 30 * DAY_MS),
        "l2Value": "192.0003",
        "l2Size": "0.003",
        # 192.0003 × 0.00038 is seven hundredths; the fee is signed in whole dollars.
        "l2LimitFee": "1",
        "reduceOnly": False,
        "isPositionTpsl": False,
    }


def test_a_message_is_the_same_all_day_and_never_lives_longer_than_the_sdks() -> None:
    assert body_of(now=NOW) == body_of(now=NOW + timedelta(hours=14))
    late = NOW.replace(hour=23, minute=59)
    for now in (NOW, late, late + timedelta(minutes=2)):
        expires = int(body_of(now=now)["expireTime"])
        lives = expires - now.timestamp() * 1000
        assert 21 * DAY_MS <= lives <= 22 * DAY_MS


def test_a_market_order_is_an_immediate_limit_order_with_its_bound() -> None:
    body = body_of(order_type=OrderType.MARKET, price=Decimal("65000"))
    assert (body["type"], body["timeInForce"], body["price"]) == (
        "LIMIT",
        "IMMEDIATE_OR_CANCEL",
        "65000",
    )
    assert Decimal(body["l2Value"]) == Decimal("195")


@pytest.mark.parametrize(
    ("kind", "price"),
    [
        (OrderType.STOP_MARKET, "0"),
        (OrderType.TAKE_PROFIT_MARKET, "0"),
        (OrderType.STOP_LIMIT, "60000"),
        (OrderType.TAKE_PROFIT_LIMIT, "60000"),
    ],
)
def test_a_trigger_order_is_signed_with_its_bound(kind: OrderType, price: str) -> None:
    body = body_of(
        order_type=kind,
        side=OrderSide.SELL,
        price=Decimal(60000),
        trigger_price=Decimal("61000.5"),
        reduce_only=True,
        position_bound=True,
    )
    assert (body["type"], body["price"], body["l2Value"]) == (kind.value, price, "180")
    assert (body["triggerPrice"], body["triggerPriceType"]) == ("61000.5", "ORACLE_PRICE")
    assert (body["reduceOnly"], body["isPositionTpsl"]) == (True, True)
    is_market = kind.is_market
    assert body["timeInForce"] == ("IMMEDIATE_OR_CANCEL" if is_market else "GOOD_TIL_CANCEL")


def test_post_only_and_the_fee_of_a_large_order() -> None:
    body = body_of(post_only=True, quantity=Decimal("10.5"))
    assert body["timeInForce"] == "POST_ONLY"
    value = Decimal("10.5") * Decimal("64000.1")
    assert body["l2Value"] == "672001.05"
    assert Decimal(body["l2LimitFee"]) == 256 >= value * Decimal("0.00038") > 255


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"time_in_force": TimeInForce.FOK}, "time_in_force"),
        ({"post_only": True, "time_in_force": TimeInForce.IOC}, "post_only"),
        ({"trigger_price": Decimal(1)}, "trigger_price"),
        ({"position_bound": True}, "position_bound"),
        ({"price": Decimal("64000.15")}, "price"),
        ({"quantity": Decimal("0.0005")}, "quantity"),
        (
            {
                "order_type": OrderType.STOP_MARKET,
                "trigger_price": Decimal(1),
                "trigger_type": TriggerType.LAST,
            },
            "trigger_type",
        ),
    ],
)
def test_what_the_venue_would_refuse_is_refused_unsent(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as seen:
        body_of(**changes)
    assert seen.value.field == field


def test_cancels_by_both_ids() -> None:
    command = CancelOrder(symbol="BTC-PERP", client_order_id=CLIENT_ID)
    by_ours = json.loads(cancel_composer(command)(SLOT))
    assert by_ours == {
        "request": "cancel_by_client_id",
        "body": {"clientOrderIdList": [CLIENT_ID]},
    }
    by_theirs = json.loads(cancel_composer(replace(command, venue_order_id="799"))(SLOT))
    assert by_theirs == {"request": "cancel_by_id", "body": {"orderIdList": ["799"]}}
    for wrong in ("", "x", "7" * 21, "１"):
        with pytest.raises(InvalidInput):
            cancel_composer(replace(command, venue_order_id=wrong))


def test_leverage() -> None:
    assert json.loads(leverage_message(btc(), 10))["body"] == {
        "contractId": "30000001",
        "leverage": "10",
    }
    for wrong in (0, 101):
        with pytest.raises(InvalidInput, match="expected 1 to 100"):
            leverage_message(btc(), wrong)


# Markets by name


def test_contracts_are_found_by_name_and_ids_are_the_venues() -> None:
    found = catalog(
        contract_row(),
        contract_row(contractId="10000007", contractName="1000PEPEUSDC", resolution="0x3b9aca00"),
        contract_row(contractId="3", contractName="ODDEUR"),
        contract_row(contractId="4", contractName="NORESUSDC", resolution=None),
        contract_row(contractId="5", contractName="AWAYUSDC", quoteCoinId="9"),
    )
    assert set(found.contracts) == {"BTC-PERP", "1000PEPE-PERP"}
    pepe = found.find("1000PEPE-PERP")
    assert (pepe.contract_id, pepe.instrument.venue_symbol) == ("10000007", "1000PEPEUSDC")
    assert found.symbol_of("10000007") == "1000PEPE-PERP"
    assert found.symbol_of("3") is None
    assert found.terms(pepe)["resolution"] == "0x3b9aca00"
    with pytest.raises(InvalidInput):
        found.find("ETH-PERP")


def test_markets_are_open_only_for_closing_or_gone() -> None:
    found = catalog(
        contract_row(),
        contract_row(contractId="2", contractName="ETHUSDC", enableOpenPosition=False),
        contract_row(contractId="3", contractName="OLDUSDC", enableTrade=False),
    )
    states = {each.symbol: each.state for each in found.instruments}
    assert states == {
        "BTC-PERP": MarketState.OPEN,
        "ETH-PERP": MarketState.CLOSE_ONLY,
        "OLD-PERP": MarketState.DELISTED,
    }
    eth = found.find("ETH-PERP")
    opening = place(symbol="ETH-PERP", price=Decimal(64000))
    with pytest.raises(InvalidInput):
        place_composer(eth, found.terms(eth), opening, now=NOW)
    closing = replace(opening, reduce_only=True, side=OrderSide.SELL)
    place_composer(eth, found.terms(eth), closing, now=NOW)


def test_margin_rises_with_the_tier_and_fees_fall_back() -> None:
    contract = btc()
    assert contract.maintenance_rate(Decimal(50_000)) == Decimal("0.005")
    assert contract.maintenance_rate(Decimal(50_001)) == Decimal("0.01")
    assert contract.maintenance_rate(Decimal(10**9)) == Decimal("0.01")
    bare = contract_row(defaultTakerFeeRate=None, defaultMakerFeeRate="", displayMaxLeverage="")
    found = catalog(bare).find("BTC-PERP")
    assert found.fee_rate == Decimal("0.001")
    assert found.instrument.fees is None
    assert found.instrument.max_leverage == 100


def test_metadata_without_a_chain_sign_nothing_and_wrong_resolutions_are_an_error() -> None:
    bare = metadata()
    found = Catalog(wire.Metadata(bare.coin_list, bare.contract_list, wire.Global()))
    with pytest.raises(VenueUnavailable, match="expected chain and contract"):
        found.terms(found.find("BTC-PERP"))
    with pytest.raises(wire.WireError, match="expected a resolution"):
        catalog(contract_row(resolution="many"))
