"""Opening storage: every repository over one database, for a process's composition root.

What a process writes to an account's orders is told to the listeners of that process after the
commit, so that others can be nudged; who hears nothing reads it from the database all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from sqlalchemy import func, select

from domain.bracket_store import BracketFilter
from domain.brackets import BracketState
from domain.fills import Fill
from domain.ledger import (
    CommandDraft,
    CommandKey,
    CommandRow,
    CommandSlot,
    Inserted,
    JointDraft,
    JointReservation,
    Reservation,
)
from domain.orders import Concern, Order, OrderReport
from domain.outcomes import SendResult
from domain.ports import Folded
from domain.routing_store import SplitFilter
from domain.splits import SplitState
from domain.timeline import TimelineEvent
from storage.access import KeyFinder, SealedTradingAccess
from storage.account_changes import SqlAccountChanges
from storage.account_groups import SqlAccountGroupStore
from storage.accounts import SqlAccountStore
from storage.audit import SqlAuditLog
from storage.brackets import BRACKETS
from storage.closes import SqlCloseStore
from storage.conditions import SqlConditionStore
from storage.credential_rotation import SqlCredentialRotation
from storage.dead_man import SqlDeadManStore
from storage.engine import Database, open_database
from storage.halts import HaltStore
from storage.key_claims import SqlKeyClaims
from storage.kill_switches import SqlKillSwitchStore
from storage.lanes import SqlLaneStore
from storage.ledger import SqlIntentLedger
from storage.markets import SqlMarketStore
from storage.net_positions import SqlNetPositions
from storage.orders import SqlOrderStore
from storage.parent_orders import SqlParentOrderStore
from storage.positions import SqlPositionStore
from storage.reconciliation_reads import SqlReconciliationLedger
from storage.reconciliations import SqlReconciliations
from storage.risk import SqlRiskStore
from storage.routing import SqlRouteStore
from storage.sealing_keys import SqlSealingKeys
from storage.signer_nonces import SqlSignerNonces
from storage.splits import SPLITS
from storage.tables import principals
from storage.url import default_url

Listener = Callable[[str], None]


class Listeners:
    """Who is told the id of an account whose orders changed."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def add(self, listener: Listener) -> None:
        """Have `listener` told from now on."""
        self._listeners.append(listener)

    def tell(self, account_id: str) -> None:
        """Tell all."""
        for listener in self._listeners:
            listener(account_id)


class TellingLedger(SqlIntentLedger):
    """The ledger, telling of what it changed in orders."""

    def __init__(self, database: Database, listeners: Listeners) -> None:
        super().__init__(database)
        self._listeners = listeners

    async def reserve(
        self,
        draft: CommandDraft,
        *,
        spell_client_order_id: Callable[[int], str],
        compose: Callable[[CommandSlot], str],
    ) -> Reservation:
        """Reserve, then tell. See the port."""
        reservation = await super().reserve(
            draft, spell_client_order_id=spell_client_order_id, compose=compose
        )
        if isinstance(reservation, Inserted):
            self._listeners.tell(draft.account_id)
        return reservation

    async def reserve_joint(
        self,
        draft: JointDraft,
        *,
        spell_client_order_id: Callable[[CommandKey, int], str],
        compose: Callable[[Sequence[CommandSlot]], str],
    ) -> JointReservation:
        """Reserve jointly, then tell. See the port."""
        reservation = await super().reserve_joint(
            draft, spell_client_order_id=spell_client_order_id, compose=compose
        )
        if reservation.inserted:
            self._listeners.tell(draft.entry.account_id)
        return reservation

    async def decide(
        self, key: CommandKey, result: SendResult, *, concern: Concern | None = None
    ) -> Order:
        """Decide, then tell. See the port."""
        order = await super().decide(key, result, concern=concern)
        self._listeners.tell(order.account_id)
        return order

    async def absorb(
        self, row: CommandRow, result: SendResult | None, order: Order | None = None
    ) -> Order:
        """Absorb, then tell. See the port."""
        absorbed = await super().absorb(row, result, order)
        self._listeners.tell(absorbed.account_id)
        return absorbed


class TellingOrders(SqlOrderStore):
    """The order store, telling of what it changed."""

    def __init__(self, database: Database, listeners: Listeners) -> None:
        super().__init__(database)
        self._listeners = listeners

    async def add(self, order: Order, event: TimelineEvent) -> Order:
        """Add, then tell. See the port."""
        kept = await super().add(order, event)
        self._listeners.tell(kept.account_id)
        return kept

    async def amend(
        self, order_id: str, change: Callable[[Order], Order], event: TimelineEvent
    ) -> Order:
        """Amend, then tell. See the port."""
        order = await super().amend(order_id, change, event)
        self._listeners.tell(order.account_id)
        return order

    async def fold(self, report: OrderReport) -> Folded:
        """Fold, then tell. See the port."""
        folded = await super().fold(report)
        if folded.changed:
            self._listeners.tell(folded.order.account_id)
        return folded

    async def book(self, fills: Sequence[Fill]) -> tuple[Folded, ...]:
        """Book, then tell. See the port."""
        booked = await super().book(fills)
        for account_id in {folded.order.account_id for folded in booked}:
            self._listeners.tell(account_id)
        return booked


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """All repositories of one open database."""

    database: Database
    ledger: SqlIntentLedger
    orders: SqlOrderStore
    accounts: SqlAccountStore
    account_changes: SqlAccountChanges
    account_groups: SqlAccountGroupStore
    markets: SqlMarketStore
    audit: SqlAuditLog
    halts: HaltStore
    kill_switches: SqlKillSwitchStore
    dead_man: SqlDeadManStore
    closes: SqlCloseStore
    brackets: SqlParentOrderStore[BracketState, BracketFilter]
    conditions: SqlConditionStore
    net_positions: SqlNetPositions
    positions: SqlPositionStore
    signer_nonces: SqlSignerNonces
    lanes: SqlLaneStore
    rotation: SqlCredentialRotation
    sealing_keys: SqlSealingKeys
    risk: SqlRiskStore
    reconciliations: SqlReconciliations
    reconciliation_ledger: SqlReconciliationLedger
    routes: SqlRouteStore
    splits: SqlParentOrderStore[SplitState, SplitFilter]
    key_claims: SqlKeyClaims
    listeners: Listeners = field(repr=False)

    def on_change(self, listener: Listener) -> None:
        """Have `listener` told the account of each change this process makes to orders."""
        self.listeners.add(listener)

    async def check(self) -> None:
        """Check that the database answers and has this code's revision.

        Raises:
            WrongRevision: it has not; the message names the command to run.
            Unavailable: it does not answer.
        """
        await self.database.check_revision()

    async def installation(self) -> str:
        """Return a name of this database that no other has: of when its schema was made.

        Every process on one database gets the same; a copy of a database has its name.

        Raises:
            Unavailable: it does not answer.
        """
        found = await self.database.fetch_one(select(func.min(principals.c.created_at).label("at")))
        made_at = "" if found is None or found.at is None else found.at.isoformat()
        return sha256(made_at.encode()).hexdigest()[:12]

    def access(self, keys: KeyFinder) -> SealedTradingAccess:
        """Return what opens sealed trading credentials with a worker's private keys."""
        return SealedTradingAccess(self.database, keys)

    async def close(self) -> None:
        """Close all connections."""
        await self.database.close()


async def open_storage(database_url: str, home: Path) -> Storage:
    """Open the database at `database_url`, or the one in `home` when that is empty.

    Raises:
        InvalidInput: the address is no database's.
        WrongRevision: the database is missing or of another revision.
        Unavailable: it does not answer.
    """
    database = open_database(database_url or default_url(home))
    listeners = Listeners()
    storage = Storage(
        database=database,
        ledger=TellingLedger(database, listeners),
        orders=TellingOrders(database, listeners),
        accounts=SqlAccountStore(database),
        account_changes=SqlAccountChanges(database),
        account_groups=SqlAccountGroupStore(database),
        markets=SqlMarketStore(database),
        audit=SqlAuditLog(database),
        halts=HaltStore(database),
        kill_switches=SqlKillSwitchStore(database),
        dead_man=SqlDeadManStore(database),
        closes=SqlCloseStore(database),
        brackets=SqlParentOrderStore(database, BRACKETS),
        conditions=SqlConditionStore(database, told=listeners.tell),
        positions=SqlPositionStore(database),
        signer_nonces=SqlSignerNonces(database),
        lanes=SqlLaneStore(database),
        rotation=SqlCredentialRotation(database),
        sealing_keys=SqlSealingKeys(database),
        net_positions=SqlNetPositions(database),
        risk=SqlRiskStore(database),
        reconciliations=SqlReconciliations(database),
        reconciliation_ledger=SqlReconciliationLedger(database, told=listeners.tell),
        routes=SqlRouteStore(database),
        splits=SqlParentOrderStore(database, SPLITS),
        key_claims=SqlKeyClaims(database),
        listeners=listeners,
    )
    try:
        await storage.check()
    except BaseException:
        await storage.close()
        raise
    return storage
