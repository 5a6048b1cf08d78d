"""Net positions: at every moment what orders have filled, and fills that belong to none."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from decimal import Decimal

import pytest
from alembic import command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, select

from domain.commands import PlaceOrder
from domain.errors import Conflict, NotFound
from domain.exposure import open_price, open_quantity
from domain.fills import Fill
from domain.instruments import OrderSide
from domain.net_positions import EXACT, NetPosition, signed
from domain.order_fold import with_revision
from domain.orders import Order, Revision, Verdict
from domain.outcomes import Accepted, SendResult
from domain.timeline import EventKind, TimelineEvent
from storage import codec, tables
from storage.accounts import SqlAccountStore
from storage.engine import Database, open_database
from storage.fill_rows import FILL_COLUMNS, read_fill
from storage.ledger import SqlIntentLedger
from storage.net_positions import SqlNetPositions
from storage.orders import SqlOrderStore
from storage.risk_tables import position_corrections
from storage.schema import alembic_config, upgrade
from storage.url import blocking_url, parse_url
from tests.storage.builders import (
    CREATED_AT,
    a_cancel,
    a_fill,
    a_placement,
    a_report,
    an_account,
    an_order,
    reserve,
)
from tests.storage.conftest import Clock
from tests.storage.test_journal import a_row

BTC, ETH = "BTC-PERP", "ETH-PERP"


@pytest.fixture
def positions(database: Database, accounts: SqlAccountStore, clock: Clock) -> SqlNetPositions:
    return SqlNetPositions(database, now=clock)


def created(order: Order) -> TimelineEvent:
    return TimelineEvent(
        order_id=order.order_id, kind=EventKind.CREATED, text="created", at=CREATED_AT
    )


async def counted(database: Database, account_id: str, symbol: str) -> Decimal:
    """Count the position anew from the stored orders and fills."""
    of = tables.orders.c.account_id == account_id, tables.orders.c.symbol == symbol
    bodies = await database.fetch_all(select(tables.orders.c.body).where(*of))
    total = Decimal(0)
    for row in bodies:
        order = codec.orders.decode(row.body)
        total = EXACT.add(total, signed(order.side, order.filled_quantity))
    unmatched = await database.fetch_all(
        select(*FILL_COLUMNS).where(
            tables.fills.c.account_id == account_id,
            tables.fills.c.symbol == symbol,
            tables.fills.c.order_id.is_(None),
        )
    )
    for row in unmatched:
        fill = read_fill(row)
        total = EXACT.add(total, signed(fill.side, fill.quantity))
    return total


async def check_open_quantities(database: Database, symbol: str) -> None:
    """Check that the narrow columns say of every order what its body does."""
    rows = await database.fetch_all(select(tables.orders).where(tables.orders.c.symbol == symbol))
    for row in rows:
        order = codec.orders.decode(row.body)
        left = signed(order.side, open_quantity(order))
        assert (None if row.open_quantity is None else Decimal(row.open_quantity)) == (left or None)
        price = open_price(order) if left else None
        assert (None if row.open_price is None else Decimal(row.open_price)) == price


async def test_a_report_and_its_fills_count_once(
    ledger: SqlIntentLedger, orders: SqlOrderStore, positions: SqlNetPositions, clock: Clock
) -> None:
    order = an_order()
    assert await positions.quantity("acc", BTC) == 0
    assert await positions.of_account("acc") == ()
    await reserve(ledger, a_placement(order))
    report = a_report(order, Verdict.PARTIALLY_FILLED, "0.4", venue_order_id="v1")
    await ledger.decide(a_placement(order).key, SendResult(outcome=Accepted(report=report)))
    assert await positions.quantity("acc", BTC) == Decimal("0.4")
    await orders.book([a_fill("t1", "0.3"), a_fill("t2", "0.1")])
    assert await positions.quantity("acc", BTC) == Decimal("0.4")
    await orders.book([a_fill("t3", "0.35", price=Decimal(44_000))])
    assert await positions.of_account("acc") == (
        NetPosition(
            account_id="acc",
            symbol=BTC,
            quantity=Decimal("0.75"),
            last_price=(Decimal("0.4") * 45_000 + Decimal("0.35") * 44_000) / Decimal("0.75"),
            updated_at=clock(),
        ),
    )
    await orders.fold(a_report(order, Verdict.CANCELED, "0.75"))
    assert await positions.quantity("acc", BTC) == Decimal("0.75")


async def test_a_fill_that_came_first_is_not_counted_again_when_it_is_matched(
    ledger: SqlIntentLedger, orders: SqlOrderStore, positions: SqlNetPositions
) -> None:
    order = an_order(side=OrderSide.SELL)
    await reserve(ledger, a_placement(order))
    sold = a_fill("t1", "0.3", side=OrderSide.SELL)
    await orders.book([sold])
    assert await positions.quantity("acc", BTC) == Decimal("-0.3")
    await orders.fold(a_report(order, Verdict.ACCEPTED, venue_order_id="v1"))
    assert await positions.quantity("acc", BTC) == Decimal("-0.3")
    await orders.fold(a_report(order, Verdict.FILLED, "1"))
    assert await positions.quantity("acc", BTC) == Decimal("-1")


async def test_an_adopted_order_takes_its_fills_over(
    orders: SqlOrderStore, positions: SqlNetPositions, database: Database
) -> None:
    await orders.book(
        [a_fill("t1", "0.3"), a_fill("t2", "0.2"), a_fill("t9", "5", venue_order_id="v9")]
    )
    revision = Revision(
        number=0,
        client_order_id="theirs",
        quantity=Decimal(1),
        venue_order_id="v1",
        verdict=Verdict.PARTIALLY_FILLED,
        filled_quantity=Decimal("0.6"),
    )
    order = with_revision(an_order("theirs"), revision)
    adopted = await orders.add(order, created(order))
    assert adopted.filled_quantity == Decimal("0.6")
    assert await orders.get(order.order_id) == adopted
    assert await positions.quantity("acc", BTC) == Decimal("5.6")
    assert await counted(database, "acc", BTC) == Decimal("5.6")
    assert [fill.trade_id for fill in await orders.fills(order.order_id)] == ["t1", "t2"]
    assert (await orders.fill_total(order.order_id)).quantity == Decimal("0.5")


async def test_accounts_and_markets_are_counted_apart(
    orders: SqlOrderStore, positions: SqlNetPositions, accounts: SqlAccountStore
) -> None:
    await accounts.add(an_account("other"), trading=b"", feed=None)
    await orders.book(
        [
            a_fill("t1", "1"),
            a_fill("t2", "2", symbol=ETH, venue_order_id="v2"),
            a_fill("t3", "4", account_id="other", side=OrderSide.SELL),
            a_fill("t4", "8", symbol=ETH, venue_order_id="v2"),
        ]
    )
    held = {p.symbol: p.quantity for p in await positions.of_account("acc")}
    assert held == {BTC: 1, ETH: 10}
    assert await positions.quantity("other", BTC) == -4
    await orders.book([a_fill("t1", "1")])
    assert await positions.quantity("acc", BTC) == 1


async def test_fills_at_once_lose_nothing(
    orders: SqlOrderStore, positions: SqlNetPositions
) -> None:
    fills = [a_fill(f"t{n}", "0.1", venue_order_id=f"v{n}") for n in range(30)]
    await asyncio.gather(*(orders.book([fill, fills[0]]) for fill in fills))
    assert await positions.quantity("acc", BTC) == Decimal("3.0")


async def test_a_correction_is_kept_with_its_evidence(
    orders: SqlOrderStore, positions: SqlNetPositions, database: Database, clock: Clock
) -> None:
    await orders.book([a_fill("t1", "1")])
    corrected = await positions.correct(
        "acc", BTC, Decimal("1.5"), "venue says 1.5", found=Decimal(1)
    )
    assert corrected == NetPosition(
        account_id="acc",
        symbol=BTC,
        quantity=Decimal("1.5"),
        last_price=Decimal(45000),
        updated_at=clock(),
    )
    again = await positions.correct("acc", BTC, Decimal("1.5"), "venue says 1.5", found=Decimal(1))
    assert again == corrected
    with pytest.raises(Conflict, match=r"to be 1 still, it is 1\.5") as refused:
        await positions.correct("acc", BTC, Decimal(7), "stale", found=Decimal(1))
    assert refused.value.code == "position_moved"
    await positions.correct("acc", ETH, Decimal(-2), "opened elsewhere")
    await orders.book([a_fill("t2", "0.5")])
    assert await positions.quantity("acc", BTC) == Decimal(2)
    assert await positions.quantity("acc", ETH) == Decimal(-2)
    kept = await database.fetch_all(
        select(position_corrections).order_by(position_corrections.c.correction_id)
    )
    assert [(r.symbol, r.quantity_before, r.quantity_after, r.evidence) for r in kept] == [
        (BTC, "1", "1.5", "venue says 1.5"),
        (ETH, "0", "-2", "opened elsewhere"),
    ]
    with pytest.raises(NotFound, match="no account 'none'"):
        await positions.correct("none", BTC, Decimal(1), "nothing")


async def test_the_migration_counts_what_had_filled_before(
    database_url: str,
    database: Database,
    ledger: SqlIntentLedger,
    orders: SqlOrderStore,
    positions: SqlNetPositions,
) -> None:
    order = an_order(side=OrderSide.SELL)
    await reserve(ledger, a_placement(order))
    await orders.fold(a_report(order, Verdict.PARTIALLY_FILLED, "0.4"))
    await orders.book([a_fill("t1", "2"), a_fill("t2", "3", symbol=ETH, venue_order_id="v2")])
    before = await positions.of_account("acc")
    assert {p.symbol: p.quantity for p in before} == {BTC: Decimal("1.6"), ETH: Decimal(3)}

    def back_and_forth() -> None:
        engine = create_engine(blocking_url(parse_url(database_url)))
        with engine.begin() as connection:
            command.downgrade(alembic_config(connection), "0002")
        engine.dispose()
        upgrade(database_url)

    await check_open_quantities(database, BTC)
    await database.close()
    await asyncio.to_thread(back_and_forth)
    reopened = open_database(database_url)
    after = await SqlNetPositions(reopened).of_account("acc")
    await check_open_quantities(reopened, BTC)
    await reopened.close()
    assert [(p.symbol, p.quantity) for p in after] == [(p.symbol, p.quantity) for p in before]


_numbers = itertools.count()
QUANTITIES = st.sampled_from(["0.1", "0.25", "0.333", "1"])
STEP = st.one_of(
    st.tuples(st.just("report"), st.integers(0, 1), QUANTITIES, st.booleans()),
    st.tuples(st.just("fill"), st.integers(0, 1), QUANTITIES, st.booleans()),
    st.tuples(st.just("foreign"), st.integers(0, 1), QUANTITIES, st.booleans()),
    st.tuples(st.just("cancel"), st.integers(0, 1), QUANTITIES, st.booleans()),
    st.tuples(st.just("absorb"), st.integers(0, 1), QUANTITIES, st.booleans()),
    st.tuples(st.just("revise"), st.integers(0, 1), QUANTITIES, st.booleans()),
    st.tuples(st.just("repeat"), st.integers(0, 1), QUANTITIES, st.booleans()),
)


class Life:
    """Two orders in one market, one buying and one selling, and what becomes of them."""

    def __init__(self, ledger: SqlIntentLedger, orders: SqlOrderStore) -> None:
        self.number = next(_numbers)
        self.symbol = f"M{self.number}-PERP"
        self.ledger, self.orders = ledger, orders
        sides = (OrderSide.BUY, OrderSide.SELL)
        self.placed = [
            an_order(f"life-{self.number}-{side}", side=side, symbol=self.symbol) for side in sides
        ]
        self.newest = [0, 0]
        self.trades = itertools.count()
        self.booked: list[Fill] = []

    async def begin(self) -> None:
        for order in self.placed:
            await reserve(self.ledger, a_placement(order))

    def venue_id(self, which: int) -> str:
        return f"v-{self.number}-{which}-{self.newest[which]}"

    async def report(self, which: int, filled: str, named: bool) -> None:
        report = a_report(
            self.placed[which],
            Verdict.PARTIALLY_FILLED,
            filled,
            revision=self.newest[which],
            venue_order_id=self.venue_id(which) if named else None,
        )
        await self.orders.fold(report)

    async def fill(self, which: int, quantity: str, named: bool) -> None:
        order = self.placed[which]
        client_id = f"{order.order_id}-{self.newest[which]}-0"
        fill = a_fill(
            f"t-{self.number}-{next(self.trades)}",
            quantity,
            symbol=self.symbol,
            side=order.side,
            client_order_id=client_id if named else None,
            venue_order_id=self.venue_id(which),
        )
        self.booked.append(fill)
        await self.orders.book([fill, fill])

    async def foreign(self, which: int, quantity: str, named: bool) -> None:
        fill = a_fill(
            f"t-{self.number}-{next(self.trades)}",
            quantity,
            symbol=self.symbol,
            side=self.placed[which].side,
            venue_order_id=f"foreign-{self.number}",
            is_liquidation=named,
        )
        self.booked.append(fill)
        await self.orders.book([fill])

    async def cancel(self, which: int, filled: str, named: bool) -> None:
        order = self.placed[which]
        number = next(self.trades)
        draft = a_cancel(order, number=number, revision=self.newest[which])
        await reserve(self.ledger, draft)
        report = a_report(order, Verdict.CANCELED, filled, revision=self.newest[which])
        await self.ledger.decide(draft.key, SendResult(outcome=Accepted(report=report)))

    async def absorb(self, which: int, filled: str, named: bool) -> None:
        order = self.placed[which]
        row = a_row()
        row = replace(
            row,
            key=replace(row.key, order_id=order.order_id, revision=next(self.trades)),
            symbol=self.symbol,
            target_revision=self.newest[which],
        )
        report = a_report(order, Verdict.ACCEPTED, filled, revision=self.newest[which])
        await self.ledger.absorb(
            row, SendResult(outcome=Accepted(report=report)) if named else None
        )

    async def revise(self, which: int, quantity: str, named: bool) -> None:
        stored = await self.orders.get(self.placed[which].order_id)
        assert stored is not None
        if stored.is_terminal:
            return
        self.newest[which] += 1
        changed = replace(stored, quantity=stored.filled_quantity + Decimal(quantity))
        draft = a_placement(self.placed[which], revision=self.newest[which])
        assert isinstance(draft.command, PlaceOrder)
        command = replace(draft.command, quantity=Decimal(quantity))
        await reserve(self.ledger, replace(draft, order=changed, command=command))

    async def repeat(self, which: int, quantity: str, named: bool) -> None:
        await self.orders.book(self.booked)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEP, max_size=12))
async def test_at_every_moment_the_position_is_what_orders_and_fills_say(
    database: Database,
    ledger: SqlIntentLedger,
    orders: SqlOrderStore,
    positions: SqlNetPositions,
    steps: list[tuple[str, int, str, bool]],
) -> None:
    life = Life(ledger, orders)
    await life.begin()
    for action, which, quantity, named in steps:
        await getattr(life, action)(which, quantity, named)
        expected = await counted(database, "acc", life.symbol)
        assert await positions.quantity("acc", life.symbol) == expected
        await check_open_quantities(database, life.symbol)
