"""RotateCredentialWorkflow: a new credential proven, then current, while the account trades on."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from activities.contracts import AccountTask
from activities.credentials import CredentialActivities, RotationResult
from workflows import policies

CHECK_TIMEOUT = timedelta(seconds=10)


@workflow.defn(name="RotateCredentialWorkflow")
class RotateCredentialWorkflow:
    """The check of one account's new credential, tried until the venue answers."""

    @workflow.run
    async def run(self, task: AccountTask) -> RotationResult:
        """Return the account with its new credential, or why it keeps the old one."""
        workflow.set_current_details(
            "waits for the venue to say whose the new credential is; the old one trades on"
        )
        result: RotationResult = await workflow.execute_activity_method(
            CredentialActivities.check,
            task,
            start_to_close_timeout=CHECK_TIMEOUT,
            retry_policy=policies.PATIENT,
            summary="what the new credential signs for",
        )
        return result
