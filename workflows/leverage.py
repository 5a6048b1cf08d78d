"""SetLeverageWorkflow: a market's leverage and margin mode, asked for until the answer is known.

One at a time for an account and market, by its id, so that no request of an earlier one can arrive
after a later one. Knows no venue and no clock but Temporal's.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import FailureError

from activities.leverage import LeverageActivities, LeverageAnswer, LeverageTask
from domain.accounts import LeverageSetting
from workflows import policies
from workflows.ids import NEEDS_ATTENTION

ASK_TIMEOUT = timedelta(seconds=10)
LOOK_EVERY = timedelta(seconds=2)
ASKED_MAX = 5


@workflow.defn(name="SetLeverageWorkflow")
class SetLeverageWorkflow:
    """The durable setting of one market's leverage."""

    @workflow.init
    def __init__(self, task: LeverageTask) -> None:
        self._task = task
        self._answer = LeverageAnswer()
        self._words = "asks the venue"
        self._show()

    @workflow.run
    async def run(self, task: LeverageTask) -> LeverageAnswer:
        """Return the venue's setting once it is what was asked, or why it cannot be."""
        for _ in range(ASKED_MAX):
            self._answer = await self._ask()
            if self._is_decided():
                return self._answer
            if await self._comes_to_be():
                return self._answer
        workflow.upsert_search_attributes([NEEDS_ATTENTION.value_set(True)])
        return LeverageAnswer(
            refusal=f"the venue's answer was lost {ASKED_MAX} times, and the setting is another",
            setting=self._answer.setting,
        )

    @workflow.query(name="state")
    def state(self) -> LeverageAnswer:
        """Return what is known."""
        return self._answer

    async def _ask(self) -> LeverageAnswer:
        self._words = "asks the venue"
        self._show()
        answer: LeverageAnswer = await workflow.execute_activity_method(
            LeverageActivities.ask,
            self._task,
            start_to_close_timeout=ASK_TIMEOUT,
            # Asking again is harmless: every request asks for the same.
            retry_policy=policies.PATIENT,
            summary=f"{self._task.leverage}x {self._task.mode.value.lower()}",
        )
        return answer

    async def _comes_to_be(self) -> bool:
        """Look until the setting is what was asked, or no lost request can arrive any more."""
        settles_at = self._answer.settles_at
        self._words = "the answer was lost: looks at the setting" + (
            f" until {settles_at.isoformat()}" if settles_at else ""
        )
        self._show()
        while True:
            await workflow.sleep(LOOK_EVERY, summary="next look")
            try:
                seen: LeverageAnswer = await workflow.execute_activity_method(
                    LeverageActivities.look,
                    self._task,
                    start_to_close_timeout=ASK_TIMEOUT,
                    retry_policy=policies.ONCE,
                    summary="the venue's setting",
                )
            except FailureError:
                # A venue that does not say is asked again; what was sent stays unknown.
                continue
            self._answer = seen
            if self._is_decided():
                return True
            if settles_at is None or workflow.now() >= settles_at:
                return False

    def _is_decided(self) -> bool:
        wanted = LeverageSetting(
            symbol=self._task.symbol, leverage=self._task.leverage, mode=self._task.mode
        )
        return self._answer.refusal is not None or self._answer.setting == wanted

    def _show(self) -> None:
        task = self._task
        workflow.set_current_details(
            f"{task.symbol} at {task.leverage}x {task.mode.value.lower()}: {self._words}"
        )
