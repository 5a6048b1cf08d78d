"""Lives of closes and brackets that are recorded; each returns the id of the workflow kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal

from domain.brackets import BracketStatus, ExitRule
from domain.closing import CloseStatus, Escalation, Then
from tests.activities.floor import ACCOUNT_ID, MARKET, an_order, until
from tests.workflows.bracketing import Desk
from tests.workflows.closing import Holding, a_plan
from tests.workflows.stage import Stage
from venues.simulation.faults import FaultKind
from venues.simulation.records import Side
from workflows import ids

CLOSE = ids.close_workflow_id(ACCOUNT_ID, "BTC-PERP")
FAR = Decimal(70_000)


async def close_at_market(stage: Stage) -> str:
    holding = Holding(stage)
    holding.buy("0.5")
    assert (await holding.close(percent=Decimal(50))).status is CloseStatus.DONE
    return CLOSE


async def close_of_nothing(stage: Stage) -> str:
    assert (await Holding(stage).close()).status is CloseStatus.REFUSED
    return CLOSE


async def close_escalated(stage: Stage) -> str:
    holding = Holding(stage)
    holding.sell("0.5")
    timetable = Escalation(reprice_every_s=1, reprices=1, then=Then.MARKET)
    end = await holding.close(limit_price=Decimal(55_000), escalation=timetable)
    assert end.status is CloseStatus.DONE
    return CLOSE


async def close_partly_filled_and_stopped(stage: Stage) -> str:
    holding = Holding(stage)
    holding.buy("0.5")
    plan = await holding.started(limit_price=FAR)
    await stage.fill("0.2")
    await holding.closes.stop(ACCOUNT_ID, "BTC-PERP", plan.close_id, "stop", wait_s=20)
    return CLOSE


async def close_with_a_lost_answer(stage: Stage) -> str:
    holding = Holding(stage)
    holding.buy("0.5")
    stage.floor.fault(FaultKind.DROP_AFTER_APPLY)
    stage.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "clearinghouseState", count=2)
    assert (await holding.close()).status is CloseStatus.DONE
    return CLOSE


async def close_after_a_termination(stage: Stage) -> str:
    """Recorded when a second run of the same close still canceled what the first one left."""
    holding = Holding(stage)
    holding.buy("0.5")
    timetable = Escalation(reprice_every_s=3, reprices=0, then=Then.MARKET)
    plan = await holding.started(limit_price=FAR, escalation=timetable)
    await stage.client.get_workflow_handle(CLOSE).terminate("recorded")
    assert (await holding.begin(plan)).decided
    return CLOSE


async def close_follows_after_a_termination(stage: Stage) -> str:
    """A second run follows the order that the first one left, and keeps that its end is wanted."""
    holding = Holding(stage)
    holding.buy("0.5")
    plan = await holding.started(limit_price=FAR)
    await stage.client.get_workflow_handle(CLOSE).terminate("recorded")
    assert not (await holding.begin_unheard(plan)).decided
    await stage.fill("0.2")
    stop = await holding.closes.stop(ACCOUNT_ID, "BTC-PERP", plan.close_id, "stop", wait_s=20)
    assert stop.decided
    assert len(holding.ours()) == 1
    return CLOSE


async def close_goes_on_as_new(stage: Stage) -> str:
    """The newest of several runs; each goes on where the last one was."""
    holding = Holding(stage)
    holding.buy("0.5")
    timetable = Escalation(reprice_every_s=1, reprices=3, then=Then.MARKET)
    plan = a_plan(limit_price=FAR, escalation=timetable)
    first = await holding.begin(plan, wait_s=1)
    assert not first.decided
    end = await holding.until_state(CloseStatus.DONE)
    assert end.plan == plan
    assert end.rung == 4
    assert holding.held == 0
    assert len(await holding.runs()) > 1, "expected a fresh history"
    return CLOSE


async def bracket_target(stage: Stage) -> str:
    desk = Desk(stage)
    await desk.bracket(an_order(**MARKET, quantity=Decimal("0.1")))
    await desk.until_protected("0.1")
    desk.set_price("70100")
    await desk.hear()
    await desk.until_ended(BracketStatus.DONE)
    return ids.bracket_workflow_id(desk.plan.bracket_id)


async def bracket_partial_entry(stage: Stage) -> str:
    desk = Desk(stage)
    await desk.bracket(an_order(quantity=Decimal("0.1"), price=Decimal(60_000)))
    await until(desk.resting, what="the entry at the venue")
    desk.exchange_fill(desk.entry(), "0.04")
    await desk.hear()
    await desk.until_protected("0.04")
    desk.exchange_fill(desk.entry(), "0.06")
    await desk.hear()
    await desk.until_protected("0.1", of_each=2)
    await desk.brackets.end(desk.plan.bracket_id, "end", wait_s=20)
    return ids.bracket_workflow_id(desk.plan.bracket_id)


async def bracket_refused_stop(stage: Stage) -> str:
    desk = Desk(stage)
    await desk.bracket(
        an_order(**MARKET, quantity=Decimal("0.1")),
        take_profit=None,
        stop_loss=ExitRule(price=Decimal(66_000)),
    )
    await desk.until_ended(BracketStatus.DONE)
    return ids.bracket_workflow_id(desk.plan.bracket_id)


async def bracket_of_a_position_gone(stage: Stage) -> str:
    """By the second rules: exits kept before they begin, a position that is gone confirmed."""
    desk = Desk(stage)
    await desk.bracket(an_order(**MARKET, quantity=Decimal("0.1")))
    await desk.until_protected("0.1")
    desk.trade(Side.SELL, "0.1")
    for exit_order in desk.exits():
        desk.cancel_at_venue(exit_order)
    await desk.tell_ends()
    await desk.until_ended(BracketStatus.POSITION_GONE)
    return ids.bracket_workflow_id(desk.plan.bracket_id)


async def native_bracket_in_parts(stage: Stage) -> str:
    """A native bracket whose entry fills in two parts: exits of ours come and go between."""
    desk = Desk(stage)
    await desk.bracket(an_order(quantity=Decimal("0.1"), price=Decimal(60_000)), native=True)
    await until(lambda: len(desk.exits()) == 2, what="exits asleep")
    desk.exchange_fill(desk.entry(), "0.04")
    await desk.hear()
    await until(lambda: len(desk.exits()) == 4, what="exits of what is filled")
    desk.exchange_fill(desk.entry(), "0.06")
    await desk.hear()
    await desk.until_protected("0.1")
    desk.set_price("54000")
    await desk.hear()
    await desk.until_ended(BracketStatus.DONE)
    return ids.bracket_workflow_id(desk.plan.bracket_id)


async def native_bracket_request_lost(stage: Stage) -> str:
    """A native bracket whose request never arrived, so that it is placed again as a whole."""
    desk = Desk(stage)
    stage.floor.fault(FaultKind.DROP_BEFORE_APPLY)
    await desk.bracket(an_order(**MARKET, quantity=Decimal("0.1")), native=True)
    await desk.until_protected("0.1")
    await desk.brackets.end(desk.plan.bracket_id, "end", wait_s=20)
    return ids.bracket_workflow_id(desk.plan.bracket_id)


async def joint_entry(stage: Stage) -> str:
    """The workflow of a native bracket's entry, begun by the API before the bracket placed it."""
    desk = Desk(stage)
    entry = an_order(**MARKET, quantity=Decimal("0.1"))
    entry = replace(entry, parent_id=entry.order_id, joint=True)
    placing = asyncio.create_task(stage.place(entry))

    async def runs() -> bool:
        return await stage.workflows.is_running(entry.order_id) is True

    await until(runs, what="the entry's workflow")
    await desk.bracket(entry, native=True)
    await placing
    await stage.ended(entry)
    await desk.brackets.end(desk.plan.bracket_id, "end", wait_s=20)
    return ids.order_workflow_id(entry.order_id)


async def bracket_goes_on_as_new(stage: Stage) -> str:
    """The newest of several runs of a bracket whose entry fills bit by bit."""
    desk = Desk(stage)
    await desk.bracket(an_order(quantity=Decimal("0.1"), price=Decimal(60_000)))
    await until(desk.resting, what="the entry at the venue")
    for number in range(1, 5):
        desk.exchange_fill(desk.entry(), "0.01")
        await desk.hear()
        await desk.until_protected(f"0.0{number}", of_each=number)
        # A fresh history begins between two steps.
        await asyncio.sleep(0.3)
    workflow_id = ids.bracket_workflow_id(desk.plan.bracket_id)
    assert len(await desk.runs(workflow_id)) > 1, "expected a fresh history"
    desk.set_price("54000")
    await desk.hear()
    await desk.until_ended(BracketStatus.DONE)
    return workflow_id


ALL: tuple[Callable[[Stage], Awaitable[str]], ...] = (
    close_at_market,
    close_of_nothing,
    close_escalated,
    close_partly_filled_and_stopped,
    close_with_a_lost_answer,
    close_after_a_termination,
    close_follows_after_a_termination,
    close_goes_on_as_new,
    bracket_target,
    bracket_partial_entry,
    bracket_refused_stop,
    bracket_of_a_position_gone,
    native_bracket_in_parts,
    native_bracket_request_lost,
    joint_entry,
    bracket_goes_on_as_new,
)
GO_ON_AS_NEW = frozenset({"close_goes_on_as_new", "bracket_goes_on_as_new"})
