"""What reconciliation's workflow gives to its activities and gets back; what these work with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from domain.findings import Counts, ReconciliationReason
from domain.net_positions import NetPositions
from domain.orders import Order
from domain.ports import AccountStore, AuditLog
from domain.reconciliation_store import ReconciliationLedger, ReconciliationStore


class OrderMemory(Protocol):
    """Who remembers an order of ours although the database does not: its workflow."""

    async def pending(self, order_id: str) -> Order | None:
        """Return the order as it was asked for, or None.

        Raises:
            Unavailable: it cannot be asked now.
        """
        ...


class JournaledFirst(Protocol):
    """What was commanded while the database was away, and is to be in it before we compare."""

    async def taken_in(self, account_id: str) -> None:
        """Take into the ledger what the journal holds.

        Raises:
            Unavailable: a command of the account is on its way yet, or the database is away.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileParts:
    """What the activities of reconciliation work with, besides what those of orders do.

    `journal` None: this process has none.
    """

    accounts: AccountStore
    records: ReconciliationStore
    reads: ReconciliationLedger
    net_positions: NetPositions
    audit: AuditLog
    memory: OrderMemory
    journal: JournaledFirst | None = None


class Standing(StrEnum):
    """Whether an account can be reconciled."""

    READY = "ready"
    WAITING = "waiting"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginTask:
    """Begin a reconciliation."""

    account_id: str
    reconciliation_id: str
    reason: ReconciliationReason
    requested_by: str | None = None
    full: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """Whether it began, and how long the venue may take to show what it took."""

    standing: Standing
    visibility_delay_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LookTask:
    """Compare once. `fills_since`: every fill before is booked, by an earlier look."""

    account_id: str
    reconciliation_id: str
    look: int
    fills_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a look came to.

    `again`: something can be decided only after the visibility delay. `reconsider` are orders
    whose workflows should look into the ledger. Every fill up to `complete_until` is booked.
    `balance` is None where it is not judged yet.
    """

    again: bool
    counts: Counts
    complete_until: datetime
    reconsider: tuple[str, ...] = ()
    balance: Decimal | None = None
    balance_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishTask:
    """End a reconciliation: with its last look, or with the `error` that stopped it."""

    reconciliation_id: str
    account_id: str
    looks: int
    counts: Counts
    last: Looked | None = None
    error: str | None = None
