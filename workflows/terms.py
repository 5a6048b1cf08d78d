"""ReadTermsWorkflow: on which terms an account can trade a market, by a worker that may ask."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from activities.terms import TermsReading
from activities.terms_contracts import TermsTask
from domain.account_terms import AccountTerms
from workflows import policies

READ_TIMEOUT = timedelta(seconds=5)


@workflow.defn(name="ReadTermsWorkflow")
class ReadTermsWorkflow:
    """One read; who asks at the same time gets the same answer."""

    @workflow.run
    async def run(self, task: TermsTask) -> AccountTerms:
        """Return the venue's word on the account's terms."""
        workflow.set_current_details(
            f"asks the venue once, for at most {READ_TIMEOUT.total_seconds():g} s"
        )
        terms: AccountTerms = await workflow.execute_activity_method(
            TermsReading.read,
            task,
            start_to_close_timeout=READ_TIMEOUT,
            retry_policy=policies.ONCE,
            summary="money, fees, leverage and room",
        )
        return terms
