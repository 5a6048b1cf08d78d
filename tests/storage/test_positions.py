"""What is kept of positions: the later word of a venue, funding once, periods, books."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from domain.accounts import AccountSummary, FundingPayment
from domain.errors import NotFound
from domain.instruments import OrderSide
from domain.positions import open_positions
from storage.accounts import SqlAccountStore
from storage.engine import Database
from storage.orders import SqlOrderStore
from storage.positions import SqlPositionStore
from tests.domain.test_positions import said
from tests.storage.builders import CREATED_AT, a_fill, an_account
from tests.storage.conftest import Clock

BTC = "BTC-PERP"
SELL = OrderSide.SELL


@pytest.fixture
def positions(database: Database, accounts: SqlAccountStore) -> SqlPositionStore:
    return SqlPositionStore(database)


def a_summary(equity: str, *, after_s: float = 0) -> AccountSummary:
    return AccountSummary(
        account_id="acc",
        equity=Decimal(equity),
        available=Decimal(1),
        initial_margin=Decimal(1),
        maintenance_margin=Decimal(1),
        positions=(said(),),
        event_time=CREATED_AT + timedelta(seconds=after_s),
    )


def a_payment(amount: str, *, after_s: float = 0, symbol: str = BTC) -> FundingPayment:
    return FundingPayment(
        account_id="acc",
        symbol=symbol,
        amount=Decimal(amount),
        rate=Decimal("0.0001"),
        position_quantity=Decimal(1),
        event_time=CREATED_AT + timedelta(seconds=after_s),
    )


async def test_the_later_word_of_the_venue_is_kept(
    positions: SqlPositionStore, clock: Clock
) -> None:
    assert await positions.summary("acc") is None
    assert await positions.save_summary(a_summary("10"), seen_at=clock(), source="first")
    assert not await positions.save_summary(
        a_summary("9", after_s=-1), seen_at=clock.advance(seconds=1), source="an old page"
    )
    seen = await positions.summary("acc")
    assert seen is not None
    assert (seen.summary.equity, seen.source) == (Decimal(10), "first")
    assert await positions.save_summary(
        a_summary("11"), seen_at=clock.advance(seconds=1), source="again"
    )
    assert await positions.save_summary(a_summary("12", after_s=2), seen_at=clock(), source="later")
    seen = await positions.summary("acc")
    assert seen is not None
    assert seen.summary == a_summary("12", after_s=2)
    assert seen.seen_at == clock()


async def test_funding_is_booked_once(positions: SqlPositionStore) -> None:
    assert await positions.newest_funding_time("acc") is None
    assert await positions.book_funding([]) == 0
    first, second = a_payment("-1.5"), a_payment("0.25", after_s=3600)
    assert await positions.book_funding([first, second, first]) == 2
    assert await positions.book_funding([second, a_payment("9", symbol="ETH-PERP")]) == 1
    assert await positions.newest_funding_time("acc") == second.event_time
    sums = {p.symbol: p.funding for p in await positions.period("acc", since=None)}
    assert sums == {BTC: Decimal("-1.25"), "ETH-PERP": Decimal(9)}


async def test_a_period_has_its_own_fills_and_funding(
    positions: SqlPositionStore, orders: SqlOrderStore
) -> None:
    day = timedelta(days=1)
    bought = a_fill("t1", "2", realized_pnl=Decimal(0))
    sold = replace(
        bought,
        trade_id="t2",
        side=SELL,
        quantity=Decimal(1),
        price=Decimal(46_000),
        realized_pnl=Decimal(1_000),
        event_time=bought.event_time + day,
    )
    await orders.book([bought, sold])
    await positions.book_funding([a_payment("-3", after_s=5), a_payment("-4", after_s=90_000)])
    (whole,) = await positions.period("acc", since=None)
    assert (whole.realized_pnl, whole.fees, whole.funding) == (
        Decimal(1_000),
        Decimal("0.2"),
        Decimal(-7),
    )
    assert (whole.volume, whole.fill_count) == (Decimal(136_000), 2)
    (second,) = await positions.period("acc", since=sold.event_time)
    assert (second.realized_pnl, second.funding, second.fill_count) == (
        Decimal(1_000),
        Decimal(-4),
        1,
    )
    (first,) = await positions.period("acc", since=None, until=sold.event_time)
    assert (first.realized_pnl, first.funding, first.fill_count) == (
        Decimal(0),
        Decimal(-3),
        1,
    )
    assert await positions.period("acc", since=sold.event_time + day) == ()


async def test_a_venue_that_reports_no_profit_gets_ours(
    positions: SqlPositionStore, orders: SqlOrderStore
) -> None:
    bought = a_fill("t1", "2")
    sold = replace(
        bought,
        trade_id="t2",
        side=SELL,
        quantity=Decimal("0.5"),
        price=Decimal(46_000),
        event_time=bought.event_time + timedelta(days=1),
    )
    await orders.book([sold])
    await orders.book([bought])
    (market,) = await positions.markets("acc")
    assert market.total.quantity == Decimal("1.5")
    assert market.total.realized_pnl == 500
    assert market.opened_at == bought.event_time
    (period,) = await positions.period("acc", since=sold.event_time)
    assert period.realized_pnl == 500
    (before,) = await positions.period("acc", since=None, until=sold.event_time)
    assert before.realized_pnl == 0


async def test_books_have_all_that_is_shown(
    positions: SqlPositionStore, orders: SqlOrderStore, clock: Clock, accounts: SqlAccountStore
) -> None:
    bought = a_fill("t1", "2", price=Decimal(100), realized_pnl=Decimal(0))
    await positions.book_funding([a_payment("-8", after_s=-60), a_payment("-2", after_s=60)])
    await orders.book([bought])
    await positions.save_summary(a_summary("10"), seen_at=clock.advance(minutes=2), source="x")
    books = await positions.books("acc")
    (position,) = open_positions(books)
    assert position.funding == -2
    assert position.fees == Decimal("0.1")
    assert position.opened_at == bought.event_time
    await accounts.add(an_account("empty"), trading=b"sealed", feed=None)
    assert open_positions(await positions.books("empty")) == ()
    with pytest.raises(NotFound, match="no account 'nobody'"):
        await positions.books("nobody")


async def test_fills_of_one_millisecond_count_as_the_venue_numbers_them(
    positions: SqlPositionStore, orders: SqlOrderStore
) -> None:
    held = a_fill("98", "1", price=Decimal(90))
    later = replace(held, event_time=held.event_time + timedelta(seconds=1))
    bought = replace(later, trade_id="99", venue_order_id="v2", price=Decimal(100))
    sold = replace(later, trade_id="100", side=SELL, price=Decimal(110))
    # Which of two is heard first tells nothing of which was first.
    await orders.book([held, sold])
    await orders.book([bought])
    (market,) = await positions.markets("acc")
    assert market.total.realized_pnl == Decimal(15)
    assert market.entry_price == Decimal(95)
    (whole,) = await positions.period("acc", since=None)
    assert whole.realized_pnl == Decimal(15)
