"""A guarded position: conditions set through the door, the price moved at the exchange.

On the workflows' stage: real Temporal, real worker, simulated exchange. The stream is played by the
test, which signals what it would.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from decimal import Decimal
from typing import Any

from domain.accounts import Network
from domain.conditions import ConditionKind, Conditions, Crossing
from domain.guarding import GuardPlan, GuardState, GuardStatus
from tests.activities.floor import ACCOUNT_ID, now, until
from tests.workflows.closing import Holding
from tests.workflows.stage import Stage
from venues.simulation.records import Order, OrderStatus
from workflows import ids
from workflows.condition_client import ConditionAnswer, ConditionWorkflows


def a_guard(**changes: Any) -> GuardPlan:
    plan = GuardPlan(
        condition_id=str(uuid.uuid4()),
        owner="local",
        account_id=ACCOUNT_ID,
        venue="hyperliquid",
        network=Network.PAPER,
        symbol="BTC-PERP",
        created_at=now(),
        conditions=Conditions(profit_percent=Decimal(10)),
        requested_by="local",
        fingerprint="these conditions",
    )
    return replace(plan, **changes)


class Guarded(Holding):
    """The floor's account at the exchange, used by hand, and its guards."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        queue = ids.venue_queue("hyperliquid")
        stage.floor.monkeypatch.setattr("workflows.close.venue_queue", lambda _venue: queue)
        self.guards = ConditionWorkflows(stage.client)

    @property
    def mark(self) -> Decimal:
        return self.exchange.tables.markets["BTC"].mark_price

    def move(self, percent: str) -> Decimal:
        """Move the market by so much percent; return the new price."""
        price = (self.mark * (1 + Decimal(percent) / 100)).quantize(Decimal(1))
        self.set_price(str(price))
        return price

    async def ask(self, plan: GuardPlan, *, wait_s: float = 20.0) -> ConditionAnswer:
        self.stage.kept_ids |= {
            ids.guard_workflow_id(plan.condition_id),
            ids.close_workflow_id(plan.account_id, plan.symbol),
        }
        return await self.guards.begin(plan, wait_s=wait_s)

    async def guard(self, **asked: Any) -> GuardState:
        """Set conditions, and return the guard once it watches or is refused."""
        answer = await self.ask(a_guard(**asked))
        assert answer.decided
        assert answer.state is not None
        return answer.state

    async def watching(self, **asked: Any) -> GuardPlan:
        state = await self.guard(**asked)
        assert state.status is GuardStatus.WATCHING, state
        return state.plan

    async def tell(self, plan: GuardPlan, price: Decimal | None = None) -> None:
        """Say what the stream would: that a mark met a condition."""
        seen = self.mark if price is None else price
        crossing = Crossing(
            kind=ConditionKind.PROFIT, at=now(), source="stream", price=seen, threshold=seen
        )
        assert await self.guards.crossed(plan.condition_id, crossing)

    async def state_of(self, plan: GuardPlan) -> GuardState:
        return await self.guards.state(plan.condition_id)

    async def until_guard(
        self, plan: GuardPlan, status: GuardStatus, *, within_s: float = 20.0
    ) -> GuardState:
        async def reached() -> GuardState | None:
            state = await self.state_of(plan)
            return state if state.status is status else None

        found: GuardState = await until(
            reached, what=f"a guard that is {status}", within_s=within_s
        )
        return found

    async def until_closed(self, plan: GuardPlan) -> GuardState:
        return await self.until_guard(plan, GuardStatus.CLOSED)

    async def kept_guard(self, plan: GuardPlan) -> GuardState:
        kept = await self.floor.storage.conditions.get(plan.condition_id)
        assert kept is not None
        return kept

    def live_triggers(self) -> list[Order]:
        """Return the trigger orders of ours that wait at the exchange."""
        return [order for order in self.ours() if order.status is OrderStatus.UNTRIGGERED]
