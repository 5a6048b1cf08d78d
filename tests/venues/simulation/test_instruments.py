"""Precision rules, by the examples of the venue's documentation."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venues.simulation.instruments import default_instruments

MARKETS = {one.symbol: one for one in default_instruments()}


@pytest.mark.parametrize(
    ("symbol", "price", "valid"),
    [
        ("BTC", "83000", True),
        ("BTC", "83001", True),
        ("BTC", "83000.5", False),
        ("BTC", "123456", True),
        ("BTC", "123456.5", False),
        ("BTC", "9999.5", True),
        ("ETH", "2620.3", True),
        ("ETH", "2620.33", False),
        ("ETH", "99.12", True),
        ("ETH", "99.123", False),
        ("SOL", "151.27", True),
        ("SOL", "151.275", False),
        ("kPEPE", "0.012345", True),
        ("kPEPE", "0.0123456", False),
        ("BTC", "0", False),
        ("BTC", "-5", False),
    ],
)
def test_a_price_has_five_figures_and_limited_decimals(
    symbol: str, price: str, valid: bool
) -> None:
    assert MARKETS[symbol].is_valid_price(Decimal(price)) is valid


@pytest.mark.parametrize(
    ("quantity", "valid"), [("0.001", True), ("0.00001", True), ("0.000001", False), ("-1", False)]
)
def test_a_quantity_is_a_multiple_of_the_lot(quantity: str, valid: bool) -> None:
    assert MARKETS["BTC"].is_valid_quantity(Decimal(quantity)) is valid


@given(
    st.sampled_from(sorted(MARKETS)),
    st.decimals(min_value="0.001", max_value="900000", places=8),
)
def test_rounding_gives_valid_prices_around_the_price(symbol: str, price: Decimal) -> None:
    market = MARKETS[symbol]
    below, above = market.price_below(price), market.price_above(price)
    assert below <= price <= above
    assert above - below <= market.tick_size(price)
    assert not below or market.is_valid_price(below)


def test_one_market_in_between_is_delisted() -> None:
    assert [one.symbol for one in MARKETS.values() if one.delisted] == ["MATIC"]
    assert MARKETS["BTC"].maintenance_rate() == Decimal("0.0125")
