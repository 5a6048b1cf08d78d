"""Fills: booked once, added up exactly, keyed to the millisecond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from domain.fills import Fill, total
from tests.domain.building import a_fill

fills = st.lists(
    st.builds(
        a_fill,
        trade_id=st.sampled_from(["t1", "t2", "t3", "t4"]),
        quantity=st.just(2),
        price=st.just(50),
    ),
    max_size=8,
)


@given(fills)
def test_each_fill_counts_once_in_any_order(booked: list[Fill]) -> None:
    different = len({fill.trade_id for fill in booked})
    sums = total(booked)
    assert sums.quantity == Decimal(2) * different
    assert sums.fees == Decimal("0.1") * different
    assert sums.average_price == (Decimal(50) if booked else None)
    assert total(reversed(booked)) == sums


def test_the_average_is_weighted_by_quantity() -> None:
    sums = total([a_fill("a", 1, 100), a_fill("b", 3, 200, fee=Decimal("-0.2"))])
    assert (sums.quantity, sums.average_price) == (Decimal(4), Decimal(175))
    assert sums.fees == Decimal("-0.1")


def test_the_same_trade_id_of_another_order_is_another_fill() -> None:
    assert total([a_fill(), a_fill(venue_order_id="v2")]).quantity == Decimal(2)


@given(st.integers(0, 4_102_444_800_000))
def test_the_key_holds_the_exact_millisecond(time_ms: int) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)
    assert a_fill(event_time=at).key == ("hyperliquid", "acc", "v1", "t1", time_ms)
