"""The door to the terms of accounts. Knows no venue and no SQL."""

from __future__ import annotations

import asyncio

from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from activities.terms_contracts import TermsTask
from domain.account_terms import AccountTerms
from domain.accounts import Account
from domain.errors import VenueUnavailable
from workflows import ids, policies
from workflows.reaching import unreached
from workflows.terms import ReadTermsWorkflow


class AccountTermsReads:
    """Has workers read on which terms accounts can trade."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def read(self, account: Account, symbol: str, *, wait_s: float) -> AccountTerms | None:
        """Return the venue's word on an account's terms, or None when it does not come in time.

        Raises:
            VenueUnavailable: the venue could not be asked, or refused.
            Unavailable: Temporal does not answer.
        """
        try:
            async with asyncio.timeout(wait_s):
                return await self._client.execute_workflow(
                    ReadTermsWorkflow.run,
                    TermsTask(account_id=account.account_id, symbol=symbol),
                    id=ids.terms_workflow_id(account.account_id, symbol),
                    task_queue=ids.venue_queue(account.venue),
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                    task_timeout=policies.TASK_TIMEOUT,
                    static_summary=f"terms of {account.venue}/{account.label} for {symbol}",
                )
        except TimeoutError:
            return None
        except WorkflowFailureError as error:
            reason = error.cause.__cause__ or error.cause
            raise VenueUnavailable(f"{account.venue} could not be asked: {reason}") from None
        except (RPCError, RuntimeError) as error:
            raise unreached(error) from None
