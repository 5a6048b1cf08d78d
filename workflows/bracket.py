"""BracketWorkflow: an entry, and exits that protect what fills of it; one cancels the other.

`run` drives: it asks `domain.bracket_steps.next_step` and does that one step. Entry and exits are
OrderWorkflows of their own, which signal `moved` when there is news of them; a slow look now and
then covers a signal that was lost. A native bracket places entry and exits itself, in one request,
and their workflows take over what came of it. Knows no venue, no SQL and no clock but Temporal's.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import FailureError
from temporalio.workflow import ActivityCancellationType

from activities.bracket_contracts import BracketTask, JointResult, JointTask
from activities.brackets import BracketActivities
from activities.joint_placing import JointActivities
from domain import bracket_steps
from domain.bracket_orders import PlaceLeg, leg_order
from domain.bracket_steps import (
    AwaitNews,
    BracketStep,
    CancelOrders,
    EnterJointly,
    FinishBracket,
    LookAtBracket,
    next_step,
)
from domain.brackets import RULES, BracketSight, BracketState
from domain.orders import Order
from workflows import bracket_describing, policies
from workflows.bracket_contracts import BracketReply, BracketStart, EndRequest
from workflows.children import cancel_child, heard, start_child
from workflows.contracts import OrderStart, StartMode
from workflows.driving import driven
from workflows.ids import NEEDS_ATTENTION, order_workflow_id
from workflows.order import OrderWorkflow


@workflow.defn(name="BracketWorkflow")
class BracketWorkflow:
    """The durable life of a bracket."""

    @workflow.init
    def __init__(self, start: BracketStart) -> None:
        self._state = start.carried or BracketState(plan=start.plan)
        self._carried = start.carried is not None
        self._kept = self._carried and self._state.status.is_terminal
        self._news = False
        self._leaving = False
        self._looks_in_vain = 0
        self._entries_in_vain = 0
        self._attention = workflow.info().typed_search_attributes.get(NEEDS_ATTENTION, False)
        self._step: BracketStep = LookAtBracket()
        workflow.set_current_details(bracket_describing.details(self._state, self._step))

    @workflow.run
    async def run(self, start: BracketStart) -> str:
        """Drive the bracket to its end, and return that in words.

        A cancellation request means "end the bracket": its orders are canceled first.
        """
        return await driven(self._drive(), self._want_cancel)

    async def _drive(self) -> str:
        # A bracket that began under earlier decisions goes on by those.
        rules = RULES if workflow.patched("bracket-rules-2") else 1
        self._state = replace(self._state, rules=rules)
        if not self._carried:
            await self._take_up()
        while not self._state.status.is_terminal:
            if self._news:
                self._news = False
                self._state = bracket_steps.stale(self._state)
            self._step = next_step(self._state, workflow.now())
            self._show()
            await self._do(self._step)
        self._show()
        await self._keep()
        self._kept = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        return f"{self._state.status.value}: {self._state.reason}"

    async def _do(self, step: BracketStep) -> None:
        match step.kind:
            case "enter":
                await self._start(self._state.plan.entry)
                self._state = bracket_steps.entered(self._state, workflow.now())
            case "enter_jointly":
                await self._enter_jointly(step)
            case "look":
                await self._look()
            case "place":
                await self._place(step)
            case "cancel":
                await self._cancel(step)
            case "await":
                await self._await(step)
                await self._continue_if_suggested()
            case "finish":
                self._finish(step)

    # Steps

    async def _take_up(self) -> None:
        """Go on from what the store has, where an earlier run of this bracket died."""
        kept = await self._keep()
        self._state = bracket_steps.resumed(self._state, kept)

    async def _keep(self, within: timedelta | None = None) -> BracketState:
        kept: BracketState = await workflow.execute_local_activity_method(
            BracketActivities.keep,
            BracketTask(state=self._state),
            start_to_close_timeout=policies.COMMAND_TIMEOUT,
            schedule_to_close_timeout=within,
            retry_policy=policies.PATIENT,
            cancellation_type=ActivityCancellationType.ABANDON,
        )
        return kept

    async def _enter_jointly(self, step: EnterJointly) -> None:
        """Place entry and exits in one request, and have their workflows take over from there."""
        task = JointTask(
            plan=self._state.plan,
            revision=step.revision,
            created_at=workflow.now(),
            send=step.send,
        )
        try:
            result: JointResult = await workflow.execute_local_activity_method(
                JointActivities.place,
                task,
                start_to_close_timeout=policies.COMMAND_TIMEOUT,
                retry_policy=policies.ONCE,
                cancellation_type=ActivityCancellationType.ABANDON,
            )
        except FailureError as error:
            # A local activity's failure comes bare, without an ActivityError around it.
            self._entries_in_vain += 1
            answer = f"not placed: {error.cause or error}"
            self._state = bracket_steps.delayed(self._state, self._after_pause(), answer)
            return
        self._state = bracket_steps.entered_jointly(self._state, result.exits)
        mode = StartMode.ADOPT if result.known else StartMode.PLACE
        for order in (result.entry, *result.exits):
            await self._hand_over(order, mode)
        if bracket_steps.is_in_vain(result.entry):
            self._entries_in_vain += 1
            self._state = bracket_steps.delayed(self._state, self._after_pause(), result.answer)

    def _after_pause(self) -> datetime:
        pause = policies.pause(self._entries_in_vain, workflow.random().random())
        return workflow.now() + pause

    async def _hand_over(self, order: Order, mode: StartMode) -> None:
        """Have an order's workflow take over what the ledger has of it; one runs perhaps."""
        if await start_child(OrderStart(order=order, mode=mode)) is not None:
            return
        handle: workflow.ExternalWorkflowHandle[OrderWorkflow] = (
            workflow.get_external_workflow_handle_for(
                OrderWorkflow.run, order_workflow_id(order.order_id)
            )
        )
        # Whoever has ended meanwhile needs to hear nothing.
        with contextlib.suppress(FailureError):
            await handle.signal(OrderWorkflow.reconsider)

    async def _look(self) -> None:
        before = self._state
        try:
            sight: BracketSight = await workflow.execute_activity_method(
                BracketActivities.look,
                BracketTask(state=self._state),
                start_to_close_timeout=policies.LOOK_TIMEOUT,
                retry_policy=policies.ONCE,
                summary="how the orders stand",
                cancellation_type=ActivityCancellationType.ABANDON,
            )
        except FailureError as error:
            self._looks_in_vain += 1
            pause = policies.pause(self._looks_in_vain, workflow.random().random())
            answer = f"look failed: {error.cause or error}"
            self._state = bracket_steps.delayed(self._state, workflow.now() + pause, answer)
            return
        self._looks_in_vain = 0
        self._state = bracket_steps.after_look(self._state, sight)
        if self._state.failures > before.failures:
            # What the venue just refused it refuses again when asked at once.
            pause = policies.pause(self._state.failures, workflow.random().random())
            self._state = bracket_steps.delayed(
                self._state, workflow.now() + pause, self._state.last_answer
            )

    async def _place(self, step: PlaceLeg) -> None:
        instrument = self._state.instrument
        if instrument is None:
            return
        order = leg_order(
            self._state.plan,
            step,
            instrument,
            created_at=step.begun_at or workflow.now(),
            within=policies.CLOSING_ORDER_WITHIN,
        )
        self._state = bracket_steps.placing(self._state, step, workflow.now())
        if self._state.rules >= 2:
            # Whoever goes on from the store has to know of it before it is begun. Where the store
            # does not answer, protection comes first.
            with contextlib.suppress(FailureError):
                await self._keep(within=policies.COMMAND_TIMEOUT)
        await self._start(order)

    async def _start(self, order: Order) -> None:
        if await start_child(OrderStart(order=order)) is None:
            # By the API, for the entry, or by an earlier run of this bracket; what it told then
            # it does not tell again.
            self._news = True

    async def _cancel(self, step: CancelOrders) -> None:
        self._state = bracket_steps.canceling(self._state, step.order_ids, workflow.now())
        for order_id in step.order_ids:
            await cancel_child(order_id)

    async def _await(self, step: AwaitNews) -> None:
        pause = policies.BRACKET_LOOK_EVERY
        if step.until is not None:
            pause = min(pause, max(step.until - workflow.now(), policies.FIRST_PAUSE))
        if not await heard(lambda: self._news, pause):
            self._state = bracket_steps.unheard(self._state)

    def _finish(self, step: FinishBracket) -> None:
        self._state = bracket_steps.finished(self._state, step, workflow.now())

    # What comes in

    @workflow.signal(name="moved")
    def moved(self, order_id: str) -> None:
        """Hear that there is news of an order of this bracket."""
        self._news = True

    @workflow.update(name="end")
    async def end(self, request: EndRequest) -> BracketReply:
        """End the bracket: cancel entry and exits; return its state when nothing of it is live."""
        self._want_cancel()
        await workflow.wait_condition(lambda: self._leaving or self._kept)
        return BracketReply(state=self._state, decided=self._kept)

    @workflow.query(name="state")
    def state(self) -> BracketState:
        """Return the bracket as this workflow knows it."""
        return self._state

    def _want_cancel(self) -> None:
        self._state = bracket_steps.want_cancel(self._state)
        self._news = True

    # Bookkeeping

    def _show(self) -> None:
        """Keep the details and the call for attention true."""
        workflow.set_current_details(bracket_describing.details(self._state, self._step))
        attention = self._state.needs_attention
        if attention != self._attention:
            self._attention = attention
            workflow.upsert_search_attributes([NEEDS_ATTENTION.value_set(attention)])

    async def _continue_if_suggested(self) -> None:
        """Go on in a fresh history when this one is long, with no news left behind."""
        if not workflow.info().is_continue_as_new_suggested():
            return
        self._leaving = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        carried = bracket_steps.stale(self._state)
        workflow.continue_as_new(BracketStart(plan=self._state.plan, carried=carried))
