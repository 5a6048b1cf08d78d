"""The bound of a market order: valid, never worse than asked, and from what there is to hit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from domain.errors import InvalidInput, VenueRefused
from domain.instruments import Instrument, OrderSide, PriceRule
from domain.market_data import BookLevel, OrderBook
from venues.order_forms import bound_price

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BTC = Instrument(
    venue="any",
    symbol="BTC-PERP",
    venue_symbol="BTC",
    asset_index=0,
    lot_size=Decimal("0.00001"),
    price_rule=PriceRule(significant_figures=5, max_decimals=1),
    min_notional=Decimal(10),
    max_leverage=40,
)


def book(middle: str) -> OrderBook:
    """Return a book around a middle, as wide as it takes."""
    sides = [
        (BookLevel(price=Decimal(middle) + away, quantity=Decimal(1)),)
        for away in (-Decimal(middle) / 10, Decimal(middle) / 10)
    ]
    return OrderBook(
        venue="any",
        symbol="BTC-PERP",
        bids=sides[0],
        asks=sides[1],
        event_time=NOW,
        received_time=NOW,
    )


@pytest.mark.parametrize(
    ("side", "middle", "bps", "bound"),
    [
        (OrderSide.BUY, "83000.5", 500, "87150"),
        (OrderSide.SELL, "83000.5", 500, "78851"),
        (OrderSide.BUY, "99999", 100, "100998"),
        (OrderSide.BUY, "83000", 0, "83000"),
    ],
)
def test_a_bound_is_valid_and_never_worse_than_asked(
    side: OrderSide, middle: str, bps: int, bound: str
) -> None:
    price = bound_price(BTC, side, book(middle), bps)
    assert price == Decimal(bound)
    assert BTC.price_rule.allows(price)


def test_with_one_side_empty_the_best_price_of_the_other_counts() -> None:
    asks = replace(book("50000"), bids=())
    assert bound_price(BTC, OrderSide.BUY, asks, 100) == Decimal(55550)
    with pytest.raises(VenueRefused, match="no liquidity to SELL BTC-PERP against"):
        bound_price(BTC, OrderSide.SELL, asks, 100)


def test_nonsense_is_refused() -> None:
    for bps in (-1, 10_000):
        with pytest.raises(InvalidInput, match="max_slippage_bps"):
            bound_price(BTC, OrderSide.BUY, book("1"), bps)
    with pytest.raises(InvalidInput, match="above zero"):
        bound_price(BTC, OrderSide.BUY, book("0.001"), 0)
