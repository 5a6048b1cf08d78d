"""A kill switch on the workflows' stage: real Temporal, real workers, simulated exchange."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.worker import Worker

from domain.halts import EVERYTHING, HaltScope, HaltStage, KillSwitch
from serving.queues import core_worker
from serving.settings import WorkerSettings
from tests.activities.floor import ACCOUNT_ID, now, until
from tests.workflows.closing import Holding
from tests.workflows.stage import Stage
from venues.hyperliquid.connector import HyperliquidConnector
from venues.simulation.records import OrderStatus
from workflows import ids
from workflows.halt_client import HaltSweep, KillSwitchWorkflows
from workflows.kill_switch import KillSwitchWorkflow

_queues = itertools.count(1)


class Halting(Holding):
    """The floor's account, used by hand, and the kill switch over it."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.switches = KillSwitchWorkflows(stage.client)
        self.store = stage.floor.storage.kill_switches
        self.sweep = HaltSweep(self.store, self.switches)
        self._core: Worker | None = None

    # The worker of the queue without keys.

    async def start_core(self) -> None:
        settings = WorkerSettings.load(perp_dex_home=Path("/nonexistent"))
        self._core = core_worker(settings, self.stage.client, storage=self.floor.storage)
        await self._core.__aenter__()

    async def stop_core(self) -> None:
        core, self._core = self._core, None
        if core is not None:
            await core.__aexit__(None, None, None)

    # The kill switch.

    def remember(self, scope: HaltScope) -> None:
        """Have the histories of a scope's workflows replayed, and ended with the stage."""
        self.stage.kept_ids |= {
            ids.kill_switch_workflow_id(scope),
            ids.account_halt_workflow_id(ACCOUNT_ID),
        }

    async def halt(self, scope: HaltScope = EVERYTHING, **changes: Any) -> KillSwitch:
        """Halt, and start the workflow: as the API does."""
        begun = await self.store.begin(replace(a_switch(scope), **changes))
        self.remember(scope)
        await self.switches.start(begun)
        return begun

    async def until_stage(
        self, begun: KillSwitch, stage: HaltStage = HaltStage.HALTED, *, within_s: float = 30.0
    ) -> KillSwitch:
        async def reached() -> KillSwitch | None:
            state = await self.store.get(begun.kill_switch_id)
            return state if state is not None and state.stage is stage else None

        found: KillSwitch = await until(reached, what=f"a switch {stage}", within_s=within_s)
        return found

    async def ended(self, scope: HaltScope = EVERYTHING) -> KillSwitch:
        """Wait for the workflow's end; return what it says."""
        result: KillSwitch = await self.handle_of(ids.kill_switch_workflow_id(scope)).result()
        return result

    def handle_of(self, workflow_id: str) -> WorkflowHandle[Any, Any]:
        return self.stage.client.get_workflow_handle_for(KillSwitchWorkflow.run, workflow_id)

    def open_at_venue(self) -> list[str]:
        """Return what rests at the exchange of the account, whoever placed it."""
        at_venue = self.floor.at_venue()
        return [str(order) for order in at_venue if order.status is OrderStatus.OPEN]


def a_switch(scope: HaltScope = EVERYTHING) -> KillSwitch:
    return KillSwitch(
        kill_switch_id=str(uuid.uuid4()),
        scope=scope,
        owner="local",
        flatten=False,
        reason="a test",
        requested_by="local",
        requested_at=now(),
    )


@asynccontextmanager
async def open_halting(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Halting]:
    """Serve both queues of a stage, each with a name of its own."""
    core = f"core-{next(_queues)}"
    venue = ids.venue_queue("hyperliquid")
    for module in ("workflows.ids", "serving.queues"):
        monkeypatch.setattr(f"{module}.core_queue", lambda: core)
    for module in ("workflows.kill_switch", "workflows.close"):
        monkeypatch.setattr(f"{module}.venue_queue", lambda _venue: venue)
    # The simulated exchange shows at once what it has taken; nobody has to wait for it.
    quick = replace(HyperliquidConnector.proofs, visibility_delay_s=0.1)
    monkeypatch.setattr(HyperliquidConnector, "proofs", quick)
    halting = Halting(stage)
    await halting.start_core()
    try:
        yield halting
    finally:
        await halting.stop_core()
