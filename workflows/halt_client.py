"""The door to kill switches: start or join one, end one, ask how far it is; and the sweep.

Knows no venue and no SQL. That a kill switch could not be started is never a reason to say that
nothing is halted: the halt was committed before, and the sweep starts what has no workflow.
"""

from __future__ import annotations

from dataclasses import dataclass

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from domain.errors import Conflict, NotFound
from domain.halt_store import KillSwitchStore
from domain.halts import HaltScope, KillSwitch
from workflows import halt_describing, ids, policies
from workflows.halt_contracts import HaltRequest, KillSwitchStart
from workflows.kill_switch import KillSwitchWorkflow
from workflows.reaching import QUERY_TIMEOUT, SIGNAL_TIMEOUT, queried, unreached


class KillSwitchWorkflows:
    """Starts, ends and queries the workflows of kill switches."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @staticmethod
    def workflow_id(scope: HaltScope) -> str:
        """Return the id of the workflow that stops a scope, as the web UI shows it."""
        return ids.kill_switch_workflow_id(scope)

    async def start(self, state: KillSwitch) -> None:
        """Start the workflow of a kill switch, or tell the one that runs what is asked now.

        Raises:
            Unavailable: Temporal does not answer; the sweep starts it later.
        """
        try:
            await self._client.start_workflow(
                KillSwitchWorkflow.run,
                KillSwitchStart(state=state),
                id=self.workflow_id(state.scope),
                task_queue=ids.core_queue(),
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                task_timeout=policies.TASK_TIMEOUT,
                static_summary=halt_describing.switch_summary(state),
                start_signal="halt",
                start_signal_args=[HaltRequest(flatten=state.flatten)],
                rpc_timeout=SIGNAL_TIMEOUT,
            )
        except (RPCError, RuntimeError) as error:
            raise unreached(error) from None

    async def stop(self, scope: HaltScope) -> None:
        """End the workflow that stops a scope, if one runs.

        Raises:
            Unavailable: Temporal does not answer; the workflow finds out by itself.
        """
        handle = self._client.get_workflow_handle(self.workflow_id(scope))
        try:
            await handle.cancel(rpc_timeout=SIGNAL_TIMEOUT)
        except (RPCError, RuntimeError) as error:
            reason = unreached(error)
            if not isinstance(reason, NotFound | Conflict):
                raise reason from None

    async def state(self, scope: HaltScope) -> KillSwitch:
        """Return the newest kill switch of a scope as its workflow knows it.

        Raises:
            NotFound: no such workflow.
            Unavailable: no worker answers in 3 s.
        """
        handle: WorkflowHandle[KillSwitchWorkflow, KillSwitch] = (
            self._client.get_workflow_handle_for(KillSwitchWorkflow.run, self.workflow_id(scope))
        )
        return await queried(handle, KillSwitchWorkflow.state)

    async def is_running(self, scope: HaltScope) -> bool:
        """Tell whether a workflow stops this scope now.

        Raises:
            Unavailable: Temporal does not answer.
        """
        handle = self._client.get_workflow_handle(self.workflow_id(scope))
        try:
            description = await handle.describe(rpc_timeout=QUERY_TIMEOUT)
        except (RPCError, RuntimeError) as error:
            reason = unreached(error)
            if isinstance(reason, NotFound):
                return False
            raise reason from None
        return description.status is WorkflowExecutionStatus.RUNNING


@dataclass(frozen=True, slots=True)
class HaltSweep:
    """Starts the workflow of every kill switch that has none: Temporal was away, or lost it."""

    kill_switches: KillSwitchStore
    workflows: KillSwitchWorkflows

    async def run(self) -> tuple[HaltScope, ...]:
        """Sweep once; return the scopes whose workflow was started.

        Raises:
            Unavailable: the database or Temporal does not answer; sweep again later.
        """
        started = []
        for state in await self.kill_switches.running():
            if not await self.workflows.is_running(state.scope):
                await self.workflows.start(state)
                started.append(state.scope)
        return tuple(started)
