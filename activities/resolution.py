"""Resolving: from a command whose bytes may be out to a proven outcome. Slow, heartbeating.

Hears first what the venue has told of a placement by another way; then looks, closes the fence,
looks everywhere, and writes an outcome only when `domain.resolution` finds it proven. Knows no
venue; the proof table says what the venue offers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from temporalio import activity

from activities.access import CommandParts
from activities.commands import CommandCarrier, describe
from activities.contracts import CommandResult, ResolveTask
from activities.final_state import report_of
from activities.orders import SEND_WITHIN_S
from domain.accounts import TradingAccess
from domain.commands import BurnNonce, CommandKind
from domain.errors import CorruptState, Unavailable, VenueRefused, VenueUnavailable
from domain.fills import Fill, total
from domain.ledger import CommandDraft, CommandKey, CommandRow, Inserted, NonceRule
from domain.orders import Concern, Order, OrderReport, Verdict
from domain.outcomes import Accepted, Outcome, Rejected, SendResult, Unknown, is_definite
from domain.resolution import (
    CancelEvidence,
    PlacementEvidence,
    decide_cancel,
    decide_placement,
    fence_closed,
)
from domain.settlement import find_revision, told_of
from venues.connector import Connector, Fence, OrderLookup, VenueOrder
from venues.lanes import message_signer

LOOK_FOR_S = 8.0
LOOK_EVERY_S = 0.25
LOOK_EVERY_MAX_S = 6.0
LOOK_PAUSE_SHARE = 0.05
"""A look asks up to eight questions: what stays unknown must not use a venue's budget up."""
CLOCK_OVERLAP = timedelta(seconds=10)
NOOPS_PER_PLACEMENT = 100
UNDER_WAY = timedelta(seconds=2)
"""So long after its last moment to be sent a command may wait for its answer."""
FILLS = "fills"
NONCE_SPENT = "nonce_spent"
"""The nonce is used, by the placement or by an earlier copy of the noop itself."""


def look_pause_s(unknown_for: timedelta) -> float:
    """Return how long to wait between two looks for what has been unknown for so long."""
    grown = unknown_for.total_seconds() * LOOK_PAUSE_SHARE
    return min(max(LOOK_EVERY_S, grown), LOOK_EVERY_MAX_S)


class ResolutionActivities:
    """The activity that turns unknown into known."""

    def __init__(self, parts: CommandParts) -> None:
        self._ledger = parts.ledger
        self._access = parts.access
        self._connectors = parts.connectors
        self._carrier = CommandCarrier(
            parts.ledger, parts.orders, parts.checkpoints, parts.connectors.note_outcome
        )
        self._now = parts.now
        self._blocks = parts.blocks

    @activity.defn(name="resolve_command")
    async def resolve(self, task: ResolveTask) -> CommandResult:
        """Seek the proof for one command for some seconds; commit and return what was proven.

        Returns with `definite` False when nothing is proven yet; the workflow asks again later.
        """
        row = await self._ledger.read(task.key)
        if row is None:
            raise CorruptState(f"command {task.key} is to be resolved and is not in the ledger")
        if row.outcome is not None and row.is_decided:
            await self._unblock(row)
            order = await self._carrier.stored(row.key.order_id)
            return CommandResult(order=order, definite=True, answer=describe(row.outcome))
        access = await self._access.open_signer(row.account_id, row.signer)
        connector = await self._connectors.connector(row.venue, row.network)
        await self._block_unless_fenced(row, connector)
        search = _Search(self, connector, access, row)
        outcome: Outcome | None = None
        deadline = asyncio.get_running_loop().time() + LOOK_FOR_S
        while outcome is None:
            activity.heartbeat(search.seen)
            try:
                outcome = await search.round()
            except (VenueUnavailable, VenueRefused) as error:
                search.seen = f"the venue does not answer look-ups: {error}"
            if asyncio.get_running_loop().time() >= deadline:
                break
            if outcome is None:
                await asyncio.sleep(look_pause_s(self._now() - row.inserted_at))
        if outcome is None:
            order = await self._known_as_unknown(row, search.seen)
            return CommandResult(order=order, definite=False, answer=search.seen)
        result = await self._commit(row, outcome)
        await self._unblock(row)
        return result

    async def _known_as_unknown(self, row: CommandRow, seen: str) -> Order:
        """Return the order, UNKNOWN also where whoever sent its placement wrote nothing of it."""
        if row.key.command is not CommandKind.PLACE or row.outcome is not None:
            return await self._carrier.stored(row.key.order_id)
        found = Unknown(reason=f"its sender left no outcome; {seen}")
        return await self._carrier.decide(row.key, SendResult(outcome=found))

    async def _block_unless_fenced(self, row: CommandRow, connector: Connector) -> None:
        """Forbid new exposure beside a placement that may be out and can never be proven absent."""
        is_placement = row.key.command is CommandKind.PLACE
        if self._blocks is None or not is_placement or connector.proofs.proves_absence:
            return
        reason = (
            f"order {row.key.order_id} is UNKNOWN and {row.venue} gives no proof that it never "
            f"came; look at the venue and give your word by `perp-dex order resolve`"
        )
        await self._blocks.block(
            row.account_id, row.symbol, order_id=row.key.order_id, reason=reason
        )

    async def _unblock(self, row: CommandRow) -> None:
        if self._blocks is not None and row.key.command is CommandKind.PLACE:
            await self._blocks.unblock(row.account_id, row.symbol, order_id=row.key.order_id)

    async def _commit(self, row: CommandRow, outcome: Outcome) -> CommandResult:
        concern = Concern.NONE
        if row.key.command is CommandKind.CANCEL:
            order = await self._carrier.stored(row.key.order_id)
            if order.concern is Concern.PENDING_MODIFY:
                concern = Concern.PENDING_MODIFY
        order = await self._carrier.decide(
            row.key, SendResult(outcome=outcome), settled_concern=concern
        )
        return CommandResult(order=order, definite=True, answer=describe(outcome))

    async def stored(self, order_id: str) -> Order:
        """Return the order of a command. Raises CorruptState when there is none."""
        return await self._carrier.stored(order_id)

    async def burn(
        self, connector: Connector, access: TradingAccess, row: CommandRow
    ) -> Outcome | None:
        """Use up a placement's nonce with a noop; return the noop's definite outcome, or None.

        A noop is itself a command with a row. One whose answer was lost is sent again as the same
        bytes while the venue may admit them, then anew: with that nonce nothing but one of these
        actions can ever be admitted. Placements of one request share its nonce, and its noops.
        """
        signed_for = row.carried_by or row.key.order_id
        rows = await self._ledger.of_order(signed_for)
        noops = [r for r in rows if _burns(r, row)]
        for noop in noops:
            if noop.is_decided and not _is_stale(noop.outcome):
                return noop.outcome
        newest = noops[-1] if noops else None
        if newest is not None and self._is_under_way(newest):
            return None
        if newest is not None and not newest.is_decided and self._admissible(newest):
            result = _as_copy(await connector.resend(newest, access))
            return await self._note_noop(newest.key, result)
        reservation = await self._ledger.reserve(
            replace(
                self._noop_draft(connector, row, _noops_of(rows, row.target_revision)),
                sign=message_signer(connector, access, row.lane),
            ),
            spell_client_order_id=lambda collision: row.client_order_id,
            compose=await connector.compose(BurnNonce(nonce=row.nonce or 0)),
        )
        if not isinstance(reservation, Inserted):
            return None
        result = await connector.send(reservation.row, access)
        self._carrier.note(reservation.row, result.outcome)
        return await self._note_noop(reservation.row.key, result)

    async def is_burned(self, row: CommandRow) -> bool:
        """Tell whether a command's nonce went to a noop, as it does where its lane is cleared."""
        rows = await self._ledger.of_order(row.carried_by or row.key.order_id)
        return any(_burns(noop, row) and isinstance(noop.outcome, Accepted) for noop in rows)

    def _is_under_way(self, noop: CommandRow) -> bool:
        """Tell whether another order of the same request may be sending this noop right now.

        A copy of it would be told that the nonce is used, and could not tell by what.
        """
        return noop.outcome is None and self._now() < noop.send_by + UNDER_WAY

    def _admissible(self, row: CommandRow) -> bool:
        return row.admitted_until is None or self._now() < row.admitted_until

    async def _note_noop(self, key: CommandKey, result: SendResult) -> Outcome | None:
        await self._ledger.decide(key, result)
        outcome = result.outcome
        return outcome if is_definite(outcome) and not _is_stale(outcome) else None

    def _noop_draft(self, connector: Connector, row: CommandRow, number: int) -> CommandDraft:
        return CommandDraft(
            key=CommandKey(
                order_id=row.carried_by or row.key.order_id,
                command=CommandKind.NOOP,
                revision=row.target_revision * NOOPS_PER_PLACEMENT + number,
            ),
            account_id=row.account_id,
            venue=row.venue,
            network=row.network,
            symbol=row.symbol,
            signer=row.signer,
            command=BurnNonce(nonce=row.nonce or 0),
            target_revision=row.target_revision,
            raises_exposure=False,
            nonce_rule=NonceRule.NONE,
            send_within_s=SEND_WITHIN_S,
            admission_window_s=connector.proofs.admission_window_s,
            lane=row.lane,
            nonce=row.nonce,
        )


class _Search:
    """One command's search for evidence; `seen` says in words what was found last."""

    def __init__(
        self,
        activities: ResolutionActivities,
        connector: Connector,
        access: TradingAccess,
        row: CommandRow,
    ) -> None:
        self._activities = activities
        self._connector = connector
        self._access = access
        self._row = row
        self._burned = False
        self._used = False
        self._spent = False
        self.seen = "looking for the order at the venue"

    async def round(self) -> Outcome | None:
        """Look once; return the outcome if it is proven now."""
        if self._row.key.command is CommandKind.CANCEL:
            return await self._cancel_round()
        return await self._placement_round()

    async def _placement_round(self) -> Outcome | None:
        # What a feed has told is the venue's word, and need not be asked for.
        report = await self._told() or self._report(await self._look())
        venue_time, silent = None, False
        if report is None:
            # First the fence, then the venue's clock, then every look-up: only so is silence proof.
            if not (self._burned or self._used or self._spent):
                await self._close_fence()
            venue_time = await self._connector.venue_time(self._access.account)
            report = self._report(await self._look()) or await self._look_everywhere()
            silent = report is None
        self.seen = self._describe(report, venue_time)
        return decide_placement(
            self._row,
            PlacementEvidence(
                report=report,
                all_silent=silent,
                nonce_burned=self._burned,
                nonce_used=self._used,
                venue_time=venue_time,
            ),
            visibility_delay_s=self._connector.proofs.visibility_delay_s,
        )

    async def _cancel_round(self) -> Outcome | None:
        venue_time = await self._connector.venue_time(self._access.account)
        report = self._report(await self._look())
        proofs = self._connector.proofs
        resting = report is not None and not report.verdict.is_terminal
        burned = resting and await self._activities.is_burned(self._row)
        repeatable = (proofs.replay_protected or proofs.cancels_repeatable) and not burned
        if resting and repeatable and self._activities._admissible(self._row):
            result = await self._connector.resend(self._row, self._access)
            if isinstance(result.outcome, Accepted | Rejected):
                report = self._report(await self._look())
        silent = False
        if report is None:
            report = await self._look_everywhere()
            silent = report is None
            if report is not None and report.verdict is Verdict.PARTIALLY_FILLED:
                report = None if report.source == FILLS else report
        self.seen = self._describe(report, venue_time)
        return decide_cancel(
            self._row,
            CancelEvidence(
                report=report, all_silent=silent, nonce_burned=burned, venue_time=venue_time
            ),
            visibility_delay_s=proofs.visibility_delay_s,
            has_fence=proofs.proves_absence,
        )

    async def _close_fence(self) -> None:
        if Fence.NONCE_BURN not in self._connector.proofs.fences or self._row.nonce is None:
            return
        outcome = await self._activities.burn(self._connector, self._access, self._row)
        refused = outcome.code if isinstance(outcome, Rejected) else None
        # A nonce too low was never admitted, and can no longer be.
        self._burned = isinstance(outcome, Accepted) or refused == "nonce_too_low"
        self._used = refused == "nonce_used"
        self._spent = refused == NONCE_SPENT

    async def _told(self) -> OrderReport | None:
        """Return what the venue has said of the placement so far, whoever heard it."""
        try:
            order = await self._activities.stored(self._row.key.order_id)
        except Unavailable:
            return None
        return told_of(order, self._row.target_revision)

    async def _look(self) -> OrderLookup:
        return await self._connector.find_order(
            self._access.account,
            symbol=self._row.symbol,
            client_order_id=self._row.client_order_id,
        )

    def _report(self, lookup: OrderLookup) -> OrderReport | None:
        if lookup.order is None:
            return None
        return report_of(self._row, lookup.order, "look-up")

    async def _look_everywhere(self) -> OrderReport | None:
        """Look in open orders, history and fills, matching by client order id."""
        account = self._access.account
        listed = (
            *await self._connector.open_orders(account),
            *await self._connector.order_history(account),
        )
        for seen in listed:
            if self._is_ours(seen):
                return report_of(self._row, seen, "listing")
        since = self._row.inserted_at - CLOCK_OVERLAP
        fills = await self._connector.fills(account, since=since)
        ours = [f for f in fills if f.client_order_id == self._row.client_order_id]
        return await self._from_fills(ours) if ours else None

    def _is_ours(self, seen: VenueOrder) -> bool:
        return seen.client_order_id == self._row.client_order_id

    async def _from_fills(self, fills: list[Fill]) -> OrderReport:
        sums = total(fills)
        order = await self._activities.stored(self._row.key.order_id)
        asked = find_revision(order, self._row.target_revision).quantity
        return OrderReport(
            order_id=order.order_id,
            revision=self._row.target_revision,
            verdict=Verdict.FILLED if sums.quantity >= asked else Verdict.PARTIALLY_FILLED,
            filled_quantity=sums.quantity,
            average_price=sums.average_price,
            venue_order_id=fills[0].venue_order_id,
            event_time=fills[-1].event_time,
            source=FILLS,
        )

    def _describe(self, report: OrderReport | None, venue_time: datetime | None) -> str:
        if report is not None:
            return f"the venue has the order: {report.verdict.value}"
        if self._burned:
            return "the nonce is used up by a noop and nothing of the order is seen"
        closed = fence_closed(
            self._row, venue_time, visibility_delay_s=self._connector.proofs.visibility_delay_s
        )
        waiting = "" if closed else f"; it could still be admitted until {self._row.admitted_until}"
        used = "the nonce was admitted, and " if self._used else ""
        used = "the nonce is spent, and " if self._spent else used
        return f"{used}no look-up shows the order{waiting}"


def _noops_of(rows: Sequence[CommandRow], revision: int) -> int:
    """Return how many noops a revision has: those of its placement, and of its cancels."""
    return sum(
        row.key.command is CommandKind.NOOP and row.target_revision == revision for row in rows
    )


def _burns(noop: CommandRow, command: CommandRow) -> bool:
    """Tell whether a noop is for the nonce of a command: on another lane the number is another."""
    return (
        noop.key.command is CommandKind.NOOP
        and noop.target_revision == command.target_revision
        and (noop.lane, noop.nonce) == (command.lane, command.nonce)
    )


def _as_copy(result: SendResult) -> SendResult:
    """Return what a resent noop's answer means: the nonce it finds used may be by its own copy."""
    outcome = result.outcome
    if isinstance(outcome, Rejected) and outcome.code == "nonce_used":
        return replace(result, outcome=replace(outcome, code=NONCE_SPENT))
    return result


def _is_stale(outcome: Outcome | None) -> bool:
    """Tell whether a noop's outcome says nothing of the nonce: it did not arrive in time."""
    return outcome is not None and outcome.kind == "not_sent"
