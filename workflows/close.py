"""CloseWorkflow: a position, or a part of it, closed by reduce-only orders, whatever dies.

One at a time for an account and instrument, by its workflow id. `run` drives: it asks
`domain.close_steps.next_step` and does that one step. Each closing order is an OrderWorkflow of its
own, which alone knows whether bytes are out; this one waits for its end before it places another.
Knows no venue, no SQL and no clock but Temporal's.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, WorkflowAlreadyStartedError
from temporalio.workflow import ActivityCancellationType, ChildWorkflowHandle, ParentClosePolicy

from activities.close_contracts import CloseKeepTask, CloseKept, CloseLookTask
from activities.closing import CloseActivities
from domain import close_steps
from domain.close_steps import (
    Await,
    CancelClosing,
    CloseStep,
    Finish,
    Look,
    PlaceClosing,
    next_step,
)
from domain.closing import ClosePlan, CloseState, Sight
from workflows import close_describing, policies
from workflows.children import cancel_child, start_child
from workflows.close_contracts import (
    CloseReply,
    CloseRequest,
    CloseResult,
    CloseStart,
    StopRequest,
    result_of,
)
from workflows.contracts import OrderStart
from workflows.driving import driven
from workflows.ids import NEEDS_ATTENTION, close_attributes, close_workflow_id, venue_queue
from workflows.order import OrderWorkflow

FOLLOWS = "follows-unheard-orders"
"""The patch since which neither an order of whose end a close does not hear is forgotten, nor that
its own end is wanted."""


@workflow.defn(name="CloseWorkflow")
class CloseWorkflow:
    """The durable close of a position."""

    @workflow.init
    def __init__(self, start: CloseStart) -> None:
        self._state = start.carried or CloseState(plan=start.plan)
        self._carried = start.carried is not None
        self._kept: CloseState | None = start.carried
        self._child: ChildWorkflowHandle[OrderWorkflow, str] | None = None
        self._touched = False
        self._leaving = False
        self._follows = False
        self._attention = workflow.info().typed_search_attributes.get(NEEDS_ATTENTION, False)
        self._trying_since: datetime | None = None
        self._step: CloseStep = Look()
        workflow.set_current_details(close_describing.details(self._state, self._step))

    @workflow.run
    async def run(self, start: CloseStart) -> CloseResult:
        """Drive the close to its end, and return how it ended.

        A cancellation request means "end the close": its live order is canceled first.
        """
        return await driven(self._drive(), self._want_cancel)

    async def _drive(self) -> CloseResult:
        # Before the first local activity: when one ends while its task is being prolonged, a marker
        # that comes after it is not found in replay.
        self._follows = workflow.patched(FOLLOWS)
        if not self._carried:
            # The store may know more: this close has ended before, or an earlier run of it died.
            await self._keep()
        while not self._state.status.is_terminal:
            self._step = next_step(self._state, workflow.now())
            self._show()
            await self._do(self._step)
        self._show()
        await self._keep()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return result_of(self._state)

    async def _do(self, step: CloseStep) -> None:
        match step.kind:
            case "look":
                await self._look()
            case "place":
                await self._place(step)
            case "cancel":
                await self._cancel(step)
            case "await":
                await self._await(step)
            case "escalate":
                self._state = close_steps.escalated(self._state, workflow.now())
            case "finish":
                await self._finish(step)

    # Steps

    async def _look(self) -> None:
        if self._follows:
            # A venue that is away, or an order that rests unheard, may make for many looks.
            await self._continue_if_suggested()
        state = self._state
        task = CloseLookTask(
            plan=state.plan,
            orders=state.orders,
            needs_book=state.current_rung.kind == "passive",
            follows=None if state.child is None else state.child.order_id,
        )
        try:
            sight: Sight = await workflow.execute_activity_method(
                CloseActivities.look,
                task,
                start_to_close_timeout=policies.LOOK_TIMEOUT,
                heartbeat_timeout=policies.LOOK_HEARTBEAT,
                retry_policy=policies.ONCE,
                summary="the position and our own fills",
                cancellation_type=ActivityCancellationType.ABANDON,
            )
        except FailureError as error:
            self._state = close_steps.failed(self._state, f"look failed: {error.cause or error}")
            self._delay()
            return
        before = self._state.attempts
        self._state = close_steps.after_look(self._state, sight)
        await self._keep()
        if self._state.attempts > before or self._state.child is not None:
            self._delay()

    async def _place(self, step: PlaceClosing) -> None:
        await self._continue_if_suggested()
        plan = self._state.plan
        order = close_steps.closing_order(
            plan, step, created_at=workflow.now(), within=policies.CLOSING_ORDER_WITHIN
        )
        self._state = close_steps.placing(self._state, step)
        self._child = await start_child(OrderStart(order=order))
        if self._child is None:
            # An earlier run of this close placed it: its end has to be looked for.
            self._detach()
            return
        self._show()

    async def _cancel(self, step: CancelClosing) -> None:
        child = self._state.child
        own = self._child if child is not None and child.order_id in step.order_ids else None
        self._state = close_steps.canceling(self._state, step.order_ids)
        if own is not None and not self._follows:
            own.cancel()
            return
        # Not by the child's handle: where its termination comes in the same task, after the wish,
        # that would be a command which the SDK refuses, for ever.
        for order_id in step.order_ids:
            await cancel_child(order_id)
        if own is None:
            self._delay()
        await self._keep_wish()

    async def _keep_wish(self) -> None:
        """Keep that the end is wanted: a run that goes on after this one places nothing more.

        Only now, as the store may be away, and the order's end does not wait for it.
        """
        is_kept = self._kept is not None and self._kept.cancel_wanted
        if self._state.cancel_wanted and not is_kept and self._follows:
            await self._keep()

    async def _await(self, step: Await) -> None:
        timeout = None if step.until is None else step.until - workflow.now()
        self._touched = False
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._touched or self._has_child_ended(),
                timeout=timeout,
                timeout_summary="next step of the timetable",
            )
        if self._has_child_ended():
            await self._take_end()

    def _has_child_ended(self) -> bool:
        return self._child is not None and self._child.done()

    async def _take_end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        try:
            await child
        except (FailureError, asyncio.CancelledError):
            # Terminated by hand: the order may live on. Its end has to be looked for.
            self._detach()
            return
        self._state = close_steps.after_child(self._state)

    def _detach(self) -> None:
        self._state = close_steps.detached(self._state, may_come_until=self._may_come_until())

    def _may_come_until(self) -> datetime | None:
        """Return until when an order of ours may be placed that was asked for before now."""
        if not self._follows:
            return None
        return workflow.now() + policies.CLOSING_ORDER_WITHIN

    async def _finish(self, step: Finish) -> None:
        kept = await self._keep()
        self._state = close_steps.finished(self._state, step, kept.filled, workflow.now())

    async def _keep(self) -> CloseKept:
        """Write how far we are; take over what the store knows better."""
        kept: CloseKept = await workflow.execute_local_activity_method(
            CloseActivities.keep,
            CloseKeepTask(state=self._state),
            start_to_close_timeout=policies.COMMAND_TIMEOUT,
            retry_policy=policies.PATIENT,
            cancellation_type=ActivityCancellationType.ABANDON,
        )
        if self._kept is None or kept.state.status.is_terminal:
            self._state = close_steps.resumed(
                self._state, kept.state, may_come_until=self._may_come_until()
            )
        self._kept = kept.state
        return kept

    # What comes in

    @workflow.update(name="close")
    async def close(self, request: CloseRequest) -> CloseReply:
        """Wait for the close's end, and return its state."""
        return await self._reply()

    @close.validator
    def _check_close(self, request: CloseRequest) -> None:
        plan = self._state.plan
        is_same = request.plan.close_id == plan.close_id
        if is_same and request.plan.fingerprint != plan.fingerprint:
            raise ApplicationError(
                "another request has this key already", type="idempotency_mismatch"
            )
        if not is_same and not plan.asks_the_same(request.plan):
            raise ApplicationError(plan.close_id, type="close_running")

    @workflow.update(name="stop")
    async def stop(self, request: StopRequest) -> CloseReply:
        """End the close; return its state when it has ended."""
        self._want_cancel()
        return await self._reply()

    @stop.validator
    def _check_stop(self, request: StopRequest) -> None:
        if request.close_id != self._state.plan.close_id:
            raise ApplicationError("another close runs now", type="close_ended")

    @workflow.query(name="state")
    def state(self) -> CloseState:
        """Return the close as this workflow knows it."""
        return self._state

    async def _reply(self) -> CloseReply:
        await workflow.wait_condition(lambda: self._leaving or self._has_ended())
        return CloseReply(state=self._state, decided=self._has_ended())

    def _has_ended(self) -> bool:
        """Tell whether the end is known, and kept."""
        return self._kept is not None and self._kept.status.is_terminal

    def _want_cancel(self) -> None:
        self._state = close_steps.want_cancel(self._state)
        self._touched = True

    # Bookkeeping

    def _delay(self) -> None:
        state = self._state
        in_vain = close_steps.looks_in_vain(state) if self._follows else state.attempts
        pause = policies.pause(in_vain, workflow.random().random())
        self._state = close_steps.delayed(self._state, workflow.now() + pause)

    def _show(self) -> None:
        """Keep the details and the call for attention true."""
        workflow.set_current_details(close_describing.details(self._state, self._step))
        overdue = self._is_overdue()
        if overdue != self._attention:
            self._attention = overdue
            workflow.upsert_search_attributes([NEEDS_ATTENTION.value_set(overdue)])

    def _is_overdue(self) -> bool:
        """Tell whether nothing has been achieved for long, though it was tried."""
        held_up = self._state.held_up if self._follows else 0
        if not (self._state.attempts or held_up) or self._state.status.is_terminal:
            self._trying_since = None
            return False
        if self._trying_since is None:
            self._trying_since = workflow.now()
        return workflow.now() - self._trying_since > policies.ATTENTION_AFTER

    async def _continue_if_suggested(self) -> None:
        """Go on in a fresh history when this one is long; never while an order is listened to."""
        if not workflow.info().is_continue_as_new_suggested():
            return
        self._leaving = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(CloseStart(plan=self._state.plan, carried=self._state))


async def start_close(plan: ClosePlan) -> ChildWorkflowHandle[CloseWorkflow, CloseResult] | None:
    """Start a close from another workflow, on the queue of the venue; None: one runs already.

    Whoever starts it may end: the close goes on alone.
    """
    try:
        return await workflow.start_child_workflow(
            CloseWorkflow.run,
            CloseStart(plan=plan),
            id=close_workflow_id(plan.account_id, plan.symbol),
            task_queue=venue_queue(plan.venue),
            parent_close_policy=ParentClosePolicy.ABANDON,
            task_timeout=policies.TASK_TIMEOUT,
            search_attributes=close_attributes(plan),
            static_summary=close_describing.summary(plan),
        )
    except WorkflowAlreadyStartedError:
        return None
