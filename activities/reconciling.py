"""The activities of `ReconcileWorkflow`: begin, look, finish. Slow ones beat; all may run again.

A look reads the venue first and our ledger second, compares, and repairs. Knows no venue, no SQL
and no Temporal but to beat.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from temporalio import activity

from activities.access import CommandParts
from activities.reconciliation_contracts import (
    BeginTask,
    Begun,
    FinishTask,
    Looked,
    LookTask,
    ReconcileParts,
    Standing,
)
from activities.repairing import Repairs
from activities.venue_view import VenueReading, beating, read_venue
from domain.accounts import Account, AccountState
from domain.differences import Money, balance_jump
from domain.errors import NotFound
from domain.findings import (
    Counts,
    Finding,
    FindingKind,
    FindingState,
    Marks,
    Reconciliation,
    ReconciliationStatus,
)
from domain.ports import AuditRecord
from domain.reconciliation_store import Ending
from domain.reconciliation_views import LedgerView, ListedOrder, order_id_in
from domain.reconciling import compare
from venues.connector import Connector

OVERLAP = timedelta(seconds=60)
"""How far before the newest complete moment fills are read: they may be shown out of order."""
RECONSIDER_MAX = 200
AUDITED_MAX = 100
BY = "reconciliation"

_log = logging.getLogger(__name__)


class ReconcileActivities:
    """What `ReconcileWorkflow` has done."""

    def __init__(self, commands: CommandParts, parts: ReconcileParts) -> None:
        self._commands = commands
        self._parts = parts

    @activity.defn(name="begin_reconciliation")
    async def begin(self, task: BeginTask) -> Begun:
        """Write down that a reconciliation begins, if the account is in use."""
        account = await self._parts.accounts.get(task.account_id)
        if account is None or account.state in (AccountState.REFUSED, AccountState.REMOVED):
            return Begun(standing=Standing.GONE)
        if account.state is not AccountState.ACTIVE:
            return Begun(standing=Standing.WAITING)
        connector = await self._commands.connectors.connector(account.venue, account.network)
        await self._parts.records.begin(
            Reconciliation(
                reconciliation_id=task.reconciliation_id,
                account_id=task.account_id,
                reason=task.reason,
                status=ReconciliationStatus.RUNNING,
                started_at=self._commands.now(),
                requested_by=task.requested_by,
                is_full=task.full,
            )
        )
        delay_s = connector.proofs.visibility_delay_s
        return Begun(standing=Standing.READY, visibility_delay_s=delay_s)

    @activity.defn(name="reconcile_look")
    async def look(self, task: LookTask) -> Looked:
        """Compare the account with its venue once, and repair what is plain.

        Raises:
            VenueUnavailable, VenueRefused: the venue does not say; what was repaired stays.
            Unavailable: database or Temporal does not answer.
            NotFound: the account or the reconciliation is gone.
        """
        parts = self._parts
        account = await parts.accounts.get(task.account_id)
        record = await parts.records.get(task.reconciliation_id)
        if account is None or record is None:
            raise NotFound(f"no account {task.account_id!r} or reconciliation of it")
        connector = await self._commands.connectors.connector(account.venue, account.network)
        marks = await parts.records.last_marks(account.account_id)
        horizon = account.created_at - OVERLAP
        since = await self._fills_from(task, record, marks, horizon)
        reading = await read_venue(
            connector, account, since=since, horizon=horizon, read_at=self._commands.now()
        )
        view = reading.view
        self._commands.checkpoints.reached("reconcile:venue_read")
        ledger = await self._read_ledger(account, view.orders, reading)
        earlier = await parts.records.findings(task.reconciliation_id)
        comparison = compare(view, ledger, {f.subject: f for f in earlier})
        await parts.records.record(task.reconciliation_id, comparison.findings, look=task.look)
        repairs = Repairs(self._commands, parts, account, connector, task.reconciliation_id)
        repaired = await repairs.carry_out(comparison, view, ledger)
        await parts.records.mark(task.reconciliation_id, repaired, FindingState.REPAIRED)
        jump = await self._judge_balance(connector, account, marks, reading, earlier)
        found = [*repairs.found, *([] if jump is None else [jump])]
        await parts.records.record(task.reconciliation_id, found, look=task.look)
        shown = {finding.subject for finding in (*comparison.findings, *found)}
        await parts.records.settle(task.reconciliation_id, still_open=shown)
        is_judged = jump is None or jump.state is FindingState.NOTED
        return Looked(
            again=comparison.again or repairs.again or not is_judged,
            counts=Counts(
                orders_seen=len({one.venue_order_id for one in view.orders}),
                fills_seen=len(view.fills),
                fills_booked=repairs.booked,
                orders_folded=repairs.folded,
                looks=1,
            ),
            complete_until=view.venue_time - view.visibility_delay,
            reconsider=tuple(dict.fromkeys(repairs.reconsider))[:RECONSIDER_MAX],
            balance=reading.balance if is_judged else None,
            balance_at=reading.balance_at if is_judged else None,
        )

    async def _fills_from(
        self, task: LookTask, record: Reconciliation, marks: Marks | None, horizon: datetime
    ) -> datetime:
        """Return from when fills are read: from the last complete moment, unless some are gone."""
        if task.fills_since is not None:
            return max(task.fills_since - OVERLAP, horizon)
        if marks is None or record.is_full:
            return horizon
        counted = await self._parts.reads.fill_count(task.account_id, until=marks.complete_until)
        if counted < marks.fill_count:
            _log.error(
                "booked fills are gone from the database; all are read again",
                extra={"account_id": task.account_id, "booked": counted},
            )
            return horizon
        return max(marks.complete_until - OVERLAP, horizon)

    async def _read_ledger(
        self, account: Account, listed: tuple[ListedOrder, ...], reading: VenueReading
    ) -> LedgerView:
        """Read our side, with what only the workflows of orders remember."""
        view = reading.view
        ledger = await beating(
            self._parts.reads.view(account.account_id, listed, view.fills), "our ledger"
        )
        lost = dict(ledger.lost)
        for one in listed:
            if one.venue_order_id in lost or ledger.match(one.client_order_id, one.venue_order_id):
                continue
            order_id = order_id_in(one.client_order_id)
            if order_id is None:
                continue
            activity.heartbeat("asking workflows")
            remembered = await self._parts.memory.pending(order_id)
            if remembered is not None and remembered.account_id == account.account_id:
                lost[one.venue_order_id] = order_id
        return replace(ledger, lost=lost)

    async def _judge_balance(
        self,
        connector: Connector,
        account: Account,
        marks: Marks | None,
        reading: VenueReading,
        earlier: tuple[Finding, ...],
    ) -> Finding | None:
        """Return the finding of money that nothing explains; NOTED once two looks agree on it."""
        if marks is None or marks.balance is None or marks.balance_at is None:
            return None
        earned = await beating(
            self._parts.reads.earned(
                account.account_id, after=marks.balance_at, until=reading.balance_at
            ),
            "what fills earned",
        )
        payments = await beating(
            connector.funding_payments(account, since=marks.balance_at), "funding"
        )
        counted = [
            payment.amount
            for payment in payments
            if marks.balance_at < payment.event_time <= reading.balance_at
        ]
        money = Money(
            before=marks.balance,
            now=reading.balance,
            realized=earned.realized_pnl,
            fees=earned.fees,
            funding=sum(counted, reading.balance * 0),
            movements=earned.fills + len(counted),
        )
        finding = balance_jump(money, reading.balance_at)
        if finding is None:
            return None
        before = next((f for f in earlier if f.subject == finding.subject), None)
        is_same = before is not None and before.text == finding.text
        return finding if is_same else replace(finding, state=FindingState.OPEN)

    @activity.defn(name="finish_reconciliation")
    async def finish(self, task: FinishTask) -> Reconciliation:
        """Write how a reconciliation ended; tell of what an operator has to know."""
        parts = self._parts
        findings = await parts.records.findings(task.reconciliation_id)
        marks = None if task.last is None else await self._marks(task, task.last)
        ended = await parts.records.finish(
            task.reconciliation_id,
            Ending(
                status=_status(task, findings),
                counts=task.counts,
                marks=marks,
                error=task.error,
            ),
        )
        for finding in findings:
            if finding.kind.is_alert:
                _log.warning(
                    "reconciliation: %s",
                    finding.text,
                    extra={"account_id": task.account_id, "finding": finding.kind.value},
                )
        for finding in [f for f in findings if f.kind.is_alert][:AUDITED_MAX]:
            await parts.audit.append(self._audit_record(task, finding))
        return ended

    async def _marks(self, task: FinishTask, last: Looked) -> Marks:
        until = last.complete_until
        balance, balance_at = last.balance, last.balance_at
        if balance is None:
            # Not judged yet: the next one compares with what was known before.
            before = await self._parts.records.last_marks(task.account_id)
            balance = None if before is None else before.balance
            balance_at = None if before is None else before.balance_at
        return Marks(
            complete_until=until,
            fill_count=await self._parts.reads.fill_count(task.account_id, until=until),
            balance=balance,
            balance_at=balance_at,
        )

    def _audit_record(self, task: FinishTask, finding: Finding) -> AuditRecord:
        return AuditRecord(
            principal_id=BY,
            action="reconciliation.finding",
            subject=f"account:{task.account_id}",
            outcome=finding.state.value,
            at=self._commands.now(),
            detail={
                "reconciliation_id": task.reconciliation_id,
                "kind": finding.kind.value,
                "text": finding.text,
            },
        )


def _status(task: FinishTask, findings: tuple[Finding, ...]) -> ReconciliationStatus:
    if task.error is not None:
        return ReconciliationStatus.FAILED
    if any(_forbids_exposure(finding) for finding in findings):
        return ReconciliationStatus.INCOMPLETE
    return ReconciliationStatus.PASSED


def _forbids_exposure(finding: Finding) -> bool:
    return finding.state is FindingState.OPEN and finding.kind in (
        FindingKind.POSITION_DIFFERS,
        FindingKind.LOST_ORDER,
    )
