"""Lives of guards that are recorded; each returns the id of the workflow kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal

from domain.conditions import Conditions, Trail
from domain.guarding import GuardPlan, GuardStatus, Native
from tests.activities.floor import now, until
from tests.workflows.guarding import Guarded, a_guard
from tests.workflows.stage import Stage
from venues.simulation.faults import FaultKind
from workflows import ids


def _id(plan: GuardPlan) -> str:
    return ids.guard_workflow_id(plan.condition_id)


async def guard_triggered(stage: Stage) -> str:
    guarded = Guarded(stage)
    guarded.buy("0.5")
    plan = await guarded.watching(percent=Decimal(50))
    guarded.move("12")
    stage.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "clearinghouseState", count=1)
    await guarded.tell(plan)
    await guarded.until_closed(plan)
    return _id(plan)


async def guard_refused(stage: Stage) -> str:
    state = await Guarded(stage).guard()
    assert state.status is GuardStatus.REFUSED
    return _id(state.plan)


async def guard_changed_and_canceled(stage: Stage) -> str:
    guarded = Guarded(stage)
    guarded.buy("0.5")
    plan = await guarded.watching()
    await guarded.tell(plan, guarded.mark * Decimal("1.2"))
    trailing = a_guard(
        condition_id=plan.condition_id, conditions=Conditions(trail=Trail(percent=Decimal(2)))
    )
    await guarded.guards.change(trailing, "change", wait_s=20)
    await guarded.guards.cancel(plan.condition_id, "cancel", wait_s=20)
    return _id(plan)


async def guard_changed_with_doubts(stage: Stage) -> str:
    """The same of a guard that waits for a price before it changes."""
    return await guard_changed_and_canceled(stage)


async def guard_changed_unheard(stage: Stage) -> str:
    """Asked while no worker runs."""
    guarded = Guarded(stage)
    guarded.buy("0.5")
    plan = await guarded.watching()
    other = a_guard(condition_id=plan.condition_id, conditions=Conditions(loss_percent=Decimal(3)))
    await stage.stop_worker()
    await guarded.guards.change(other, "change", wait_s=0.3)
    await stage.start_worker()

    async def is_changed() -> bool:
        return (await guarded.kept_guard(plan)).plan.version == 2

    await until(is_changed, what="the other conditions")
    await guarded.guards.cancel(plan.condition_id, "cancel", wait_s=20)
    return _id(plan)


async def guard_of_a_time(stage: Stage) -> str:
    guarded = Guarded(stage)
    guarded.sell("0.5")
    plan = await guarded.watching(conditions=Conditions(at=now() + timedelta(seconds=2)))
    await guarded.until_closed(plan)
    return _id(plan)


async def guard_with_orders_at_the_venue(stage: Stage) -> str:
    guarded = Guarded(stage)
    guarded.buy("0.5")
    plan = await guarded.watching(
        conditions=Conditions(profit_percent=Decimal(10), loss_percent=Decimal(5)),
        native=Native.BESIDE,
    )
    await until(lambda: len(guarded.live_triggers()) == 2, what="two orders at the venue")
    guarded.sell("0.5")
    await guarded.guards.moved(plan.condition_id)
    await guarded.until_guard(plan, GuardStatus.POSITION_GONE)
    return _id(plan)


async def until_a_fresh_history(guarded: Guarded, plan: GuardPlan) -> None:
    """Have a guard look until its history is long."""
    handle = guarded.stage.client.get_workflow_handle(_id(plan))
    first = (await handle.describe()).run_id
    for _ in range(40):
        await guarded.guards.moved(plan.condition_id)
        # A fresh history begins between two looks.
        await asyncio.sleep(0.15)
        if (await handle.describe()).run_id != first:
            return
    raise AssertionError("expected a fresh history")


async def guard_goes_on_as_new(stage: Stage) -> str:
    guarded = Guarded(stage)
    guarded.buy("0.5")
    plan = await guarded.watching()
    await until_a_fresh_history(guarded, plan)
    guarded.move("12")
    await guarded.tell(plan)
    await guarded.until_closed(plan)
    assert guarded.held == 0
    return _id(plan)


ALL: tuple[Callable[[Stage], Awaitable[str]], ...] = (
    guard_triggered,
    guard_refused,
    guard_changed_and_canceled,
    guard_changed_with_doubts,
    guard_changed_unheard,
    guard_of_a_time,
    guard_with_orders_at_the_venue,
    guard_goes_on_as_new,
)
GO_ON_AS_NEW = frozenset({"guard_goes_on_as_new"})
