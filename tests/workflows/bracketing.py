"""A bracket on the workflows' stage: an account at the exchange, its entry and its exits."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from domain.brackets import BracketPlan, BracketState, BracketStatus, ExitRule
from domain.orders import Order
from tests.activities.floor import an_order, until
from tests.workflows.closing import Holding
from tests.workflows.stage import Stage
from venues.simulation.records import Order as VenueRecord
from venues.simulation.records import OrderStatus
from workflows import ids
from workflows.bracket_client import BracketWorkflows

TARGET, STOP = ExitRule(price=Decimal(70_000)), ExitRule(price=Decimal(55_000))


class Desk(Holding):
    """The floor's account with brackets on it."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.brackets = BracketWorkflows(stage.client)
        self.plan = BracketPlan(entry=an_order())

    async def bracket(self, entry: Order, **rules: Any) -> BracketPlan:
        """Start a bracket."""
        native = bool(rules.get("native"))
        entry = replace(entry, parent_id=entry.order_id, joint=native)
        asked = {"take_profit": TARGET, "stop_loss": STOP, **rules}
        self.plan = BracketPlan(entry=entry, **asked)
        self.stage.kept_ids.add(ids.bracket_workflow_id(entry.order_id))
        await self.brackets.start(self.plan)
        return self.plan

    async def now(self) -> BracketState:
        return await self.brackets.state(self.plan.bracket_id)

    async def until_ended(self, status: BracketStatus) -> BracketState:
        async def ended() -> BracketState | None:
            state = await self.now()
            return state if state.status.is_terminal else None

        end: BracketState = await until(ended, what=f"a bracket that is {status}")
        assert end.status is status, end
        return end

    def exits(self) -> list[VenueRecord]:
        """Return the exits that wait at the exchange."""
        return [
            order
            for order in self.floor.at_venue()
            if order.reduce_only and order.trigger is not None and order.status.is_live
        ]

    async def until_protected(self, quantity: str, *, of_each: int = 1) -> None:
        """Wait until target and stop of so much wait at the exchange, and nothing else does."""

        def protected() -> bool:
            waiting = self.exits()
            targets = [o for o in waiting if o.trigger and o.trigger.is_take_profit]
            stops = [o for o in waiting if o.trigger and not o.trigger.is_take_profit]
            return all(
                len(some) == of_each and sum(o.quantity for o in some) == Decimal(quantity)
                for some in (targets, stops)
            )

        await until(protected, what=f"{quantity} protected")

    async def hear(self) -> None:
        """Tell the workflows of fills, as streaming does."""
        await self.stage.deliver()

    def resting(self) -> list[VenueRecord]:
        """Return what rests in the book."""
        return [order for order in self.floor.at_venue() if order.status is OrderStatus.OPEN]

    def entry(self) -> VenueRecord:
        """Return the entry as the exchange has it."""
        (entry,) = [order for order in self.floor.at_venue() if not order.reduce_only]
        return entry
