"""A stage with what asks for reconciliations, and a venue that shows at once what it took."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from temporalio.client import WorkflowHandle

from domain.accounts import Account
from domain.findings import Finding, Reconciliation
from tests.activities.floor import ACCOUNT_ID
from tests.workflows.stage import Stage
from venues.simulation.records import Order as VenueRecord
from venues.simulation.records import Side, TimeInForce
from venues.simulation.trading import OrderRequest, place
from workflows.reconcile_contracts import reconcile_workflow_id
from workflows.reconciliation_client import ReconcileWorkflows

VISIBLE_AFTER_S = 0.3

_requests = itertools.count(1)


@dataclass
class Auditor:
    """Has the stage's account reconciled."""

    stage: Stage

    @classmethod
    async def of(cls, stage: Stage) -> Auditor:
        connector: Any = await stage.floor.connector()
        connector.proofs = replace(connector.proofs, visibility_delay_s=VISIBLE_AFTER_S)
        stage.kept_ids.add(reconcile_workflow_id(ACCOUNT_ID))
        return cls(stage)

    @property
    def workflows(self) -> ReconcileWorkflows:
        return ReconcileWorkflows(self.stage.client)

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        return self.stage.client.get_workflow_handle(reconcile_workflow_id(ACCOUNT_ID))

    async def account(self) -> Account:
        account = await self.stage.floor.storage.accounts.get(ACCOUNT_ID)
        assert account is not None
        return account

    async def reconcile(self, *, full: bool = False, key: str | None = None) -> Reconciliation:
        """Ask for a reconciliation and return it."""
        request_id = key or f"request-{next(_requests)}"
        done = await self.workflows.reconcile(
            await self.account(), request_id, requested_by="local", full=full, wait_s=30.0
        )
        assert done is not None, "expected a reconciliation in time"
        return done

    async def findings(self, done: Reconciliation) -> tuple[Finding, ...]:
        return await self.stage.floor.storage.reconciliations.findings(done.reconciliation_id)

    def by_hand(self, side: Side, price: str, quantity: str = "0.01") -> VenueRecord:
        """Place an order at the exchange past us."""
        exchange = self.stage.floor.venue.exchange
        request = OrderRequest(
            symbol="BTC",
            side=side,
            price=Decimal(price),
            quantity=Decimal(quantity),
            time_in_force=TimeInForce.GTC,
        )
        with exchange.action("by hand"):
            placed = place(
                exchange.tables, exchange.switches, self.stage.floor.opened["address"], request
            )
        assert placed.refusal is None, placed.refusal
        return placed.order
