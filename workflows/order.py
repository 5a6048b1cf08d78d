"""OrderWorkflow: one order from its intent to its end, whatever dies on the way.

`run` drives: it asks `domain.lifecycle.next_step` and does that one step. Updates and signals only
note what is wanted or reported and wait. Knows no venue, no SQL and no clock but Temporal's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.workflow import ActivityCancellationType

from activities.contracts import (
    Adoption,
    CancelTask,
    CloseTask,
    CommandResult,
    OperatorVerdict,
    OrderTask,
    PlaceTask,
    RequestNote,
    ResolveTask,
    Settlement,
    cancel_task,
)
from activities.orders import OrderActivities
from activities.resolution import ResolutionActivities
from domain import keeping, lifecycle
from domain.commands import CommandKind
from domain.ledger import CommandKey
from domain.lifecycle import Cancel, Close, Lifecycle, Place, Resolve, Step, Wait, next_step
from domain.orders import Order, OrderReport
from workflows import describing, policies
from workflows.contracts import (
    CancelRequest,
    ModifyRequest,
    OrderStart,
    PlaceRequest,
    RequestReply,
    ResolveRequest,
    StartMode,
)
from workflows.driving import driven
from workflows.kept_modifies import kept_modify, tell_kept
from workflows.order_shown import OrderShown
from workflows.parents import Told, tell_parent


@workflow.defn(name="OrderWorkflow")
class OrderWorkflow:
    """The durable life of one order."""

    @workflow.init
    def __init__(self, start: OrderStart) -> None:
        self._life = start.carried or Lifecycle(order=start.order)
        self._adopting = start.carried is None and start.mode is StartMode.ADOPT
        self._reports: list[OrderReport] = []
        self._touched = False
        self._reconsider = False
        self._shown = OrderShown(status_at_close=start.status_at_close)
        self._placed = start.carried is not None
        self._leaving = False
        self._step: Step = Wait()
        self._told: Told | None = None
        workflow.set_current_details(describing.details(self._life, self._step))

    @workflow.run
    async def run(self, start: OrderStart) -> str:
        """Drive the order to its end, and return that in words.

        A request to cancel means "cancel the order": what is being sent is not interrupted."""
        return await driven(self._drive(), self._want_cancel)

    async def _drive(self) -> str:
        if self._adopting:
            await self._adopt()
        while True:
            self._take_reports()
            self._told = await tell_parent(self._life.order, self._told)
            self._life = keeping.begin_kept(self._life, workflow.now(), placed=self._placed)
            if keeping.to_tell(self._life):
                done = await tell_kept(self._life)
                self._life = keeping.told(self._life, done)
            if self._reconsider:
                await self._look_again()
            settling = self._step.kind == "settle"
            self._step = next_step(self._life, workflow.now())
            if self._step.kind == "settle" and not settling:
                self._life = lifecycle.undelayed(self._life)
            self._show()
            if self._step.kind != "settle":
                await self._do(self._step)
            elif await self._settle():
                self._shown.close(self._life, self._step)
                return describing.end(self._life.order)

    async def _do(self, step: Step) -> None:
        match step.kind:
            case "place":
                await self._place(step)
            case "cancel":
                await self._cancel(step)
            case "resolve":
                await self._resolve(step)
            case "announce":
                await self._announce()
            case "close":
                await self._close(step)
            case "give_up":
                self._life = lifecycle.given_up(self._life)
                self._reconsider = True
            case "wait":
                await self._wait(step)
                await self._continue_if_suggested()

    async def _place(self, step: Place) -> None:
        order = self._life.order
        wanted = self._life.replacement
        task = PlaceTask(
            order=order,
            revision=step.revision,
            quantity=step.quantity,
            price=step.price,
            not_after=wanted.place_by if wanted else order.place_by,
        )
        result = await self._command(OrderActivities.place, task)
        self._placed = True
        if result is None:
            return
        key = CommandKey(order_id=order.order_id, command=CommandKind.PLACE, revision=step.revision)
        if result.denied is not None and step.revision > 0 and not result.order.is_terminal:
            await self._close(lifecycle.denial(self._life, result.denied))
            return
        self._after(key, result)

    async def _cancel(self, step: Cancel) -> None:
        order = self._life.order
        result = await self._command(OrderActivities.cancel, cancel_task(order, step))
        if result is None:
            return
        key = CommandKey(order_id=order.order_id, command=CommandKind.CANCEL, revision=step.number)
        self._after(key, result)

    async def _command(
        self, method: Callable[[OrderActivities, Any], Any], task: PlaceTask | CancelTask
    ) -> CommandResult | None:
        """Run a command's local activity; None, and a pause, when it failed."""
        try:
            result: CommandResult = await workflow.execute_local_activity_method(
                method,
                task,
                start_to_close_timeout=policies.COMMAND_TIMEOUT,
                retry_policy=policies.ONCE,
                cancellation_type=ActivityCancellationType.ABANDON,
            )
        except FailureError as error:
            # A local activity's failure comes bare, without an ActivityError around it.
            self._delay(f"not done: {error.cause or error}")
            return None
        return result

    def _after(self, key: CommandKey, result: CommandResult) -> None:
        """Take in what a command brought; reports that came meanwhile are folded in again."""
        self._life = lifecycle.after_command(
            self._life, key, result.order, definite=result.definite, answer=result.answer
        )
        if result.definite and lifecycle.is_in_vain(self._life, key):
            self._delay()
        elif result.definite:
            self._life = lifecycle.undelayed(self._life)

    async def _resolve(self, step: Resolve) -> None:
        search = workflow.start_activity_method(
            ResolutionActivities.resolve,
            ResolveTask(key=step.key),
            start_to_close_timeout=policies.LOOK_TIMEOUT,
            heartbeat_timeout=policies.LOOK_HEARTBEAT,
            retry_policy=policies.ONCE,
            summary=f"what became of {step.key.command} {step.key.revision}",
            cancellation_type=ActivityCancellationType.ABANDON,
        )
        await self._hear_until(search)
        try:
            result = await search
        except FailureError as error:
            self._delay(f"look-up failed: {error.cause or error}")
            return
        self._after(step.key, result)
        if not result.definite:
            self._delay()

    async def _hear_until(self, search: workflow.ActivityHandle[CommandResult]) -> None:
        """Take in what is reported while something is searched for: the search may take long.

        What it brings may be older, so that the reports are folded in once more afterwards.
        """
        heard: list[OrderReport] = []
        while not search.done():
            await workflow.wait_condition(lambda: search.done() or bool(self._reports))
            if self._reports:
                heard += self._reports
                self._take_reports()
                self._show()
        self._reports = heard

    async def _announce(self) -> None:
        """Write the modify request down by a regular activity, whose schedule makes it durable."""
        wanted = self._life.replacement
        if wanted is None:
            return
        note = RequestNote(
            order_id=self._life.order.order_id,
            text=describing.replacement(self._life.order, wanted),
        )
        await workflow.execute_activity_method(
            OrderActivities.note_request,
            note,
            start_to_close_timeout=policies.COMMAND_TIMEOUT,
            retry_policy=policies.PATIENT,
            summary="keep the modify request",
            cancellation_type=ActivityCancellationType.ABANDON,
        )
        self._life = lifecycle.announced(self._life)

    async def _close(self, step: Close) -> None:
        closure = step.closure
        try:
            adoption: Adoption = await workflow.execute_local_activity_method(
                OrderActivities.close,
                CloseTask(
                    order=self._life.order, reason=closure.reason, verdict=closure.verdict.value
                ),
                start_to_close_timeout=policies.COMMAND_TIMEOUT,
                retry_policy=policies.ONCE,
            )
        except FailureError as error:
            self._delay(f"not closed: {error.cause or error}")
            return
        if adoption.undecided or not adoption.order.is_terminal:
            self._take_over(adoption)
            return
        self._life = lifecycle.after_report(self._life, adoption.order)

    async def _wait(self, step: Wait) -> None:
        timeout = None if step.until is None else step.until - workflow.now()
        if timeout is None and keeping.to_tell(self._life):
            timeout = policies.TELL_AGAIN
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: bool(self._reports) or self._touched or self._reconsider,
                timeout=timeout,
                timeout_summary="next attempt",
            )
        self._touched = False

    async def _settle(self) -> bool:
        """Collect late reports, check that every fill is booked, and say whether all is done."""
        pause = policies.SETTLE_PAUSE
        if self._life.retry_at is not None:
            pause = max(pause, self._life.retry_at - workflow.now())
        await workflow.sleep(pause, summary="late reports")
        await self._continue_if_suggested()
        self._take_reports()
        try:
            settlement: Settlement = await workflow.execute_local_activity_method(
                OrderActivities.settle,
                OrderTask(order_id=self._life.order.order_id),
                start_to_close_timeout=policies.COMMAND_TIMEOUT,
                retry_policy=policies.ONCE,
            )
        except FailureError as error:
            self._delay(f"not settled: {error.cause or error}")
            return False
        self._life = lifecycle.after_report(self._life, settlement.order)
        if not settlement.settled:
            self._delay(f"not settled: {settlement.missing}")
            return False
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self._life.kept or keeping.to_tell(self._life):
            return False
        return self._life.order.is_terminal and not self._reports

    async def _look_again(self) -> None:
        self._reconsider = False
        try:
            await self._adopt()
            status = self._life.order.status.value
            self._life = replace(self._life, last_answer=f"looked into the ledger: {status}")
        except FailureError as error:
            # Whoever asked was wrong: the ledger has nothing of this order yet.
            self._life = replace(self._life, last_answer=f"nothing known: {error.cause or error}")

    async def _adopt(self) -> None:
        adoption: Adoption = await workflow.execute_local_activity_method(
            OrderActivities.adopt,
            OrderTask(order_id=self._life.order.order_id),
            start_to_close_timeout=policies.COMMAND_TIMEOUT,
            retry_policy=policies.ADOPTING,
        )
        self._take_over(adoption)

    def _take_over(self, adoption: Adoption) -> None:
        self._placed = True
        self._life = lifecycle.taken_over(
            self._life, adoption.order, adoption.undecided, adoption.cancel_count
        )

    # What comes in

    @workflow.signal(name="report")
    def report(self, report: OrderReport) -> None:
        """Take a venue report; folded in by the driver."""
        self._reports.append(report)

    @workflow.signal(name="reconsider")
    def reconsider(self) -> None:
        """Look into the ledger again: it has commands this workflow may not know of."""
        self._reconsider = True

    @workflow.signal(name="keep_modify")
    def keep_modify(self, request: ModifyRequest) -> None:
        """Take a modify whose caller has been told that it is not known yet."""
        wanted = kept_modify(self._life.order, request, workflow.now())
        self._life = keeping.keep(self._life, wanted)
        self._touched = True

    @workflow.update(name="place")
    async def place(self, request: PlaceRequest) -> Order:
        """Wait until the order's outcome is known, and return the order."""
        await workflow.wait_condition(
            lambda: self._leaving or self._life.order.outcome not in ("pending", "unknown")
        )
        return self._life.order

    @place.validator
    def _check_place(self, request: PlaceRequest) -> None:
        if request.fingerprint != self._life.order.fingerprint:
            raise ApplicationError(
                "another request has this key already", type="idempotency_mismatch"
            )

    @workflow.update(name="cancel")
    async def cancel(self, request: CancelRequest) -> RequestReply:
        """Cancel the order and wait until its end is known."""
        if lifecycle.find_request(self._life, request.request_id) is None:
            self._life = lifecycle.request(self._life, request.request_id, "cancel")
            self._want_cancel()
        return await self._reply(request.request_id)

    @cancel.validator
    def _check_cancel(self, request: CancelRequest) -> None:
        self._refuse_if_ended(request.request_id)

    def _want_cancel(self) -> None:
        self._life = lifecycle.want_cancel(self._life)
        self._touched = True

    @workflow.update(name="modify")
    async def modify(self, request: ModifyRequest) -> RequestReply:
        """Replace the order's quantity or price and wait until the replacement is decided."""
        if lifecycle.find_request(self._life, request.request_id) is None:
            wanted = lifecycle.replacement_of(
                self._life.order,
                request.request_id,
                quantity=request.quantity,
                price=request.price,
                now=workflow.now(),
            )
            self._life = lifecycle.request(self._life, request.request_id, "modify")
            self._life = lifecycle.want_replacement(self._life, wanted)
            self._touched = True
        return await self._reply(request.request_id)

    @modify.validator
    def _check_modify(self, request: ModifyRequest) -> None:
        if lifecycle.find_request(self._life, request.request_id) is not None:
            return
        if keeping.is_too_late(self._life.order, request.asked_at, workflow.now()):
            raise ApplicationError(keeping.TOO_LATE, type="modify_refused")
        order = self._life.order
        if not self._placed or lifecycle.is_in_doubt(self._life):
            raise ApplicationError("the order is not placed yet", type="not_placed")
        quantity = order.quantity if request.quantity is None else request.quantity
        refusal = lifecycle.refuse_modify(self._life, quantity)
        if refusal is not None:
            raise ApplicationError(refusal, type="modify_refused")

    @workflow.update(name="resolve")
    async def resolve(self, request: ResolveRequest) -> RequestReply:
        """Take an operator's word on an order that no proof can decide."""
        if lifecycle.find_request(self._life, request.request_id) is not None:
            return await self._reply(request.request_id)
        adoption: Adoption = await workflow.execute_local_activity_method(
            OrderActivities.apply_operator_verdict,
            OperatorVerdict(
                order_id=self._life.order.order_id,
                verdict=request.verdict,
                reason=request.reason,
                by=request.by,
            ),
            start_to_close_timeout=policies.COMMAND_TIMEOUT,
            retry_policy=policies.PATIENT,
        )
        word = f"operator {request.by}: {request.verdict}, {request.reason}"
        self._life = lifecycle.after_word(self._life, request.request_id, adoption.order, word)
        self._touched = True
        return await self._reply(request.request_id)

    @resolve.validator
    def _check_resolve(self, request: ResolveRequest) -> None:
        self._refuse_if_ended(request.request_id)
        known = lifecycle.find_request(self._life, request.request_id) is not None
        if not known and not self._life.unresolved:
            raise ApplicationError("nothing of this order is unknown", type="not_unknown")

    @workflow.query(name="state")
    def state(self) -> Order:
        """Return the order as this workflow knows it."""
        return self._life.order

    async def _reply(self, request_id: str) -> RequestReply:
        def answered() -> bool:
            record = lifecycle.find_request(self._life, request_id)
            return record is not None and record.answered

        await workflow.wait_condition(lambda: self._leaving or answered())
        record = lifecycle.find_request(self._life, request_id)
        return RequestReply(
            order=self._life.order,
            refusal=record.refusal if record is not None else None,
            decided=answered(),
        )

    def _refuse_if_ended(self, request_id: str) -> None:
        if lifecycle.find_request(self._life, request_id) is not None:
            return
        if self._life.order.is_terminal and not self._life.unresolved:
            raise ApplicationError(
                f"the order is {self._life.order.status.value}", type="order_ended"
            )

    def _take_reports(self) -> None:
        self._life, is_behind = lifecycle.after_reports(self._life, self._reports)
        self._reconsider = self._reconsider or (is_behind and self._placed)
        self._reports.clear()

    def _delay(self, why: str | None = None) -> None:
        """Pause before the next attempt; `why` is kept as the last answer."""
        if why is not None:
            self._life = replace(self._life, last_answer=why)
        pause = policies.pause(self._life.attempts, workflow.random().random())
        self._life = lifecycle.delayed(self._life, workflow.now() + pause)

    def _show(self) -> None:
        self._shown.show(self._life, self._step)

    async def _continue_if_suggested(self) -> None:
        """Go on in a fresh history when this one is long; after a pause only.

        No command is in this task then; every report is taken, every caller sent off undecided.
        """
        if not workflow.info().is_continue_as_new_suggested():
            return
        self._leaving = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        self._take_reports()
        if self._reconsider:
            self._leaving = False
            return
        workflow.continue_as_new(
            OrderStart(order=self._life.order, carried=self._life, status_at_close=True)
        )
