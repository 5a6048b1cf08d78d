"""Repairs: our ledger made to say what the venue says, where the venue's truth is plain.

Each repair is one transaction and harmless when done twice. Nothing is sent to the venue here.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from temporalio import activity

from activities.access import CommandParts
from activities.reconciliation_contracts import ReconcileParts
from activities.venue_view import beating, listed_order
from domain.accounts import Account
from domain.commands import CommandKind
from domain.differences import stale_order, unseen_order
from domain.errors import Conflict, NotFound
from domain.external_orders import external_order
from domain.findings import Finding, FindingKind, FindingState
from domain.ledger import CommandKey
from domain.net_positions import EXACT
from domain.order_fold import apply, with_absence
from domain.orders import Order, OrderReport, OrderType, Origin, TimeInForce
from domain.outcomes import NotSent
from domain.reconciliation_views import LedgerView, OrderName, VenueView
from domain.reconciling import Adoption, Comparison, PositionRepair, Restoration, report_of
from domain.resolution import PlacementEvidence, decide_placement
from domain.settlement import find_revision
from domain.timeline import EventKind, TimelineEvent
from venues.connector import Connector

FILLS_AT_ONCE = 200
"""So many fills are booked in one transaction: orders must not wait long for the database."""
LOOKUPS_MAX = 200
"""So many orders are looked up singly in one look; the next one sees the others."""

_log = logging.getLogger(__name__)


class Repairs:
    """The repairs of one look. `again` and `reconsider` tell what is left to do, see `Looked`."""

    def __init__(
        self,
        commands: CommandParts,
        parts: ReconcileParts,
        account: Account,
        connector: Connector,
        reconciliation_id: str,
    ) -> None:
        self._commands = commands
        self._parts = parts
        self._account = account
        self._connector = connector
        self._id = reconciliation_id
        self._done: list[str] = []
        self.again = False
        self.reconsider: list[str] = []
        self.found: list[Finding] = []
        self.booked = 0
        self.folded = 0

    async def carry_out(
        self, comparison: Comparison, venue: VenueView, ledger: LedgerView
    ) -> tuple[str, ...]:
        """Do what a comparison asks for; return the subjects that are repaired."""
        subjects = {finding.subject: finding for finding in comparison.findings}
        # Orders first: a fill is booked to an order that is there.
        for restoration in comparison.restorations:
            await self._restore(restoration, subjects[restoration.subject])
        await self._book(comparison)
        for report in comparison.reports:
            await self._fold(report, ledger)
        for adoption in comparison.adoptions:
            await self._adopt(adoption, subjects[adoption.subject], venue)
        for name in comparison.lookups[:LOOKUPS_MAX]:
            await self._look_up(name, venue, ledger)
        for repair in comparison.positions:
            await self._correct(repair)
        self._done += [
            finding.subject
            for finding in comparison.findings
            if finding.kind in (FindingKind.MISSING_FILLS, FindingKind.STALE_ORDER)
        ]
        return tuple(self._done)

    async def _restore(self, restoration: Restoration, finding: Finding) -> None:
        """Write an order of ours again: from its timeline, its workflow, or the venue's words."""
        order_id, listed = restoration.order_id, restoration.listed
        otherwise = await self._parts.memory.pending(order_id) or replace(
            external_order(self._account, listed, self._commands.now()),
            order_id=order_id,
            origin=Origin.USER,
        )
        event = self._event(order_id, f"written again by reconciliation: {finding.text}")
        await self._parts.reads.restore(order_id, listed, event, otherwise=otherwise)
        self.reconsider.append(order_id)
        self._done.append(restoration.subject)

    async def _book(self, comparison: Comparison) -> None:
        fills = comparison.fills
        for start in range(0, len(fills), FILLS_AT_ONCE):
            activity.heartbeat(f"booking fills: {start} of {len(fills)}")
            part = fills[start : start + FILLS_AT_ONCE]
            for folded in await self._commands.orders.book(part):
                self._tell_reopened(folded.order, reopened=folded.reopened)
            self.booked += len(part)

    async def _fold(self, report: OrderReport, ledger: LedgerView) -> None:
        activity.heartbeat(f"folding reports: {self.folded}")
        folded = await self._commands.orders.fold(report)
        self._tell_reopened(folded.order, reopened=folded.reopened)
        self.folded += folded.changed
        before = ledger.orders[report.order_id]
        if before.outcome == "pending" and folded.order.outcome != "pending":
            self.reconsider.append(report.order_id)

    def _tell_reopened(self, order: Order, *, reopened: bool) -> None:
        if reopened:
            _log.error(
                "a venue report contradicts how the order was closed",
                extra={"order_id": order.order_id, "status": order.status.value},
            )

    async def _adopt(self, adoption: Adoption, finding: Finding, venue: VenueView) -> None:
        """Write an order down that nobody placed through us, if that still holds under the lock."""
        self._commands.checkpoints.reached("reconcile:before_adopt")
        listed = adoption.listed
        order = external_order(self._account, listed, self._commands.now())
        if adoption.is_liquidation:
            order = replace(order, origin=Origin.LIQUIDATION)
        if listed.price is None and listed.trigger_price is None:
            order = replace(order, order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC)
        name = OrderName(order_id=order.order_id, revision=0)
        order = apply(order, report_of(name, listed, received_time=venue.read_at))
        word = "liquidation" if adoption.is_liquidation else "seen at the venue, not placed by us"
        event = self._event(order.order_id, f"{word}: {finding.text}")
        if await self._parts.reads.adopt(order, event) is None:
            self.again = True
            self.found.append(replace(finding, kind=FindingKind.UNKNOWN_ORDER))
            return
        self.found.append(replace(finding, order_id=order.order_id, state=FindingState.REPAIRED))

    async def _look_up(self, name: OrderName, venue: VenueView, ledger: LedgerView) -> None:
        """Ask for a live order that no listing showed; end it by the venue's word or by proof."""
        order = ledger.orders[name.order_id]
        revision = find_revision(order, name.revision)
        lookup = await beating(
            self._connector.find_order(
                self._account,
                symbol=order.symbol,
                client_order_id=revision.client_order_id,
                venue_order_id=revision.venue_order_id,
            ),
            "looking orders up",
        )
        if lookup.order is not None:
            listed = listed_order(lookup.order, is_open=False)
            report = report_of(name, listed, received_time=venue.read_at)
            after = apply(order, report)
            if after != order:
                await self._fold(report, ledger)
            if after.is_terminal != order.is_terminal:
                finding = stale_order(order, after, listed.venue_order_id)
                self.found.append(replace(finding, state=FindingState.REPAIRED))
            return
        finding = unseen_order(order, name.revision, read_at=venue.read_at)
        if await self._proven_absent(order, name.revision, venue):
            self.reconsider.append(order.order_id)
            finding = replace(finding, state=FindingState.REPAIRED)
        self.found.append(finding)

    async def _proven_absent(self, order: Order, revision: int, venue: VenueView) -> bool:
        """Note that a revision never came to the venue, where the venue's own clock proves it.

        Only one of which the venue never said anything: an operator's word, or ours, gave way.
        """
        if order.outcome != "pending" or find_revision(order, revision).venue_order_id is not None:
            return False
        key = CommandKey(order_id=order.order_id, command=CommandKind.PLACE, revision=revision)
        row = await self._commands.ledger.read(key)
        if row is None:
            return False
        evidence = PlacementEvidence(all_silent=True, venue_time=venue.venue_time)
        delay_s = venue.visibility_delay.total_seconds()
        outcome = decide_placement(row, evidence, visibility_delay_s=delay_s)
        if not isinstance(outcome, NotSent):
            return False
        event = self._event(order.order_id, f"proven absent by reconciliation: {outcome.proof}")
        await self._commands.orders.amend(
            order.order_id, lambda stored: with_absence(stored, revision, outcome.proof), event
        )
        return True

    async def _correct(self, repair: PositionRepair) -> None:
        self._commands.checkpoints.reached("reconcile:before_correct")
        jump = EXACT.subtract(repair.quantity, repair.found)
        evidence = (
            f"reconciliation {self._id}: the venue differed by {jump:f} in two looks, its "
            "visibility delay apart, with no command undecided"
        )
        try:
            await self._parts.net_positions.correct(
                self._account.account_id,
                repair.symbol,
                repair.quantity,
                evidence,
                found=repair.found,
            )
        except (Conflict, NotFound):
            self.again = True
            return
        self._done.append(repair.subject)

    def _event(self, order_id: str, text: str) -> TimelineEvent:
        return TimelineEvent(
            order_id=order_id,
            kind=EventKind.FINDING,
            text=text,
            at=self._commands.now(),
            detail={"reconciliation_id": self._id},
        )
