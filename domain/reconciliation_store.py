"""The ports of reconciliation: its records, what it reads of the ledger, and the cold-start gate.

Each method is one transaction, and what it returned is committed. Errors are those of
`domain.errors`; `Unavailable` always means that asking again is safe.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from domain.fills import Fill
from domain.findings import (
    Counts,
    Finding,
    FindingState,
    Marks,
    Reconciliation,
    ReconciliationStatus,
)
from domain.orders import Order
from domain.reconciliation_views import LedgerView, ListedOrder
from domain.timeline import TimelineEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a reconciliation ended."""

    status: ReconciliationStatus
    counts: Counts
    marks: Marks | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Earned:
    """What booked fills of a span of time come to, in quote units."""

    realized_pnl: Decimal
    fees: Decimal
    fills: int


class ReconciliationStore(Protocol):
    """Reconciliations and their findings, kept beside the account."""

    async def begin(self, reconciliation: Reconciliation) -> Reconciliation:
        """Keep one that begins, or return the one of that id.

        Raises:
            NotFound: there is no such account.
        """
        ...

    async def get(self, reconciliation_id: str) -> Reconciliation | None:
        """Return one, or None."""
        ...

    async def page(
        self, account_id: str, *, limit: int, before: datetime | None = None
    ) -> tuple[Reconciliation, ...]:
        """Return an account's, newest first; with `before`, those begun before."""
        ...

    async def last_marks(self, account_id: str) -> Marks | None:
        """Return how far the account was reconciled by the newest one that read everything."""
        ...

    async def record(
        self, reconciliation_id: str, findings: Sequence[Finding], *, look: int
    ) -> None:
        """Keep what a look found; of a subject that is known, as it is now."""
        ...

    async def mark(
        self, reconciliation_id: str, subjects: Sequence[str], state: FindingState
    ) -> None:
        """Say what became of findings."""
        ...

    async def findings(self, reconciliation_id: str) -> tuple[Finding, ...]:
        """Return the findings of a reconciliation, in the order in which they were found."""
        ...

    async def settle(self, reconciliation_id: str, *, still_open: Collection[str]) -> None:
        """Settle the open findings but those of these subjects: nothing shows them any more."""
        ...

    async def finish(self, reconciliation_id: str, ending: Ending) -> Reconciliation:
        """End one, and open the gate of its account if it passed; one that has ended stays.

        Raises:
            NotFound: there is no such reconciliation.
        """
        ...


class ReconciliationLedger(Protocol):
    """What a reconciliation reads of an account's ledger, and what only it writes there."""

    async def view(
        self, account_id: str, listed: Sequence[ListedOrder], fills: Sequence[Fill]
    ) -> LedgerView:
        """Return our side of what the venue listed."""
        ...

    async def known_orders(self, order_ids: Sequence[str]) -> frozenset[str]:
        """Return those ids that an order or a timeline here bears."""
        ...

    async def fill_count(self, account_id: str, *, until: datetime) -> int:
        """Return how many fills up to a time are booked."""
        ...

    async def earned(self, account_id: str, *, after: datetime, until: datetime) -> Earned:
        """Return what the fills after one and up to another time come to."""
        ...

    async def adopt(self, order: Order, event: TimelineEvent) -> Order | None:
        """Write an order that is not ours, or return None: it is ours, or may still turn out to be.

        Checked under the account's lock: no command on its symbol is undecided, and nothing here
        bears its ids.
        """
        ...

    async def restore(
        self, order_id: str, listed: ListedOrder, event: TimelineEvent, *, otherwise: Order
    ) -> Order:
        """Write an order of ours again, from its timeline; from `otherwise` where that is gone.

        One that is there is only given the ids again under which the venue lists it.
        """
        ...


class ReconciliationGate(Protocol):
    """No new exposure before an account is reconciled, after nobody has watched for a while."""

    async def worker_seen(self, venue: str) -> bool:
        """Say that a worker of the venue lives; True when none had been seen for a minute.

        In that case all its accounts in use are due for reconciliation, in the same transaction.
        """
        ...

    async def make_due(self) -> None:
        """Have all accounts reconciled before they take new exposure."""
        ...

    async def due_since(self, account_id: str) -> datetime | None:
        """Return since when an account waits for its reconciliation, None when it does not."""
        ...

    async def due_accounts(self) -> dict[str, datetime]:
        """Return the accounts that wait for their reconciliation, and since when."""
        ...
