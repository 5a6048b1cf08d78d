"""Our side of the model of the books: the product's own paths into storage, each of which may die.

Nothing is rebuilt here: feeds come in by `Intake`, workflows look by `settle_order`, accounts are
reconciled by the activities of `ReconcileWorkflow`, all over one real SQLite file.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import text
from temporalio.testing import ActivityEnvironment

from activities.access import CommandParts, NoCheckpoints
from activities.contracts import OrderTask, Settlement
from activities.orders import OrderActivities
from activities.reconciliation_contracts import BeginTask, FinishTask, Looked, LookTask
from activities.reconciliation_contracts import ReconcileParts as Parts
from activities.reconciling import ReconcileActivities
from domain.accounts import Account, Network, SecretText, TradingAccess
from domain.commands import CommandKind
from domain.fills import Fill
from domain.findings import Counts, Finding, Reconciliation, ReconciliationReason
from domain.identifiers import client_order_bytes
from domain.ledger import CommandKey, CommandRow
from domain.order_fold import with_revision
from domain.orders import Concern, Order, Revision
from domain.outcomes import SendResult
from domain.timeline import EventKind, TimelineEvent
from storage.accounts import SqlAccountStore
from storage.audit import SqlAuditLog
from storage.engine import Database
from storage.ledger import SqlIntentLedger
from storage.net_positions import SqlNetPositions
from storage.orders import SqlOrderStore
from storage.positions import SqlPositionStore
from storage.reconciliation_reads import SqlReconciliationLedger
from storage.reconciliations import SqlReconciliations
from streaming.intake import Intake
from tests.storage.books_venue import BooksVenue
from tests.storage.builders import a_placement, compose
from venues.connector import Connector, VenueOrder

LOOKS_MAX = 4
_ids = itertools.count(1)


class Died(BaseException):
    """A process was killed."""


@dataclass
class Mortal:
    """Lets the process die at one of its next commits: just before it, or just after."""

    database: Database
    commits_left: int | None = None
    after_commit: bool = False

    def __post_init__(self) -> None:
        self._write = self.database.write
        self.database.write = self._mortal  # type: ignore[method-assign]

    async def _mortal(self, work: Callable[..., Any], *, repeat: bool = True) -> Any:
        if self.commits_left is None:
            return await self._write(work, repeat=repeat)
        self.commits_left -= 1
        if self.commits_left >= 0:
            return await self._write(work, repeat=repeat)
        self.commits_left = None
        if self.after_commit:
            await self._write(work, repeat=repeat)
        raise Died


@dataclass(frozen=True)
class Death:
    """When a path dies: after so many commits, before or after the next; None: it lives."""

    commits: int | None = None
    after_commit: bool = False


@dataclass
class Journaled:
    """A command sent without the database, as the journal has it."""

    row: CommandRow
    result: SendResult | None
    order: Order


class _Memory:
    """What the workflows of orders remember."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}

    async def pending(self, order_id: str) -> Order | None:
        return self.orders.get(order_id)


@dataclass
class Keeping:
    """One account's books, and everything that writes them."""

    database: Database
    mortal: Mortal
    venue: BooksVenue
    account: Account
    journal: list[Journaled] = field(default_factory=list)
    reconciliations: list[tuple[Reconciliation, tuple[Finding, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.memory = _Memory()
        self.environment = ActivityEnvironment()
        self.restart()

    def now(self) -> Any:
        return self.venue.now

    def restart(self) -> None:
        """Begin anew as a process does: it knows nothing but what is stored."""
        self.orders = SqlOrderStore(self.database, now=self.now)
        self.ledger = SqlIntentLedger(self.database, now=self.now)
        self.records = SqlReconciliations(self.database, now=self.now)
        self.positions = SqlPositionStore(self.database)
        self.net = SqlNetPositions(self.database, now=self.now)
        self.intake = Intake(self.orders, lambda folded: None, now=self.now)
        parts = CommandParts(
            ledger=self.ledger,
            orders=self.orders,
            access=cast(Any, self),
            connectors=cast(Any, self),
            checkpoints=NoCheckpoints(),
            now=self.now,
        )
        self.order_activities = OrderActivities(parts)
        self.reconcile_activities = ReconcileActivities(
            parts,
            Parts(
                accounts=SqlAccountStore(self.database, now=self.now),
                records=self.records,
                reads=SqlReconciliationLedger(self.database, now=self.now),
                net_positions=self.net,
                audit=SqlAuditLog(self.database),
                memory=self.memory,
            ),
        )

    async def connector(self, venue: str, network: Network) -> Connector:
        return cast(Connector, self.venue)

    async def open(self, account_id: str) -> TradingAccess:
        return TradingAccess(account=self.account, credential=SecretText("none"))

    def note_outcome(self, *said: object) -> None:
        """Be told what became of a command."""

    async def mortally(self, death: Death, path: Callable[[], Any]) -> bool:
        """Run a path that may die; tell whether it lived."""
        self.mortal.commits_left, self.mortal.after_commit = death.commits, death.after_commit
        try:
            await path()
        except Died:
            self.restart()
            return False
        finally:
            self.mortal.commits_left = None
            # What was read is never of the millisecond in which something happens next.
            self.venue.now += timedelta(milliseconds=1)
        return True

    # Commands

    async def reserve(self, order: Order, revision: int, quantity: Decimal) -> str:
        """Reserve a placement; return its client order id."""
        draft = a_placement(
            replace(order, quantity=order.filled_quantity + quantity),
            revision,
            signer=self.account.signer,
            raises_exposure=False,
        )
        spelled = self.spell(order.order_id, revision)
        reserved = await self.ledger.reserve(
            draft, spell_client_order_id=lambda _: spelled, compose=compose
        )
        return reserved.row.client_order_id

    async def ask_to_modify(self, order_id: str) -> Order:
        """Write down that an order is being replaced, as its cancel does."""
        event = TimelineEvent(
            order_id=order_id, kind=EventKind.COMMAND, text="cancel to replace", at=self.venue.now
        )
        return await self.orders.amend(
            order_id, lambda order: replace(order, concern=Concern.PENDING_MODIFY), event
        )

    def spell(self, order_id: str, revision: int) -> str:
        return "0x" + client_order_bytes(order_id, revision, 0).hex()

    def journaled(self, order: Order, result: SendResult | None) -> Journaled:
        """Return a placement as it is journaled."""
        spelled = self.spell(order.order_id, 0)
        revision = Revision(number=0, client_order_id=spelled, quantity=order.quantity)
        draft = a_placement(order, signer=self.account.signer)
        row = CommandRow(
            key=CommandKey(order_id=order.order_id, command=CommandKind.PLACE, revision=0),
            account_id=order.account_id,
            venue=order.venue,
            network=draft.network,
            symbol=order.symbol,
            signer=draft.signer,
            lane="",
            target_revision=0,
            client_order_id=spelled,
            nonce=None,
            admitted_until=self.venue.now + timedelta(seconds=15),
            message="{}",
            inserted_at=self.venue.now,
            send_by=self.venue.now + timedelta(seconds=1),
        )
        return Journaled(row, result, with_revision(order, revision))

    async def absorb(self) -> None:
        """Take the journal in, as far as the process lives; what is taken is struck out."""
        for entry in list(self.journal):
            await self.ledger.absorb(entry.row, entry.result, entry.order)
            self.journal.remove(entry)

    # What brings news

    async def hear(self, news: Sequence[VenueOrder | Fill]) -> None:
        """Take what the feed told."""
        for one in news:
            if isinstance(one, Fill):
                await self.intake.take_fills([one])
            else:
                held = {"source": "feed", "hold": False}
                await self.intake.take_orders(self.account.account_id, [one], **cast(Any, held))

    async def catch_up(self, since: timedelta) -> None:
        """Read everything again, as after a gap."""
        orders = await self.venue.open_orders(self.account)
        account_id = self.account.account_id
        await self.intake.take_orders(account_id, orders, source="open orders", hold=False)
        fills = await self.venue.fills(self.account, since=self.venue.now - since)
        await self.intake.take_fills(fills)
        await self.book_funding(since)

    async def book_funding(self, since: timedelta) -> None:
        await self.positions.book_funding(
            await self.venue.funding_payments(self.account, since=self.venue.now - since)
        )

    async def look(self, order_id: str) -> Settlement:
        """Look as an order's workflow does before it ends."""
        task = OrderTask(order_id=order_id)
        return await self.environment.run(self.order_activities.settle, task)

    async def reconcile(self, *, full: bool = False, looks_max: int = LOOKS_MAX) -> None:
        """Reconcile as the workflow does, the visibility delay passing between looks."""
        name = f"reconciliation-{next(_ids)}"
        account_id = self.account.account_id
        begin = BeginTask(
            account_id=account_id,
            reconciliation_id=name,
            reason=ReconciliationReason.DEMAND,
            full=full,
        )
        await self.environment.run(self.reconcile_activities.begin, begin)
        looked: Looked | None = None
        looks, booked, folded = 0, 0, 0
        while looked is None or (looked.again and looks < looks_max):
            if looked is not None:
                self.venue.now += timedelta(seconds=6)
            looks += 1
            task = LookTask(
                account_id=account_id,
                reconciliation_id=name,
                look=looks,
                fills_since=None if looked is None else looked.complete_until,
            )
            looked = await self.environment.run(self.reconcile_activities.look, task)
            booked += looked.counts.fills_booked
            folded += looked.counts.orders_folded
        finish = FinishTask(
            reconciliation_id=name,
            account_id=account_id,
            looks=looks,
            counts=Counts(fills_booked=booked, orders_folded=folded, looks=looks),
            last=looked,
        )
        ended = await self.environment.run(self.reconcile_activities.finish, finish)
        self.reconciliations.append((ended, await self.records.findings(name)))

    # What is in the books

    async def rows(self, query: str, **values: Any) -> list[Any]:
        values.setdefault("account", self.account.account_id)
        return list(await self.database.fetch_all(text(query), values))

    async def everything(self) -> dict[str, list[Any]]:
        """Return all that is written of the account, reconciliations themselves left out."""
        return {
            table: [tuple(row) for row in await self.rows(f"{ALL_OF} {table} {HERE}")]
            for table in TABLES
        }


TABLES = (
    "fills",
    "orders",
    "order_events",
    "net_positions",
    "position_corrections",
    "market_pnl",
    "client_order_ids",
    "venue_order_ids",
    "funding_payments",
)
ALL_OF = "SELECT * FROM"
HERE = "WHERE account_id = :account"
