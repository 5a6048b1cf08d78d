"""Placing a bracket's entry and exits in one signed request: ledger, one send, outcomes.

Like a single placement, for several orders at once: nothing is sent that the ledger does not let
be sent, and what is not proven is resolved by each order's own workflow. Knows no venue and no SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from temporalio import activity

from activities.access import CommandParts
from activities.bracket_contracts import JointResult, JointTask
from activities.commands import CommandCarrier, describe
from activities.mark_prices import MarkPrices, measured
from activities.orders import SEND_WITHIN_S
from activities.placements import placement
from domain.accounts import TradingAccess
from domain.bracket_orders import joint_exits, joint_order_ids
from domain.commands import CommandKind, PlaceOrder
from domain.errors import Conflict, InvalidInput, NotFound, RiskRefused
from domain.ledger import CommandDraft, CommandKey, CommandRow, JointDraft
from domain.order_fold import with_closure
from domain.orders import Closure, Concern, Order, Verdict
from domain.outcomes import SendResult
from domain.timeline import EventKind, TimelineEvent
from venues.batches import BatchComposer, BatchMember, JointPlacer
from venues.connector import Connector


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """What is to be reserved and sent, checked against account and market."""

    access: TradingAccess
    connector: Connector
    placer: JointPlacer
    draft: JointDraft
    composer: BatchComposer


class JointActivities:
    """The activity of `BracketWorkflow` that places entry and exits together."""

    def __init__(self, parts: CommandParts) -> None:
        self._ledger = parts.ledger
        self._orders = parts.orders
        self._access = parts.access
        self._connectors = parts.connectors
        self._checkpoints = parts.checkpoints
        self._carrier = CommandCarrier(
            parts.ledger, parts.orders, parts.checkpoints, parts.connectors.note_outcome
        )
        self._now = parts.now
        self._marks = MarkPrices(parts.now)

    @activity.defn(name="place_jointly")
    async def place(self, task: JointTask) -> JointResult:
        """Reserve entry and exits, send them once if they were not there, commit the outcomes.

        What may not be sent is denied: the entry with our reason, of the exits nothing is kept.

        Raises:
            Unavailable, VenueUnavailable: whether it was sent is in the ledger; ask again.
        """
        entry = task.plan.entry
        if not task.send or self._now() >= entry.place_by:
            return await self._as_it_is(task)
        try:
            prepared = await self._prepare(task)
            reservation = await measured(
                self._marks,
                prepared.connector,
                prepared.draft.entry,
                lambda draft: self._ledger.reserve_joint(
                    replace(prepared.draft, entry=draft),
                    spell_client_order_id=lambda key, collision: prepared.connector.client_order_id(
                        key.order_id, key.revision, collision
                    ),
                    compose=prepared.composer,
                ),
            )
        except (InvalidInput, NotFound, RiskRefused) as error:
            return await self._denied(task, error)
        except Conflict as error:
            return await self._as_stored(task, str(error))
        if not reservation.inserted:
            return await self._as_stored(task, "the request may have been sent before")
        return await self._send(prepared, reservation.rows)

    async def _prepare(self, task: JointTask) -> _Prepared:
        entry = task.plan.entry
        access = await self._access.open(entry.account_id)
        network = access.account.network
        connector = await self._connectors.connector(entry.venue, network)
        if not isinstance(connector, JointPlacer):
            raise InvalidInput(
                "native", f"{entry.venue} takes no exits along with an entry: expected no native"
            )
        instrument = await connector.instrument(entry.symbol)
        exits = joint_exits(task.plan, instrument, created_at=task.created_at)
        orders = (entry, *exits)
        commands = [
            await placement(
                self._connectors,
                connector,
                network,
                order,
                quantity=order.quantity,
                price=order.price,
            )
            for order in orders
        ]
        composer = await connector.compose_joint(commands[0], commands[1:])
        drafts = [
            self._draft(task, connector, access, order, command)
            for order, command in zip(orders, commands, strict=True)
        ]
        return _Prepared(
            access=access,
            connector=connector,
            placer=connector,
            draft=JointDraft(entry=drafts[0], exits=tuple(drafts[1:])),
            composer=composer,
        )

    def _draft(
        self,
        task: JointTask,
        connector: Connector,
        access: TradingAccess,
        order: Order,
        command: PlaceOrder,
    ) -> CommandDraft:
        return CommandDraft(
            key=_key(order.order_id, task.revision),
            account_id=order.account_id,
            venue=order.venue,
            network=access.account.network,
            symbol=order.symbol,
            signer=access.account.signer,
            command=command,
            target_revision=task.revision,
            raises_exposure=not order.reduce_only,
            nonce_rule=connector.capabilities.nonce_rule,
            send_within_s=SEND_WITHIN_S,
            admission_window_s=connector.proofs.admission_window_s,
            order=order,
            concern=Concern.NONE,
            not_after=task.plan.entry.place_by,
        )

    async def _send(self, prepared: _Prepared, rows: Sequence[CommandRow]) -> JointResult:
        self._checkpoints.reached("joint.ledger_committed")
        members = [
            BatchMember(
                order_id=row.key.order_id,
                revision=row.target_revision,
                client_order_id=row.client_order_id,
            )
            for row in rows
        ]
        result = await prepared.placer.send_batch(rows[0], prepared.access, members)
        # One request, one answer: what became of its first order tells whether there was one.
        self._carrier.note(rows[0], result.outcomes[0])
        self._checkpoints.reached("joint.answer_read")
        orders: list[Order] = []
        for row, outcome in zip(rows, result.outcomes, strict=True):
            sent = SendResult(outcome=outcome, raw=result.raw, received_at=result.received_at)
            orders.append(await self._carrier.decide(row.key, sent))
            self._checkpoints.reached("joint.one_outcome_committed")
        self._checkpoints.reached("joint.outcome_committed")
        answer = "; ".join(describe(outcome) for outcome in result.outcomes)
        return JointResult(entry=orders[0], exits=tuple(orders[1:]), answer=answer)

    async def _as_it_is(self, task: JointTask) -> JointResult:
        """Send nothing; return what an earlier attempt did, or the entry, closed for good."""
        entry = task.plan.entry
        if await self._ledger.read(_key(entry.order_id, task.revision)) is not None:
            return await self._as_stored(task, "the request may have been sent before")
        verdict, reason = Verdict.EXPIRED, "not_sent"
        if not task.send:
            verdict, reason = Verdict.CANCELED, "canceled_before_sent"
        closed = with_closure(entry, Closure(verdict=verdict, reason=reason))
        # Whoever comes after finds an ended order, and sends nothing.
        await self._orders.add(closed, self._event(entry.order_id, f"{verdict}: {reason}"))
        return await self._as_stored(task, reason)

    async def _denied(self, task: JointTask, error: Exception) -> JointResult:
        """Keep a denied entry, unless bytes of it may be out already."""
        entry, reason = task.plan.entry, str(error)
        if await self._ledger.read(_key(entry.order_id, task.revision)) is None:
            known = await self._orders.get(entry.order_id)
            if known is None or not known.revisions:
                violations = error.violations if isinstance(error, RiskRefused) else ()
                denied = replace(
                    entry, denied=reason, violations=violations, updated_at=self._now()
                )
                await self._orders.add(denied, self._event(entry.order_id, f"denied: {reason}"))
        return await self._as_stored(task, reason)

    async def _as_stored(self, task: JointTask, answer: str) -> JointResult:
        entry = task.plan.entry
        stored = await self._orders.get(entry.order_id)
        if stored is None:
            return JointResult(entry=entry, known=False, answer=answer)
        found = [await self._orders.get(order_id) for order_id in joint_order_ids(task.plan)]
        exits = tuple(order for order in found if order is not None)
        return JointResult(entry=stored, exits=exits, answer=answer)

    def _event(self, order_id: str, text: str) -> TimelineEvent:
        at: datetime = self._now()
        return TimelineEvent(order_id=order_id, kind=EventKind.CLOSED, text=text, at=at)


def _key(order_id: str, revision: int) -> CommandKey:
    return CommandKey(order_id=order_id, command=CommandKind.PLACE, revision=revision)
