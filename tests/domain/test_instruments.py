"""Instruments: what a market takes, and rounding that never adds risk."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.instruments import Instrument, MarketState, OrderSide, PriceRule
from domain.numbers import parse_positive
from tests.domain.building import a_hyperliquid_market

BTC, ETH, SOL = (a_hyperliquid_market(decimals) for decimals in (5, 4, 2))

size_decimals = st.integers(0, 5)
# Whatever the edge lets in: up to 40 characters, 30 places either side of the point.
positive = (
    st.decimals(min_value="1e-12", max_value="1e12", allow_nan=False, places=12)
    | st.integers(1, 10**38).map(lambda digits: Decimal(f"{digits}e-8"))
    | st.integers(1, 10**37).map(lambda digits: Decimal(f"{digits}e-37"))
)


@pytest.mark.parametrize(
    ("market", "price", "allowed"),
    [
        (BTC, "83000.5", False),
        (BTC, "83001", True),
        (BTC, "8300.5", True),
        (BTC, "8300.55", False),
        (ETH, "2620.33", False),
        (ETH, "2620.3", True),
        (SOL, "151.27", True),
        (SOL, "151.275", False),
        (SOL, "0.12345", False),
        (SOL, "0.1234", True),
        (BTC, "100000", True),
        (BTC, "123456", True),
        (BTC, "123456.5", False),
        (BTC, "0", False),
        (BTC, "-1", False),
    ],
)
def test_hyperliquids_price_rule(market: Instrument, price: str, allowed: bool) -> None:
    assert market.price_rule.allows(Decimal(price)) is allowed


def test_a_refused_price_names_its_neighbours() -> None:
    with pytest.raises(InvalidInput, match="nearest are 83000 and 83001") as caught:
        BTC.check_price("price", Decimal("83000.5"))
    assert caught.value.field == "price"
    BTC.check_price("price", Decimal(83001))


@given(size_decimals, positive)
def test_a_price_is_rounded_to_a_valid_one_that_never_costs_more(
    decimals: int, price: Decimal
) -> None:
    market = a_hyperliquid_market(decimals)
    buy = market.safe_price(OrderSide.BUY, price)
    sell = market.safe_price(OrderSide.SELL, price)
    assert buy <= price <= sell
    assert buy == 0 or market.price_rule.allows(buy)
    assert market.price_rule.allows(sell)
    if market.price_rule.allows(price):
        assert buy == price == sell


@given(size_decimals, positive)
def test_a_quantity_is_never_rounded_up(decimals: int, quantity: Decimal) -> None:
    market = a_hyperliquid_market(decimals)
    floored = market.floor_quantity(quantity)
    assert floored <= quantity
    assert Fraction(floored) + Fraction(market.lot_size) > Fraction(quantity)
    if floored:
        market.check_quantity("quantity", floored)


@given(size_decimals, positive)
def test_every_number_the_edge_lets_in_is_taken_or_refused_with_a_field(
    decimals: int, number: Decimal
) -> None:
    market = a_hyperliquid_market(decimals)
    for check in (market.check_price, market.check_quantity):
        try:
            check("field", number)
        except InvalidInput as error:
            assert error.field == "field"


@pytest.mark.parametrize("text", ["1e30", "9" * 31, "0." + "9" * 38, "1e-30"])
def test_the_largest_and_finest_numbers_do_not_break_the_checks(text: str) -> None:
    number = parse_positive("quantity", text)
    floored = BTC.floor_quantity(number)
    assert 0 <= Fraction(number) - Fraction(floored) < Fraction(BTC.lot_size)
    assert BTC.safe_price(OrderSide.BUY, number) <= number
    assert BTC.safe_price(OrderSide.SELL, number) >= number
    with contextlib.suppress(InvalidInput):
        BTC.check_quantity("quantity", number)
    with contextlib.suppress(InvalidInput):
        BTC.check_price("price", number)


@pytest.mark.parametrize("quantity", ["0", "-0.1", "0.000001", "1.000005"])
def test_a_quantity_off_the_lot_is_refused_with_the_nearest_below(quantity: str) -> None:
    with pytest.raises(InvalidInput, match=r"positive multiple of 0\.00001"):
        BTC.check_quantity("quantity", Decimal(quantity))


def test_the_minimum_value_is_inclusive() -> None:
    BTC.check_notional(Decimal("0.0001"), Decimal(100000))
    with pytest.raises(InvalidInput, match=r"at least 10 for BTC-PERP, found 9\.99"):
        BTC.check_notional(Decimal("0.0001"), Decimal(99900))


def test_a_fixed_tick_is_the_step_everywhere() -> None:
    rule = PriceRule(tick_size=Decimal("0.5"))
    assert rule.allows(Decimal("83000.5")) and not rule.allows(Decimal("83000.25"))
    assert rule.floor(Decimal("83000.75")) == Decimal("83000.5")
    assert rule.ceiling(Decimal("83000.75")) == Decimal("83001")


def test_without_the_integer_exception_figures_are_counted_before_the_point_too() -> None:
    rule = PriceRule(significant_figures=5, max_decimals=2, integers_allowed=False)
    assert rule.allows(Decimal(123450)) and not rule.allows(Decimal(123456))
    assert PriceRule(max_decimals=2).allows(Decimal("1.23"))


def test_a_delisted_market_takes_nothing() -> None:
    BTC.check_open()
    with pytest.raises(InvalidInput, match="hyperliquid:BTC-PERP is delisted"):
        replace(BTC, state=MarketState.DELISTED).check_open(reduce_only=True)


def test_a_market_that_is_only_closed_takes_what_reduces() -> None:
    closing = replace(BTC, state=MarketState.CLOSE_ONLY)
    closing.check_open(reduce_only=True)
    with pytest.raises(InvalidInput, match="hyperliquid:BTC-PERP is close only"):
        closing.check_open()


def test_a_least_quantity_holds_beside_the_least_value() -> None:
    market = replace(BTC, min_quantity=Decimal("0.001"), min_notional=Decimal(10))
    market.check_notional(Decimal("0.001"), Decimal(10_000))
    with pytest.raises(InvalidInput, match=r"at least 0\.001 for BTC-PERP, found 0\.0009"):
        market.check_notional(Decimal("0.0009"), Decimal(100_000))
    with pytest.raises(InvalidInput, match="order value of at least 10"):
        market.check_notional(Decimal("0.001"), Decimal(9_999))
    assert market.is_below_minimum(Decimal("0.0009"), None)
    assert market.is_below_minimum(Decimal("0.001"), Decimal(9_999))
    assert not market.is_below_minimum(Decimal("0.001"), Decimal(10_000))
    assert not market.is_below_minimum(Decimal("0.001"), None)
    assert not BTC.is_below_minimum(Decimal("0.00001"), None)


def test_sides_have_opposites() -> None:
    assert OrderSide.BUY.opposite is OrderSide.SELL
    assert OrderSide.SELL.opposite is OrderSide.BUY
