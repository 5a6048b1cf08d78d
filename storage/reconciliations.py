"""Reconciliations and their findings in SQL, and the gate that new exposure waits at.

An account is due when nobody had watched it for a while. Only a reconciliation that began after
that, and passed, opens the gate again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update
from sqlalchemy.exc import IntegrityError

from domain.accounts import AccountState
from domain.errors import NotFound
from domain.findings import Finding, FindingState, Marks, Reconciliation, ReconciliationStatus
from domain.reconciliation_store import Ending
from storage.clock import Clock, utc_now
from storage.codec import Codec
from storage.engine import Database
from storage.reconciliation_tables import (
    reconciliation_findings,
    reconciliations,
    worker_sightings,
)
from storage.tables import accounts

UNWATCHED_AFTER = timedelta(seconds=60)
"""Without a worker for so long, an account's truth is no longer known here."""
KEPT_WITHOUT_FINDINGS = timedelta(days=7)

_reconciliations = Codec(Reconciliation)
_findings = Codec(Finding)
_IN_USE = (AccountState.ACTIVE.value, AccountState.PENDING.value)
_READ_EVERYTHING = (ReconciliationStatus.PASSED.value, ReconciliationStatus.INCOMPLETE.value)


class SqlReconciliations:
    """Implements `ReconciliationStore` and `ReconciliationGate` of the domain's port."""

    def __init__(self, database: Database, *, now: Clock = utc_now) -> None:
        self._database = database
        self._now = now
        self._insert = (
            database.insert(reconciliations)
            .on_conflict_do_nothing(index_elements=["reconciliation_id"])
            .returning(reconciliations.c.reconciliation_id)
        )
        keep = database.insert(reconciliation_findings)
        self._keep = keep.on_conflict_do_update(
            index_elements=["reconciliation_id", "subject"],
            set_={name: keep.excluded[name] for name in ("kind", "state", "look", "body")},
        )
        see = database.insert(worker_sightings)
        self._see = see.on_conflict_do_update(
            index_elements=["venue"], set_={"seen_at": see.excluded.seen_at}
        )

    # Records

    async def begin(self, reconciliation: Reconciliation) -> Reconciliation:
        """Keep one that begins, or return the one of that id; see the port.

        Old ones that found nothing go.
        """
        values = _values(reconciliation)
        past = self._now() - KEPT_WITHOUT_FINDINGS

        def work(connection: Connection) -> Reconciliation:
            try:
                is_new = connection.execute(self._insert, values).first() is not None
            except IntegrityError:
                raise NotFound(f"no account {reconciliation.account_id!r}") from None
            if is_new:
                self._end_interrupted(connection, reconciliation)
                old = {"an_account_id": reconciliation.account_id, "past": past}
                connection.execute(_FORGET, old)
                return reconciliation
            return _read(connection, reconciliation.reconciliation_id)

        return await self._database.write(work)

    def _end_interrupted(self, connection: Connection, newest: Reconciliation) -> None:
        """End what runs of the account beside the newest: its workflow was ended from outside."""
        running = _PAGE.where(
            reconciliations.c.status == ReconciliationStatus.RUNNING.value,
            reconciliations.c.reconciliation_id != newest.reconciliation_id,
        )
        for body in connection.execute(running, {"an_account_id": newest.account_id}).scalars():
            ended = replace(
                _reconciliations.decode(body),
                status=ReconciliationStatus.FAILED,
                ended_at=self._now(),
                error="interrupted: its workflow was ended before it",
            )
            connection.execute(_WRITE, _values(ended) | {"an_id": ended.reconciliation_id})

    async def get(self, reconciliation_id: str) -> Reconciliation | None:
        """Return one, or None."""
        found = await self._database.fetch_one(_GET, {"an_id": reconciliation_id})
        return None if found is None else _reconciliations.decode(found.body)

    async def page(
        self, account_id: str, *, limit: int, before: datetime | None = None
    ) -> tuple[Reconciliation, ...]:
        """Return an account's, newest first; with `before`, those begun before."""
        query = _PAGE if before is None else _PAGE.where(reconciliations.c.started_at < before)
        rows = await self._database.fetch_all(query.limit(limit), {"an_account_id": account_id})
        return tuple(_reconciliations.decode(row.body) for row in rows)

    async def last_marks(self, account_id: str) -> Marks | None:
        """Return how far the account was reconciled by the newest one that read everything."""
        query = _PAGE.where(reconciliations.c.status.in_(_READ_EVERYTHING)).limit(1)
        found = await self._database.fetch_one(query, {"an_account_id": account_id})
        return None if found is None else _reconciliations.decode(found.body).marks

    async def record(
        self, reconciliation_id: str, findings: Sequence[Finding], *, look: int
    ) -> None:
        """Keep what a look found; of a subject that is known, as it is now."""
        if not findings:
            return
        now = self._now()
        rows = [
            {
                "reconciliation_id": reconciliation_id,
                "subject": finding.subject,
                "kind": finding.kind.value,
                "state": finding.state.value,
                "look": look,
                "found_at": now,
                "body": _findings.encode(finding),
            }
            for finding in findings
        ]

        def work(connection: Connection) -> None:
            for row in rows:
                connection.execute(self._keep, row)

        await self._database.write(work)

    async def mark(
        self, reconciliation_id: str, subjects: Sequence[str], state: FindingState
    ) -> None:
        """Say what became of findings."""
        if not subjects:
            return

        def work(connection: Connection) -> None:
            for subject in subjects:
                which = {"an_id": reconciliation_id, "a_subject": subject}
                connection.execute(_MARK, which | {"a_state": state.value})

        await self._database.write(work)

    async def findings(self, reconciliation_id: str) -> tuple[Finding, ...]:
        """Return the findings of a reconciliation, in the order in which they were found."""
        rows = await self._database.fetch_all(_FINDINGS, {"an_id": reconciliation_id})
        return tuple(_finding(row) for row in rows)

    async def settle(self, reconciliation_id: str, *, still_open: Collection[str]) -> None:
        """Settle the open findings but those of these subjects: nothing shows them any more."""
        rows = await self._database.fetch_all(_OPEN, {"an_id": reconciliation_id})
        gone = [row.subject for row in rows if row.subject not in still_open]
        await self.mark(reconciliation_id, gone, FindingState.SETTLED)

    async def finish(self, reconciliation_id: str, ending: Ending) -> Reconciliation:
        """End one, and open the gate of its account if it passed; one that has ended stays.

        Raises:
            NotFound: there is no such reconciliation.
        """
        now = self._now()

        def work(connection: Connection) -> Reconciliation:
            before = _read(connection, reconciliation_id)
            if before.status.has_ended:
                return before
            rows = connection.execute(_FINDINGS, {"an_id": reconciliation_id})
            after = _ended(before, ending, [_finding(row) for row in rows], now)
            connection.execute(_WRITE, _values(after) | {"an_id": reconciliation_id})
            if after.status is ReconciliationStatus.PASSED:
                passed = {"an_account_id": after.account_id, "started_at": after.started_at}
                connection.execute(_OPEN_GATE, passed)
            return after

        return await self._database.write(work)

    # The gate

    async def worker_seen(self, venue: str) -> bool:
        """Say that a worker of the venue lives; True when none had been seen for a minute.

        In that case all its accounts in use are due for reconciliation, in the same transaction.
        """
        now = self._now()

        def work(connection: Connection) -> bool:
            last = connection.execute(_LAST_SEEN, {"a_venue": venue}).scalar()
            unwatched = last is None or now - last > UNWATCHED_AFTER
            if unwatched:
                connection.execute(_MAKE_DUE.where(accounts.c.venue == venue), {"now": now})
            connection.execute(self._see, {"venue": venue, "seen_at": now})
            return unwatched

        return await self._database.write(work)

    async def make_due(self) -> None:
        """Have all accounts reconciled before they take new exposure."""
        now = self._now()

        def work(connection: Connection) -> None:
            connection.execute(_MAKE_DUE, {"now": now})

        await self._database.write(work)

    async def due_since(self, account_id: str) -> datetime | None:
        """Return since when an account waits for its reconciliation, None when it does not."""
        found = await self._database.fetch_one(_DUE_SINCE, {"an_account_id": account_id})
        since: datetime | None = None if found is None else found.reconcile_due
        return since

    async def due_accounts(self) -> dict[str, datetime]:
        """Return the accounts that wait for their reconciliation, and since when."""
        rows = await self._database.fetch_all(_DUE)
        return {row.account_id: row.reconcile_due for row in rows}


def _ended(
    before: Reconciliation, ending: Ending, findings: Sequence[Finding], now: datetime
) -> Reconciliation:
    kinds: dict[str, int] = {}
    for finding in findings:
        kinds[finding.kind.value] = kinds.get(finding.kind.value, 0) + 1
    return replace(
        before,
        status=ending.status,
        ended_at=now,
        counts=ending.counts,
        marks=ending.marks,
        error=ending.error,
        findings=kinds,
        open=sum(finding.state is FindingState.OPEN for finding in findings),
        alerts=sum(finding.kind.is_alert for finding in findings),
    )


def _read(connection: Connection, reconciliation_id: str) -> Reconciliation:
    body = connection.execute(_GET, {"an_id": reconciliation_id}).scalar()
    if body is None:
        raise NotFound(f"no reconciliation {reconciliation_id!r}")
    return _reconciliations.decode(body)


def _finding(row: Any) -> Finding:
    finding = _findings.decode(row.body)
    return replace(finding, state=FindingState(row.state), found_at=row.found_at)


def _values(reconciliation: Reconciliation) -> dict[str, Any]:
    return {
        "reconciliation_id": reconciliation.reconciliation_id,
        "account_id": reconciliation.account_id,
        "status": reconciliation.status.value,
        "started_at": reconciliation.started_at,
        # One that has not ended, or failed, is kept as well.
        "has_findings": bool(reconciliation.findings)
        or reconciliation.status is not ReconciliationStatus.PASSED,
        "body": _reconciliations.encode(reconciliation),
    }


_OF_ACCOUNT = reconciliations.c.account_id == bindparam("an_account_id")
_GET = select(reconciliations.c.body).where(
    reconciliations.c.reconciliation_id == bindparam("an_id")
)
_WRITE = (
    update(reconciliations)
    .where(reconciliations.c.reconciliation_id == bindparam("an_id"))
    .values(
        status=bindparam("status"), has_findings=bindparam("has_findings"), body=bindparam("body")
    )
)
_PAGE = (
    select(reconciliations.c.body)
    .where(_OF_ACCOUNT)
    .order_by(reconciliations.c.started_at.desc(), reconciliations.c.reconciliation_id)
)
_FORGET = delete(reconciliations).where(
    _OF_ACCOUNT,
    ~reconciliations.c.has_findings,
    reconciliations.c.started_at < bindparam("past"),
)
_HERE = reconciliation_findings.c.reconciliation_id == bindparam("an_id")
_FINDINGS = (
    select(
        reconciliation_findings.c.body,
        reconciliation_findings.c.state,
        reconciliation_findings.c.found_at,
    )
    .where(_HERE)
    .order_by(reconciliation_findings.c.found_at, reconciliation_findings.c.subject)
)
_MARK = (
    update(reconciliation_findings)
    .where(_HERE, reconciliation_findings.c.subject == bindparam("a_subject"))
    .values(state=bindparam("a_state"))
)
_OPEN = select(reconciliation_findings.c.subject).where(
    _HERE, reconciliation_findings.c.state == FindingState.OPEN.value
)
_LAST_SEEN = select(worker_sightings.c.seen_at).where(
    worker_sightings.c.venue == bindparam("a_venue")
)
_MAKE_DUE = (
    update(accounts).where(accounts.c.state.in_(_IN_USE)).values(reconcile_due=bindparam("now"))
)
_OPEN_GATE = (
    update(accounts)
    .where(
        accounts.c.account_id == bindparam("an_account_id"),
        accounts.c.reconcile_due <= bindparam("started_at"),
    )
    .values(reconcile_due=None)
)
_DUE_SINCE = select(accounts.c.reconcile_due).where(
    accounts.c.account_id == bindparam("an_account_id")
)
_DUE = select(accounts.c.account_id, accounts.c.reconcile_due).where(
    accounts.c.reconcile_due.is_not(None), accounts.c.state.in_(_IN_USE)
)
