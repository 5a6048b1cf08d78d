"""The door to looking at an account now. Knows no venue and no SQL."""

from __future__ import annotations

import asyncio

from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from activities.contracts import AccountTask
from domain.accounts import Account
from domain.errors import VenueUnavailable
from domain.positions import SeenSummary
from workflows import ids, policies
from workflows.account_read import ReadAccountWorkflow
from workflows.reaching import unreached


class AccountReads:
    """Has a worker look at accounts."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def read(self, account: Account, *, wait_s: float) -> SeenSummary | None:
        """Return the venue's word on an account, or None when it does not come in time.

        Raises:
            VenueUnavailable: the venue could not be asked, or refused.
            Unavailable: Temporal does not answer.
        """
        try:
            async with asyncio.timeout(wait_s):
                return await self._client.execute_workflow(
                    ReadAccountWorkflow.run,
                    AccountTask(account_id=account.account_id),
                    id=ids.account_read_workflow_id(account.account_id),
                    task_queue=ids.venue_queue(account.venue),
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                    task_timeout=policies.TASK_TIMEOUT,
                    static_summary=f"look at {account.venue}/{account.label}",
                )
        except TimeoutError:
            return None
        except WorkflowFailureError as error:
            reason = error.cause.__cause__ or error.cause
            raise VenueUnavailable(f"{account.venue} could not be asked: {reason}") from None
        except (RPCError, RuntimeError) as error:
            raise unreached(error) from None
