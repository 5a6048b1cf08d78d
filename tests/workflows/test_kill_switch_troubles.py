"""The kill switch in trouble: a venue that is closed, closes that hang, fail, or are another's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from temporalio.client import WorkflowHandle

from domain.halts import EVERYTHING, AccountProgress, HaltStage, account_scope
from tests.activities.floor import ACCOUNT_ID, an_order, until
from tests.workflows.closing import a_plan
from tests.workflows.halting import Halting, open_halting
from tests.workflows.stage import Stage
from venues.simulation.faults import FaultKind
from workflows import ids
from workflows.account_halt import AccountHaltWorkflow
from workflows.close import CloseWorkflow
from workflows.close_contracts import CloseStart

CLOSE_ID = ids.close_workflow_id(ACCOUNT_ID, "BTC-PERP")


@pytest.fixture
async def halting(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Halting]:
    monkeypatch.setattr("workflows.policies.HALT_ASK_AGAIN", timedelta(seconds=1))
    monkeypatch.setattr("workflows.policies.HALT_LONGEST_PAUSE", timedelta(seconds=1))
    monkeypatch.setattr("workflows.policies.HALT_LISTEN", timedelta(seconds=1))
    async with open_halting(stage, monkeypatch) as opened:
        yield opened


def of_account(stage: Stage) -> WorkflowHandle[AccountHaltWorkflow, AccountProgress]:
    return stage.client.get_workflow_handle_for(
        AccountHaltWorkflow.run, ids.account_halt_workflow_id(ACCOUNT_ID)
    )


async def test_a_closed_venue_is_looked_at_until_it_opens(halting: Halting, stage: Stage) -> None:
    await stage.place(an_order())
    await stage.floor.close_venue()
    begun = await halting.halt()

    async def has_failed() -> bool:
        state = await halting.store.get(begun.kill_switch_id)
        return bool(state and state.accounts and state.accounts[0].attempts > 1)

    await until(has_failed, what="looks that fail")
    asked = await of_account(stage).query(AccountHaltWorkflow.state)
    assert asked.last_answer.startswith("look failed")
    stage.floor.venue_is_back()
    await halting.until_stage(begun)
    assert halting.open_at_venue() == []


async def test_a_close_of_another_is_asked_to_end_and_waited_for(
    halting: Halting, stage: Stage
) -> None:
    """One that nobody serves: it runs, places nothing, and does not end."""
    halting.buy("0.5")
    other = await stage.client.start_workflow(
        CloseWorkflow.run, CloseStart(plan=a_plan()), id=CLOSE_ID, task_queue="nobody"
    )
    begun = await halting.halt(flatten=True)

    async def is_asked() -> bool:
        history = await other.fetch_history()
        return any(
            event.HasField("workflow_execution_cancel_requested_event_attributes")
            for event in history.events
        )

    await until(is_asked, what="a request to end")
    assert str(halting.held) == "0.5"
    await other.terminate("out of the way")
    await halting.until_stage(begun)
    assert halting.held == 0


async def test_a_close_that_is_lost_is_followed_by_another(halting: Halting, stage: Stage) -> None:
    halting.buy("0.5")
    stage.kept_ids.add(CLOSE_ID)
    stage.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "order", count=None)
    begun = await halting.halt(flatten=True)
    await halting.until_stage(begun, HaltStage.FLATTENING)
    await stage.client.get_workflow_handle(CLOSE_ID).terminate("lost")
    stage.floor.venue_is_back()

    await halting.until_stage(begun, within_s=60)

    assert halting.held == 0
    assert halting.open_at_venue() == []


async def test_a_forced_resume_while_positions_are_closed_leaves_the_close_going(
    halting: Halting, stage: Stage
) -> None:
    halting.buy("0.5")
    stage.kept_ids.add(CLOSE_ID)
    stage.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "order", count=None)
    begun = await halting.halt(flatten=True)
    await halting.until_stage(begun, HaltStage.FLATTENING)

    await halting.store.resume(EVERYTHING, reason="x", by="local", forced=True)
    await halting.switches.stop(EVERYTHING)

    assert (await halting.ended()).stage is HaltStage.STOPPED
    ended: AccountProgress = await of_account(stage).result()
    assert ended.stage is HaltStage.STOPPED
    stage.floor.venue_is_back()
    await until(lambda: halting.held == 0, what="the close to go on")


async def test_another_scope_joins_wants_more_and_the_first_is_told(
    halting: Halting, stage: Stage
) -> None:
    halting.buy("0.5")
    await stage.floor.close_venue()
    first = await halting.halt()
    await halting.until_stage(first, HaltStage.BLOCKING)
    second = await halting.halt(account_scope(ACCOUNT_ID), flatten=True)
    stage.floor.venue_is_back()

    await halting.until_stage(second)
    await halting.until_stage(first)

    assert halting.held == 0


async def test_nobody_hears_and_it_is_asked_again(halting: Halting, stage: Stage) -> None:
    """The account's workflow is lost without a word."""
    await stage.place(an_order())
    await stage.floor.close_venue()
    begun = await halting.halt()

    async def is_known() -> bool:
        state = await halting.store.get(begun.kill_switch_id)
        return bool(state and state.accounts)

    await until(is_known, what="the account's workflow")
    await of_account(stage).terminate("lost")
    stage.floor.venue_is_back()
    await halting.until_stage(begun)
    assert halting.open_at_venue() == []
