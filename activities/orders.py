"""Order activities: place, cancel, close, settle, adopt. Short, run as local activities.

They write the ledger before the first byte and the outcome before they return; what they cannot
prove they hand to `activities.resolution`. Knows no venue and no SQL.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from temporalio import activity

from activities.access import CommandParts
from activities.commands import CommandCarrier
from activities.contracts import (
    Adoption,
    CancelTask,
    CloseTask,
    CommandResult,
    OperatorVerdict,
    OrderTask,
    PlaceTask,
    RequestNote,
    Settlement,
)
from activities.emergency_journal import EmergencyCommands
from activities.final_state import final_state
from activities.mark_prices import MarkPrices, reserve_measured
from activities.placements import placement
from activities.settling import with_all_fills
from domain.accounts import TradingAccess
from domain.commands import CancelOrder, CommandKind, PlaceOrder
from domain.errors import (
    Conflict,
    CorruptState,
    InvalidInput,
    NotFound,
    RiskRefused,
    Unavailable,
    VenueUnavailable,
)
from domain.ledger import CommandDraft, CommandKey, CommandRow, Reservation
from domain.order_fold import with_closure
from domain.orders import Closure, Concern, Order, Revision, Verdict
from domain.outcomes import Accepted, NotSent, SendResult
from domain.timeline import EventKind, TimelineEvent
from venues.connector import Connector, MessageComposer

SEND_WITHIN_S = 1.0
LEDGER_WITHIN_S = 1.5
"""How long a cancel waits for the database; the venue needs the rest of the activity's time."""


class OrderActivities:
    """The activities of `OrderWorkflow` that act at once."""

    def __init__(self, parts: CommandParts, emergency: EmergencyCommands | None = None) -> None:
        """Take the parts; without `emergency` cancels wait for the database."""
        self._parts = parts
        self._ledger = parts.ledger
        self._orders = parts.orders
        self._access = parts.access
        self._connectors = parts.connectors
        self._carrier = CommandCarrier(
            parts.ledger, parts.orders, parts.checkpoints, parts.connectors.note_outcome
        )
        self._emergency = emergency
        self._now = parts.now
        self._lanes = parts.lanes
        self._blocks = parts.blocks
        self._marks = MarkPrices(parts.now)

    @activity.defn(name="place_order")
    async def place(self, task: PlaceTask) -> CommandResult:
        """Reserve one revision in the ledger, send it once if it was not there, commit the outcome.

        Whatever may not be sent is denied with our reason, and nothing of it is in the ledger. With
        the database away only what reduces a position is sent, journaled: see
        `activities.emergency_journal`.
        """
        order = task.order
        emergency = self._emergency if order.reduce_only else None
        if emergency is not None:
            journaled = await emergency.journaled(_key(task))
            if journaled is not None:
                return journaled
        try:
            access, is_away = await self._access_or_last(order.account_id, emergency)
            connector = await self._connectors.connector(order.venue, access.account.network)
            command = await placement(
                self._connectors,
                connector,
                access.account.network,
                order,
                quantity=task.quantity,
                price=task.price,
            )
            composer = await connector.compose(command)
        except (InvalidInput, NotFound, RiskRefused) as error:
            return await self._denied(task, error)
        draft = CommandDraft(
            key=_key(task),
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
            order=_as_asked(task, command),
            concern=Concern.NONE,
            not_after=task.not_after,
        )
        if is_away and emergency is not None:
            return await emergency.place(draft, _as_asked(task, command), connector, access)
        async with self._lanes.turn(connector, access, draft) as draft:
            return await self._place(task, draft, connector, access, composer, emergency)

    async def _place(
        self,
        task: PlaceTask,
        draft: CommandDraft,
        connector: Connector,
        access: TradingAccess,
        composer: MessageComposer,
        emergency: EmergencyCommands | None,
    ) -> CommandResult:
        """Reserve and send a placement, in its lane's turn."""
        try:
            reservation = await self._reserve(draft, connector, composer, waits=emergency is None)
        except RiskRefused as error:
            return await self._denied(task, error)
        except Conflict as error:
            stored = await self._orders.get(task.order.order_id)
            return CommandResult(order=stored or task.order, definite=True, answer=str(error))
        if reservation is None and emergency is not None:
            assert draft.order is not None  # noqa: S101 - a placement's
            return await emergency.place(draft, draft.order, connector, access)
        assert reservation is not None  # noqa: S101 - without it only an emergency goes on
        self._saw(reservation.row)
        return await self._carrier.carry_out(reservation, connector, access)

    async def _access_or_last(
        self, account_id: str, emergency: EmergencyCommands | None
    ) -> tuple[TradingAccess, bool]:
        """Return access to an account, and whether the database is away; then it is the last one.

        Only what may go out without the database gets that.
        """
        if emergency is None:
            return await self._access.open(account_id), False
        try:
            async with asyncio.timeout(LEDGER_WITHIN_S):
                return await self._access.open(account_id), False
        except (Unavailable, TimeoutError):
            return emergency.access.last(account_id), True

    async def _reserve(
        self,
        draft: CommandDraft,
        connector: Connector,
        composer: MessageComposer,
        *,
        waits: bool,
    ) -> Reservation | None:
        """Reserve a placement; None when it does not wait for the database, and that is away."""
        if not waits and draft.not_after is not None:
            # What is given up here must not come into the ledger behind our back.
            give_up_at = self._now() + timedelta(seconds=LEDGER_WITHIN_S)
            draft = replace(draft, not_after=min(draft.not_after, give_up_at))
        key = draft.key
        try:
            async with asyncio.timeout(None if waits else LEDGER_WITHIN_S):
                return await reserve_measured(
                    self._ledger,
                    self._marks,
                    connector,
                    draft,
                    spell_client_order_id=lambda collision: connector.client_order_id(
                        key.order_id, key.revision, collision
                    ),
                    compose=composer,
                )
        except (Unavailable, TimeoutError) as error:
            if waits or isinstance(error, VenueUnavailable):
                raise
            return None

    async def _denied(self, task: PlaceTask, error: Exception) -> CommandResult:
        """Keep a denied order, unless bytes of it may be out already."""
        order, reason = task.order, str(error)
        row = await self._ledger.read(_key(task))
        if row is not None:
            return await self._carrier.found(row)
        known = await self._orders.get(order.order_id)
        if known is not None and known.revisions:
            return CommandResult(order=known, definite=True, answer=reason, denied=reason)
        violations = error.violations if isinstance(error, RiskRefused) else ()
        denied = replace(order, denied=reason, violations=violations, updated_at=self._now())
        event = self._event(order.order_id, EventKind.CLOSED, f"denied: {reason}")
        kept = await self._orders.add(denied, event)
        return CommandResult(order=kept, definite=True, answer=reason, denied=reason)

    @activity.defn(name="cancel_order")
    async def cancel(self, task: CancelTask) -> CommandResult:
        """Cancel a resting venue order, then read its final quantities from the venue.

        With the database away, or too slow to leave time for the venue, the cancel goes out all
        the same, journaled: see `activities.emergency_journal`. A cancel that makes room for a
        modify waits: without the database, or at a venue where nothing new is risked now, the rest
        could not be placed.
        """
        emergency = self._emergency
        if task.order is None or task.concern is not Concern.PENDING_CANCEL:
            emergency = None
        try:
            async with asyncio.timeout(None if emergency is None else LEDGER_WITHIN_S):
                order = await self._stored(task)
                access = await self._access.open(order.account_id)
                connector = await self._connectors.connector(order.venue, access.account.network)
                draft = _cancel_draft(task, order, access, connector)
                if task.concern is Concern.PENDING_MODIFY and not order.reduce_only:
                    await self._check_room(draft)
        except (Unavailable, TimeoutError) as error:
            if emergency is None or task.order is None or isinstance(error, VenueUnavailable):
                raise
            return await self._cancel_unledgered(emergency, task, task.order)
        async with self._lanes.turn(connector, access, draft) as draft:
            return await self._cancel(task, order, draft, connector, access, emergency)

    async def _cancel(
        self,
        task: CancelTask,
        order: Order,
        draft: CommandDraft,
        connector: Connector,
        access: TradingAccess,
        emergency: EmergencyCommands | None,
    ) -> CommandResult:
        """Reserve and send a cancel, in its lane's turn."""
        if emergency is not None:
            # What is given up here must not come into the ledger behind our back.
            give_up_at = self._now() + timedelta(seconds=LEDGER_WITHIN_S)
            draft = replace(draft, not_after=give_up_at)
        try:
            async with asyncio.timeout(None if emergency is None else LEDGER_WITHIN_S):
                reservation = await self._ledger.reserve(
                    draft,
                    spell_client_order_id=lambda _: _revision(order, task).client_order_id,
                    compose=await connector.compose(draft.command),
                )
        except (Unavailable, TimeoutError) as error:
            if emergency is None or task.order is None or isinstance(error, VenueUnavailable):
                raise
            return await self._cancel_unledgered(emergency, task, task.order)
        self._saw(reservation.row)
        replacing = task.concern is Concern.PENDING_MODIFY
        return await self._carrier.carry_out(
            reservation,
            connector,
            access,
            settled_concern=Concern.PENDING_MODIFY if replacing else Concern.NONE,
            refine=lambda row, result: final_state(
                connector, access, order, row, result, replacing=replacing
            ),
        )

    async def _check_room(self, draft: CommandDraft) -> None:
        """Leave an order as it is whose replacement would be refused for the venue's silence.

        Raises:
            Unavailable: nothing new is risked at the venue now; ask again.
        """
        refusal = self._connectors.opening_refusal(draft.venue, draft.network)
        if refusal is not None and await self._ledger.read(draft.key) is None:
            raise Unavailable(refusal)

    async def _stored(self, task: CancelTask) -> Order:
        """Return the order of a cancel; one that somebody else placed may not be stored yet."""
        seen = task.order
        if seen is None or seen.origin.is_ours:
            return await self._carrier.stored(task.order_id)
        order = await self._orders.get(task.order_id)
        if order is None:
            raise Unavailable(f"order {task.order_id} could not be written down yet")
        return order

    async def _cancel_unledgered(
        self, emergency: EmergencyCommands, task: CancelTask, order: Order
    ) -> CommandResult:
        access = emergency.access.last(order.account_id)
        connector = await self._connectors.connector(order.venue, access.account.network)
        replacing = task.concern is Concern.PENDING_MODIFY
        return await emergency.carry_out(
            _cancel_draft(task, order, access, connector),
            order,
            connector,
            access,
            refine=lambda row, result: final_state(
                connector, access, order, row, result, replacing=replacing
            ),
        )

    def _saw(self, row: CommandRow) -> None:
        if self._emergency is not None:
            self._emergency.saw(row)

    @activity.defn(name="close_order")
    async def close(self, task: CloseTask) -> Adoption:
        """End an order on our account, unless the ledger shows that bytes of it may be out.

        The returned adoption carries the undecided commands if there are any; the order is closed
        only when there are none.
        """
        adoption = await self._adoption(task.order.order_id)
        if adoption is not None and (adoption.undecided or _lives(adoption.order)):
            return adoption
        closure = Closure(verdict=Verdict(task.verdict), reason=task.reason)
        event = self._event(task.order.order_id, EventKind.CLOSED, f"{task.verdict}: {task.reason}")
        closed = with_closure(replace(task.order, concern=Concern.NONE), closure)
        if adoption is None:
            kept = await self._orders.add(closed, event)
            # Meanwhile its bracket may have placed it: then it is not closed, and taken over.
            return Adoption(order=kept) if kept.is_terminal else await self.adopt(_task(kept))
        order = await self._orders.amend(
            task.order.order_id,
            lambda stored: with_closure(replace(stored, concern=Concern.NONE), closure),
            event,
        )
        return replace(adoption, order=order)

    @activity.defn(name="adopt_order")
    async def adopt(self, task: OrderTask) -> Adoption:
        """Return what the ledger and the store know of an order.

        Raises:
            CorruptState: they know nothing of it.
        """
        adoption = await self._adoption(task.order_id)
        if adoption is None:
            raise CorruptState(
                f"order {task.order_id} is to be adopted, and nothing is known of it"
            )
        return adoption

    async def _adoption(self, order_id: str) -> Adoption | None:
        order = await self._orders.get(order_id)
        if order is None:
            return None
        rows = await self._ledger.of_order(order_id)
        undecided = tuple(
            row.key
            for row in rows
            if not row.is_decided and row.key.command is not CommandKind.NOOP
        )
        cancels = [row.key.revision for row in rows if row.key.command is CommandKind.CANCEL]
        return Adoption(order=order, undecided=undecided, cancel_count=max(cancels, default=-1) + 1)

    @activity.defn(name="note_request")
    async def note_request(self, note: RequestNote) -> None:
        """Write a request into the order's timeline."""
        await self._orders.record(self._event(note.order_id, EventKind.REQUEST, note.text))

    @activity.defn(name="settle_order")
    async def settle(self, task: OrderTask) -> Settlement:
        """Check that an ended order's booked fills add up to the venue's cumulative quantity.

        Reads the venue's fills when they do not, or when the venue may not have told that quantity;
        `settled` only when they do.
        """
        stored = await self._carrier.stored(task.order_id)
        order, missing = await with_all_fills(self._parts, stored)
        if missing:
            return Settlement(order=order, settled=False, missing=missing)
        await self._orders.record(
            self._event(order.order_id, EventKind.CLOSED, f"workflow ends: {order.status.value}")
        )
        return Settlement(order=order, settled=True)

    @activity.defn(name="apply_operator_verdict")
    async def apply_operator_verdict(self, verdict: OperatorVerdict) -> Adoption:
        """Write an operator's word on an undecided order: `absent` closes it, `accepted` keeps it.

        Every venue report outranks it. Rows without outcome are decided by it.
        """
        adoption = await self.adopt(OrderTask(order_id=verdict.order_id))
        word = f"operator {verdict.by}: {verdict.reason}"
        for key in adoption.undecided:
            await self._carrier.decide(key, _operator_outcome(key, verdict.verdict, word))
        if self._blocks is not None:
            asked = adoption.order
            await self._blocks.unblock(asked.account_id, asked.symbol, order_id=asked.order_id)
        order = await self._orders.amend(
            verdict.order_id,
            lambda stored: _operator_closed(stored, verdict.verdict, word),
            self._event(
                verdict.order_id, EventKind.REQUEST, f"resolved as {verdict.verdict}: {word}"
            ),
        )
        return replace(adoption, order=order, undecided=())

    def _event(self, order_id: str, kind: EventKind, text: str) -> TimelineEvent:
        return TimelineEvent(order_id=order_id, kind=kind, text=text, at=self._now())


def _task(order: Order) -> OrderTask:
    return OrderTask(order_id=order.order_id)


def _key(task: PlaceTask) -> CommandKey:
    return CommandKey(
        order_id=task.order.order_id, command=CommandKind.PLACE, revision=task.revision
    )


def _cancel_draft(
    task: CancelTask, order: Order, access: TradingAccess, connector: Connector
) -> CommandDraft:
    revision = _revision(order, task)
    return CommandDraft(
        key=CommandKey(order_id=order.order_id, command=CommandKind.CANCEL, revision=task.number),
        account_id=order.account_id,
        venue=order.venue,
        network=access.account.network,
        symbol=order.symbol,
        signer=access.account.signer,
        command=CancelOrder(
            symbol=order.symbol,
            client_order_id=revision.client_order_id,
            venue_order_id=revision.venue_order_id,
            waits_for_trigger=order.order_type.is_trigger
            and revision.effective.rank < Verdict.TRIGGERED.rank,
        ),
        target_revision=task.revision,
        raises_exposure=False,
        nonce_rule=connector.capabilities.nonce_rule,
        send_within_s=SEND_WITHIN_S,
        admission_window_s=connector.proofs.admission_window_s,
        concern=task.concern,
    )


def _revision(order: Order, task: CancelTask) -> Revision:
    return next(r for r in order.revisions if r.number == task.revision)


def _as_asked(task: PlaceTask, command: PlaceOrder) -> Order:
    """Return the order with the quantity and price that this revision stands for."""
    filled = task.order.filled_quantity
    price = task.order.price if task.price is None else command.price
    return replace(task.order, quantity=filled + task.quantity, price=price)


def _lives(order: Order) -> bool:
    newest = order.current
    return newest is not None and not newest.is_settled


def _operator_outcome(key: CommandKey, verdict: str, word: str) -> SendResult:
    if key.command is CommandKind.PLACE and verdict == "accepted":
        return SendResult(outcome=Accepted())
    return SendResult(outcome=NotSent(reason="operator", proof=word, retryable=False))


def _operator_closed(order: Order, verdict: str, word: str) -> Order:
    order = replace(order, concern=Concern.NONE)
    if verdict == "accepted":
        return order
    closure = Closure(verdict=Verdict.EXPIRED, reason=word, by_operator=True)
    return with_closure(order, closure)
