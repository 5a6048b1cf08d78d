"""ReadAccountWorkflow: one look at an account at its venue, by a worker that may talk to it."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from activities.account_reading import AccountReading
from activities.contracts import AccountTask
from domain.positions import SeenSummary
from workflows import policies

READ_TIMEOUT = timedelta(seconds=5)


@workflow.defn(name="ReadAccountWorkflow")
class ReadAccountWorkflow:
    """One read; who asks at the same time gets the same answer."""

    @workflow.run
    async def run(self, task: AccountTask) -> SeenSummary:
        """Return the venue's word on the account."""
        workflow.set_current_details(
            f"asks the venue once, for at most {READ_TIMEOUT.total_seconds():g} s"
        )
        seen: SeenSummary = await workflow.execute_activity_method(
            AccountReading.read,
            task,
            start_to_close_timeout=READ_TIMEOUT,
            retry_policy=policies.ONCE,
            summary="money and positions",
        )
        return seen
