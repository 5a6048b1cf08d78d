"""The orphan sweep: no order without a workflow, no command without somebody who resolves it.

Runs beside the worker, at start and each minute. Starting a workflow that runs already, or twice,
does no harm: the ledger decides what may be sent. Knows the ports, not SQL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.orders import Concern, Order
from domain.ports import IntentLedger, OrderStore
from workflows.client import OrderWorkflows

GRACE = timedelta(seconds=10)
"""Younger commands are somebody's work in progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep did: orders adopted, and workflows told to look into the ledger again."""

    adopted: tuple[str, ...]
    reminded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OrphanSweep:
    """Finds orders that nobody manages and commands that nobody resolves."""

    ledger: IntentLedger
    orders: OrderStore
    workflows: OrderWorkflows
    now: Callable[[], datetime]

    async def run(self) -> Swept:
        """Sweep once.

        Raises:
            Unavailable: the database or Temporal does not answer; sweep again later.
        """
        undecided = await self.ledger.undecided(before=self.now() - GRACE)
        waiting = {row.key.order_id for row in undecided}
        orders = {order.order_id: order for order in await self.orders.live()}
        for order_id in waiting - orders.keys():
            order = await self.orders.get(order_id)
            if order is not None:
                orders[order_id] = order
        adopted, reminded = [], []
        for order_id, order in orders.items():
            if _is_nobodys(order) and order_id not in waiting:
                continue
            running = await self.workflows.is_running(order_id)
            if running:
                if order_id in waiting and await self._remind(order_id):
                    reminded.append(order_id)
            elif self._is_old(order) and await self._adopt(order, known=running is not None):
                adopted.append(order_id)
        return Swept(adopted=tuple(adopted), reminded=tuple(reminded))

    def _is_old(self, order: Order) -> bool:
        return order.created_at < self.now() - GRACE

    async def _remind(self, order_id: str) -> bool:
        return (await self.workflows.reconsider(order_id)).value == "delivered"

    async def _adopt(self, order: Order, *, known: bool) -> bool:
        if await self.workflows.adopt(order):
            return True
        return known and await self.workflows.adopt(order, completed_too=True)


def _is_nobodys(order: Order) -> bool:
    """Tell whether an order has no workflow on purpose: not ours, and nothing is done about it."""
    return not order.origin.is_ours and order.concern is Concern.NONE
