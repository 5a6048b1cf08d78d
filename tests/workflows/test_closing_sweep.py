"""Closes and brackets whose workflow was lost go on; what was only asked for does not begin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from domain.brackets import BracketPlan, BracketState, BracketStatus
from domain.closing import CloseStatus, Escalation, Then
from tests.activities.floor import MARKET, an_order, now
from tests.workflows.bracketing import Desk
from tests.workflows.closing import a_plan
from tests.workflows.closing_scenarios import CLOSE
from tests.workflows.stage import Stage
from workflows import ids
from workflows.closing_sweep import ClosingSweep


@pytest.fixture
def desk(stage: Stage) -> Iterator[Desk]:
    yield Desk(stage)


async def swept(desk: Desk) -> tuple[str, ...]:
    def later() -> datetime:
        return now() + timedelta(minutes=1)

    storage = desk.floor.storage
    sweep = ClosingSweep.over(desk.stage.client, storage.closes, storage.brackets, later)
    return await sweep.run()


async def test_a_lost_close_goes_on(desk: Desk) -> None:
    desk.buy("0.5")
    timetable = Escalation(reprice_every_s=2, reprices=0, then=Then.MARKET)
    plan = await desk.started(limit_price=Decimal(70_000), escalation=timetable)
    assert await swept(desk) == (), "it is driven"
    await desk.stage.client.get_workflow_handle(CLOSE).terminate("lost")

    assert await swept(desk) == (plan.close_id,)

    await desk.until_state(CloseStatus.DONE)
    assert desk.held == 0


async def test_a_lost_close_waits_for_another(desk: Desk) -> None:
    desk.buy("0.5")
    await desk.started(limit_price=Decimal(70_000))
    await desk.stage.client.get_workflow_handle(CLOSE).terminate("lost")
    other = await desk.started(limit_price=Decimal(71_000))

    assert await swept(desk) == ()

    answer = await desk.closes.stop(
        other.account_id, other.symbol, other.close_id, "stop", wait_s=20
    )
    assert answer.decided


async def test_what_was_only_asked_for_does_not_begin(desk: Desk) -> None:
    plan = a_plan()
    await desk.floor.storage.closes.request(plan)
    entry = an_order()
    asked = BracketPlan(entry=replace(entry, parent_id=entry.order_id))
    await desk.floor.storage.brackets.keep(BracketState(plan=asked))

    assert await swept(desk) == ()


async def test_a_lost_bracket_goes_on(desk: Desk) -> None:
    await desk.bracket(an_order(**MARKET, quantity=Decimal("0.1")))
    await desk.until_protected("0.1")
    workflow_id = ids.bracket_workflow_id(desk.plan.bracket_id)
    assert await swept(desk) == (), "it is driven"
    await desk.stage.client.get_workflow_handle(workflow_id).terminate("lost")

    assert await swept(desk) == (desk.plan.bracket_id,)

    desk.set_price("70100")
    await desk.hear()
    end = await desk.until_ended(BracketStatus.DONE)
    assert "TAKE_PROFIT 0.1" in end.reason
    assert len([o for o in desk.floor.at_venue() if o.reduce_only]) == 2, "placed once each"
