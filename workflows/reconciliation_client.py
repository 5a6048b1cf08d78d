"""The door to the workflows that reconcile accounts: have one run, wake it, ask for one now.

Knows no venue and no SQL.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import datetime
from typing import Any

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from domain.accounts import Account
from domain.errors import Conflict, NotFound
from domain.findings import Reconciliation
from domain.ports import AccountStore
from domain.reconciliation_store import ReconciliationGate
from workflows import ids, policies, reconcile_describing
from workflows.reaching import SIGNAL_TIMEOUT, queried, refusal_of, unreached
from workflows.reconcile import ReconcileWorkflow
from workflows.reconcile_contracts import (
    EVERY_S,
    ReconcileReply,
    ReconcileRequest,
    ReconcileStart,
    ReconcileState,
    reconcile_attributes,
    reconcile_workflow_id,
)

SWEEP_EVERY_S = 10.0
"""How often accounts are looked for that nobody reconciles."""

_log = logging.getLogger(__name__)


class ReconcileWorkflows:
    """Starts, wakes and asks the workflows that reconcile accounts."""

    def __init__(self, client: Client, *, every_s: float = EVERY_S) -> None:
        self._client = client
        self._every_s = every_s

    @staticmethod
    def workflow_id(account_id: str) -> str:
        """Return the id of an account's workflow, as the web UI shows it."""
        return reconcile_workflow_id(account_id)

    async def ensure(self, account: Account, *, wake: bool = False) -> None:
        """Have the account's workflow run; with `wake`, have it reconcile now.

        Raises:
            Unavailable: Temporal does not answer; ask again.
        """
        options = self._options(account)
        if wake:
            options["start_signal"] = "wake"
        try:
            await self._client.start_workflow(
                ReconcileWorkflow.run,
                self._start_of(account),
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                rpc_timeout=SIGNAL_TIMEOUT,
                **options,
            )
        except (RPCError, RuntimeError) as error:
            raise unreached(error) from None

    async def wake(self, account_id: str) -> None:
        """Have an account's workflow look now whether it is still needed; nothing if none runs.

        Raises:
            Unavailable: Temporal does not answer.
        """
        try:
            await self._handle(account_id).signal("wake", rpc_timeout=SIGNAL_TIMEOUT)
        except (RPCError, RuntimeError) as error:
            reason = unreached(error)
            if not isinstance(reason, NotFound | Conflict):
                raise reason from None

    async def reconcile(
        self,
        account: Account,
        request_id: str,
        *,
        requested_by: str,
        full: bool = False,
        wait_s: float,
    ) -> Reconciliation | None:
        """Have an account reconciled now; None while it is under way after `wait_s`.

        Raises:
            Conflict: the account is not active (code `account_not_active`).
            Unavailable: Temporal does not answer; ask again with the same request.
        """
        start = WithStartWorkflowOperation(
            ReconcileWorkflow.run,
            self._start_of(account),
            **self._options(account),
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        request = ReconcileRequest(request_id=request_id, requested_by=requested_by, full=full)
        hearing = asyncio.create_task(_hear(start))
        try:
            async with asyncio.timeout(wait_s):
                reply = await self._client.execute_update_with_start_workflow(
                    "reconcile",
                    request,
                    start_workflow_operation=start,
                    id=request.request_id,
                    result_type=ReconcileReply,
                )
        except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
            return None
        except WorkflowUpdateFailedError as error:
            raise refusal_of(error) from None
        except (RPCError, RuntimeError) as error:
            raise unreached(error) from None
        finally:
            hearing.cancel()
        if reply.refusal is not None:
            raise Conflict(reply.refusal, code="account_not_active")
        done: Reconciliation | None = reply.reconciliation
        return done

    async def state(self, account_id: str) -> ReconcileState:
        """Return what an account's workflow is doing.

        Raises:
            NotFound: none runs.
            Unavailable: no worker answers in 3 s.
        """
        return await queried(self._handle(account_id), ReconcileWorkflow.state)

    def _start_of(self, account: Account) -> ReconcileStart:
        return ReconcileStart(
            account_id=account.account_id,
            venue=account.venue,
            label=account.label,
            every_s=self._every_s,
        )

    def _options(self, account: Account) -> dict[str, Any]:
        return {
            "id": reconcile_workflow_id(account.account_id),
            "task_queue": ids.venue_queue(account.venue),
            "id_reuse_policy": WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            "task_timeout": policies.TASK_TIMEOUT,
            "search_attributes": reconcile_attributes(account),
            "static_summary": reconcile_describing.summary(
                account.venue, account.label, self._every_s
            ),
        }

    def _handle(self, account_id: str) -> WorkflowHandle[ReconcileWorkflow, str]:
        return self._client.get_workflow_handle_for(
            ReconcileWorkflow.run, reconcile_workflow_id(account_id)
        )


async def _hear(start: WithStartWorkflowOperation[Any, Any]) -> None:
    """Take what became of a start, or asyncio reports it as an error nobody looked at."""
    with contextlib.suppress(Exception, asyncio.CancelledError):
        await start.workflow_handle()


class ReconcileSweep:
    """Has a workflow run for every account in use, awake for those that are due.

    Runs beside the worker of these venues; doing it twice does no harm.
    """

    def __init__(
        self,
        accounts: AccountStore,
        gate: ReconciliationGate,
        workflows: ReconcileWorkflows,
        venues: frozenset[str],
    ) -> None:
        self._accounts = accounts
        self._gate = gate
        self._workflows = workflows
        self._venues = venues
        self._woken: dict[str, datetime] = {}
        self._known: set[str] = set()

    async def say_seen(self) -> None:
        """Say that a worker lives; what nobody had watched is due for reconciliation.

        Raises:
            Unavailable: the database does not answer.
        """
        for venue in self._venues:
            if await self._gate.worker_seen(venue):
                _log.warning("nobody watched the accounts of %s; they are reconciled", venue)

    async def run(self) -> None:
        """Sweep once.

        Raises:
            Unavailable: the database or Temporal does not answer; sweep again later.
        """
        await self.say_seen()
        due = await self._gate.due_accounts()
        active = {
            account.account_id: account
            for account in await self._accounts.all_active()
            if account.venue in self._venues
        }
        for account_id, account in active.items():
            since = due.get(account_id)
            # Once for each time it became due: its workflow tries again by itself.
            wake = since is not None and self._woken.get(account_id) != since
            await self._workflows.ensure(account, wake=wake)
            if since is not None:
                self._woken[account_id] = since
        for account_id in self._known - active.keys():
            # Removed, or not active at present: its workflow finds out which.
            await self._workflows.wake(account_id)
        self._known = set(active)
