"""Fills that stand for all of an order so far: what they add to what is booked."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from domain.fills import Fill, LiquiditySide, missing_to, total
from domain.instruments import OrderSide

AT = datetime(2026, 11, 1, tzinfo=UTC)


def so_far(quantity: str, price: str, fee: str = "0") -> Fill:
    return Fill(
        account_id="a",
        venue="vest",
        symbol="BTC-PERP",
        trade_id=quantity,
        venue_order_id="0x1",
        client_order_id="1",
        side=OrderSide.BUY,
        price=Decimal(price),
        quantity=Decimal(quantity),
        fee=Decimal(fee),
        fee_currency="USDC",
        liquidity_side=LiquiditySide.MAKER,
        event_time=AT,
        is_total=True,
    )


def book(*derived: Fill) -> list[Fill]:
    booked: list[Fill] = []
    for one in derived:
        missing = missing_to(one, booked)
        if missing is not None:
            booked.append(missing)
    return booked


def test_the_first_total_is_booked_whole() -> None:
    (booked,) = book(so_far("0.3", "100", "0.01"))
    assert (booked.quantity, booked.price, booked.fee) == (
        Decimal("0.3"), Decimal(100), Decimal("0.01"),
    )  # fmt: skip
    assert not booked.is_total


def test_a_later_total_adds_what_is_missing_at_the_price_that_makes_the_sums_agree() -> None:
    booked = book(so_far("1", "100", "0.1"), so_far("3", "102", "0.4"))
    assert [(fill.quantity, fill.price, fill.fee) for fill in booked] == [
        (Decimal(1), Decimal(100), Decimal("0.1")),
        (Decimal(2), Decimal(103), Decimal("0.3")),
    ]
    assert total(booked).average_price == Decimal(102)


def test_totals_in_any_order_and_twice_book_the_same_sum() -> None:
    totals = (so_far("1", "100", "0.1"), so_far("2", "101", "0.2"), so_far("3", "102", "0.4"))
    for order in itertools.permutations((*totals, totals[1])):
        sums = total(book(*order))
        assert (sums.quantity, sums.fees) == (Decimal(3), Decimal("0.4"))
        assert sums.average_price == Decimal(102)


def test_a_total_that_makes_no_sense_keeps_a_price_above_zero() -> None:
    (first, second) = book(so_far("2", "100"), so_far("3", "1"))
    assert first.price == 100
    assert second.price == 1


def test_nothing_is_booked_where_nothing_is_missing() -> None:
    whole = so_far("1", "100")
    assert missing_to(whole, [replace(whole, is_total=False)]) is None
