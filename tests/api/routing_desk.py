"""Stand-ins for what routing asks workflows: terms of accounts, and split orders; by script."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from domain import split_steps
from domain.account_terms import AccountTerms
from domain.accounts import Account, FeeRates
from domain.errors import Conflict, NotFound, Unavailable
from domain.parent_orders import EndAnswer
from domain.splits import SplitPlan, SplitState, SplitStatus, leg_order, requested
from storage.opening import Storage
from tests.api.desk import ScriptedDesk


@dataclass
class ScriptedTerms:
    """Says of every account the same, unless told otherwise; None does not answer in time."""

    available: dict[str, Decimal] = field(default_factory=dict)
    positions: dict[str, Decimal] = field(default_factory=dict)
    fees: dict[str, FeeRates] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    error: Exception | None = None
    asked: list[str] = field(default_factory=list)

    async def read(self, account: Account, symbol: str, *, wait_s: float) -> AccountTerms | None:
        self.asked.append(account.account_id)
        if self.error is not None:
            raise self.error
        if account.label in self.silent:
            return None
        usual = FeeRates(maker=Decimal("0.0001"), taker=Decimal("0.0004"))
        return AccountTerms(
            account_id=account.account_id,
            symbol=symbol,
            available=self.available.get(account.label, Decimal(100_000)),
            position=self.positions.get(account.label, Decimal(0)),
            fees=self.fees.get(account.label, usual),
            leverage=Decimal(10),
            seen_at=datetime.now(UTC),
        )


@dataclass
class ScriptedSplits:
    """Places children as `desk` is told to, one after the other; its own script is the parent's."""

    storage: Storage
    desk: ScriptedDesk
    script: Literal["start", "away", "hang"] = "start"
    end_script: Literal["done", "hang", "missing", "ended"] = "done"
    refuse_at: set[str] = field(default_factory=set)
    started: list[SplitPlan] = field(default_factory=list)

    async def start(self, plan: SplitPlan) -> None:
        if self.script == "away":
            raise Unavailable("Temporal does not answer")
        if plan.split_id in [each.split_id for each in self.started]:
            return
        self.started.append(plan)
        numbers = range(len(plan.shares))
        await self.storage.splits.keep(split_steps.beginning(requested(plan), numbers))
        if self.script == "hang":
            return
        usual = self.desk.script
        for number in numbers:
            order = leg_order(plan, number, datetime.now(UTC))
            self.desk.script = "reject" if order.venue in self.refuse_at else usual
            await self.desk.place(order, wait_s=1)
        self.desk.script = usual

    async def cancel(
        self, split_id: str, request_id: str, *, wait_s: float
    ) -> EndAnswer[SplitState]:
        if self.end_script == "missing":
            raise NotFound("no workflow manages this order")
        if self.end_script == "hang":
            return EndAnswer(state=None, decided=False)
        state = await self.storage.splits.get(split_id)
        assert state is not None
        ended = replace(
            state, status=SplitStatus.CANCELED, reason="canceled", ended_at=datetime.now(UTC)
        )
        await self.storage.splits.keep(ended)
        if self.end_script == "ended":
            raise Conflict("the order's workflow has closed", code="workflow_closed")
        return EndAnswer(state=ended, decided=True)

    async def state(self, split_id: str) -> SplitState:
        if not self.desk.answering:
            raise Unavailable("no worker answers")
        state = await self.storage.splits.get(split_id)
        assert state is not None
        return state
