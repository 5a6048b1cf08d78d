"""VerifyAccountWorkflow: find out what a new account's credential is before it may trade."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from activities.accounts import AccountActivities
from activities.contracts import AccountTask
from domain.accounts import Account
from workflows import policies


@workflow.defn(name="VerifyAccountWorkflow")
class VerifyAccountWorkflow:
    """The check of one account's credential, tried until the venue answers."""

    @workflow.run
    async def run(self, task: AccountTask) -> Account:
        """Return the account, ACTIVE or REFUSED."""
        account: Account = await workflow.execute_activity_method(
            AccountActivities.verify,
            task,
            start_to_close_timeout=timedelta(seconds=10),
            retry_policy=policies.PATIENT,
            summary="what the credential signs for",
        )
        return account
