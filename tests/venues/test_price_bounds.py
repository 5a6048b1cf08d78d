"""The worst price of a market order: valid at its market, never worse than asked."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from domain.errors import InvalidInput, VenueRefused
from domain.instruments import Instrument, OrderSide, PriceRule
from domain.market_data import BookLevel, OrderBook
from venues.price_bounds import bound_of_book, bound_price

NOW = datetime(2026, 5, 4, tzinfo=UTC)
BTC = Instrument(
    venue="anywhere",
    symbol="BTC-PERP",
    venue_symbol="BTC",
    asset_index=0,
    lot_size=Decimal("0.00001"),
    price_rule=PriceRule(significant_figures=5, max_decimals=1),
    min_notional=Decimal(10),
    max_leverage=40,
)


def a_book(bid: str | None, ask: str | None) -> OrderBook:
    bids, asks = (
        () if price is None else (BookLevel(price=Decimal(price), quantity=Decimal(1)),)
        for price in (bid, ask)
    )
    return OrderBook(
        venue="anywhere",
        symbol="BTC-PERP",
        bids=bids,
        asks=asks,
        event_time=NOW,
        received_time=NOW,
    )


@pytest.mark.parametrize(
    ("side", "reference", "bps", "bound"),
    [
        (OrderSide.BUY, "83000.5", 500, "87150"),
        (OrderSide.SELL, "83000.5", 500, "78851"),
        (OrderSide.BUY, "99999", 100, "100998"),
        (OrderSide.BUY, "83000", 0, "83000"),
    ],
)
def test_bound_is_valid_and_never_worse_than_asked(
    side: OrderSide, reference: str, bps: int, bound: str
) -> None:
    price = bound_price(BTC, side, Decimal(reference), bps)
    assert price == Decimal(bound)
    assert BTC.price_rule.allows(price)


def test_bound_refuses_nonsense() -> None:
    for bps in (-1, 10_000):
        with pytest.raises(InvalidInput, match="max_slippage_bps"):
            bound_price(BTC, OrderSide.BUY, Decimal(1), bps)
    with pytest.raises(InvalidInput, match="above zero"):
        bound_price(BTC, OrderSide.BUY, Decimal("0.001"), 0)


@pytest.mark.parametrize(
    ("bid", "ask", "side", "bound"),
    [
        ("82000", "84000", OrderSide.BUY, "83830"),
        ("82000", "84000", OrderSide.SELL, "82170"),
        (None, "84000", OrderSide.BUY, "84840"),
        ("82000", None, OrderSide.SELL, "81180"),
    ],
)
def test_a_book_is_taken_by_its_middle_or_by_the_side_that_is_hit(
    bid: str | None, ask: str | None, side: OrderSide, bound: str
) -> None:
    assert bound_of_book(BTC, a_book(bid, ask), side, 100) == Decimal(bound)


@pytest.mark.parametrize(
    ("bid", "ask", "side"), [("82000", None, OrderSide.BUY), (None, "84000", OrderSide.SELL)]
)
def test_against_an_empty_side_there_is_no_bound(
    bid: str | None, ask: str | None, side: OrderSide
) -> None:
    with pytest.raises(VenueRefused, match=f"anywhere has no liquidity to {side} BTC-PERP"):
        bound_of_book(BTC, a_book(bid, ask), side, 100)
