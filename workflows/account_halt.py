"""AccountHaltWorkflow: one account stopped: every order canceled, every position closed if asked.

It is done when the venue itself has shown nothing open twice, the visibility delay apart, and until
then it goes on, whatever fails. Orders are canceled by their own workflows (an order of somebody
else's gets one first), positions are closed by `CloseWorkflow`. Knows no venue, no SQL and no clock
but Temporal's.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.workflow import ActivityCancellationType, ChildWorkflowHandle

from activities.contracts import Adoption, OrderTask
from activities.halt_contracts import AccountLookTask, DirectCancelTask
from activities.halting import AccountHaltActivities
from activities.orders import OrderActivities
from domain.closing import ClosePlan
from domain.halts import AccountProgress, AccountSight, HaltStage, OpenOrder, OpenPosition
from domain.orders import Origin
from workflows import halt_describing, policies
from workflows.children import start_child
from workflows.close import CloseWorkflow, start_close
from workflows.close_contracts import CloseResult
from workflows.contracts import OrderStart, StartMode
from workflows.driving import driven
from workflows.halt_contracts import AccountHaltStart, JoinRequest
from workflows.ids import NEEDS_ATTENTION, close_workflow_id, order_workflow_id

AT_ONCE = 10
"""So many orders are asked to be canceled at a time."""


@dataclass(slots=True)
class _Asked:
    """How often, and when last, an order was asked to be canceled."""

    times: int
    at: datetime


@workflow.defn(name="AccountHaltWorkflow")
class AccountHaltWorkflow:
    """The durable stopping of one account."""

    @workflow.init
    def __init__(self, start: AccountHaltStart) -> None:
        self._start = start
        since = start.progress.since or workflow.now()
        self._progress = replace(start.progress, since=since)
        self._parents = list(start.parents)
        self._told: dict[str, AccountProgress] = {}
        self._asked: dict[str, _Asked] = {}
        self._closes_asked: set[str] = set()
        self._is_clean = False
        self._stopping = False
        self._touched = False
        self._next_look: datetime | None = None
        self._attention = workflow.info().typed_search_attributes.get(NEEDS_ATTENTION, False)
        self._show()

    @workflow.run
    async def run(self, start: AccountHaltStart) -> AccountProgress:
        """Stop the account, and return what was open at the end.

        A cancellation request ends this; what is open then stays open, and closes go on.
        """
        return await driven(self._drive(), self._stop)

    async def _drive(self) -> AccountProgress:
        while True:
            while not self._progress.stage.is_terminal:
                await self._continue_if_suggested()
                await self._round()
                await self._tell()
            await workflow.wait_condition(workflow.all_handlers_finished)
            if self._progress.stage.is_terminal:
                return self._progress

    async def _round(self) -> None:
        if self._stopping:
            self._enter(HaltStage.STOPPED)
            return
        sight = await self._look()
        if sight is None:
            await self._pause()
            return
        flatten = self._progress.flatten
        self._progress = self._progress.seen(sight)
        if sight.orders or await self._end_closes(sight.closes):
            self._is_clean = False
            self._enter(HaltStage.CANCELING)
            await self._tell()
            await self._cancel(sight.orders)
            await self._pause()
        elif flatten and sight.positions:
            self._is_clean = False
            self._enter(HaltStage.FLATTENING)
            await self._tell()
            await self._flatten(sight.positions)
        elif not self._is_clean:
            self._is_clean = True
            self._enter(HaltStage.VERIFYING)
            await self._tell()
            delay = timedelta(seconds=sight.visibility_delay_s)
            await self._wait(max(delay, policies.HALT_FIRST_PAUSE), cut_short=False)
        elif flatten == self._progress.flatten:
            self._enter(HaltStage.HALTED)

    def _enter(self, stage: HaltStage) -> None:
        ended_at = workflow.now() if stage.is_terminal else None
        self._progress = replace(self._progress, stage=stage, ended_at=ended_at)
        self._show()

    # Steps

    async def _look(self) -> AccountSight | None:
        task = AccountLookTask(
            account_id=self._progress.account_id,
            venue=self._progress.venue,
            flatten=self._progress.flatten,
        )
        try:
            sight: AccountSight = await workflow.execute_activity_method(
                AccountHaltActivities.look,
                task,
                start_to_close_timeout=policies.LOOK_TIMEOUT,
                heartbeat_timeout=policies.LOOK_HEARTBEAT,
                retry_policy=policies.ONCE,
                summary="what is open",
                cancellation_type=ActivityCancellationType.ABANDON,
            )
        except FailureError as error:
            self._failed(f"look failed: {error.cause or error}")
            return None
        return sight

    def _failed(self, answer: str) -> None:
        attempts = self._progress.attempts + 1
        self._progress = replace(self._progress, attempts=attempts, last_answer=answer)

    async def _end_closes(self, symbols: tuple[str, ...]) -> bool:
        """Ask the closes that run to end, since each would place another order.

        One that was asked places nothing more; True if one was not asked before.
        """
        fresh = [symbol for symbol in symbols if symbol not in self._closes_asked]
        for symbol in fresh:
            await self._ask_to_end(close_workflow_id(self._progress.account_id, symbol))
        self._closes_asked.update(fresh)
        return bool(fresh)

    async def _cancel(self, orders: tuple[OpenOrder, ...]) -> None:
        due = [order for order in orders if order.order_id and self._is_due(order)]
        for first in range(0, len(due), AT_ONCE):
            if self._stopping:
                return
            await asyncio.gather(*(self._cancel_one(each) for each in due[first : first + AT_ONCE]))

    def _is_due(self, order: OpenOrder) -> bool:
        asked = self._asked.get(order.order_id)
        return asked is None or workflow.now() - asked.at >= policies.HALT_ASK_AGAIN

    async def _cancel_one(self, order: OpenOrder) -> None:
        asked = self._asked.setdefault(order.order_id, _Asked(0, workflow.now()))
        asked.times, asked.at = asked.times + 1, workflow.now()
        if not order.direct:
            await self._have_it_canceled(order, again=asked.times > 1)
        if order.at_venue and (order.direct or asked.times > 1):
            await self._cancel_directly(order.order_id)

    async def _have_it_canceled(self, order: OpenOrder, *, again: bool) -> None:
        """Ask an order's workflow to cancel it; give it one where none runs.

        One that has ended takes the request and does nothing: asked again, the order gets another.
        """
        name = order_workflow_id(order.order_id)
        is_asked = await self._ask_to_end(name)
        if (again or not is_asked) and await self._adopt(order.order_id):
            await self._ask_to_end(name)

    async def _ask_to_end(self, workflow_id: str) -> bool:
        """Request a workflow's cancellation; False when there never was one of that id."""
        try:
            await workflow.get_external_workflow_handle(workflow_id).cancel()
        except (ApplicationError, FailureError):
            return False
        return True

    async def _adopt(self, order_id: str) -> bool:
        """Give an order that nobody manages a workflow; False when it has, or cannot have one."""
        try:
            adoption: Adoption = await workflow.execute_local_activity_method(
                OrderActivities.adopt,
                OrderTask(order_id=order_id),
                start_to_close_timeout=policies.COMMAND_TIMEOUT,
                retry_policy=policies.ONCE,
            )
            start = OrderStart(order=adoption.order, mode=StartMode.ADOPT)
            return await start_child(start) is not None
        except FailureError as error:
            self._progress = replace(
                self._progress, last_answer=f"order {order_id} not adopted: {error.cause or error}"
            )
            return False

    async def _cancel_directly(self, order_id: str) -> None:
        try:
            result = await workflow.execute_activity_method(
                AccountHaltActivities.cancel_directly,
                DirectCancelTask(order_id=order_id),
                start_to_close_timeout=policies.COMMAND_TIMEOUT,
                retry_policy=policies.ONCE,
                summary=f"cancel {order_id} at the venue",
                cancellation_type=ActivityCancellationType.ABANDON,
            )
        except FailureError as error:
            answer = f"order {order_id} not canceled: {error.cause or error}"
            self._progress = replace(self._progress, last_answer=answer)
            return
        self._progress = replace(self._progress, last_answer=f"order {order_id}: {result.answer}")
        handle = workflow.get_external_workflow_handle(order_workflow_id(order_id))
        # Its workflow, if it has one, did not see the command.
        with contextlib.suppress(ApplicationError, FailureError):
            await handle.signal("reconsider")

    async def _flatten(self, positions: tuple[OpenPosition, ...]) -> None:
        """Close every position at the market, within its bound, and wait for all."""
        closes: list[ChildWorkflowHandle[CloseWorkflow, CloseResult]] = []
        for position in positions:
            close = await start_close(self._plan(position))
            self._closes_asked.discard(position.symbol)
            if close is None:
                # Another close runs, which may want less, or take its time.
                account_id = self._progress.account_id
                await self._ask_to_end(close_workflow_id(account_id, position.symbol))
            else:
                closes.append(close)
        while not (self._stopping or all(close.done() for close in closes)):
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self._stopping or all(close.done() for close in closes),
                    timeout=policies.HALT_ATTENTION_AFTER,
                    timeout_summary="closes of all positions",
                )
            self._show()
            await self._tell()
        reached = [await self._end_of(close) for close in closes if close.done()]
        if not (closes and all(reached)):
            await self._pause()

    def _plan(self, position: OpenPosition) -> ClosePlan:
        progress = self._progress
        return ClosePlan(
            close_id=str(workflow.uuid4()),
            owner=progress.owner,
            account_id=progress.account_id,
            venue=progress.venue,
            symbol=position.symbol,
            created_at=workflow.now(),
            reason=f"kill switch: {self._start.reason}",
            origin=Origin.KILL_SWITCH,
            requested_by=self._start.requested_by,
        )

    async def _end_of(self, close: ChildWorkflowHandle[CloseWorkflow, CloseResult]) -> bool:
        """Take in how a close ended; tell whether it left nothing that could be closed."""
        try:
            result = await close
        except (FailureError, asyncio.CancelledError) as error:
            self._failed(f"a close failed: {error}")
            return False
        answer = f"close {result.status.value}: {result.reason}"
        self._progress = replace(self._progress, last_answer=answer)
        return result.status.reached_its_aim

    # What comes in

    def _stop(self) -> None:
        self._stopping = self._touched = True

    @workflow.signal(name="join")
    def join(self, request: JoinRequest) -> None:
        """Tell another kill switch too; close positions too if it wants that."""
        if request.parent_id not in self._parents:
            self._parents.append(request.parent_id)
        self._told.pop(request.parent_id, None)
        if request.flatten and not self._progress.flatten:
            done = self._progress.stage is HaltStage.HALTED
            stage = HaltStage.CANCELING if done else self._progress.stage
            self._progress = replace(self._progress, flatten=True, stage=stage, ended_at=None)
            self._is_clean = False
        self._touched = True

    @workflow.query(name="state")
    def state(self) -> AccountProgress:
        """Return how far it is."""
        return self._progress

    # Bookkeeping

    async def _pause(self) -> None:
        await self._wait(policies.halt_pause(self._progress.attempts, workflow.random().random()))

    async def _wait(self, length: timedelta, *, cut_short: bool = True) -> None:
        self._touched = False
        self._next_look = workflow.now() + length
        self._show()
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._stopping or (cut_short and self._touched),
                timeout=length,
                timeout_summary="next look",
            )
        self._next_look = None

    async def _tell(self) -> None:
        """Tell each kill switch that wants this what it does not know yet."""
        for parent_id in list(self._parents):
            progress = self._progress
            if self._told.get(parent_id) == progress:
                continue
            handle = workflow.get_external_workflow_handle(parent_id)
            # One that has ended, or was taken over by another run, asks again if it wants to know.
            with contextlib.suppress(ApplicationError, FailureError):
                await handle.signal("progress", progress)
            self._told[parent_id] = progress

    def _show(self) -> None:
        """Keep the details and the call for attention true."""
        since = self._progress.since or workflow.now()
        is_late = workflow.now() - since >= policies.HALT_ATTENTION_AFTER
        needs = is_late and not self._progress.stage.is_terminal
        self._progress = replace(self._progress, needs_attention=needs)
        workflow.set_current_details(
            halt_describing.account_details(self._progress, until=self._next_look)
        )
        if needs != self._attention:
            self._attention = needs
            workflow.upsert_search_attributes([NEEDS_ATTENTION.value_set(needs)])

    async def _continue_if_suggested(self) -> None:
        """Go on in a fresh history when this one is long; between two looks only."""
        if not workflow.info().is_continue_as_new_suggested():
            return
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(
            replace(self._start, progress=self._progress, parents=tuple(self._parents))
        )
