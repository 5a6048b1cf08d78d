"""What a day brought: realised and unrealised, from trades and the prices at both ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.day_result import DayMarket, day_result, day_start, market_result

D = Decimal


def a_market(position: str, traded: str = "0", value: str = "0", **prices: Any) -> DayMarket:
    return DayMarket(
        position=D(position),
        traded_quantity=D(traded),
        traded_value=D(value),
        price=prices.get("price"),
        day_price=prices.get("day_price"),
    )


@pytest.mark.parametrize(
    ("market", "result"),
    [
        # Held all day while the mark rose, and fell.
        (a_market("2", price=D(110), day_price=D(100)), D(20)),
        (a_market("-2", price=D(110), day_price=D(100)), D(-20)),
        # Bought and sold within the day.
        (a_market("0", "0", "-7", price=D(110), day_price=D(100)), D(7)),
        (a_market("0", "0", "-7"), D(7)),
        # Bought one at 105, worth 110 now.
        (a_market("1", "1", "105", price=D(110), day_price=D(100)), D(5)),
        # Two from yesterday (100), one sold at 120; the other is worth 90.
        (a_market("1", "-1", "-120", price=D(90), day_price=D(100)), D(10)),
        # Closed at 120 today: the present mark does not matter.
        (a_market("0", "-1", "-120", price=D(1), day_price=D(100)), D(20)),
        (a_market("0", "-1", "-120", day_price=D(100)), D(20)),
        # The mark was not known when the day began: what is held counts from now.
        (a_market("1", price=D(90)), D(0)),
        (a_market("2", "1", "80", price=D(90)), D(10)),
        # No price at all: nothing can be said of what is held.
        (a_market("2", "1", "80"), D(0)),
        (a_market("0", "-1", "-80"), D(0)),
    ],
)
def test_one_market(market: DayMarket, result: Decimal) -> None:
    assert market_result(market) == result


def test_fees_are_taken_off_and_funding_is_added() -> None:
    markets = [a_market("2", price=D(110), day_price=D(100)), a_market("0", "0", "3")]
    assert day_result(markets, fees=D("1.5"), funding=D("-0.25")) == D("15.25")
    assert day_result([], fees=D(0), funding=D(0)) == 0


def test_a_day_begins_at_midnight_utc() -> None:
    at = datetime(2026, 5, 4, 1, 30, tzinfo=timezone(timedelta(hours=3)))
    assert day_start(at) == datetime(2026, 5, 3, tzinfo=UTC)


amounts = st.decimals("-100", "100", places=3)
prices = st.decimals("0.001", "1000", places=3)


@given(
    trades=st.lists(st.tuples(amounts, prices), max_size=8),
    held=amounts,
    ends=st.tuples(prices, prices),
)
def test_a_day_is_the_sum_of_what_each_unit_brought(
    trades: list[tuple[Decimal, Decimal]], held: Decimal, ends: tuple[Decimal, Decimal]
) -> None:
    """Every unit held at the start moved with the mark; every trade from its own price on."""
    day_price, price = ends
    expected = held * (price - day_price)
    expected += sum((quantity * (price - paid) for quantity, paid in trades), D(0))
    traded = sum((quantity for quantity, _ in trades), D(0))
    market = DayMarket(
        position=held + traded,
        traded_quantity=traded,
        traded_value=sum((quantity * paid for quantity, paid in trades), D(0)),
        price=price,
        day_price=day_price,
    )
    assert market_result(market) == expected
