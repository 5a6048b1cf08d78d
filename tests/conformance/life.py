"""Orders' own workflows over a stage: a real Temporal, a worker of ours, and the way to them.

Adds to `tests.conformance.stage` what drives an order's whole life; knows no venue.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.service import RPCError

from domain.identifiers import order_id_for
from domain.instruments import OrderSide
from domain.orders import Order, OrderType, TimeInForce
from serving.queues import venue_worker
from serving.settings import Parts, WorkerSettings
from streaming.bridge import Bridge
from tests.conformance.stage import Stage, now
from tests.workflows.stage import KEYS, NAMESPACE
from venues.simulation.events import Event
from venues.simulation.records import Order as Record
from workflows import ids
from workflows.client import OrderWorkflows, RequestAnswer, connect

_numbers = itertools.count(1)


@dataclass
class Life:
    """A stage with a worker. `at_most` is the most that the account ever stood to own."""

    stage: Stage
    client: Client
    placed: list[Order] = field(default_factory=list)
    at_most: Decimal = Decimal(0)

    @property
    def workflows(self) -> OrderWorkflows:
        return OrderWorkflows(self.client)

    async def rest(self) -> Order:
        """Place a buy that rests, by its workflow, and return it."""
        prices = await self.stage.prices()
        created = now()
        key = f"life-{next(_numbers)}-{created.timestamp()}"
        order = Order(
            order_id=order_id_for("local", key),
            owner="local",
            account_id=self.stage.account.account_id,
            venue=self.stage.rig.venue,
            symbol=self.stage.rig.symbol,
            side=OrderSide.BUY,
            order_type=OrderType.LIMIT,
            quantity=prices.quantity,
            time_in_force=TimeInForce.GTC,
            created_at=created,
            place_by=created + timedelta(seconds=30),
            price=prices.below,
            fingerprint=key,
            idempotency_key=key,
        )
        self.placed.append(order)
        answer = await self.workflows.place(order, wait_s=15, account_label="main")
        assert answer.order is not None and answer.order.venue_order_id, answer
        return answer.order

    async def modify(self, order: Order, request_id: str, **wanted: Any) -> RequestAnswer:
        asked = {"price": None, "quantity": None, **wanted}
        return await self.workflows.modify(order.order_id, request_id, wait_s=20, **asked)

    async def deliver(self) -> None:
        """Book what the venue lists and tell the workflows: as streaming does."""
        since = now() - timedelta(hours=1)
        fills = await self.stage.connector.fills(self.stage.account, since=since)
        await self.stage.storage.orders.book(fills)
        await Bridge(self.stage.storage.orders, self.workflows, interval_s=0.0).deliver_due()

    def ours(self) -> list[Record]:
        """Return every order of the account at the exchange, oldest first."""
        address = self.stage.account.address
        return [one for one in self.stage.records() if one.account == address]

    def live(self) -> list[Record]:
        return [one for one in self.ours() if one.status.is_live]

    def watch(self, _events: Any = None) -> None:
        """Note how much the account would own if all that lives now were to fill."""
        asked = sum((one.filled for one in self.ours()), Decimal(0))
        asked += sum((one.remaining for one in self.live()), Decimal(0))
        self.at_most = max(self.at_most, asked)


@asynccontextmanager
async def open_life(
    stage: Stage, address: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Life]:
    """Run a worker of the stage's venue, on a task queue of its own."""
    queue = f"conformance-{stage.rig.venue}-{next(_numbers)}"
    for module in ("workflows.ids", "serving.queues"):
        monkeypatch.setattr(f"{module}.venue_queue", lambda _venue: queue)
    monkeypatch.setattr("serving.queues.DRAIN", timedelta(milliseconds=200))
    client = await connect(address, NAMESPACE, KEYS, refused=_never, lazy=False)
    worker = venue_worker(
        WorkerSettings.load(perp_dex_home=Path("/nonexistent")),
        client,
        stage.rig.venue,
        storage=stage.storage,
        access=stage.access,
        connectors=stage.connectors,
        parts=Parts(),
        lanes=stage.lanes,
    )
    life = Life(stage=stage, client=client)
    stage.running.exchange.listeners.append(lambda events: _heard(life, events))
    async with worker:
        try:
            yield life
        finally:
            for order in life.placed:
                with suppress(RPCError):
                    handle = client.get_workflow_handle(ids.order_workflow_id(order.order_id))
                    await handle.terminate("the test is over")


def _heard(life: Life, events: Any) -> None:
    heard: list[Event] = list(events)
    if heard:
        life.watch()


def _never(reason: str) -> None:
    raise AssertionError(f"a payload was refused: {reason}")
