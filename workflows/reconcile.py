"""ReconcileWorkflow: an account compared with its venue, again and again and whenever asked.

One for each account. It sends nothing to the venue: it reads, books, folds and labels. What needs
the venue's visibility delay is decided by a second look. Knows no venue, no SQL and no clock but
Temporal's.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, FailureError

from activities.reconciliation_contracts import (
    BeginTask,
    Begun,
    FinishTask,
    Looked,
    LookTask,
    Standing,
)
from activities.reconciling import ReconcileActivities
from domain.errors import NotFound
from domain.findings import Counts, Reconciliation, ReconciliationReason, ReconciliationStatus
from workflows import policies, reconcile_describing
from workflows.ids import NEEDS_ATTENTION, order_workflow_id
from workflows.reconcile_contracts import (
    ReconcileReply,
    ReconcileRequest,
    ReconcileStart,
    ReconcileState,
)

LOOKS_MAX = 4
ROUNDS_MAX = 50
ANSWERS_KEPT = 64
LOOK_WITHIN = timedelta(minutes=10)
LOOK_BEAT = timedelta(seconds=30)
SOON = timedelta(seconds=10)
"""The pause after a reconciliation that did not pass; it doubles up to the usual one."""
MARGIN = timedelta(seconds=1)

BEGINNINGS_MAX = 3
"""So often one reconciliation is begun when the database forgets that it was."""

PERSISTENT = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=20),
    maximum_attempts=5,
    non_retryable_error_types=[NotFound.__name__],
)
"""For a look: a venue that does not answer for a minute fails this reconciliation."""

WRITING_DOWN = replace(policies.PATIENT, non_retryable_error_types=[NotFound.__name__])
"""For its end: where the database knows nothing of it, asking again brings nothing."""


@workflow.defn(name="ReconcileWorkflow")
class ReconcileWorkflow:
    """The durable reconciliation of one account."""

    @workflow.init
    def __init__(self, start: ReconcileStart) -> None:
        self._start = start
        self._last = start.last
        self._failures = start.failures
        self._waiting: list[ReconcileRequest] = []
        self._answers: dict[str, ReconcileReply] = {}
        self._woken = False
        self._leaving = False
        self._doing = "beginning"
        self._attention = workflow.info().typed_search_attributes.get(NEEDS_ATTENTION, False)
        self._show("beginning")

    @workflow.run
    async def run(self, start: ReconcileStart) -> str:
        """Reconcile at once, then every so often and when asked, as long as the account is used."""
        reason = ReconciliationReason.START
        if start.continued:
            reason = await self._wait()
        rounds = 0
        while True:
            if not await self._round(reason):
                self._leaving = True
                await workflow.wait_condition(workflow.all_handlers_finished)
                return "the account is not in use any more"
            rounds += 1
            if rounds >= ROUNDS_MAX or workflow.info().is_continue_as_new_suggested():
                await self._continue_as_new()
            reason = await self._wait()

    async def _wait(self) -> ReconciliationReason:
        """Wait until it is time, or somebody asks; return why it goes on."""
        pause = self._pause()
        self._show("waiting for the next one", workflow.now() + pause)
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: bool(self._waiting) or self._woken,
                timeout=pause,
                timeout_summary="next reconciliation",
            )
        if self._waiting:
            return ReconciliationReason.DEMAND
        return ReconciliationReason.DUE if self._woken else ReconciliationReason.SCHEDULE

    def _pause(self) -> timedelta:
        usual = timedelta(seconds=self._start.every_s)
        if not self._failures:
            return usual
        return min(SOON * float(1 << min(self._failures - 1, 10)), usual)

    async def _round(self, reason: ReconciliationReason) -> bool:
        """Reconcile once; False when the account is not in use any more."""
        requests, self._waiting, self._woken = self._waiting, [], False
        first = requests[0] if requests else None
        task = BeginTask(
            account_id=self._start.account_id,
            reconciliation_id=str(workflow.uuid4()) if first is None else first.request_id,
            reason=ReconciliationReason.DEMAND if requests else reason,
            requested_by=None if first is None else first.requested_by,
            full=any(request.full for request in requests),
        )
        ended: Reconciliation | None = None
        for _ in range(BEGINNINGS_MAX):
            begun = await self._begin(task)
            if begun.standing is not Standing.READY:
                word = "in use" if begun.standing is Standing.GONE else "active yet"
                refusal = f"the account is not {word}"
                self._answer(requests, ReconcileReply(reconciliation=None, refusal=refusal))
                return begun.standing is not Standing.GONE
            ended = await self._compare(task, begun)
            if ended is not None:
                break
        if ended is None:
            self._failures += 1
            self._answer(requests, ReconcileReply(reconciliation=None, decided=False))
            self._call_attention(None)
            return True
        self._last = ended
        passed = ended.status is ReconciliationStatus.PASSED
        self._failures = 0 if passed else self._failures + 1
        self._answer(requests, ReconcileReply(reconciliation=ended))
        self._call_attention(ended)
        return True

    async def _begin(self, task: BeginTask) -> Begun:
        self._show("beginning")
        begun: Begun = await workflow.execute_activity_method(
            ReconcileActivities.begin,
            task,
            start_to_close_timeout=policies.LOOK_TIMEOUT,
            retry_policy=policies.PATIENT,
            summary="write down that it begins",
        )
        return begun

    async def _compare(self, task: BeginTask, begun: Begun) -> Reconciliation | None:
        """Look, and again after the visibility delay as long as that decides something.

        None: the database has forgotten that it began; it was restored, and is read anew.
        """
        counts, looks = Counts(), 0
        looked: Looked | None = None
        error: str | None = None
        while looks < LOOKS_MAX:
            looks += 1
            try:
                looked = await self._look(task, looks, looked)
            except FailureError as failure:
                if _is_forgotten(failure):
                    return None
                error = str(failure.cause or failure)
                break
            counts = _sum(counts, looked.counts)
            await self._remind(looked.reconsider)
            if not looked.again:
                break
            if looks < LOOKS_MAX:
                delay = timedelta(seconds=begun.visibility_delay_s) + MARGIN
                self._show("waiting for what the venue may still show", workflow.now() + delay)
                await workflow.sleep(delay, summary="the venue's visibility delay")
        return await self._finish(
            FinishTask(
                reconciliation_id=task.reconciliation_id,
                account_id=task.account_id,
                looks=looks,
                counts=counts,
                last=None if error is not None else looked,
                error=error,
            )
        )

    async def _finish(self, task: FinishTask) -> Reconciliation | None:
        self._show("writing down what was found")
        try:
            ended: Reconciliation = await workflow.execute_activity_method(
                ReconcileActivities.finish,
                task,
                start_to_close_timeout=policies.LOOK_TIMEOUT,
                retry_policy=WRITING_DOWN,
                summary="write down what was found",
            )
        except FailureError as failure:
            if _is_forgotten(failure):
                return None
            raise
        return ended

    async def _look(self, task: BeginTask, number: int, before: Looked | None) -> Looked:
        self._show(f"look {number}: reading the venue, then the ledger")
        looked: Looked = await workflow.execute_activity_method(
            ReconcileActivities.look,
            LookTask(
                account_id=task.account_id,
                reconciliation_id=task.reconciliation_id,
                look=number,
                fills_since=None if before is None else before.complete_until,
            ),
            start_to_close_timeout=LOOK_WITHIN,
            heartbeat_timeout=LOOK_BEAT,
            retry_policy=PERSISTENT,
            summary=f"look {number}",
        )
        return looked

    async def _remind(self, order_ids: tuple[str, ...]) -> None:
        """Have the workflows of orders look into the ledger, which says more now."""
        for order_id in order_ids:
            handle = workflow.get_external_workflow_handle(order_workflow_id(order_id))
            # An order without workflow gets one by the orphan sweep.
            with contextlib.suppress(ApplicationError, FailureError):
                await handle.signal("reconsider")

    # What comes in

    @workflow.signal(name="wake")
    def wake(self) -> None:
        """Reconcile now: the account is due, or was removed."""
        self._woken = True

    @workflow.update(name="reconcile")
    async def reconcile(self, request: ReconcileRequest) -> ReconcileReply:
        """Reconcile now, and return how it ended; one that began before does not count."""
        if request.request_id not in self._answers:
            self._waiting.append(request)
            await workflow.wait_condition(
                lambda: self._leaving or request.request_id in self._answers
            )
        return self._answers.get(
            request.request_id, ReconcileReply(reconciliation=None, decided=False)
        )

    @workflow.query(name="state")
    def state(self) -> ReconcileState:
        """Return what it is doing, and the newest reconciliation."""
        return ReconcileState(doing=self._doing, last=self._last, failures=self._failures)

    # Bookkeeping

    def _answer(self, requests: list[ReconcileRequest], reply: ReconcileReply) -> None:
        for request in requests:
            self._answers[request.request_id] = reply
        for request_id in list(self._answers)[:-ANSWERS_KEPT]:
            del self._answers[request_id]

    def _show(self, doing: str, until: datetime | None = None) -> None:
        self._doing = doing
        text = reconcile_describing.details(self._last, doing, until, self._failures)
        workflow.set_current_details(text)

    def _call_attention(self, ended: Reconciliation | None) -> None:
        """Ask for an operator when something of weight was found, or nothing can be found out."""
        wanted = bool(ended and ended.alerts) or self._failures > 1
        if wanted != self._attention:
            self._attention = wanted
            workflow.upsert_search_attributes([NEEDS_ATTENTION.value_set(wanted)])

    async def _continue_as_new(self) -> None:
        """Go on in a fresh history, with whoever still waits sent off undecided."""
        self._leaving = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(
            replace(self._start, last=self._last, failures=self._failures, continued=True)
        )


def _is_forgotten(failure: FailureError) -> bool:
    """Tell whether the database does not know the reconciliation: it was restored meanwhile."""
    cause = failure.cause
    return isinstance(cause, ApplicationError) and cause.type == NotFound.__name__


def _sum(left: Counts, right: Counts) -> Counts:
    """Return what two looks read and did; what both read is counted once, as the greater."""
    return Counts(
        orders_seen=max(left.orders_seen, right.orders_seen),
        fills_seen=max(left.fills_seen, right.fills_seen),
        fills_booked=left.fills_booked + right.fills_booked,
        orders_folded=left.orders_folded + right.orders_folded,
        looks=left.looks + right.looks,
    )
