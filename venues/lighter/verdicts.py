"""What became of a transaction that was acknowledged: read from the state of its order.

An acknowledgement decides nothing: the sequencer may still refuse an order, and a cancel of what is
not there is acknowledged like any other. So the order's state is waited for, by the feed where that
is live, else by look-ups, until it shows what became of it or the time for it is over; what is
still open then stays acknowledged. When to ask is `domain.verdict_looks`' matter.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

from domain.commands import CommandKind
from domain.errors import VenueRefused, VenueUnavailable
from domain.ledger import CommandRow
from domain.orders import OrderReport, Verdict
from domain.outcomes import Accepted, Acknowledged, Outcome, Rejected, Unknown
from domain.verdict_looks import LookPlan, OrderNews, Waiting, next_look_s
from venues.connector import VenueOrder
from venues.lighter.statuses import refusal_code

#: What takes waits 0.3 s at the venue, as do cancels; what rests does not wait.
PLAN: Final = LookPlan(feed_within_s=0.7, unheard_at_s=(0.0, 0.35, 0.85, 1.55), within_s=1.55)
SOURCE: Final = "state after acknowledgement"
_NO_SUCH_ORDER: Final = "no_such_order"


class Looks(Protocol):
    """What can be looked at; the questions raise VenueUnavailable and VenueRefused."""

    async def order(self) -> VenueOrder | None:
        """Return the order that the command concerns, as the venue has it now."""
        ...

    async def is_executed(self) -> bool:
        """Tell whether the command's transaction has been through the sequencer."""
        ...

    def left(self) -> int:
        """Return how many questions the budget has to spare."""
        ...

    def next_in_s(self) -> float:
        """Return in how many seconds it has one."""
        ...


async def verdict_on(
    row: CommandRow,
    looks: Looks,
    news: OrderNews,
    *,
    monotonic: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Return what became of an acknowledged placement or cancel."""
    began, looked_at_s = monotonic(), None
    while True:
        heard = _by_word(row, await news.told())
        if heard is not None:
            return heard
        is_live = await news.is_live()
        since_s = monotonic() - began
        wait_s = next_look_s(
            PLAN,
            Waiting(
                since_s=since_s,
                looked_at_s=looked_at_s,
                feed_is_live=is_live,
                looks_left=looks.left(),
                look_in_s=looks.next_in_s(),
            ),
        )
        if wait_s is not None and wait_s <= 0.0:
            looked_at_s = since_s
            outcome = await _by_look(row, looks)
            if outcome is not None:
                # That there is no such order no feed would tell.
                if is_live and outcome.report is not None:
                    news.was_missed()
                return outcome
            continue
        rest_s = PLAN.within_s - since_s
        if rest_s <= 0.0:
            break
        await news.changed(rest_s if wait_s is None else min(wait_s, rest_s))
    if row.key.command is CommandKind.CANCEL:
        return Unknown(reason="acknowledged, and the order does not show what became of it")
    return Acknowledged()


def _by_word(row: CommandRow, told: OrderReport | None) -> Outcome | None:
    """Return what is proven by what the feed has told of the order."""
    if told is None:
        return None
    if row.key.command is not CommandKind.CANCEL:
        return _placed(told)
    if not told.verdict.is_terminal:
        return None
    if told.verdict is Verdict.CANCELED:
        return Accepted(report=told)
    return _not_there(f"the order is {told.verdict.value}", told)


async def _by_look(row: CommandRow, looks: Looks) -> Accepted | Rejected | None:
    decide = _of_cancel if row.key.command is CommandKind.CANCEL else _of_placement
    try:
        return await decide(row, looks)
    except (VenueUnavailable, VenueRefused):
        # Nothing is lost: it is looked at again, and whoever resolves does so, too.
        return None


def _placed(report: OrderReport) -> Accepted | Rejected:
    if report.verdict is not Verdict.REJECTED:
        return Accepted(report=report)
    return Rejected(
        code=refusal_code(report.reason),
        reason=report.reason or "rejected",
        proof=f"the order's status {report.reason}",
        report=report,
    )


async def _of_placement(row: CommandRow, looks: Looks) -> Accepted | Rejected | None:
    order = await looks.order()
    if order is None or order.verdict is Verdict.SUBMITTED:
        return None
    return _placed(_report(row, order))


async def _of_cancel(row: CommandRow, looks: Looks) -> Accepted | Rejected | None:
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
