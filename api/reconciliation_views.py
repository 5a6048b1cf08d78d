"""What the outside sees of reconciliations and findings. Decimals are strings."""

from __future__ import annotations

from collections.abc import Sequence

from api.views import View, moment
from domain.findings import Finding, Reconciliation


class FindingView(View):
    """One difference between the venue and us, with its evidence and what became of it."""

    kind: str
    state: str
    subject: str
    text: str
    symbol: str | None
    order_id: str | None
    venue_order_id: str | None
    evidence: dict[str, str]
    found_at: str | None


class CountsView(View):
    """What a reconciliation read and did."""

    orders_seen: int
    fills_seen: int
    fills_booked: int
    orders_folded: int
    looks: int


class ReconciliationView(View):
    """A comparison of an account with its venue; `findings` is null in a listing.

    `found` counts findings by kind, `open` those that are not repaired, `alerts` those of weight.
    """

    reconciliation_id: str
    account: str
    account_id: str
    status: str
    reason: str
    requested_by: str | None
    is_full: bool
    started_at: str
    ended_at: str | None
    complete_until: str | None
    counts: CountsView
    found: dict[str, int]
    open: int
    alerts: int
    error: str | None
    findings: list[FindingView] | None


class ReconciliationsView(View):
    """An account's reconciliations, newest first."""

    account: str
    account_id: str
    due_since: str | None
    reconciliations: list[ReconciliationView]
    workflow_id: str
    temporal_url: str | None


def reconciliation_view(
    reconciliation: Reconciliation, label: str, findings: Sequence[Finding] | None = None
) -> ReconciliationView:
    """Return a reconciliation's view; `label` is its account's."""
    counts, marks = reconciliation.counts, reconciliation.marks
    return ReconciliationView(
        reconciliation_id=reconciliation.reconciliation_id,
        account=label,
        account_id=reconciliation.account_id,
        status=reconciliation.status.value,
        reason=reconciliation.reason.value,
        requested_by=reconciliation.requested_by,
        is_full=reconciliation.is_full,
        started_at=moment(reconciliation.started_at),
        ended_at=None if reconciliation.ended_at is None else moment(reconciliation.ended_at),
        complete_until=None if marks is None else moment(marks.complete_until),
        counts=CountsView(
            orders_seen=counts.orders_seen,
            fills_seen=counts.fills_seen,
            fills_booked=counts.fills_booked,
            orders_folded=counts.orders_folded,
            looks=counts.looks,
        ),
        found=reconciliation.findings,
        open=reconciliation.open,
        alerts=reconciliation.alerts,
        error=reconciliation.error,
        findings=None if findings is None else [_finding_view(each) for each in findings],
    )


def _finding_view(finding: Finding) -> FindingView:
    return FindingView(
        kind=finding.kind.value,
        state=finding.state.value,
        subject=finding.subject,
        text=finding.text,
        symbol=finding.symbol,
        order_id=finding.order_id,
        venue_order_id=finding.venue_order_id,
        evidence=finding.evidence,
        found_at=None if finding.found_at is None else moment(finding.found_at),
    )
