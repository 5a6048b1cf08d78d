"""What a cancel's answer proves once the venue has been asked how the order stands now.

Knows no venue and no SQL.
"""

from __future__ import annotations

from dataclasses import replace

from domain.accounts import TradingAccess
from domain.errors import VenueRefused, VenueUnavailable
from domain.ledger import CommandRow
from domain.orders import Order, OrderReport, Verdict
from domain.outcomes import Accepted, Rejected, SendResult, Unknown
from venues.connector import Connector, VenueOrder


async def final_state(
    connector: Connector,
    access: TradingAccess,
    order: Order,
    row: CommandRow,
    result: SendResult,
    *,
    replacing: bool,
) -> SendResult:
    """Add to a cancel's answer what the venue says of the order now."""
    outcome = result.outcome
    if not isinstance(outcome, Accepted | Rejected):
        return result
    if isinstance(outcome, Rejected) and outcome.code != "no_such_order":
        return result
    if not replacing and _tells_the_end(outcome.report):
        return result
    revision = next(r for r in order.revisions if r.number == row.target_revision)
    try:
        lookup = await connector.find_order(
            access.account,
            symbol=order.symbol,
            client_order_id=revision.client_order_id,
            venue_order_id=revision.venue_order_id,
        )
    except (VenueUnavailable, VenueRefused):
        lookup = None
    seen = lookup.order if lookup is not None else None
    report = None if seen is None else report_of(row, seen, "look-up after cancel")
    if isinstance(outcome, Accepted):
        if report is None or not report.verdict.is_terminal:
            if replacing:
                # The rest is computed from the final fills, so they have to be seen first.
                reason = "canceled, and its final fills are not seen yet"
                return replace(result, outcome=Unknown(reason=reason))
            report = replace(
                report
                or OrderReport(
                    order_id=row.key.order_id,
                    revision=row.target_revision,
                    verdict=Verdict.CANCELED,
                    source="cancel answer",
                ),
                verdict=Verdict.CANCELED,
            )
        return replace(result, outcome=replace(outcome, report=report))
    if report is not None and report.verdict.is_terminal:
        return replace(result, outcome=replace(outcome, report=report))
    return replace(
        result, outcome=Unknown(reason=f"{outcome.reason}, and no look-up shows its end")
    )


def _tells_the_end(report: OrderReport | None) -> bool:
    """Tell whether a cancel's outcome says already what a look-up would be asked for."""
    return report is not None and report.verdict.is_terminal and report.filled_quantity is not None


def report_of(row: CommandRow, seen: VenueOrder, source: str) -> OrderReport:
    """Return what a venue's description of an order says about the revision a row concerns."""
    return OrderReport(
        order_id=row.key.order_id,
        revision=row.target_revision,
        verdict=seen.verdict,
        filled_quantity=seen.filled_quantity,
        average_price=seen.average_price,
        venue_order_id=seen.venue_order_id,
        reason=seen.reason,
        event_time=seen.event_time,
        source=source,
    )
