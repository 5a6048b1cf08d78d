"""SplitWorkflow: one order as child orders at several accounts; it ends when all of them have.

`run` drives: it asks `domain.split_steps.next_step` and does that one step. The children are
OrderWorkflows on their venues' queues, which signal `moved` when there is news of them; a slow look
now and then covers a signal that was lost. Knows no venue, no SQL and no clock but Temporal's.
"""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.workflow import ActivityCancellationType

from activities.split_contracts import SplitTask
from activities.splitting import SplitActivities
from domain import split_steps
from domain.split_steps import BeginLegs, CancelLegs, LookAtLegs, SplitStep, next_step
from domain.splits import SplitSight, SplitState, SplitStatus, leg_order, requested
from workflows import policies, split_describing
from workflows.children import cancel_child, heard, start_child
from workflows.contracts import OrderStart
from workflows.driving import driven
from workflows.ids import venue_queue
from workflows.split_contracts import CancelSplit, SplitReply, SplitStart


@workflow.defn(name="SplitWorkflow")
class SplitWorkflow:
    """The durable life of a split order."""

    @workflow.init
    def __init__(self, start: SplitStart) -> None:
        self._state = start.carried or requested(start.plan)
        self._carried = start.carried is not None
        self._kept = False
        self._news = False
        self._leaving = False
        self._step: SplitStep = LookAtLegs()
        self._show()

    @workflow.run
    async def run(self, start: SplitStart) -> str:
        """Drive the split order to its end, and return that in words.

        A cancellation request means "cancel every child": none is left behind.
        """
        return await driven(self._drive(), self._want_cancel)

    async def _drive(self) -> str:
        if not self._carried:
            await self._take_up()
        while not self._state.status.is_terminal:
            if self._news:
                self._news = False
                self._state = split_steps.stale(self._state)
            self._step = next_step(self._state)
            self._show()
            await self._do(self._step)
        self._show()
        await self._keep()
        self._kept = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        return f"{self._state.status.value}: {self._state.reason}"

    async def _do(self, step: SplitStep) -> None:
        match step.kind:
            case "look":
                await self._look()
            case "begin":
                await self._begin(step)
            case "cancel":
                await self._cancel(step)
            case "await":
                await self._await()
                await self._continue_if_suggested()
            case "finish":
                self._state = split_steps.finished(self._state, step, workflow.now())

    # Steps

    async def _take_up(self) -> None:
        """Go on from what the store has, where an earlier run of this split order died."""
        kept = await self._keep()
        if kept.status is SplitStatus.REQUESTED:
            return
        wanted = self._state.cancel_wanted
        self._state = kept if kept.status.is_terminal else split_steps.resumed(kept)
        if wanted:
            self._want_cancel()

    async def _keep(self) -> SplitState:
        kept: SplitState = await workflow.execute_local_activity_method(
            SplitActivities.keep,
            SplitTask(state=self._state),
            start_to_close_timeout=policies.COMMAND_TIMEOUT,
            retry_policy=policies.PATIENT,
            cancellation_type=ActivityCancellationType.ABANDON,
        )
        return kept

    async def _look(self) -> None:
        sight: SplitSight = await workflow.execute_local_activity_method(
            SplitActivities.look,
            SplitTask(state=self._state),
            start_to_close_timeout=policies.COMMAND_TIMEOUT,
            retry_policy=policies.PATIENT,
            cancellation_type=ActivityCancellationType.ABANDON,
        )
        self._state = split_steps.after_look(self._state, sight)

    async def _begin(self, step: BeginLegs) -> None:
        """Begin children, all together; that they are being begun is kept before."""
        before = self._state
        self._state = split_steps.beginning(before, step.numbers)
        await self._keep()
        if self._state.cancel_wanted:
            # Asked for while it was written: what was not begun never is.
            self._state = split_steps.want_cancel(before)
            return
        await asyncio.gather(*(self._begin_one(number) for number in step.numbers))
        self._state = split_steps.begun(self._state, step.numbers)

    async def _begin_one(self, number: int) -> None:
        order = leg_order(self._state.plan, number, workflow.now())
        if await start_child(OrderStart(order=order), queue=venue_queue(order.venue)) is None:
            # By an earlier run; what it told then it does not tell again.
            self._news = True

    async def _cancel(self, step: CancelLegs) -> None:
        unreachable = []
        for number in step.numbers:
            if not await cancel_child(self._state.legs[number].order_id):
                unreachable.append(number)
        self._state = split_steps.canceling(self._state, step.numbers, unreachable)

    async def _await(self) -> None:
        ends = self._state.cancel_wanted
        pause = policies.SPLIT_LOOK_FOR_END if ends else policies.SPLIT_LOOK_EVERY
        if not await heard(lambda: self._news, pause):
            self._state = split_steps.overdue(self._state)

    # What comes in

    @workflow.signal(name="moved")
    def moved(self, order_id: str) -> None:
        """Hear that there is news of a child."""
        self._news = True

    @workflow.update(name="cancel")
    async def cancel(self, request: CancelSplit) -> SplitReply:
        """Cancel every child; return the state when nothing of any can trade any more."""
        self._want_cancel()
        await workflow.wait_condition(lambda: self._leaving or self._kept)
        return SplitReply(state=self._state, decided=self._kept)

    @workflow.query(name="state")
    def state(self) -> SplitState:
        """Return the split order as this workflow knows it."""
        return self._state

    def _want_cancel(self) -> None:
        self._state = split_steps.want_cancel(self._state)
        self._news = True

    # Bookkeeping

    def _show(self) -> None:
        workflow.set_current_details(split_describing.details(self._state, self._step))

    async def _continue_if_suggested(self) -> None:
        """Go on in a fresh history when this one is long, with no news left behind."""
        if not workflow.info().is_continue_as_new_suggested():
            return
        self._leaving = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        carried = split_steps.stale(self._state)
        workflow.continue_as_new(SplitStart(plan=self._state.plan, carried=carried))
