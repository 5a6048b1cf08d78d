"""Carrying one command out: ledger, send, outcome, in this order and never twice.

The part that placing and cancelling share. Knows no kind of command and no Temporal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from activities.access import Checkpoints
from activities.contracts import CommandResult
from domain.accounts import Network, TradingAccess
from domain.errors import CorruptState, Unavailable
from domain.ledger import CommandKey, CommandRow, Found, Reservation
from domain.orders import Concern, Order
from domain.outcomes import Outcome, SendResult, is_definite
from domain.ports import IntentLedger, OrderStore
from venues.connector import Connector

DECIDE_PAUSES_S = (0.1, 0.2)

Refine = Callable[[CommandRow, SendResult], Awaitable[SendResult]]


@dataclass(frozen=True, slots=True)
class CommandCarrier:
    """Sends what the ledger lets it send, and writes down what came of it.

    `noted` is told the outcome of each command that was sent, as it came.
    """

    ledger: IntentLedger
    orders: OrderStore
    checkpoints: Checkpoints
    noted: Callable[[str, Network, Outcome], None] | None = None

    async def carry_out(
        self,
        reservation: Reservation,
        connector: Connector,
        access: TradingAccess,
        *,
        settled_concern: Concern = Concern.NONE,
        refine: Refine | None = None,
    ) -> CommandResult:
        """Send a newly inserted command once and commit its outcome; leave a found one alone.

        `refine` may add to a definite answer before it is written (a cancel looks the order up).
        `settled_concern` is the order's concern once the outcome is definite.
        """
        row = reservation.row
        if isinstance(reservation, Found):
            return await self.found(row)
        self.checkpoints.reached(f"{row.key.command}.ledger_committed")
        result = await connector.send(row, access)
        self.note(row, result.outcome)
        self.checkpoints.reached(f"{row.key.command}.answer_read")
        if refine is not None and is_definite(result.outcome):
            result = await refine(row, result)
        order = await self.decide(row.key, result, settled_concern=settled_concern)
        self.checkpoints.reached(f"{row.key.command}.outcome_committed")
        definite = is_definite(result.outcome)
        return CommandResult(order=order, definite=definite, answer=describe(result.outcome))

    def note(self, row: CommandRow, outcome: Outcome) -> None:
        """Tell what became of a command that was sent."""
        if self.noted is not None:
            self.noted(row.venue, row.network, outcome)

    async def found(self, row: CommandRow) -> CommandResult:
        """Return what is known of a command that is in the ledger already; send nothing."""
        order = await self.stored(row.key.order_id)
        if row.outcome is not None and row.is_decided:
            return CommandResult(order=order, definite=True, answer=describe(row.outcome))
        return CommandResult(
            order=order, definite=False, answer="the command may have been sent before"
        )

    async def decide(
        self, key: CommandKey, result: SendResult, *, settled_concern: Concern = Concern.NONE
    ) -> Order:
        """Commit an outcome, trying again while the database does not answer.

        Raises:
            Unavailable: it did not answer; the row keeps its former outcome and is resolved later.
        """
        outcome = result.outcome
        concern: Concern | None = None
        if is_definite(outcome):
            concern = settled_concern
        elif outcome.kind == "unknown" and key.command.value == "place":
            concern = Concern.UNKNOWN
        for pause_s in DECIDE_PAUSES_S:
            try:
                return await self.ledger.decide(key, result, concern=concern)
            except Unavailable:
                await asyncio.sleep(pause_s)
        return await self.ledger.decide(key, result, concern=concern)

    async def stored(self, order_id: str) -> Order:
        """Return the order from the store.

        Raises:
            CorruptState: a ledger row names it and the store has none.
        """
        order = await self.orders.get(order_id)
        if order is None:
            raise CorruptState(f"the ledger has commands of order {order_id}, the store has none")
        return order


def describe(outcome: Outcome) -> str:
    """Return an outcome in one line, for people."""
    match outcome.kind:
        case "not_sent":
            return f"not sent: {outcome.reason} ({outcome.proof})"
        case "rejected":
            return f"rejected: {outcome.reason}"
        case "unknown":
            return f"unknown: {outcome.reason}"
        case "acknowledged":
            return "acknowledged, no verdict yet"
        case "accepted":
            report = outcome.report
            return f"accepted: {report.verdict.value}" if report else "accepted"
