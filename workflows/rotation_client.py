"""The door to changing an account's credential. Knows no venue and no SQL."""

from __future__ import annotations

import asyncio

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from activities.contracts import AccountTask
from activities.credentials import RotationResult
from domain.accounts import Account
from workflows import ids, policies
from workflows.reaching import unreached
from workflows.rotation import RotateCredentialWorkflow


class Rotations:
    """Has a worker check candidates."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def rotate(self, account: Account, *, wait_s: float) -> RotationResult | None:
        """Have the account's candidate checked; None when it is not done in time and goes on.

        Raises:
            Unavailable: Temporal does not answer.
        """
        try:
            async with asyncio.timeout(wait_s):
                return await self._client.execute_workflow(
                    RotateCredentialWorkflow.run,
                    AccountTask(account_id=account.account_id),
                    id=ids.rotation_workflow_id(account.account_id),
                    task_queue=ids.venue_queue(account.venue),
                    # A newer candidate has replaced the one that was being checked.
                    id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                    task_timeout=policies.TASK_TIMEOUT,
                    static_summary=f"new credential of {account.venue}/{account.label}",
                )
        except TimeoutError:
            return None
        except (RPCError, RuntimeError) as error:
            raise unreached(error) from None
