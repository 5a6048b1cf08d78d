"""KillSwitchWorkflow: everything of a scope stopped, with stages to watch, until the venue says so.

The halt was committed before this starts. It has one `AccountHaltWorkflow` for each account of the
scope, started or joined, hears how far each is, and keeps that in SQL. Knows no venue, no SQL and
no clock but Temporal's; needs no venue's keys.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, WorkflowAlreadyStartedError
from temporalio.workflow import ActivityCancellationType, ParentClosePolicy

from activities.halt_contracts import KillSwitchKept, KillSwitchTask
from activities.halting import KillSwitchActivities
from domain.halt_store import HaltedAccount
from domain.halts import AccountProgress, HaltStage, KillSwitch
from workflows import halt_describing, policies
from workflows.account_halt import AccountHaltWorkflow
from workflows.driving import driven
from workflows.halt_contracts import AccountHaltStart, HaltRequest, JoinRequest, KillSwitchStart
from workflows.ids import (
    NEEDS_ATTENTION,
    account_halt_attributes,
    account_halt_workflow_id,
    venue_queue,
)


@workflow.defn(name="KillSwitchWorkflow")
class KillSwitchWorkflow:
    """The durable stopping of a scope."""

    @workflow.init
    def __init__(self, start: KillSwitchStart) -> None:
        self._state = start.state
        self._joined: dict[str, bool] = {}
        self._heard: dict[str, datetime] = {}
        self._stopping = False
        self._touched = False
        self._attention = workflow.info().typed_search_attributes.get(NEEDS_ATTENTION, False)
        self._show()

    @workflow.run
    async def run(self, start: KillSwitchStart) -> KillSwitch:
        """Stop the scope, and return how that ended.

        A cancellation request ends this; the halt itself is lifted by a resume only.
        """
        return await driven(self._drive(), self._stop)

    async def _drive(self) -> KillSwitch:
        while True:
            accounts = await self._keep()
            if self._state.stage is HaltStage.STOPPED:
                await self._stop_accounts()
            if self._state.stage.is_terminal:
                await workflow.wait_condition(workflow.all_handlers_finished)
                return self._state
            for account in accounts:
                await self._start_or_join(account)
            if self._is_done(accounts):
                self._end(HaltStage.HALTED)
                continue
            await self._listen()
            if self._stopping:
                self._end(HaltStage.STOPPED)
            elif workflow.info().is_continue_as_new_suggested():
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(KillSwitchStart(state=self._state))

    def _is_done(self, accounts: tuple[HaltedAccount, ...]) -> bool:
        done = {a.account_id for a in self._state.accounts if a.is_done}
        return all(account.account_id in done for account in accounts)

    def _end(self, stage: HaltStage) -> None:
        self._state = replace(self._state, stage=stage, ended_at=workflow.now())
        self._show()

    # Steps

    async def _keep(self) -> tuple[HaltedAccount, ...]:
        """Write how far we are; take over what the store knows better."""
        written = self._state
        kept: KillSwitchKept = await workflow.execute_activity_method(
            KillSwitchActivities.keep,
            KillSwitchTask(state=written),
            start_to_close_timeout=policies.COMMAND_TIMEOUT,
            retry_policy=policies.PATIENT,
            summary=written.shown_stage,
            cancellation_type=ActivityCancellationType.ABANDON,
        )
        if kept.state.stage.is_terminal:
            self._state = kept.state
        elif written.stage.is_terminal or kept.state.flatten != self._state.flatten:
            # More was asked in the meantime than what we had done.
            self._state = replace(
                self._state.upgraded(flatten=kept.state.flatten), ended_at=None
            ).at_stage()
        self._show()
        return kept.accounts

    async def _start_or_join(self, account: HaltedAccount) -> None:
        known = self._progress_of(account)
        if known.is_done:
            return
        heard = self._heard.get(account.account_id)
        is_silent = heard is None or workflow.now() - heard >= policies.HALT_LISTEN
        if self._joined.get(account.account_id) == self._state.flatten and not is_silent:
            return
        self._heard[account.account_id] = workflow.now()
        self._joined[account.account_id] = self._state.flatten
        if heard is not None and await self._join(account.account_id):
            return
        if not await self._start(account, known):
            await self._join(account.account_id)

    def _progress_of(self, account: HaltedAccount) -> AccountProgress:
        for progress in self._state.accounts:
            if progress.account_id == account.account_id:
                return progress
        return AccountProgress(
            account_id=account.account_id,
            venue=account.venue,
            owner=account.owner,
            flatten=self._state.flatten,
        )

    async def _join(self, account_id: str) -> bool:
        """Have the workflow that stops an account tell us of it; False if there is none."""
        request = JoinRequest(parent_id=workflow.info().workflow_id, flatten=self._state.flatten)
        handle = workflow.get_external_workflow_handle(account_halt_workflow_id(account_id))
        try:
            await handle.signal("join", request)
        except (ApplicationError, FailureError):
            return False
        return True

    async def _start(self, account: HaltedAccount, known: AccountProgress) -> bool:
        """Start the workflow that stops an account; False if one of another's runs."""
        progress = replace(known, flatten=self._state.flatten, stage=HaltStage.BLOCKING)
        start = AccountHaltStart(
            progress=progress,
            reason=self._state.reason,
            requested_by=self._state.requested_by,
            parents=(workflow.info().workflow_id,),
        )
        try:
            await workflow.start_child_workflow(
                AccountHaltWorkflow.run,
                start,
                id=account_halt_workflow_id(account.account_id),
                task_queue=venue_queue(account.venue),
                parent_close_policy=ParentClosePolicy.ABANDON,
                task_timeout=policies.TASK_TIMEOUT,
                search_attributes=account_halt_attributes(account.account_id, account.venue),
                static_summary=halt_describing.account_summary(progress, self._state.reason),
            )
        except WorkflowAlreadyStartedError:
            return False
        self._take(progress)
        return True

    async def _stop_accounts(self) -> None:
        """Have the accounts' workflows end; another kill switch that wants one starts it anew."""
        for progress in self._state.accounts:
            if progress.stage.is_terminal:
                continue
            name = account_halt_workflow_id(progress.account_id)
            with contextlib.suppress(ApplicationError, FailureError):
                await workflow.get_external_workflow_handle(name).cancel()

    async def _listen(self) -> None:
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._touched,
                timeout=policies.HALT_LISTEN,
                timeout_summary="ask after the accounts",
            )
        self._touched = False

    # What comes in

    def _stop(self) -> None:
        self._stopping = self._touched = True

    @workflow.signal(name="halt")
    def halt(self, request: HaltRequest) -> None:
        """Take a second halt of the same scope, which may want positions closed too."""
        self._state = self._state.upgraded(flatten=request.flatten)
        self._touched = True

    @workflow.signal(name="progress")
    def progress(self, progress: AccountProgress) -> None:
        """Hear how far an account is."""
        if progress.stage is HaltStage.STOPPED:
            # Whoever ended it, we did not: it is started anew.
            self._joined.pop(progress.account_id, None)
            self._heard.pop(progress.account_id, None)
            progress = replace(progress, stage=HaltStage.BLOCKING)
        elif progress.is_done and self._state.flatten and not progress.flatten:
            progress = replace(progress, flatten=True, stage=HaltStage.BLOCKING)
            self._joined.pop(progress.account_id, None)
        else:
            self._heard[progress.account_id] = workflow.now()
        self._take(progress)
        self._touched = True

    @workflow.query(name="state")
    def state(self) -> KillSwitch:
        """Return how far it is."""
        return self._state

    # Bookkeeping

    def _take(self, progress: AccountProgress) -> None:
        self._state = self._state.with_progress(progress)
        self._show()

    def _show(self) -> None:
        workflow.set_current_details(halt_describing.switch_details(self._state))
        needs = self._state.needs_attention
        if needs != self._attention:
            self._attention = needs
            workflow.upsert_search_attributes([NEEDS_ATTENTION.value_set(needs)])
