"""A hand-written stand-in for the workflows that reconcile, over real storage, by script."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from domain.accounts import Account
from domain.errors import Conflict, Unavailable
from domain.findings import (
    Counts,
    Finding,
    FindingKind,
    Reconciliation,
    ReconciliationReason,
    ReconciliationStatus,
)
from domain.reconciliation_store import Ending
from storage.opening import Storage

EXTERNAL = Finding(
    kind=FindingKind.EXTERNAL_ORDER,
    subject="order:77",
    text="BUY 1 BTC-PERP @ 50000 (venue order 77, ACCEPTED)",
    symbol="BTC-PERP",
    venue_order_id="77",
    evidence={"quantity": "1"},
)


@dataclass
class ScriptedReconciliations:
    storage: Storage
    script: Literal["done", "incomplete", "hang", "away", "not_active"] = "done"
    asked: list[tuple[str, str, bool]] = field(default_factory=list)

    async def reconcile(
        self, account: Account, request_id: str, *, requested_by: str, full: bool, wait_s: float
    ) -> Reconciliation | None:
        self.asked.append((account.account_id, request_id, full))
        if self.script == "away":
            raise Unavailable("Temporal does not answer")
        if self.script == "not_active":
            raise Conflict("the account is not active yet", code="account_not_active")
        records = self.storage.reconciliations
        await records.begin(
            Reconciliation(
                reconciliation_id=request_id,
                account_id=account.account_id,
                reason=ReconciliationReason.DEMAND,
                status=ReconciliationStatus.RUNNING,
                started_at=datetime.now(UTC),
                requested_by=requested_by,
                is_full=full,
            )
        )
        if self.script == "hang":
            return None
        await records.record(request_id, [EXTERNAL], look=1)
        passed = self.script == "done"
        status = ReconciliationStatus.PASSED if passed else ReconciliationStatus.INCOMPLETE
        ending = Ending(status=status, counts=Counts(orders_seen=1, looks=1))
        return await records.finish(request_id, ending)
