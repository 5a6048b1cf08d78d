"""The books against an exchange whose news come late, twice, in any order, or not at all.

Hypothesis lets a venue trade, and drives every path by which its news come into storage, each of
which may be killed before or after any of its commits. Whatever happened: once everything is to be
seen and an account has been reconciled, our books say what the venue's say, each fill once, and
reconciling again changes nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from domain.commands import CommandKind
from domain.fills import Fill, total
from domain.findings import FindingKind, FindingState, ReconciliationStatus
from domain.instruments import OrderSide
from domain.ledger import CommandKey
from domain.orders import Concern, Order, OrderReport, Origin, Verdict
from domain.outcomes import Accepted, NotSent, SendResult
from domain.pnl import MarketPnl
from domain.timeline import EventKind
from storage.accounts import SqlAccountStore
from storage.engine import Database, open_database
from tests.storage.books_keeping import Death, Keeping, Mortal
from tests.storage.books_venue import VISIBILITY, BookedOrder, BooksVenue, Naming, Way
from tests.storage.builders import CREATED_AT, an_account, an_order
from venues.connector import VenueOrder

SYMBOLS = ("BTC-PERP", "ETH-PERP")
EXACT_TO = Decimal("1e-9")
ROUNDS_MAX = 5

_numbers = itertools.count(1)

quantities = st.sampled_from(["0.1", "0.3", "0.7", "1", "1.3"]).map(Decimal)
prices = st.sampled_from(["100", "100.1", "99.7", "103.9", "97"]).map(Decimal)
fees = st.sampled_from(["0", "0.013", "-0.002"]).map(Decimal)
delays = st.sampled_from([0, 0, 0, 1, 4]).map(lambda s: timedelta(seconds=s))
#: Fills may come later than the venue says they do; positions are corrected for them meanwhile.
fill_delays = st.sampled_from([0, 0, 0, 1, 4, 20]).map(lambda s: timedelta(seconds=s))
pauses = st.sampled_from([0.0, 0.0, 0.001, 1.0, 7.0, 100.0]).map(lambda s: timedelta(seconds=s))
some_parts = st.integers(0, 3).flatmap(
    lambda count: st.lists(
        st.tuples(quantities, prices, fees, fill_delays), min_size=count, max_size=count
    )
)
#: So many of the news of these parts come in at once: an order, then a fill and an order for each.
first_news = st.sampled_from([0, 1, 2, 2, 4])
funding = st.sampled_from(["0", "-0.3", "0.17"]).map(Decimal)
sides = st.sampled_from(OrderSide)
places = st.integers(0, 30)
deaths = st.one_of(
    st.just(Death()),
    st.just(Death()),
    st.builds(Death, commits=st.integers(0, 6), after_commit=st.booleans()),
)


class Books(RuleBasedStateMachine):
    """One account, its venue, and our books of it."""

    runner: ClassVar[asyncio.Runner]
    database: ClassVar[Database]
    mortal: ClassVar[Mortal]

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    @initialize(way=st.sampled_from(Way), naming=st.sampled_from(Naming), late=st.booleans())
    def open_account(self, way: Way, naming: Naming, late: bool) -> None:
        account = an_account(f"books-{next(_numbers)}")
        now = CREATED_AT + timedelta(seconds=1)
        self.venue = BooksVenue(account=account, way=way, naming=naming, now=now)
        self.keeping = Keeping(self.database, self.mortal, self.venue, account)
        accounts = SqlAccountStore(self.database, now=self.keeping.now)
        self.run(accounts.add(account, trading=b"sealed", feed=None))
        self.shown_within = timedelta(minutes=1) if late else timedelta(seconds=4)
        self.owners: dict[str, tuple[str, int]] = {}
        self.undecided: dict[CommandKey, BookedOrder | None] = {}
        self.news: list[VenueOrder | Fill] = []

    # What happens at the venue

    @rule(
        symbol=st.sampled_from(SYMBOLS),
        side=sides,
        quantity=quantities,
        fate=st.sampled_from(["answered", "answered", "lost", "nowhere", "journaled"]),
        shown_after=delays,
        parts=some_parts,
        heard=first_news,
    )
    def place(
        self,
        symbol: str,
        side: OrderSide,
        quantity: Decimal,
        fate: str,
        shown_after: timedelta,
        parts: list[Any],
        heard: int,
    ) -> None:
        order = replace(
            an_order(f"books-{next(_numbers)}", symbol=symbol, side=side, quantity=quantity),
            account_id=self.venue.account.account_id,
            created_at=self.venue.now,
            reduce_only=fate == "journaled",
        )
        self.keeping.memory.orders[order.order_id] = order
        placed = self.send(order, 0, quantity, fate, shown_after)
        if placed is not None:
            self.execute(placed, parts, heard)

    def send(
        self, order: Order, revision: int, quantity: Decimal, fate: str, shown_after: timedelta
    ) -> BookedOrder | None:
        if fate == "journaled":
            entry = self.keeping.journaled(order, None)
            client_id = entry.row.client_order_id
        else:
            client_id = self.run(self.keeping.reserve(order, revision, quantity))
        key = CommandKey(order_id=order.order_id, command=CommandKind.PLACE, revision=revision)
        if fate == "nowhere":
            self.undecided[key] = None
            return None
        placed = self.venue.accept(client_id, order.symbol, order.side, quantity, shown_after)
        self.owners[placed.venue_order_id] = (order.order_id, revision)
        if fate == "journaled":
            self.keeping.journal.append(replace(entry, result=self.answer(key, placed)))
        elif fate == "lost":
            self.undecided[key] = placed
        else:
            self.run(self.keeping.ledger.decide(key, self.answer(key, placed)))
        self.tell(placed)
        return placed

    def answer(self, key: CommandKey, placed: BookedOrder | None) -> SendResult:
        if placed is None:
            return SendResult(outcome=NotSent(reason="lost", proof="fence", retryable=False))
        seen = self.venue.describe(placed, whole=False)
        report = OrderReport(
            order_id=key.order_id,
            revision=key.revision,
            verdict=seen.verdict,
            filled_quantity=seen.filled_quantity,
            average_price=seen.average_price,
            venue_order_id=seen.venue_order_id,
        )
        return SendResult(outcome=Accepted(report=report))

    @rule(
        symbol=st.sampled_from(SYMBOLS),
        side=sides,
        quantity=quantities,
        named=st.booleans(),
        shown_after=delays,
        parts=some_parts,
        heard=first_news,
        ends=st.booleans(),
    )
    def somebody_else_places(
        self,
        symbol: str,
        side: OrderSide,
        quantity: Decimal,
        named: bool,
        shown_after: timedelta,
        parts: list[Any],
        heard: int,
        ends: bool,
    ) -> None:
        client_id = f"theirs-{next(_numbers)}" if named else None
        placed = self.venue.accept(client_id, symbol, side, quantity, shown_after)
        self.tell(placed)
        self.execute(placed, parts, heard)
        if ends and placed.lives:
            self.venue.end(placed, Verdict.CANCELED)
            self.tell(placed)
        placed.forgotten = ends

    @precondition(lambda self: any(book.held for book in self.venue.books.values()))
    @rule(symbol=st.sampled_from(SYMBOLS), price=prices, fee=fees, forgotten=st.booleans())
    def liquidate(self, symbol: str, price: Decimal, fee: Decimal, forgotten: bool) -> None:
        if symbol in self.venue.books and self.venue.books[symbol].held:
            self.close_all(symbol, price, fee, forgotten=forgotten)

    def close_all(self, symbol: str, price: Decimal, fee: Decimal, *, forgotten: bool) -> None:
        held = self.venue.books[symbol].held
        side = OrderSide.SELL if held > 0 else OrderSide.BUY
        placed = self.venue.accept(None, symbol, side, abs(held), is_liquidation=True)
        placed.forgotten = forgotten
        execution = self.venue.trade(placed, placed.quantity, price, fee)
        self.news.append(self.venue.fill(execution, in_feed=True))
        self.tell(placed)

    @precondition(lambda self: self.living)
    @rule(which=places, parts=some_parts, pause=pauses, heard=first_news)
    def trade(self, which: int, parts: list[Any], pause: timedelta, heard: int) -> None:
        self.execute(self.living[which % len(self.living)], parts, heard)
        self.venue.now += pause

    def execute(self, order: BookedOrder, parts: list[Any], heard: int) -> None:
        """Fill an order part by part; the first `heard` news of it come in at once."""
        known = len(self.news)
        for quantity, price, fee, shown_after in parts:
            if order.lives:
                shown_after = min(shown_after, self.shown_within)
                execution = self.venue.trade(order, quantity, price, fee, shown_after)
                self.news.append(self.venue.fill(execution, in_feed=True))
                self.tell(order)
        self.run(self.keeping.hear(self.news[known : known + heard]))

    @precondition(lambda self: self.living)
    @rule(
        which=places,
        verdict=st.sampled_from([Verdict.CANCELED, Verdict.EXPIRED]),
        forgotten=st.booleans(),
    )
    def end(self, which: int, verdict: Verdict, forgotten: bool) -> None:
        order = self.living[which % len(self.living)]
        self.venue.end(order, verdict)
        order.forgotten = forgotten
        self.tell(order)

    @rule(pause=pauses, symbol=st.sampled_from(SYMBOLS), amount=funding)
    def time_passes(self, pause: timedelta, symbol: str, amount: Decimal) -> None:
        self.venue.now += pause
        if amount and symbol in self.venue.books:
            self.venue.pay_funding(symbol, amount)

    @property
    def living(self) -> list[BookedOrder]:
        return [order for order in self.venue.orders if order.lives]

    def tell(self, order: BookedOrder) -> None:
        self.news.append(self.venue.describe(order))

    # What we do

    @precondition(lambda self: self.undecided)
    @rule(which=places)
    def resolve(self, which: int) -> None:
        keys = list(self.undecided)
        self.run(self.decide(keys[which % len(keys)]))

    async def decide(self, key: CommandKey) -> None:
        placed = self.undecided[key]
        if placed is None or placed.visible_at <= self.venue.now:
            del self.undecided[key]
            result = self.answer(key, placed)
            await self.keeping.ledger.decide(key, result, concern=Concern.NONE)

    @precondition(lambda self: self.owners and not self.undecided and not self.keeping.journal)
    @rule(which=places, quantity=quantities, fate=st.sampled_from(["answered", "lost"]))
    def replace_order(self, which: int, quantity: Decimal, fate: str) -> None:
        """Cancel an order of ours and place its next revision, as a modify does."""
        mine = [order for order in self.living if order.venue_order_id in self.owners]
        if not mine:
            return
        old = mine[which % len(mine)]
        order_id, number = self.owners[old.venue_order_id]
        asked = self.run(self.keeping.ask_to_modify(order_id))
        self.venue.end(old, Verdict.CANCELED)
        self.tell(old)
        self.run(self.keeping.hear(self.news[-1:]))
        stored = self.run(self.keeping.orders.get(order_id))
        assert asked.concern is stored.concern is Concern.PENDING_MODIFY
        self.send(stored, number + 1, quantity, fate, timedelta())

    @precondition(lambda self: self.news)
    @rule(chosen=st.lists(places, min_size=1, max_size=5), newest=st.booleans(), death=deaths)
    def feed(self, chosen: list[int], newest: bool, death: Death) -> None:
        pool = self.news[-6:] if newest else self.news
        news = [pool[number % len(pool)] for number in chosen]
        self.dying(death, lambda: self.keeping.hear(news))

    @precondition(lambda self: self.news)
    @rule(seconds=st.sampled_from([1, 60, 5_000]), death=deaths)
    def catch_up(self, seconds: int, death: Death) -> None:
        self.dying(death, lambda: self.keeping.catch_up(timedelta(seconds=seconds)))

    @precondition(lambda self: self.owners)
    @rule(which=places, death=deaths)
    def workflow_looks(self, which: int, death: Death) -> None:
        order_ids = sorted({order_id for order_id, _ in self.owners.values()})
        order_id = order_ids[which % len(order_ids)]

        async def look() -> None:
            if await self.keeping.orders.get(order_id) is not None:
                settled = await self.keeping.look(order_id)
                fills = await self.keeping.orders.fills(order_id)
                filled = sum(fill.quantity for fill in fills)
                assert not settled.settled or filled >= settled.order.filled_quantity

        self.dying(death, look)

    @precondition(lambda self: self.keeping.journal)
    @rule(death=deaths)
    def absorb(self, death: Death) -> None:
        self.dying(death, self.keeping.absorb)

    @precondition(lambda self: self.news)
    @rule(full=st.booleans(), looks_max=st.integers(1, 4), death=deaths)
    def reconcile(self, full: bool, looks_max: int, death: Death) -> None:
        self.dying(death, lambda: self.keeping.reconcile(full=full, looks_max=looks_max))

    def dying(self, death: Death, path: Callable[[], Any]) -> None:
        self.run(self.keeping.mortally(death, path))

    # What must be

    @precondition(lambda self: self.news)
    @rule()
    def everything_is_seen(self) -> None:
        self.run(self.settle())

    def teardown(self) -> None:
        if not hasattr(self, "venue"):
            return
        self.run(self.settle())
        for symbol, book in self.venue.books.items():
            if book.held:
                # Whatever is left is taken with what it brings.
                self.close_all(symbol, Decimal("101.3"), Decimal("0.07"), forgotten=False)
        self.run(self.settle())

    async def settle(self) -> None:
        """Let everything be seen and told, reconcile, and compare the books."""
        keeping = self.keeping
        self.venue.now += timedelta(seconds=25)
        await keeping.absorb()
        for key in list(self.undecided):
            await self.decide(key)
        # What has just changed here is looked up at the venue only after its visibility delay.
        self.venue.now += timedelta(seconds=25)
        for _ in range(ROUNDS_MAX):
            await keeping.reconcile()
            if not keeping.reconciliations[-1][1]:
                break
        await keeping.book_funding(timedelta(days=1))
        await self.compare()
        before = await keeping.everything()
        await keeping.reconcile(full=True)
        ended, findings = keeping.reconciliations[-1]
        assert ended.status is ReconciliationStatus.PASSED, ended
        assert not findings, findings
        assert (ended.counts.fills_booked, ended.counts.looks) == (0, 1), ended
        assert await keeping.everything() == before
        self.venue.now += timedelta(milliseconds=1)

    async def compare(self) -> None:
        await self.compare_fills()
        for order in self.venue.orders:
            await self.compare_order(order)
        await self.compare_markets()
        await self.check_corrections()
        self.check_money()

    async def compare_fills(self) -> None:
        rows = await self.keeping.rows(
            "SELECT venue_order_id, trade_id, price, quantity, fee, realized_pnl, order_id "
            "FROM fills WHERE account_id = :account"
        )
        assert all(row.order_id for row in rows), "a fill belongs to no order"
        if not self.venue.way.lists_fills:
            return
        ours = {(row.venue_order_id, row.trade_id): tuple(map(Decimal, row[2:5])) for row in rows}
        assert len(ours) == len(rows)
        assert ours == {
            (one.order.venue_order_id, str(one.number)): (one.price, one.quantity, one.fee)
            for one in self.venue.executions
        }

    async def compare_order(self, theirs: BookedOrder) -> None:
        venue_order_id = theirs.venue_order_id
        found = await self.keeping.orders.find(
            self.venue.account.account_id, client_order_id=None, venue_order_id=venue_order_id
        )
        if found is None:
            assert not theirs.executions and venue_order_id not in self.owners, theirs
            assert theirs.forgotten, theirs
            return
        order, number = found
        owner = self.owners.get(venue_order_id)
        if owner is None:
            wanted = Origin.LIQUIDATION if theirs.is_liquidation else Origin.EXTERNAL
            assert order.origin is wanted, order
        else:
            assert (order.order_id, number) == owner, (order, owner)
            assert order.origin is Origin.USER, order
        revision = next(r for r in order.revisions if r.number == number)
        fills = [
            fill
            for fill in await self.keeping.orders.fills(order.order_id)
            if fill.revision == number
        ]
        await self.compare_timeline(order)
        if self.venue.way is Way.LEAST:
            assert total(fills).quantity <= revision.filled_quantity <= theirs.filled
            return
        assert revision.filled_quantity == theirs.filled == total(fills).quantity, (theirs, order)
        assert total(fills).fees == theirs.fees
        assert revision.is_settled is not theirs.lives, (theirs, order)
        if theirs.executions:
            assert revision.average_price is not None
            average = theirs.value / theirs.filled
            assert abs(revision.average_price - average) < EXACT_TO, (theirs, revision)

    async def compare_timeline(self, order: Order) -> None:
        events = await self.keeping.orders.timeline(order.order_id)
        told = sorted(
            (event.detail or {})["trade_id"] for event in events if event.kind is EventKind.FILL
        )
        fills = await self.keeping.orders.fills(order.order_id)
        assert told == sorted(fill.trade_id for fill in fills), "a fill not told, or told twice"
        if order.order_id in {name for name, _ in self.owners.values()} and order.is_terminal:
            settled = await self.keeping.look(order.order_id)
            assert settled.settled or self.venue.way is Way.LEAST, settled

    async def compare_markets(self) -> None:
        account_id = self.venue.account.account_id
        held = {p.symbol: p.quantity for p in await self.keeping.net.of_account(account_id)}
        theirs = {symbol: book.held for symbol, book in self.venue.books.items()}
        assert {s: q for s, q in held.items() if q} == {s: q for s, q in theirs.items() if q}
        if self.venue.way is Way.LEAST:
            return
        sums = {one.symbol: one for one in await self.keeping.positions.markets(account_id)}
        period = {
            one.symbol: one for one in await self.keeping.positions.period(account_id, since=None)
        }
        for symbol, book in self.venue.books.items():
            self.compare_market(symbol, sums[symbol])
            paid = sum(p.amount for p in self.venue.payments if p.symbol == symbol)
            assert period[symbol].funding == paid
            assert period[symbol].realized_pnl == sums[symbol].total.realized_pnl
            assert period[symbol].fees == book.fees

    def compare_market(self, symbol: str, market: MarketPnl) -> None:
        book = self.venue.books[symbol]
        assert (market.total.quantity, market.total.fees) == (book.held, book.fees)
        if self.venue.way.lists_fills:
            assert market.total.count == book.count
            assert market.total.volume == book.volume
            assert market.total.realized_pnl == book.profit, (market, book)
            assert market.entry_notional == (book.paid if book.held else 0)
        elif not book.held:
            assert abs(market.total.realized_pnl + market.total.value) < EXACT_TO

    @property
    def is_prompt(self) -> bool:
        """Whether the venue told everything, and as soon as it says."""
        late = any(one.visible_at - one.at > VISIBILITY for one in self.venue.executions)
        return self.venue.way is not Way.LEAST and not late

    async def check_corrections(self) -> None:
        """Nothing is corrected that the fills explain."""
        corrected = await self.keeping.rows(
            "SELECT symbol, quantity_before, quantity_after FROM position_corrections "
            "WHERE account_id = :account"
        )
        assert not self.is_prompt or not corrected, corrected

    def check_money(self) -> None:
        if not self.venue.way.lists_fills or not self.is_prompt:
            return
        for _, findings in self.keeping.reconciliations:
            for finding in findings:
                is_jump = finding.kind is FindingKind.BALANCE_JUMP
                assert not is_jump or finding.state is not FindingState.NOTED, finding


@pytest.fixture(scope="module", autouse=True)
def one_database(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One file for all examples, each with an account of its own."""
    path = tmp_path_factory.mktemp("books") / "perp-dex.db"
    shutil.copyfile(sqlite_template, path)
    with asyncio.Runner() as runner:
        Books.runner = runner
        Books.database = open_database(f"sqlite+aiosqlite:///{path}")
        Books.mortal = Mortal(Books.database)
        yield
        runner.run(Books.database.close())


Books.TestCase.settings = settings(
    max_examples=12,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestBooks = pytest.mark.timeout(400)(Books.TestCase)  # shrinking a failure takes minutes
