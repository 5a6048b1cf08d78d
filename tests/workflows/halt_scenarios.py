"""The lives of kill switches that are recorded. Each returns the id of the workflow to be kept."""

from __future__ import annotations

from decimal import Decimal

from domain.halts import EVERYTHING
from tests.activities.floor import ACCOUNT_ID, an_order, until
from tests.workflows.halting import Halting, open_halting
from tests.workflows.stage import Stage
from venues.simulation.faults import FaultKind
from venues.simulation.records import Side
from workflows import ids


async def kill_switch(stage: Stage) -> str:
    """The switch itself, upgraded while it runs."""
    async with open_halting(stage, stage.floor.monkeypatch) as halting:
        await _stop_all(halting)
    return ids.kill_switch_workflow_id(EVERYTHING)


async def account_halted(stage: Stage) -> str:
    """Our order, somebody else's, looks that fail, and a position."""
    async with open_halting(stage, stage.floor.monkeypatch) as halting:
        await _stop_all(halting)
    return ids.account_halt_workflow_id(ACCOUNT_ID)


async def account_halt_gone_on_as_new(stage: Stage) -> str:
    """The newest of several runs: the venue did not answer for a while."""
    async with open_halting(stage, stage.floor.monkeypatch) as halting:
        await _stop_after_many_looks(halting)
    return ids.account_halt_workflow_id(ACCOUNT_ID)


async def _stop_all(halting: Halting) -> None:
    stage = halting.stage
    halting.buy("0.5")
    await stage.place(an_order())
    halting.trade(Side.BUY, "0.02", price=Decimal(40_000))
    stage.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "frontendOpenOrders", count=2)
    begun = await halting.halt()
    await halting.halt(flatten=True)
    await halting.until_stage(begun)
    await halting.ended()
    stage.kept_ids.add(ids.close_workflow_id(ACCOUNT_ID, "BTC-PERP"))


async def _stop_after_many_looks(halting: Halting) -> None:
    stage = halting.stage
    await stage.place(an_order())
    stage.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "frontendOpenOrders", count=None)
    begun = await halting.halt()
    handle = stage.client.get_workflow_handle(ids.account_halt_workflow_id(ACCOUNT_ID))

    async def is_known() -> bool:
        state = await halting.store.get(begun.kill_switch_id)
        return state is not None and len(state.accounts) > 0

    await until(is_known, what="the account's workflow")
    first = (await handle.describe()).run_id

    async def goes_on() -> bool:
        return (await handle.describe()).run_id != first

    await until(goes_on, what="a fresh history", within_s=60)
    stage.floor.venue_is_back()
    await halting.until_stage(begun)
    await halting.ended()
