"""Reconciliations and their findings: what was compared, what differed, what became of it.

A finding is a difference between the venue's truth and our ledger, with its evidence. Knows no
venue and no storage.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

_NAMESPACE = uuid.UUID("5d0f1a52-07d6-5b0c-9a3f-2c7e64c1b9d8")


class FindingKind(StrEnum):
    """What differed."""

    MISSING_FILLS = "missing_fills"
    STALE_ORDER = "stale_order"
    LOST_ORDER = "lost_order"
    UNSEEN_ORDER = "unseen_order"
    UNKNOWN_ORDER = "unknown_order"
    EXTERNAL_ORDER = "external_order"
    LIQUIDATION = "liquidation"
    POSITION_DIFFERS = "position_differs"
    BALANCE_JUMP = "balance_jump"

    @property
    def is_alert(self) -> bool:
        """Whether an operator has to be told, besides being shown it."""
        return self in _ALERTS


_ALERTS = frozenset(
    {
        FindingKind.LOST_ORDER,
        FindingKind.UNSEEN_ORDER,
        FindingKind.LIQUIDATION,
        FindingKind.POSITION_DIFFERS,
        FindingKind.BALANCE_JUMP,
    }
)


class FindingState(StrEnum):
    """What became of a finding.

    OPEN: not repaired, since the venue's truth is not plain (yet). REPAIRED: our ledger says what
    the venue says. SETTLED: a later look saw no difference any more. NOTED: nothing to repair.
    """

    OPEN = "OPEN"
    REPAIRED = "REPAIRED"
    SETTLED = "SETTLED"
    NOTED = "NOTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One difference. `subject` names it within its reconciliation, such as `order:123`.

    `text` is one line for people, `evidence` small and never a secret.
    """

    kind: FindingKind
    subject: str
    text: str
    state: FindingState = FindingState.OPEN
    symbol: str | None = None
    order_id: str | None = None
    venue_order_id: str | None = None
    evidence: dict[str, str] = field(default_factory=dict)
    found_at: datetime | None = None


class ReconciliationStatus(StrEnum):
    """How a reconciliation stands.

    PASSED: everything was read and nothing is left open that forbids new exposure. INCOMPLETE: all
    was read, and a position still differs. FAILED: venue or database did not answer.
    """

    RUNNING = "RUNNING"
    PASSED = "PASSED"
    INCOMPLETE = "INCOMPLETE"
    FAILED = "FAILED"

    @property
    def has_ended(self) -> bool:
        """Whether it is over."""
        return self is not ReconciliationStatus.RUNNING


class ReconciliationReason(StrEnum):
    """Why an account is reconciled."""

    START = "start"
    SCHEDULE = "schedule"
    DEMAND = "demand"
    DUE = "due"


def reconciliation_id_for(account_id: str, key: str) -> str:
    """Return the id of the reconciliation that a request's key asks for (a UUIDv5)."""
    return str(uuid.uuid5(_NAMESPACE, f"{account_id}/{key}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a reconciliation read and did."""

    orders_seen: int = 0
    fills_seen: int = 0
    fills_booked: int = 0
    orders_folded: int = 0
    looks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """How far an account is reconciled.

    Every fill of the venue up to `complete_until` is booked, and there were `fill_count` of them.
    `balance` is the account's money without unrealised profit, at `balance_at` by the venue.
    """

    complete_until: datetime
    fill_count: int
    balance: Decimal | None = None
    balance_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """One comparison of an account with its venue.

    `is_full`: fills were read from the account's beginning. `findings` counts them by kind, `open`
    those left open. `error` says why it failed.
    """

    reconciliation_id: str
    account_id: str
    reason: ReconciliationReason
    status: ReconciliationStatus
    started_at: datetime
    requested_by: str | None = None
    is_full: bool = False
    ended_at: datetime | None = None
    counts: Counts = Counts()
    findings: dict[str, int] = field(default_factory=dict)
    open: int = 0
    alerts: int = 0
    error: str | None = None
    marks: Marks | None = None
