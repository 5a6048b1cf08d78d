"""What became of a transaction that was acknowledged: read from the state of its order.

An acknowledgement decides nothing: the sequencer may still refuse an order, and a cancel of what is
not there is acknowledged like any other. So the order is looked at, until it shows what became of
it or the time for it is over; what is still open then stays acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from domain.commands import CommandKind
from domain.errors import VenueRefused, VenueUnavailable
from domain.ledger import CommandRow
from domain.orders import OrderReport, Verdict
from domain.outcomes import Accepted, Acknowledged, Outcome, Rejected, Unknown
from venues.connector import VenueOrder
from venues.lighter.statuses import refusal_code

#: When an order is looked at, in seconds after the acknowledgement. What takes waits 0.3 s at the
#: venue, as do cancels.
LOOK_AT_S: Final = (0.0, 0.35, 0.5, 0.7)
SOURCE: Final = "state after acknowledgement"
_NO_SUCH_ORDER: Final = "no_such_order"


class Looks(Protocol):
    """What can be looked at; both raise VenueUnavailable and VenueRefused."""

    async def order(self) -> VenueOrder | None:
        """Return the order that the command concerns, as the venue has it now."""
        ...

    async def is_executed(self) -> bool:
        """Tell whether the command's transaction has been through the sequencer."""
        ...


async def verdict_on(
    row: CommandRow, looks: Looks, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> Outcome:
    """Return what became of an acknowledged placement or cancel."""
    decide = _of_cancel if row.key.command is CommandKind.CANCEL else _of_placement
    for pause_s in LOOK_AT_S:
        if pause_s:
            await sleep(pause_s)
        try:
            outcome = await decide(row, looks)
        except (VenueUnavailable, VenueRefused):
            # Nothing is lost: whoever resolves looks again.
            continue
        if outcome is not None:
            return outcome
    if row.key.command is CommandKind.CANCEL:
        return Unknown(reason="acknowledged, and the order does not show what became of it")
    return Acknowledged()


async def _of_placement(row: CommandRow, looks: Looks) -> Outcome | None:
    order = await looks.order()
    if order is None or order.verdict is Verdict.SUBMITTED:
        return None
    report = _report(row, order)
    if order.verdict is not Verdict.REJECTED:
        return Accepted(report=report)
    return Rejected(
        code=refusal_code(order.reason),
        reason=order.reason or "rejected",
        proof=f"the order's status {order.reason}",
        report=report,
    )


async def _of_cancel(row: CommandRow, looks: Looks) -> Outcome | None:
    order = await looks.order()
    if order is not None and order.verdict.is_terminal:
        report = _report(row, order)
        if order.verdict is Verdict.CANCELED and not _ended_before(row, order):
            return Accepted(report=report)
        return _not_there(f"the order is {order.verdict.value}", report)
    if not await looks.is_executed():
        return None
    # Only what is looked at afterwards tells what the cancel did.
    order = await looks.order()
    if order is None:
        return _not_there("the venue knows no such order", None)
    if order.verdict.is_terminal:
        return await _of_cancel(row, looks)
    return None


def _ended_before(row: CommandRow, order: VenueOrder) -> bool:
    """Tell whether an order had ended before its cancel was written down.

    Whichever it is, the order's end is told; a time in whole seconds says nothing of this.
    """
    ended_at = order.event_time
    return ended_at is not None and bool(ended_at.microsecond) and ended_at < row.inserted_at


def _not_there(reason: str, report: OrderReport | None) -> Rejected:
    return Rejected(
        code=_NO_SUCH_ORDER,
        reason=reason,
        proof="state looked at after the cancel was acknowledged",
        report=report,
    )


def _report(row: CommandRow, order: VenueOrder) -> OrderReport:
    return OrderReport(
        order_id=row.key.order_id,
        revision=row.target_revision,
        verdict=order.verdict,
        filled_quantity=order.filled_quantity,
        average_price=order.average_price,
        venue_order_id=order.venue_order_id,
        reason=order.reason,
        event_time=order.event_time,
        source=SOURCE,
    )
