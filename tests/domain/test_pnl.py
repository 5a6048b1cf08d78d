"""Sums of fills: order-free where the venue says what was realised, average cost where not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.fills import Fill, LiquiditySide
from domain.instruments import OrderSide
from domain.pnl import MarketPnl, PeriodPnl, add_fill, fold_fills, realized_each
from tests.domain.building import NOW

BUY, SELL = OrderSide.BUY, OrderSide.SELL


def a_fill(side: OrderSide, quantity: str, price: str, number: int = 0, **changes: Any) -> Fill:
    fill = Fill(
        account_id="acc",
        venue="hyperliquid",
        symbol="BTC-PERP",
        trade_id=f"t{number}",
        venue_order_id="v",
        client_order_id=None,
        side=side,
        price=Decimal(price),
        quantity=Decimal(quantity),
        fee=Decimal("0.5"),
        fee_currency="USDC",
        liquidity_side=LiquiditySide.TAKER,
        event_time=NOW + timedelta(seconds=number),
    )
    return replace(fill, **changes)


def summed(*fills: Fill) -> MarketPnl:
    return fold_fills("acc", "BTC-PERP", fills)


def test_a_position_is_bought_at_its_average_price() -> None:
    market = summed(a_fill(BUY, "1", "100"), a_fill(BUY, "3", "200", 1))
    assert market.total.quantity == 4
    assert market.entry_price == 175
    assert market.entry_notional == 700
    assert market.unrealized_pnl(Decimal(180)) == 20
    assert market.opened_at == NOW
    assert market.total.realized_pnl == 0
    assert market.total.fees == 1


def test_selling_part_realises_that_part_and_keeps_the_entry() -> None:
    market = summed(a_fill(BUY, "4", "175"), a_fill(SELL, "1", "200", 1))
    assert market.total.realized_pnl == 25
    assert market.entry_price == 175
    assert market.opened.count == 2
    assert market.opened_at == NOW


def test_a_short_gains_when_it_is_bought_back_lower() -> None:
    market = summed(a_fill(SELL, "2", "100"), a_fill(BUY, "1", "90", 1))
    assert market.total.quantity == -1
    assert market.total.realized_pnl == 10
    assert market.entry_notional == -100
    assert market.entry_price == 100
    assert market.unrealized_pnl(Decimal(95)) == 5


def test_a_flat_market_has_no_entry_and_nothing_open() -> None:
    market = summed(a_fill(BUY, "3", "100"), a_fill(SELL, "3", "110", 1))
    assert market.entry_price is None
    assert market.entry_notional == 0
    assert market.opened_at is None
    assert market.opened.count == 0
    assert market.total.realized_pnl == 30
    assert market.unrealized_pnl(Decimal(5)) == 0


def test_what_was_realised_before_does_not_belong_to_the_next_position() -> None:
    market = summed(
        a_fill(BUY, "3", "100"), a_fill(SELL, "3", "110", 1), a_fill(BUY, "1", "120", 2)
    )
    assert market.opened.realized_pnl == 0
    assert market.opened.fees == Decimal("0.5")
    assert market.opened_at == NOW + timedelta(seconds=2)
    assert market.entry_price == 120


def test_one_fill_can_turn_a_position_over() -> None:
    market = summed(a_fill(BUY, "1", "100"), a_fill(SELL, "3", "90", 1))
    assert market.total.quantity == -2
    assert market.total.realized_pnl == -10
    assert market.entry_price == 90
    assert market.opened.quantity == -2
    assert market.opened.value == -180
    assert market.opened.realized_pnl == 0
    assert market.opened.fees == Decimal("0.5")
    assert market.opened_at == NOW + timedelta(seconds=1)


def test_the_venues_own_figure_is_taken_where_it_gives_one() -> None:
    said = Decimal("24.99999999")
    market = summed(a_fill(BUY, "4", "175"), a_fill(SELL, "1", "200", 1, realized_pnl=said))
    assert market.total.realized_pnl == said
    # The entry takes the difference: no money appears.
    assert market.entry_notional == Decimal("524.99999999")


def test_a_period_is_realised_less_fees_with_funding() -> None:
    period = PeriodPnl(
        account_id="acc",
        symbol="BTC-PERP",
        realized_pnl=Decimal(10),
        fees=Decimal(3),
        funding=Decimal(-2),
    )
    assert period.net_pnl == 5


lots = st.integers(1, 500).map(lambda n: Decimal(n) / 100)
prices = st.integers(1, 100_000).map(lambda n: Decimal(n) / 10)
lives = st.lists(st.tuples(st.sampled_from([BUY, SELL]), lots, prices), max_size=30)


def lived(life: list[tuple[OrderSide, Decimal, Decimal]]) -> list[Fill]:
    return [
        a_fill(side, str(quantity), str(price), number)
        for number, (side, quantity, price) in enumerate(life)
    ]


@given(lives)
def test_no_money_appears_or_vanishes(life: list[tuple[OrderSide, Decimal, Decimal]]) -> None:
    market = summed(*lived(life))
    # Closing all at any price leaves exactly what was received less what was paid.
    mark = Decimal("123.4")
    won = market.total.realized_pnl + market.unrealized_pnl(mark)
    assert won == market.total.quantity * mark - market.total.value


@given(lives, st.randoms(use_true_random=False))
def test_reported_profits_add_up_in_any_order(
    life: list[tuple[OrderSide, Decimal, Decimal]], source: Random
) -> None:
    reported = [replace(f, realized_pnl=won) for f, won in realized_each(lived(life))]
    told = summed(*reported)
    source.shuffle(reported)
    shuffled = summed(*reported)
    assert shuffled.total == told.total == summed(*lived(life)).total
    assert shuffled.entry_notional == told.entry_notional


@given(lives)
def test_what_each_fill_realised_adds_up(life: list[tuple[OrderSide, Decimal, Decimal]]) -> None:
    fills = lived(life)
    each = list(realized_each(fills))
    assert [fill for fill, _ in each] == fills
    assert sum((won for _, won in each), Decimal(0)) == summed(*fills).total.realized_pnl


@given(lives)
def test_the_open_part_is_the_fills_since_it_was_opened(
    life: list[tuple[OrderSide, Decimal, Decimal]],
) -> None:
    market = MarketPnl(account_id="acc", symbol="BTC-PERP")
    for fill in lived(life):
        market = add_fill(market, fill)
        assert market.opened.quantity == market.total.quantity
        assert (market.opened_at is None) == (market.total.quantity == 0)
        assert market.newest_at == fill.event_time
