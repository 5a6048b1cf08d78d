"""A position to be closed: opened at the exchange by hand, as another client of the account would.

On the workflows' stage: real Temporal, real worker, simulated exchange.
"""

from __future__ import annotations

import uuid
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from domain.closing import ClosePlan, CloseState, CloseStatus
from domain.orders import Verdict
from tests.activities.floor import ACCOUNT_ID, now, until
from tests.workflows.stage import Stage, a_report
from venues.simulation import operations, trading
from venues.simulation.records import Order, OrderStatus, Side, TimeInForce
from venues.simulation.trading import OrderRequest, Placement
from workflows import ids
from workflows.close_client import CloseAnswer, CloseWorkflows

BTC = "BTC"
"""As the exchange names it."""


def a_plan(**changes: Any) -> ClosePlan:
    plan = ClosePlan(
        close_id=str(uuid.uuid4()),
        owner="local",
        account_id=ACCOUNT_ID,
        venue="hyperliquid",
        symbol="BTC-PERP",
        created_at=now(),
        requested_by="local",
        fingerprint="all of it",
    )
    return replace(plan, **changes)


class Holding:
    """The floor's account at the exchange, used by hand, and its closes."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.floor = stage.floor
        self.exchange = stage.floor.venue.exchange
        self.address = stage.floor.opened["address"]
        self.closes = CloseWorkflows(stage.client)
        # Here nobody reports late, and every closing order would wait a second for it.
        pause = timedelta(milliseconds=100)
        stage.floor.monkeypatch.setattr("workflows.policies.SETTLE_PAUSE", pause)

    # By hand, at the exchange.

    def trade(
        self, side: Side, quantity: str, price: Decimal | None = None, **more: Any
    ) -> Placement:
        """Take (or rest at `price`), not reduce-only, as a person at the venue's own page does."""
        mark = self.exchange.tables.markets[BTC].mark_price
        bound = mark * (Decimal("1.05") if side is Side.BUY else Decimal("0.95"))
        request = OrderRequest(
            symbol=BTC,
            side=side,
            price=price or bound.quantize(Decimal(1)),
            quantity=Decimal(quantity),
            time_in_force=TimeInForce.GTC if price else TimeInForce.IOC,
            **more,
        )
        with self.action("order"):
            return trading.place(
                self.exchange.tables, self.exchange.switches, self.address, request
            )

    def buy(self, quantity: str) -> None:
        assert self.trade(Side.BUY, quantity).refusal is None

    def sell(self, quantity: str) -> None:
        assert self.trade(Side.SELL, quantity).refusal is None

    def action(self, name: str) -> AbstractContextManager[object]:
        return self.exchange.action(name)

    def set_price(self, price: str) -> None:
        operations.set_price(self.exchange, BTC, Decimal(price))

    def exchange_fill(self, order: Order, quantity: str) -> None:
        """Have the house fill so much of a resting order."""
        operations.fill_order(self.exchange, order, Decimal(quantity), None)

    def cancel_at_venue(self, order: Order) -> None:
        """Cancel an order at the venue's own page."""
        with self.action("cancel"):
            trading.cancel(self.exchange.tables, order)

    async def tell_ends(self) -> None:
        """Tell the workflows of what the exchange did to our orders, as streaming does."""
        connector = await self.floor.connector()
        account = (await self.floor.opened_access()).account
        for seen in await connector.order_history(account):
            match = await self.floor.storage.orders.match(
                account.account_id,
                client_order_id=seen.client_order_id,
                venue_order_id=seen.venue_order_id,
            )
            order = None if match is None else await self.floor.storage.orders.get(match[0])
            if order is not None and seen.verdict is Verdict.CANCELED and not order.is_terminal:
                await self.stage.deliver(a_report(order, seen.verdict, reason=seen.reason))

    @property
    def held(self) -> Decimal:
        return self.exchange.tables.quantity_held(self.address, BTC)

    def ours(self) -> list[Order]:
        """Return every order with an id of ours that the exchange ever had, oldest first."""
        return [order for order in self.floor.at_venue() if order.client_order_id is not None]

    def live(self) -> list[Order]:
        return [order for order in self.ours() if order.status is OrderStatus.OPEN]

    # Closes.

    async def begin(self, plan: ClosePlan, *, wait_s: float = 20.0) -> CloseAnswer:
        self.stage.kept_ids.add(ids.close_workflow_id(plan.account_id, plan.symbol))
        return await self.closes.begin(plan, wait_s=wait_s)

    async def close(self, **asked: Any) -> CloseState:
        """Close, and return the end; it has to come in time."""
        answer = await self.begin(a_plan(**asked))
        assert answer.decided
        assert answer.state is not None
        return answer.state

    async def begin_unheard(self, plan: ClosePlan) -> CloseAnswer:
        """Begin a close that will not end soon; return once its workflow is there.

        A short wait may be over before the start arrives: the same close is asked for again then.
        """
        while (answer := await self.begin(plan, wait_s=0.5)).running_id is None:
            assert not answer.decided
        return answer

    async def started(self, **asked: Any) -> ClosePlan:
        """Begin a close that will not end by itself; return its plan once it rests."""
        plan = a_plan(**asked)
        await self.begin_unheard(plan)
        await until(lambda: self.live(), what="a resting closing order")
        return plan

    async def state(self) -> CloseState:
        return await self.closes.state(ACCOUNT_ID, "BTC-PERP")

    async def until_state(self, status: CloseStatus) -> CloseState:
        async def reached() -> CloseState | None:
            state = await self.state()
            return state if state.status is status else None

        found: CloseState = await until(reached, what=f"a close that is {status}")
        return found

    async def kept(self, plan: ClosePlan) -> CloseState:
        kept = await self.floor.storage.closes.get(plan.close_id)
        assert kept is not None
        return kept

    async def runs(self, workflow_id: str | None = None) -> set[str]:
        """Return the ids of all runs of the close (or of another workflow)."""
        wanted = workflow_id or ids.close_workflow_id(ACCOUNT_ID, "BTC-PERP")
        found = self.stage.client.list_workflows(f"WorkflowId = '{wanted}'")
        return {execution.run_id async for execution in found}
