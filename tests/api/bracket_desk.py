"""A hand-written stand-in for the workflows of brackets, over real storage; behaves by script."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from domain import bracket_steps
from domain.brackets import BracketPlan, BracketState, BracketStatus
from domain.errors import Conflict, NotFound, Unavailable
from domain.parent_orders import EndAnswer
from storage.opening import Storage


@dataclass
class ScriptedBrackets:
    storage: Storage
    script: Literal["start", "away"] = "start"
    end_script: Literal["done", "hang", "missing", "ended"] = "done"
    started: list[BracketPlan] = field(default_factory=list)

    async def start(self, plan: BracketPlan) -> None:
        if self.script == "away":
            raise Unavailable("Temporal does not answer")
        if plan.bracket_id not in [each.bracket_id for each in self.started]:
            self.started.append(plan)
            await self.storage.brackets.keep(bracket_steps.entered(BracketState(plan=plan)))

    async def end(
        self, bracket_id: str, request_id: str, *, wait_s: float
    ) -> EndAnswer[BracketState]:
        if self.end_script == "missing":
            raise NotFound("no workflow manages this order")
        if self.end_script == "hang":
            return EndAnswer(state=None, decided=False)
        state = await self.storage.brackets.get(bracket_id)
        assert state is not None
        ended = replace(
            state,
            status=BracketStatus.CANCELED,
            reason="canceled",
            ended_at=datetime.now(UTC),
        )
        await self.storage.brackets.keep(ended)
        if self.end_script == "ended":
            raise Conflict("the order's workflow has closed", code="workflow_closed")
        return EndAnswer(state=ended, decided=True)
