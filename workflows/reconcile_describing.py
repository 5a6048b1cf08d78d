"""What an operator reads in the web UI of an account's reconciliation."""

from __future__ import annotations

from datetime import datetime

from domain.findings import Reconciliation
from workflows.describing import escaped


def summary(venue: str, label: str, every_s: float) -> str:
    """Return one line such as "reconcile hyperliquid/main every 5 min"."""
    return f"reconcile {venue}/{label} every {every_s / 60:g} min"


def details(last: Reconciliation | None, doing: str, until: datetime | None, failures: int) -> str:
    """Return current details in Markdown: what is done, until when, and the last result."""
    waits = "" if until is None else f" until {until.isoformat(timespec='seconds')}"
    lines = [f"**{escaped(doing)}**{waits}", ""]
    if last is None:
        lines.append("- no reconciliation has ended yet")
    else:
        lines += result_lines(last)
    if failures:
        lines.append(f"- not passed {failures} times in a row; tried again sooner than planned")
    return "\n".join(lines)


def result_lines(last: Reconciliation) -> list[str]:
    """Return what came of a reconciliation, a line each."""
    ended = "" if last.ended_at is None else f" at {last.ended_at.isoformat(timespec='seconds')}"
    counts = last.counts
    found = ", ".join(f"{count} {kind}" for kind, count in sorted(last.findings.items()))
    return [
        f"- last: {last.status.value}{ended} ({last.reason.value})"
        + (f": {escaped(last.error)}" if last.error else ""),
        f"- read {counts.orders_seen} orders and {counts.fills_seen} fills in {counts.looks} "
        f"looks; booked {counts.fills_booked} fills, folded {counts.orders_folded} reports",
        f"- findings: {found or 'none'}" + (f"; {last.open} open" if last.open else ""),
    ]
