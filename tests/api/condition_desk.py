"""A hand-written stand-in for the workflows of conditional closes, over real storage.

It decides by the real rules of the domain, on a position and a price that the test sets.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from domain import guard_steps
from domain.accounts import PositionSide
from domain.conditions import HeldPosition
from domain.errors import Conflict, InvalidInput, NotFound, Unavailable
from domain.guarding import GuardPlan, GuardSight, GuardState, GuardStatus
from storage.opening import Storage


@dataclass(frozen=True)
class ConditionAnswer:
    state: GuardState | None
    decided: bool


@dataclass
class ScriptedConditions:
    storage: Storage
    script: Literal["watch", "silent", "away", "lost", "closed"] = "watch"
    request_script: Literal["done", "hang", "missing", "away", "triggered"] = "done"
    held: Decimal | None = Decimal("0.5")
    mark: Decimal = Decimal(45_000)
    begun: list[GuardPlan] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def sight(self) -> GuardSight:
        at = datetime.now(UTC)
        if self.held is None:
            return GuardSight(at=at, position=None)
        position = HeldPosition(
            side=PositionSide.LONG,
            quantity=self.held,
            entry_price=Decimal(45_000),
            leverage=Decimal(5),
        )
        return GuardSight(at=at, position=position, mark=self.mark)

    async def begin(self, plan: GuardPlan, *, wait_s: float) -> ConditionAnswer:
        if self.script == "away":
            raise Unavailable("Temporal does not answer")
        if self.script == "lost":
            raise RuntimeError("never connected")
        if self.script == "silent":
            return ConditionAnswer(None, False)
        self.begun.append(plan)
        known = await self._state(plan.condition_id)
        if known.status is GuardStatus.REQUESTED:
            known = guard_steps.after_look(known, self.sight(), datetime.now(UTC))
            known = await self.storage.conditions.keep(known)
        if self.script == "closed":
            raise Conflict("the guard has ended", code="workflow_closed")
        return ConditionAnswer(known, True)

    async def change(self, plan: GuardPlan, request_id: str, *, wait_s: float) -> ConditionAnswer:
        state = await self._asked(plan.condition_id, request_id)
        if state is None:
            return ConditionAnswer(None, False)
        try:
            changed = guard_steps.changed(state, plan, datetime.now(UTC))
        except InvalidInput as error:
            raise Conflict(str(error), code="change_refused") from None
        return ConditionAnswer(await self.storage.conditions.keep(changed), True)

    async def cancel(self, condition_id: str, request_id: str, *, wait_s: float) -> ConditionAnswer:
        state = await self._asked(condition_id, request_id)
        if state is None:
            return ConditionAnswer(None, False)
        end = guard_steps.finished(
            state, GuardStatus.CANCELED, "canceled on request", datetime.now(UTC)
        )
        return ConditionAnswer(await self.storage.conditions.keep(end), True)

    async def _asked(self, condition_id: str, request_id: str) -> GuardState | None:
        self.requests.append(request_id)
        if self.request_script == "away":
            raise Unavailable("Temporal does not answer")
        if self.request_script == "missing":
            raise NotFound("no workflow manages this order")
        state = await self._state(condition_id)
        if state.status.is_terminal:
            raise Conflict("it has ended", code="condition_ended")
        if self.request_script == "triggered":
            raise Conflict("it has triggered", code="condition_triggered")
        return None if self.request_script == "hang" else state

    async def _state(self, condition_id: str) -> GuardState:
        state = await self.storage.conditions.get(condition_id)
        assert state is not None
        return state

    async def end_elsewhere(self, condition_id: str) -> None:
        """Have a guard close, without telling those who ask."""
        state = await self._state(condition_id)
        end = replace(state, status=GuardStatus.CLOSED, ended_at=datetime.now(UTC))
        await self.storage.conditions.keep(end)
