"""A split order on the workflows' stage: two accounts at the exchange, and both queues served."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from temporalio.worker import Worker

from domain.accounts import AccountState
from domain.identifiers import order_id_for
from domain.instruments import OrderSide
from domain.orders import Order, OrderType, TimeInForce
from domain.splits import SplitPlan, SplitShare, SplitState, SplitStatus, leg_order_id, requested
from serving.queues import core_worker
from serving.settings import WorkerSettings
from tests.activities.floor import ABOVE, ACCOUNT_ID, BELOW, add_account, now, until
from tests.workflows.stage import Stage
from venues.simulation import operations
from venues.simulation.records import Order as VenueRecord
from workflows import ids
from workflows.split_client import SplitSweep, SplitWorkflows

OTHER_ID = "22222222-2222-4222-8222-222222222222"
#: Quantities tell the accounts' shares apart at the exchange.
FIRST, SECOND = Decimal("0.03"), Decimal("0.02")

_numbers = itertools.count(1)


def a_split(**changes: Any) -> SplitPlan:
    """Return a buy that rests at both accounts, of an id of its own."""
    key = f"split-{next(_numbers)}-{now().timestamp()}"
    plan = SplitPlan(
        split_id=order_id_for("local", key),
        owner="local",
        symbol="BTC-PERP",
        side=OrderSide.BUY,
        quantity=FIRST + SECOND,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        created_at=now(),
        shares=(
            SplitShare(account_id=ACCOUNT_ID, venue="hyperliquid", quantity=FIRST),
            SplitShare(account_id=OTHER_ID, venue="hyperliquid", quantity=SECOND),
        ),
        price=BELOW,
        fingerprint=f"fingerprint of {key}",
        idempotency_key=key,
    )
    return replace(plan, **changes)


TAKING: dict[str, Any] = {"price": ABOVE, "time_in_force": TimeInForce.IOC}


class Splitting:
    """Split orders over two accounts of the floor."""

    def __init__(self, stage: Stage, other_address: str) -> None:
        self.stage = stage
        self.floor = stage.floor
        self.store = stage.floor.storage.splits
        self.workflows = SplitWorkflows(stage.client)
        self.sweep = SplitSweep(self.store, self.workflows, lambda: now() + timedelta(minutes=1))
        self._addresses = {stage.floor.opened["address"], other_address}
        self._core: Worker | None = None
        # Here nobody reports late, and every order would wait a second for it.
        pause = timedelta(milliseconds=100)
        stage.floor.monkeypatch.setattr("workflows.policies.SETTLE_PAUSE", pause)

    async def start_core(self) -> None:
        settings = WorkerSettings.load(perp_dex_home=Path("/nonexistent"))
        self._core = core_worker(settings, self.stage.client, storage=self.floor.storage)
        await self._core.__aenter__()

    async def stop_core(self) -> None:
        core, self._core = self._core, None
        if core is not None:
            await core.__aexit__(None, None, None)

    async def start(self, plan: SplitPlan) -> SplitPlan:
        """Keep and start a split order, as the API does."""
        self.remember(plan)
        kept = await self.store.keep(requested(plan))
        await self.workflows.start(kept.plan)
        return kept.plan

    def remember(self, plan: SplitPlan) -> None:
        """Have its histories replayed, and ended with the stage."""
        self.stage.kept_ids.add(ids.split_workflow_id(plan.split_id))
        for number in range(len(plan.shares)):
            child = leg_order_id(plan.split_id, number)
            self.stage.kept_ids.add(ids.order_workflow_id(child))

    async def terminate(self, plan: SplitPlan) -> None:
        handle = self.stage.client.get_workflow_handle(ids.split_workflow_id(plan.split_id))
        await handle.terminate("lost")

    async def now(self, plan: SplitPlan) -> SplitState:
        return await self.workflows.state(plan.split_id)

    async def until_ended(self, plan: SplitPlan, status: SplitStatus) -> SplitState:
        async def ended() -> SplitState | None:
            state = await self.store.get(plan.split_id)
            return state if state is not None and state.status.is_terminal else None

        end: SplitState = await until(ended, what=f"a split order that is {status}")
        assert end.status is status, end
        return end

    async def until_known(self, plan: SplitPlan) -> None:
        """Wait until the parent knows of every fill that is booked."""

        async def known() -> bool:
            booked = sum((child.filled_quantity for child in await self.children(plan)), Decimal(0))
            return (await self.now(plan)).filled == booked

        await until(known, what="a parent that knows of all fills")

    async def children(self, plan: SplitPlan) -> tuple[Order, ...]:
        numbers = range(len(plan.shares))
        return await self.store.orders([leg_order_id(plan.split_id, n) for n in numbers])

    def at_venue(self) -> list[VenueRecord]:
        """Return every order that either account ever had at the exchange."""
        orders = self.floor.venue.exchange.tables.orders.values()
        return [order for order in orders if order.account in self._addresses]

    def live(self) -> list[Decimal]:
        """Return the quantities of what rests at the exchange."""
        return sorted(order.quantity for order in self.at_venue() if order.status.is_live)

    async def until_resting(self) -> None:
        await until(lambda: self.live() == [SECOND, FIRST], what="both shares at the exchange")

    async def fill(self, quantity: Decimal, part: str | None = None) -> None:
        """Have the house fill the share of a quantity, and tell."""
        [order] = [each for each in self.at_venue() if each.quantity == quantity]
        wanted = None if part is None else Decimal(part)
        operations.fill_order(self.floor.venue.exchange, order, wanted, None)
        await self.hear()

    async def hear(self) -> None:
        """Book the fills of both accounts and tell the workflows, as streaming does."""
        connector = await self.floor.connector()
        for account_id in (ACCOUNT_ID, OTHER_ID):
            account = (await self.floor.access.open(account_id)).account
            fills = await connector.fills(account, since=now() - timedelta(hours=1))
            await self.floor.storage.orders.book(fills)
        await self.stage.deliver()


@asynccontextmanager
async def open_splitting(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Splitting]:
    """Serve both queues of a stage, each with a name of its own, and add the second account."""
    core, venue = f"core-split-{next(_numbers)}", ids.venue_queue("hyperliquid")
    for module in ("workflows.ids", "serving.queues"):
        monkeypatch.setattr(f"{module}.core_queue", lambda: core)
    monkeypatch.setattr("workflows.split.venue_queue", lambda _venue: venue)
    floor = stage.floor
    opened = await floor.venue.simulator.open_account(Decimal(1_000_000), "other")
    await add_account(
        floor, OTHER_ID, secret=opened["private_key"], address=opened["address"], label="other"
    )
    await floor.storage.accounts.set_state(
        OTHER_ID, AccountState.ACTIVE, reason=None, signer=opened["agent_address"]
    )
    splitting = Splitting(stage, opened["address"])
    await splitting.start_core()
    try:
        yield splitting
    finally:
        await splitting.stop_core()
