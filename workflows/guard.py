"""GuardWorkflow: closes a position when the *present* price meets a condition, whatever dies.

`run` drives: it asks `domain.guard_steps.next_step` and does that one step. The streaming process
evaluates the row that this writes and signals a crossing; this confirms it by the venue's word,
and looks by itself now and then, sooner where nobody watches. The close is a CloseWorkflow of its
own. Knows no venue, no SQL and no clock but Temporal's.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.workflow import ActivityCancellationType

from activities.guard_contracts import GuardKeepTask, GuardLookTask
from activities.guarding import GuardActivities
from domain import guard_steps
from domain.closing import CloseStatus
from domain.conditions import Crossing
from domain.errors import InvalidInput
from domain.guard_steps import (
    BeginClose,
    FinishGuard,
    GuardStep,
    LookAtGuard,
    WaitForCrossing,
    next_step,
)
from domain.guarding import GuardSight, GuardState, GuardStatus, close_plan
from workflows import guard_describing, policies
from workflows.close import start_close
from workflows.driving import driven
from workflows.guard_contracts import (
    CancelRequest,
    ChangeRequest,
    GuardReply,
    GuardRequest,
    GuardResult,
    GuardStart,
)
from workflows.ids import NEEDS_ATTENTION
from workflows.native_exits import end_exits, tend_exits

DOUBTS = "confirms-anew"
"""The patch since which what triggered before a long pause is confirmed anew, and a change of the
condition waits for a price to be judged by."""

ANSWERS_CARRIED = 50
"""So many changes are remembered in a fresh history."""


@workflow.defn(name="GuardWorkflow")
class GuardWorkflow:
    """The durable watch over a position."""

    @workflow.init
    def __init__(self, start: GuardStart) -> None:
        self._state = start.carried or GuardState(plan=start.plan)
        self._carried = start.carried is not None
        self._kept = start.carried
        self._crossing: Crossing | None = None
        self._nudged = False
        self._cancel = False
        self._changes: list[ChangeRequest] = []
        self._refusals: dict[str, str | None] = dict(start.answered)
        self._leaving = False
        self._doubts = False
        self._attention = workflow.info().typed_search_attributes.get(NEEDS_ATTENTION, False)
        self._step: GuardStep = LookAtGuard()
        self._show()

    @workflow.run
    async def run(self, start: GuardStart) -> GuardResult:
        """Watch until the end, and return it.

        A cancellation request means "watch no more"; a close that has begun goes on.
        """
        return await driven(self._drive(), self._want_cancel)

    async def _drive(self) -> GuardResult:
        # Before the first local activity, after which a marker may not be found in replay.
        self._doubts = workflow.patched(DOUBTS)
        if not self._carried:
            await self._take_up()
        while not self._state.status.is_terminal:
            self._take_in()
            self._confirm()
            self._step = next_step(self._state, workflow.now())
            self._show()
            await self._do(self._step)
        self._state = await end_exits(self._state)
        self._show()
        await self._keep()
        self._refuse_changes("the condition has ended")
        # The task that wrote never ends the workflow: a signal meanwhile would undo it.
        await workflow.sleep(policies.SETTLE_PAUSE)
        await workflow.wait_condition(workflow.all_handlers_finished)
        state = self._state
        return GuardResult(
            condition_id=state.plan.condition_id, status=state.status, reason=state.reason
        )

    async def _take_up(self) -> None:
        """Go on from what the store has, where an earlier run of this guard died."""
        kept = await self._keep()
        self._state = guard_steps.taken_up(self._state, kept)

    def _take_in(self) -> None:
        """Take over what came in since the last step."""
        if self._cancel:
            self._state = guard_steps.want_cancel(self._state)
        if self._nudged or self._changes:
            self._nudged = False
            self._state = guard_steps.nudged(self._state)
        crossing, self._crossing = self._crossing, None
        if crossing is not None:
            self._state = guard_steps.told_of(self._state, crossing)

    def _confirm(self) -> None:
        """Have what triggered before everything was down looked at anew."""
        if self._doubts and guard_steps.is_outdated(self._state, workflow.now()):
            self._state = guard_steps.unconfirmed(self._state)

    async def _do(self, step: GuardStep) -> None:
        match step.kind:
            case "look":
                await self._look(step)
            case "close":
                await self._close(step)
            case "wait":
                await self._wait(step)
                await self._continue_if_suggested()
            case "finish":
                self._finish(step)

    # Steps

    async def _look(self, step: LookAtGuard) -> None:
        changes, self._changes = self._changes, []
        try:
            sight: GuardSight = await workflow.execute_activity_method(
                GuardActivities.look,
                GuardLookTask(state=self._state, gap_since=step.gap_since, carefully=bool(changes)),
                start_to_close_timeout=policies.LOOK_TIMEOUT,
                retry_policy=policies.ONCE,
                summary="position and price",
                cancellation_type=ActivityCancellationType.ABANDON,
            )
        except FailureError as error:
            self._changes = changes + self._changes
            pause = policies.pause(self._state.attempts + 1, workflow.random().random())
            now = workflow.now()
            answer = f"look failed: {error.cause or error}"
            self._state = guard_steps.failed(self._state, answer, now + pause, now)
            return
        self._state = guard_steps.after_look(self._state, sight, workflow.now())
        if self._can_change(changes, sight):
            for request in changes:
                self._change(request)
        else:
            self._changes = changes + self._changes
        self._state = await tend_exits(self._state, sight)
        await self._keep()

    def _can_change(self, changes: list[ChangeRequest], sight: GuardSight) -> bool:
        return not (changes and self._doubts) or guard_steps.can_change(self._state, sight)

    def _change(self, request: ChangeRequest) -> None:
        refusal: str | None = None
        if self._state.status is not GuardStatus.WATCHING:
            refusal = f"it is {self._state.status} already: {self._state.reason}"
        else:
            try:
                self._state = guard_steps.changed(self._state, request.plan, workflow.now())
            except InvalidInput as error:
                refusal = str(error)
        if refusal is not None:
            # Whoever asked may have gone.
            self._state = replace(self._state, last_answer=f"change refused: {refusal}")
        self._refusals[request.request_id] = refusal

    def _refuse_changes(self, why: str) -> None:
        for request in self._changes:
            self._refusals[request.request_id] = why
        self._changes = []

    async def _close(self, step: BeginClose) -> None:
        self._refuse_changes("it has triggered and closes the position")
        handle = await start_close(close_plan(self._state, step.crossing, workflow.now()))
        if handle is None:
            self._hold("another close of this position runs; it is waited for")
            return
        try:
            result = await handle
        except (FailureError, asyncio.CancelledError):
            # Terminated by hand: how far it came has to be read before anything is done.
            self._hold("the close did not end by itself")
            return
        self._state = guard_steps.after_close(
            self._state,
            result.status,
            workflow.now(),
            is_flat=result.is_flat,
            why=result.reason if result.status is CloseStatus.REFUSED else "",
        )

    def _hold(self, why: str) -> None:
        now = workflow.now()
        self._state = guard_steps.held_up(self._state, now + policies.GUARD_HELD_UP, why, now)

    async def _wait(self, step: WaitForCrossing) -> None:
        timeout = step.until - workflow.now()
        if timeout.total_seconds() <= 0:
            return
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                self._has_news, timeout=timeout, timeout_summary="look anyway"
            )

    def _has_news(self) -> bool:
        state = self._state
        return (
            self._crossing is not None
            or (self._cancel and guard_steps.want_cancel(state) is not state)
            or ((self._nudged or bool(self._changes)) and state.retry_at is None)
        )

    def _finish(self, step: FinishGuard) -> None:
        now = workflow.now()
        self._state = guard_steps.finished(self._state, step.status, step.reason, now)

    async def _keep(self) -> GuardState:
        kept: GuardState = await workflow.execute_local_activity_method(
            GuardActivities.keep,
            GuardKeepTask(state=self._state),
            start_to_close_timeout=policies.COMMAND_TIMEOUT,
            retry_policy=policies.PATIENT,
            cancellation_type=ActivityCancellationType.ABANDON,
        )
        self._kept = kept
        return kept

    # What comes in

    @workflow.signal(name="crossed")
    def crossed(self, crossing: Crossing) -> None:
        """Hear that a fresh mark met a condition; it is confirmed before anything is done."""
        self._crossing = crossing

    @workflow.signal(name="moved")
    def moved(self) -> None:
        """Hear that the position changed."""
        self._nudged = True

    @workflow.signal(name="keep_change")
    def keep_change(self, request: ChangeRequest) -> None:
        """Take a change whose caller has been told that it is not known yet."""
        self._ask(request)

    def _ask(self, request: ChangeRequest) -> None:
        waiting = {each.request_id for each in self._changes}
        if request.request_id not in waiting | self._refusals.keys():
            self._changes.append(request)

    @workflow.update(name="begin")
    async def begin(self, request: GuardRequest) -> GuardReply:
        """Wait until the guard watches, or has ended."""
        await workflow.wait_condition(lambda: self._leaving or self._is_taken())
        return GuardReply(state=self._state, decided=self._is_taken())

    @begin.validator
    def _check_begin(self, request: GuardRequest) -> None:
        if request.plan.fingerprint != self._state.plan.fingerprint:
            raise ApplicationError(
                "another request has this key already", type="idempotency_mismatch"
            )

    def _is_taken(self) -> bool:
        return self._kept is not None and self._kept.status is not GuardStatus.REQUESTED

    @workflow.update(name="change")
    async def change(self, request: ChangeRequest) -> GuardReply:
        """Watch other conditions from now on; the old ones go on if those cannot be taken."""
        self._ask(request)
        await workflow.wait_condition(lambda: self._leaving or request.request_id in self._refusals)
        refusal = self._refusals.get(request.request_id)
        if refusal is not None:
            raise ApplicationError(refusal, type="change_refused")
        return GuardReply(state=self._state, decided=request.request_id in self._refusals)

    @change.validator
    def _check_change(self, request: ChangeRequest) -> None:
        self._check_is_open(request.plan.condition_id)

    def _want_cancel(self) -> None:
        self._cancel = True

    @workflow.update(name="cancel")
    async def cancel(self, request: CancelRequest) -> GuardReply:
        """Watch no more; return the state when that is kept."""
        self._want_cancel()
        await workflow.wait_condition(lambda: self._leaving or self._cannot_be_stopped())
        if self._state.status is GuardStatus.CLOSING:
            raise ApplicationError(self._triggered(), type="condition_triggered")
        return GuardReply(state=self._state, decided=self._has_ended())

    @cancel.validator
    def _check_cancel(self, request: CancelRequest) -> None:
        self._check_is_open(request.condition_id)

    def _check_is_open(self, condition_id: str) -> None:
        state = self._state
        if condition_id != state.plan.condition_id or state.status.is_terminal:
            raise ApplicationError(f"it has ended: {state.status}", type="condition_ended")
        if state.status is GuardStatus.CLOSING:
            raise ApplicationError(self._triggered(), type="condition_triggered")

    def _triggered(self) -> str:
        return f"it has triggered ({self._state.reason}); its close is {self._state.close_id}"

    def _has_ended(self) -> bool:
        return self._kept is not None and self._kept.status.is_terminal

    def _cannot_be_stopped(self) -> bool:
        return self._has_ended() or self._state.status is GuardStatus.CLOSING

    @workflow.query(name="state")
    def state(self) -> GuardState:
        """Return the guard as this workflow knows it."""
        return self._state

    # Bookkeeping

    def _show(self) -> None:
        """Keep the details and the call for attention true."""
        now = workflow.now()
        workflow.set_current_details(guard_describing.details(self._state, self._step, now))
        attention = guard_steps.needs_attention(self._state, now)
        if attention != self._attention:
            self._attention = attention
            workflow.upsert_search_attributes([NEEDS_ATTENTION.value_set(attention)])

    async def _continue_if_suggested(self) -> None:
        """Go on in a fresh history when this one is long, with nothing left behind."""
        if not workflow.info().is_continue_as_new_suggested() or self._changes:
            return
        self._leaving = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        self._leaving = False
        self._take_in()
        # A change asked for once more must not undo one that was made after it.
        answered = dict(list(self._refusals.items())[-ANSWERS_CARRIED:])
        workflow.continue_as_new(
            GuardStart(plan=self._state.plan, carried=self._state, answered=answered)
        )
