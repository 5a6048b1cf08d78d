"""A floor with what reconciles its account, and an independent reading of both ledgers."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from activities.reconciliation_contracts import (
    BeginTask,
    FinishTask,
    JournaledFirst,
    Looked,
    LookTask,
    ReconcileParts,
)
from activities.reconciling import ReconcileActivities
from domain.findings import Counts, Finding, Reconciliation, ReconciliationReason
from domain.orders import Order
from domain.ports import OrderFilter
from tests.activities.floor import ACCOUNT_ID, Floor, now
from venues.simulation.exchange import Exchange
from venues.simulation.records import Order as VenueRecord
from venues.simulation.records import Side, TimeInForce
from venues.simulation.trading import OrderRequest, place

LOOKS_MAX = 4

_ids = itertools.count(1)


class Memory:
    """What workflows of orders would remember; none runs on a floor."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}

    async def pending(self, order_id: str) -> Order | None:
        return self.orders.get(order_id)


@dataclass
class Office:
    """Reconciles the floor's account as its workflow does, with time passing as it is told."""

    floor: Floor
    memory: Memory = field(default_factory=Memory)
    journal: JournaledFirst | None = None
    passed: timedelta = timedelta()
    beats: list[str] = field(default_factory=list)

    def now(self) -> datetime:
        return now() + self.passed

    def activities(self, **changes: Any) -> ReconcileActivities:
        storage = self.floor.storage
        parts = ReconcileParts(
            accounts=storage.accounts,
            records=storage.reconciliations,
            reads=storage.reconciliation_ledger,
            net_positions=storage.net_positions,
            audit=storage.audit,
            memory=self.memory,
            journal=self.journal,
        )
        return ReconcileActivities(self.floor.parts(now=self.now, **changes), parts)

    def wait(self, seconds: float = 6.0) -> None:
        """Let time pass, for us and for the venue."""
        self.passed += timedelta(seconds=seconds)
        self.floor.shift_venue_clock(self.passed.total_seconds())

    async def begin(self, *, full: bool = False) -> str:
        reconciliation_id = f"reconciliation-{next(_ids)}"
        task = BeginTask(
            account_id=ACCOUNT_ID,
            reconciliation_id=reconciliation_id,
            reason=ReconciliationReason.DEMAND,
            full=full,
        )
        await self.floor.environment.run(self.activities().begin, task)
        return reconciliation_id

    async def look(
        self, reconciliation_id: str, number: int, before: Looked | None = None, **changes: Any
    ) -> Looked:
        self.floor.environment.on_heartbeat = lambda *seen: self.beats.append(*seen)
        task = LookTask(
            account_id=ACCOUNT_ID,
            reconciliation_id=reconciliation_id,
            look=number,
            fills_since=None if before is None else before.complete_until,
        )
        return await self.floor.environment.run(self.activities(**changes).look, task)

    async def finish(
        self, reconciliation_id: str, last: Looked | None, looks: int, error: str | None = None
    ) -> Reconciliation:
        task = FinishTask(
            reconciliation_id=reconciliation_id,
            account_id=ACCOUNT_ID,
            looks=looks,
            counts=Counts() if last is None else last.counts,
            last=last,
            error=error,
        )
        return await self.floor.environment.run(self.activities().finish, task)

    async def reconcile(self, *, full: bool = False) -> tuple[Reconciliation, tuple[Finding, ...]]:
        """Reconcile as the workflow would, the visibility delay passing between looks."""
        reconciliation_id = await self.begin(full=full)
        looked, number = None, 0
        while looked is None or (looked.again and number < LOOKS_MAX):
            if looked is not None:
                self.wait()
            number += 1
            looked = await self.look(reconciliation_id, number, looked)
        ended = await self.finish(reconciliation_id, looked, number)
        return ended, await self.floor.storage.reconciliations.findings(reconciliation_id)

    # Both ledgers

    async def our_orders(self) -> dict[str, Order]:
        """Return all orders of ours by venue order id."""
        page = await self.floor.storage.orders.page(OrderFilter(owner="local", limit=1000))
        return {order.venue_order_id or order.order_id: order for order in page.orders}

    async def sql(self, statement: str, **values: object) -> None:
        """Do something to the database behind everybody's back."""
        await self.floor.storage.database.write(lambda c: c.execute(text(statement), values))

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        found = await self.floor.storage.database.fetch_all(text(query))
        return [tuple(row) for row in found]

    @property
    def exchange(self) -> Exchange:
        return self.floor.venue.exchange

    def by_hand(self, side: Side, price: str, quantity: str = "0.01", **more: Any) -> VenueRecord:
        """Place an order at the exchange past us, as its owner may from the venue's own page."""
        more.setdefault("time_in_force", TimeInForce.GTC)
        request = OrderRequest(
            symbol="BTC", side=side, price=Decimal(price), quantity=Decimal(quantity), **more
        )
        exchange = self.exchange
        with exchange.action("by hand"):
            placement = place(
                exchange.tables, exchange.switches, self.floor.opened["address"], request
            )
        assert placement.refusal is None, placement.refusal
        return placement.order

    def their_orders(self) -> list[VenueRecord]:
        return self.floor.at_venue()

    async def assert_equal(self) -> None:
        """Both ledgers say the same of every order, fill and position, to the last digit."""
        tables = self.exchange.tables
        address = self.floor.opened["address"]
        theirs = {
            (str(fill.venue_order_id), str(fill.trade_id)): (fill.price, fill.quantity, fill.fee)
            for fill in tables.fills_of.get(address, [])
        }
        rows = await self.rows(
            "SELECT venue_order_id, trade_id, price, quantity, fee, order_id FROM fills"
        )
        ours = {(row[0], row[1]): tuple(map(Decimal, row[2:5])) for row in rows}
        assert len(rows) == len(ours) == len(theirs)
        assert ours == theirs
        assert all(row[5] for row in rows), "expected every fill with its order"
        kept = await self.our_orders()
        at_venue = {str(record.venue_order_id) for record in self.their_orders()}
        never_there = {name for name, order in kept.items() if order.venue_order_id is None}
        odd = (kept.keys() - never_there) ^ at_venue
        records = [r for r in self.their_orders() if str(r.venue_order_id) in odd]
        assert not odd, (records, [o for n, o in kept.items() if n in odd])
        for record in self.their_orders():
            order = kept[str(record.venue_order_id)]
            assert order.filled_quantity == record.quantity - record.remaining, order
            assert order.is_terminal is not record.status.is_live, (order, record)
        held = await self.floor.storage.net_positions.of_account(ACCOUNT_ID)
        counted = {p.symbol: p.quantity for p in held if p.quantity}
        positions = {
            f"{position.symbol}-PERP": position.quantity
            for position in tables.positions.get(address, {}).values()
            if position.quantity
        }
        assert counted == positions
