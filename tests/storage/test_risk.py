"""Stored limits, and the ledger's own check of them when a command is reserved."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event, select

from domain.accounts import FundingPayment, Network
from domain.commands import PlaceOrder
from domain.errors import Conflict, MarkPriceNeeded, NotFound, RiskRefused
from domain.exposure import Asked
from domain.instruments import OrderSide
from domain.ledger import CommandDraft, Inserted
from domain.orders import Order, OrderType, Verdict
from domain.outcomes import Accepted, SendResult
from domain.risk_limits import RiskLimits
from domain.violations import ALL_ACCOUNTS, LimitName, Violation
from storage import tables
from storage.accounts import SqlAccountStore
from storage.engine import Database
from storage.ledger import SqlIntentLedger
from storage.orders import SqlOrderStore
from storage.positions import SqlPositionStore
from storage.risk import SqlRiskStore
from storage.risk_tables import mark_prices
from tests.storage.builders import (
    a_cancel,
    a_fill,
    a_placement,
    a_report,
    an_account,
    an_order,
    compose,
    reserve,
    spelling,
)
from tests.storage.conftest import Clock

D = Decimal
BTC, ETH = "BTC-PERP", "ETH-PERP"
MARK = D(45_000)


@pytest.fixture
def risk(database: Database, accounts: SqlAccountStore, clock: Clock) -> SqlRiskStore:
    return SqlRiskStore(database, now=clock)


def placing(order: Order, revision: int = 0, **changes: Any) -> CommandDraft:
    return replace(a_placement(order, revision), mark_price=MARK, **changes)


async def refusal(ledger: SqlIntentLedger, draft: CommandDraft) -> dict[str, Decimal | None]:
    """Return the limits that refuse a draft, with what was found, and see that it left nothing."""
    with pytest.raises(RiskRefused) as refused:
        await reserve(ledger, draft)
    assert await ledger.read(draft.key) is None
    return {v.limit.value: v.value for v in refused.value.violations}


async def test_limits_are_kept_per_scope_with_versions(risk: SqlRiskStore, clock: Clock) -> None:
    for scope in (ALL_ACCOUNTS, "acc"):
        empty = await risk.limits(scope)
        assert (empty.limits, empty.version, empty.set_by) == (RiskLimits(), 0, None)
        limits = RiskLimits(max_order_notional=D("1000.50"), max_open_orders=3)
        first = await risk.put(scope, limits, by="me", expected_version=0)
        assert (first.version, first.set_by, first.set_at) == (1, "me", clock())
        assert await risk.limits(scope) == first
        with pytest.raises(Conflict, match="at version 0, they are at version 1") as refused:
            await risk.put(scope, RiskLimits(), by="you", expected_version=0)
        assert refused.value.code == "version_mismatch"
        second = await risk.put(scope, RiskLimits(), by="you")
        assert (second.version, second.limits.is_empty) == (2, True)
        assert await risk.limits(scope) == second
    for asking in (risk.limits("none"), risk.put("none", RiskLimits(), by="me")):
        with pytest.raises(NotFound, match="no account 'none'"):
            await asking


async def test_one_accounts_limits_never_touch_another(
    ledger: SqlIntentLedger, accounts: SqlAccountStore, risk: SqlRiskStore
) -> None:
    await accounts.add(an_account("other"), trading=b"", feed=None)
    await risk.put("acc", RiskLimits(max_open_orders=1, max_order_notional=D(1)), by="me")
    for number in range(3):
        order = an_order(f"o{number}", account_id="other")
        await reserve(ledger, a_placement(order, signer="signer-other"))
    assert "max_order_notional" in await refusal(ledger, placing(an_order("mine")))


async def test_an_order_above_its_notional_is_refused_and_leaves_nothing(
    ledger: SqlIntentLedger, orders: SqlOrderStore, risk: SqlRiskStore
) -> None:
    await risk.put("acc", RiskLimits(max_order_notional=D(45_000)), by="me")
    order = an_order(quantity=D("1.1"))
    with pytest.raises(RiskRefused) as refused:
        await reserve(ledger, placing(order))
    assert refused.value.violations == (
        Violation(
            limit=LimitName.MAX_ORDER_NOTIONAL,
            limit_value=D(45_000),
            value=D("49500.0"),
            scope="acc",
        ),
    )
    assert "max_order_notional of this account: expected at most 45000, found 49500" in str(
        refused.value
    )
    assert await orders.get(order.order_id) is None
    await reserve(ledger, placing(an_order()))


async def test_what_only_reduces_passes_every_limit(
    ledger: SqlIntentLedger, risk: SqlRiskStore
) -> None:
    everything = RiskLimits(
        max_order_notional=D(1),
        max_position_notional=D(1),
        max_total_notional=D(1),
        max_leverage=D(1),
        max_open_orders=1,
        max_orders_per_minute=1,
        max_price_distance_bps=D(1),
        max_daily_loss=D(1),
    )
    for scope in ("acc", ALL_ACCOUNTS):
        await risk.put(scope, everything, by="me")
    for number in range(3):
        order = an_order(f"r{number}", reduce_only=True, price=D(60_000))
        # No mark price either: nothing is measured.
        await reserve(ledger, a_placement(order, raises_exposure=False))
        await reserve(ledger, a_cancel(order))


async def test_live_orders_count_at_their_worst_until_they_end(
    ledger: SqlIntentLedger, orders: SqlOrderStore, risk: SqlRiskStore
) -> None:
    await risk.put("acc", RiskLimits(max_position_notional=MARK * 3), by="me")
    first, second = an_order("one", quantity=D(2)), an_order("two", quantity=D(1))
    await reserve(ledger, placing(first))
    await reserve(ledger, placing(second))
    third = placing(an_order("three", quantity=D("0.5")))
    assert await refusal(ledger, third) == {"max_position_notional": D("3.5") * MARK}
    sell = an_order("sell", quantity=D(3), side=OrderSide.SELL)
    await reserve(ledger, placing(sell))
    await orders.fold(a_report(first, Verdict.PARTIALLY_FILLED, "1"))
    assert await refusal(ledger, third) == {"max_position_notional": D("3.5") * MARK}
    more = placing(an_order("more", quantity=D("1.5"), side=OrderSide.SELL))
    assert await refusal(ledger, more) == {"max_position_notional": D("3.5") * MARK}
    await orders.fold(a_report(first, Verdict.CANCELED, "1"))
    await reserve(ledger, third)
    other = an_order("other", quantity=D(3), symbol=ETH)
    await reserve(ledger, placing(other))


async def test_an_unknown_order_counts_and_a_denied_one_does_not(
    ledger: SqlIntentLedger, orders: SqlOrderStore, risk: SqlRiskStore
) -> None:
    await risk.put("acc", RiskLimits(max_open_orders=1), by="me")
    order = an_order("one")
    await reserve(ledger, placing(order))
    assert await refusal(ledger, placing(an_order("two"))) == {"max_open_orders": 2}
    await orders.fold(a_report(order, Verdict.REJECTED))
    await reserve(ledger, placing(an_order("two")))


async def test_orders_are_counted_by_the_minute(
    ledger: SqlIntentLedger, risk: SqlRiskStore, clock: Clock
) -> None:
    await risk.put("acc", RiskLimits(max_orders_per_minute=2), by="me")
    await reserve(ledger, a_placement(an_order("one")))
    clock.advance(seconds=30)
    await reserve(ledger, a_placement(an_order("two"), not_after=None))
    assert await refusal(ledger, a_placement(an_order("three"))) == {"max_orders_per_minute": 3}
    clock.advance(seconds=30)
    await reserve(ledger, a_placement(an_order("three")))


def modified(order: Order, quantity: str, revision: int = 1) -> CommandDraft:
    """A later revision for what is left of `quantity`."""
    left = D(quantity) - order.filled_quantity
    draft = placing(order, revision)
    command = PlaceOrder(
        symbol=order.symbol,
        side=order.side,
        order_type=order.order_type,
        quantity=left,
        price=order.price or MARK,
    )
    return replace(draft, command=command, order=replace(order, quantity=D(quantity)))


async def test_a_modify_counts_only_its_difference_and_is_no_new_order(
    ledger: SqlIntentLedger, orders: SqlOrderStore, risk: SqlRiskStore
) -> None:
    await reserve(ledger, placing(an_order("one", quantity=D(4))))
    limits = RiskLimits(max_position_notional=MARK * 5, max_open_orders=1, max_orders_per_minute=1)
    await risk.put("acc", limits, by="me")
    order = await orders.fold(a_report(an_order("one"), Verdict.CANCELED, "1", venue_order_id="v1"))
    stored = replace(order.order, concern=order.order.concern)
    assert stored.is_terminal
    # As while being replaced: the order lives on in what is to be placed.
    again = an_order("two", quantity=D(4))
    await risk.put("acc", replace(limits, max_open_orders=2, max_orders_per_minute=2), by="me")
    await reserve(ledger, placing(again))
    await risk.put("acc", limits, by="me")
    live = await orders.get(again.order_id)
    assert live is not None
    assert await refusal(ledger, modified(live, "4.5")) == {
        "max_position_notional": D("5.5") * MARK
    }
    await reserve(ledger, modified(live, "3"))
    grown = await orders.get(again.order_id)
    assert grown is not None
    await reserve(ledger, modified(grown, "4", revision=2))


async def test_limits_below_what_is_held_let_only_reducing_pass(
    ledger: SqlIntentLedger, orders: SqlOrderStore, risk: SqlRiskStore
) -> None:
    await orders.book([a_fill("t1", "10")])
    await risk.put("acc", RiskLimits(max_position_notional=MARK), by="me")
    exceeded = {use.limit.value: use for use in await risk.use("acc") if use.is_exceeded}
    assert exceeded["max_position_notional"].value == 10 * MARK
    assert exceeded["max_position_notional"].symbol == BTC
    assert "max_position_notional" in await refusal(
        ledger, placing(an_order("more", quantity=D("0.1")))
    )
    await reserve(ledger, placing(an_order("less", quantity=D(9), side=OrderSide.SELL)))
    flip = placing(an_order("flip", quantity=D("11.5"), side=OrderSide.SELL))
    assert await refusal(ledger, flip) == {"max_position_notional": D("10.5") * MARK}


async def test_prices_stay_near_the_mark_which_must_be_given(
    ledger: SqlIntentLedger, risk: SqlRiskStore
) -> None:
    await risk.put(ALL_ACCOUNTS, RiskLimits(max_price_distance_bps=D(100)), by="me")
    near = an_order("near", price=D(45_450))
    with pytest.raises(MarkPriceNeeded, match="expected the mark price of BTC-PERP"):
        await reserve(ledger, a_placement(near))
    await reserve(ledger, placing(near))
    far = placing(an_order("far", price=D(45_451)))
    assert await refusal(ledger, far) == {"max_price_distance_bps": D("100.2223")}
    bound = an_order("market", order_type=OrderType.MARKET, price=None)
    command = placing(bound).command
    assert isinstance(command, PlaceOrder)
    command = replace(command, price=D(47_250))
    refused = await refusal(ledger, placing(bound, command=command))
    assert refused == {"max_price_distance_bps": D("500.0000")}


async def test_the_total_values_each_market_at_the_last_mark_known(
    ledger: SqlIntentLedger, orders: SqlOrderStore, risk: SqlRiskStore, clock: Clock
) -> None:
    await risk.put("acc", RiskLimits(max_total_notional=MARK * 2), by="me")
    await orders.book([a_fill("t1", "-0", symbol="SOL-PERP", venue_order_id="v0")])
    await orders.book([a_fill("t2", "10", symbol=ETH, price=D(4_000), venue_order_id="v2")])
    # Until a mark is known what it traded at stands for it.
    assert await refusal(ledger, placing(an_order("a", quantity=D("1.2")))) == {
        "max_total_notional": D("1.2") * MARK + 40_000
    }
    await risk.note_marks(
        "hyperliquid",
        Network.PAPER,
        {ETH: D(3_000), "DOGE-PERP": D(1)},
        seen_at=clock(),
    )
    await reserve(ledger, placing(an_order("a", quantity=D("1.2"))))
    used = {use.limit.value: use.value for use in await risk.use("acc")}
    assert used["max_total_notional"] == D("1.2") * MARK + 30_000


async def test_leverage_counts_once_equity_is_known_and_bounds_the_setting(
    ledger: SqlIntentLedger, risk: SqlRiskStore, clock: Clock
) -> None:
    await risk.put("acc", RiskLimits(max_leverage=D(3)), by="me")
    await risk.put(ALL_ACCOUNTS, RiskLimits(max_leverage=D("4.5")), by="me")
    await reserve(ledger, placing(an_order("one")))
    await risk.note_equity("acc", D(20_000), seen_at=clock())
    refused = await refusal(ledger, placing(an_order("two", quantity=D("0.5"))))
    assert refused == {"max_leverage": D("3.375")}
    await risk.note_equity("acc", D("30000.00"), seen_at=clock())
    await reserve(ledger, placing(an_order("two", quantity=D("0.5"))))
    await risk.check_leverage("acc", D(3))
    with pytest.raises(RiskRefused) as above:
        await risk.check_leverage("acc", D(5))
    assert [(v.scope, v.limit_value, v.value) for v in above.value.violations] == [
        ("acc", D(3), D(5)),
        ("*", D("4.5"), D(5)),
    ]
    with pytest.raises(NotFound, match="no account 'none'"):
        await risk.note_equity("none", D(1), seen_at=clock())


async def test_a_daily_loss_reached_refuses_what_raises_until_the_next_day(
    ledger: SqlIntentLedger,
    orders: SqlOrderStore,
    risk: SqlRiskStore,
    database: Database,
    clock: Clock,
) -> None:
    await risk.put("acc", RiskLimits(max_daily_loss=D(500)), by="me")
    now = clock()
    bought = a_fill("t1", "1", fee=D(10), event_time=now)
    await orders.book([replace(bought, trade_id="t0", event_time=now - timedelta(days=1))])
    await orders.book([bought])
    marked = {BTC: D(45_000)}
    await risk.note_marks("hyperliquid", Network.PAPER, marked, seen_at=now - timedelta(days=1))
    await risk.note_marks("hyperliquid", Network.PAPER, {BTC: D(44_850)}, seen_at=now)
    # Two units fell by 150 each since midnight and since they were bought, and a fee of 10.
    used = {use.limit.value: use.value for use in await risk.use("acc")}
    assert used["max_daily_loss"] == D(310)
    await reserve(ledger, placing(an_order("one", quantity=D("0.1"))))
    payment = FundingPayment(
        account_id="acc",
        symbol=BTC,
        amount=D(-90),
        rate=D("0.001"),
        position_quantity=D(2),
        event_time=now,
    )
    store = SqlPositionStore(database)
    yesterday = replace(payment, event_time=now - timedelta(days=1))
    await store.book_funding([payment, yesterday])
    sold = replace(bought, trade_id="t2", side=OrderSide.SELL, price=D(44_760))
    await orders.book([sold])
    assert await refusal(ledger, placing(an_order("two", quantity=D("0.1")))) == {
        "max_daily_loss": D(500)
    }
    await reserve(ledger, placing(an_order("less", side=OrderSide.SELL, quantity=D("0.9"))))
    await risk.put("acc", RiskLimits(), by="me")
    await risk.put(ALL_ACCOUNTS, RiskLimits(max_daily_loss=D(500)), by="me")
    refused = await refusal(ledger, placing(an_order("two", quantity=D("0.1"))))
    assert refused == {"max_daily_loss": D(500)}
    clock.advance(hours=12)
    await reserve(ledger, placing(an_order("two", quantity=D("0.1"))))


async def test_a_new_day_begins_with_the_last_mark_before_it(
    ledger: SqlIntentLedger, risk: SqlRiskStore, database: Database
) -> None:
    await reserve(ledger, placing(an_order()))
    at = datetime(2026, 5, 4, 23, 59, tzinfo=UTC)

    async def noted(price: int, seen_at: datetime) -> tuple[str, str, str]:
        marks = {BTC: D(price), ETH: D(1)}
        await risk.note_marks("hyperliquid", Network.PAPER, marks, seen_at=seen_at)
        await risk.note_marks("elsewhere", Network.PAPER, marks, seen_at=seen_at)
        (row,) = await database.fetch_all(select(mark_prices))
        return row.price, str(row.day), row.day_price

    assert await noted(10, at) == ("10", "2026-05-04", "10")
    assert await noted(11, at + timedelta(seconds=30)) == ("11", "2026-05-04", "10")
    assert await noted(12, at + timedelta(minutes=2)) == ("12", "2026-05-05", "11")
    assert await noted(9, at) == ("12", "2026-05-05", "11")
    assert await noted(13, at + timedelta(minutes=3)) == ("13", "2026-05-05", "11")


async def test_general_limits_are_summed_over_all_accounts(
    ledger: SqlIntentLedger, accounts: SqlAccountStore, risk: SqlRiskStore
) -> None:
    await accounts.add(an_account("other"), trading=b"", feed=None)
    limits = RiskLimits(
        max_position_notional=MARK * 2,
        max_total_notional=MARK * 10,
        max_open_orders=2,
        max_orders_per_minute=2,
    )
    await risk.put(ALL_ACCOUNTS, limits, by="me")
    await reserve(ledger, placing(an_order("one", account_id="other"), signer="signer-other"))
    assert await refusal(ledger, placing(an_order("two", quantity=D("1.5")))) == {
        "max_position_notional": D("2.5") * MARK
    }
    await reserve(ledger, placing(an_order("two")))
    assert await refusal(ledger, placing(an_order("three", symbol=ETH))) == {
        "max_open_orders": 3,
        "max_orders_per_minute": 3,
    }
    used = {use.limit.value: use.value for use in await risk.use(ALL_ACCOUNTS)}
    assert used["max_total_notional"] == 2 * MARK
    assert used["max_open_orders"] == 2


async def test_the_same_question_is_answered_beforehand(
    ledger: SqlIntentLedger, risk: SqlRiskStore, clock: Clock
) -> None:
    asked = Asked(
        account_id="acc",
        symbol=BTC,
        side=OrderSide.SELL,
        quantity=D(2),
        price=D(44_000),
    )
    assert await risk.judge(asked) == ()
    await risk.put("acc", RiskLimits(max_order_notional=D(89_000)), by="me")
    await risk.put(
        ALL_ACCOUNTS,
        RiskLimits(max_total_notional=D(89_000), max_price_distance_bps=D(100)),
        by="me",
    )
    # No mark is known: the order counts at its own price.
    assert await risk.judge(asked) == ()
    await reserve(ledger, placing(an_order("one", quantity=D("0.1"))))
    await risk.note_marks("hyperliquid", Network.PAPER, {BTC: MARK}, seen_at=clock())

    async def found(asked: Asked) -> dict[str, str]:
        return {v.limit.value: v.scope for v in await risk.judge(asked)}

    expected = {
        "max_order_notional": "acc",
        "max_price_distance_bps": "*",
        "max_total_notional": "*",
    }
    assert await found(asked) == expected
    assert await found(replace(asked, mark_price=D(44_000))) == {}
    clock.advance(minutes=2)
    assert await found(asked) == {"max_total_notional": "*"}


async def test_only_limits_that_need_them_have_marks_read(
    accounts: SqlAccountStore, risk: SqlRiskStore
) -> None:
    await accounts.add(an_account("other"), trading=b"", feed=None)
    assert await risk.measured_accounts() == ()
    await risk.put("acc", RiskLimits(max_open_orders=5), by="me")
    assert await risk.measured_accounts() == ()
    await risk.put("acc", RiskLimits(max_order_notional=D(5)), by="me")
    assert await risk.measured_accounts() == ("acc",)
    await risk.put(ALL_ACCOUNTS, RiskLimits(max_leverage=D(5)), by="me")
    assert await risk.measured_accounts() == ("acc", "other")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_without_limits_a_reservation_has_no_statement_more(
    ledger: SqlIntentLedger, risk: SqlRiskStore, database: Database
) -> None:
    statements: list[str] = []

    def note(*cursor: Any) -> None:
        statements.append(cursor[2])

    inside: Any = database._engine
    engine = inside._writer
    event.listen(engine, "before_cursor_execute", note)
    await reserve(ledger, placing(an_order("one")))
    without = len(statements)
    await risk.put("acc", RiskLimits(max_open_orders=5), by="me")
    statements.clear()
    await reserve(ledger, placing(an_order("two")))
    assert len(statements) == without + 1


async def at_once(
    ledger: SqlIntentLedger, drafts: list[CommandDraft]
) -> list[Inserted | RiskRefused]:
    async def one(draft: CommandDraft) -> Inserted | RiskRefused:
        try:
            answer = await ledger.reserve(
                draft, spell_client_order_id=spelling(draft), compose=compose
            )
        except RiskRefused as refused:
            return refused
        assert isinstance(answer, Inserted)
        return answer

    return await asyncio.gather(*(one(draft) for draft in drafts))


async def test_orders_at_once_in_several_accounts_never_exceed_a_sum_together(
    ledger: SqlIntentLedger, accounts: SqlAccountStore, risk: SqlRiskStore
) -> None:
    names = ["acc", *(f"acc{n}" for n in range(1, 5))]
    for name in names[1:]:
        await accounts.add(an_account(name), trading=b"", feed=None)
    await risk.put(ALL_ACCOUNTS, RiskLimits(max_total_notional=MARK * 7), by="me")
    drafts = [
        placing(an_order(f"o{n}", account_id=names[n % 5]), signer=f"signer-{names[n % 5]}")
        for n in range(50)
    ]
    answers = await at_once(ledger, drafts)
    assert sum(isinstance(answer, Inserted) for answer in answers) == 7
    used = {use.limit.value: use.value for use in await risk.use(ALL_ACCOUNTS)}
    assert used["max_total_notional"] == MARK * 7


async def test_limits_set_among_orders_hold_from_their_acknowledgement_on(
    ledger: SqlIntentLedger, risk: SqlRiskStore, database: Database
) -> None:
    for scope in ("acc", ALL_ACCOUNTS):
        drafts = [placing(an_order(f"{scope}{n}")) for n in range(30)]
        placed = asyncio.create_task(at_once(ledger, drafts))
        await asyncio.sleep(0)
        await risk.put(scope, RiskLimits(max_order_notional=D(1)), by="me")
        newest = await database.fetch_one(
            select(tables.commands.c.position).order_by(tables.commands.c.position.desc())
        )
        await placed
        after = await database.fetch_one(
            select(tables.commands.c.position).order_by(tables.commands.c.position.desc())
        )
        assert after == newest
        await risk.put(scope, RiskLimits(), by="me")


async def answer(database: Database, query: str) -> str:
    return str(await database.read(lambda connection: connection.exec_driver_sql(query).all()))


async def test_a_thousand_live_orders_are_measured_without_their_bodies(
    ledger: SqlIntentLedger, risk: SqlRiskStore, database: Database
) -> None:
    await reserve(ledger, placing(an_order("one")))
    report = a_report(an_order("one"), Verdict.ACCEPTED, venue_order_id="v1")
    await ledger.decide(placing(an_order("one")).key, SendResult(outcome=Accepted(report=report)))
    plan = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
    for wanted in ("symbol, open_quantity, open_price", "count(*)"):
        query = f"{plan} SELECT {wanted} FROM orders WHERE NOT ended AND account_id = 'acc'" + (
            " AND open_quantity IS NOT NULL" if "symbol" in wanted else ""
        )
        lines = await answer(database, query)
        covering = "COVERING INDEX orders_account_live_idx"
        assert (covering if database.is_sqlite else "orders_account_live_idx") in lines


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_last_minute_is_found_without_a_walk_through_all_orders(
    risk: SqlRiskStore, database: Database
) -> None:
    for of_account in ("", "AND account_id = 'acc' "):
        query = (
            "EXPLAIN QUERY PLAN SELECT count(*) FROM commands WHERE command = 'place' "
            f"AND revision = 0 {of_account}AND inserted_at > '2026-05-04' AND order_id <> 'o'"
        )
        lines = await answer(database, query)
        assert "SEARCH commands USING INDEX commands_new_orders_idx (inserted_at>?" in lines
