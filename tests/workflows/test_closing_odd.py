"""Odd lives of closes, brackets and conditions: lost orders, long histories, nobody answers."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from domain.closing import CloseStatus, Escalation, Then
from domain.conditions import Conditions
from domain.errors import Conflict, NotFound, Unavailable
from tests.activities.floor import ACCOUNT_ID, MARKET, an_order, until
from tests.workflows import closing_scenarios, guard_scenarios
from tests.workflows.bracketing import Desk
from tests.workflows.closing import Holding, a_plan
from tests.workflows.closing_scenarios import CLOSE
from tests.workflows.guarding import Guarded, a_guard
from tests.workflows.scenarios import SUGGEST_AFTER_EVENTS
from tests.workflows.stage import KEYS, NAMESPACE, Stage, open_stage, temporal_server
from venues.simulation.faults import FaultKind
from workflows import ids, policies
from workflows.bracket_client import BracketWorkflows
from workflows.client import connect
from workflows.close_client import CloseWorkflows


@pytest.fixture
def desk(stage: Stage) -> Iterator[Desk]:
    yield Desk(stage)


@pytest.fixture(scope="module")
def impatient_temporal() -> Iterator[str]:
    with temporal_server(
        **{"limit.historyCount.suggestContinueAsNew": SUGGEST_AFTER_EVENTS}
    ) as address:
        yield address


@pytest.fixture
async def impatient(
    impatient_temporal: str,
    database_template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Stage]:
    async with open_stage(impatient_temporal, database_template, tmp_path, monkeypatch) as opened:
        yield opened


async def test_a_long_close_goes_on_as_new(impatient: Stage) -> None:
    await closing_scenarios.close_goes_on_as_new(impatient)


async def test_a_close_that_looks_in_vain_for_long_goes_on_as_new(impatient: Stage) -> None:
    """Its history would be full otherwise while the venue is away."""
    holding = Holding(impatient)
    holding.buy("0.5")
    holding.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "clearinghouseState", count=None)
    await holding.begin_unheard(a_plan())

    async def went_on() -> bool:
        return len(await holding.runs()) > 1

    await until(went_on, what="a fresh history")
    holding.floor.venue_is_back()
    await holding.until_state(CloseStatus.DONE)
    assert holding.held == 0


async def test_a_change_made_before_a_fresh_history_is_not_made_again(impatient: Stage) -> None:
    """Asked for once more by a caller that never heard, after somebody else's change."""
    guarded = Guarded(impatient)
    guarded.buy("0.5")
    plan = await guarded.watching()
    first, second, hopeless = (
        a_guard(condition_id=plan.condition_id, conditions=Conditions(profit_percent=Decimal(each)))
        for each in (20, 30, 5)
    )
    await guarded.guards.change(first, "first", wait_s=20)
    await guarded.guards.change(second, "second", wait_s=20)
    guarded.move("7")
    with pytest.raises(Conflict, match="true already"):
        await guarded.guards.change(hopeless, "hopeless", wait_s=20)
    guarded.move("-7")
    await guard_scenarios.until_a_fresh_history(guarded, plan)

    again = await guarded.guards.change(first, "first", wait_s=20)

    assert again.state is not None
    assert again.state.plan.conditions == second.conditions
    assert again.state.plan.version == 3
    with pytest.raises(Conflict, match="true already"):
        await guarded.guards.change(hopeless, "hopeless", wait_s=20)
    await guarded.guards.cancel(plan.condition_id, "cancel", wait_s=20)


async def test_a_long_bracket_goes_on_as_new(impatient: Stage) -> None:
    await closing_scenarios.bracket_goes_on_as_new(impatient)


async def test_an_order_whose_workflow_was_lost_is_followed_to_its_end(desk: Desk) -> None:
    desk.buy("0.5")
    plan = await desk.started(limit_price=Decimal(70_000))
    state = await desk.state()
    assert state.child is not None
    order = await desk.floor.storage.orders.get(state.child.order_id)
    assert order is not None
    workflow_id = ids.order_workflow_id(order.order_id)
    await desk.stage.client.get_workflow_handle(workflow_id).terminate("lost")

    async def detached() -> bool:
        child = (await desk.state()).child
        return child is not None and not child.attached

    await until(detached, what="a close that looks for its order's end")
    stop = await desk.closes.stop(ACCOUNT_ID, "BTC-PERP", plan.close_id, "stop", wait_s=1)
    assert not stop.decided, "nobody cancels it"
    assert len(desk.live()) == 1
    desk.stage.kept_ids.add(workflow_id)
    assert await desk.stage.workflows.adopt(order)

    end = await desk.until_state(CloseStatus.CANCELED)
    assert not desk.live()
    assert end.filled == 0


async def test_what_is_tried_in_vain_calls_for_an_operator(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "ATTENTION_AFTER", timedelta(milliseconds=300))
    desk.buy("0.5")
    desk.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "clearinghouseState", count=None)
    await desk.begin_unheard(a_plan())
    handle = desk.stage.client.get_workflow_handle(CLOSE)

    async def calls() -> bool:
        pairs = (await handle.describe()).typed_search_attributes
        return {pair.key.name: pair.value for pair in pairs}.get("NeedsAttention") is True

    await until(calls, what="a call for attention")
    assert "look failed" in (await desk.state()).last_answer
    desk.floor.venue_is_back()
    await desk.until_state(CloseStatus.DONE)

    async def calm() -> bool:
        return not await calls()

    await until(calm, what="no call for attention")


async def test_orders_that_we_refuse_end_a_close(desk: Desk) -> None:
    """A price between two ticks, which the API refuses: here it comes to the order."""
    desk.buy("0.5")

    end = await desk.close(limit_price=Decimal("70000.123456789"))

    assert end.status is CloseStatus.REFUSED
    assert "DENIED" in end.reason
    assert desk.held == Decimal("0.5")


async def test_a_stop_of_another_close(desk: Desk) -> None:
    desk.buy("0.5")
    plan = await desk.started(limit_price=Decimal(70_000))

    with pytest.raises(Conflict) as other:
        await desk.closes.stop(ACCOUNT_ID, "BTC-PERP", a_plan().close_id, "a", wait_s=5)
    assert other.value.code == "close_ended"
    await desk.closes.stop(ACCOUNT_ID, "BTC-PERP", plan.close_id, "b", wait_s=20)
    with pytest.raises(Conflict):
        await desk.closes.stop(ACCOUNT_ID, "BTC-PERP", plan.close_id, "c", wait_s=5)
    assert await desk.closes.running(ACCOUNT_ID, "BTC-PERP") is None


async def test_what_was_never_begun(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await desk.closes.stop(ACCOUNT_ID, "ETH-PERP", "nothing", "a", wait_s=5)
    with pytest.raises(NotFound):
        await desk.closes.state(ACCOUNT_ID, "ETH-PERP")
    assert await desk.closes.running(ACCOUNT_ID, "ETH-PERP") is None
    with pytest.raises(NotFound):
        await desk.brackets.end("nothing", "a", wait_s=5)
    with pytest.raises(NotFound):
        await desk.brackets.state("nothing")


async def test_nobody_answers(desk: Desk) -> None:
    """No worker: what was asked is kept, and is not called done."""
    await desk.stage.stop_worker()
    plan = await desk.bracket(an_order())

    ended = await desk.brackets.end(plan.bracket_id, "a", wait_s=0.2)
    assert not ended.decided
    with pytest.raises(Unavailable):
        await desk.brackets.state(plan.bracket_id)
    await desk.begin_unheard(a_plan())
    with pytest.raises(Unavailable):
        await desk.closes.state(ACCOUNT_ID, "BTC-PERP")
    await desk.brackets.start(plan)
    await desk.stage.start_worker()

    async def gone() -> bool:
        return (await desk.now()).status.is_terminal

    await until(gone, what="a bracket that ended as asked")
    await desk.until_state(CloseStatus.REFUSED)


async def test_without_temporal_nothing_is_called_done() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        client = await connect(address, NAMESPACE, KEYS)
        closes, brackets = CloseWorkflows(client), BracketWorkflows(client)
        plan = a_plan()
        calls: list[Any] = [
            closes.begin(plan, wait_s=5),
            closes.stop(ACCOUNT_ID, "BTC-PERP", plan.close_id, "a", wait_s=5),
            closes.state(ACCOUNT_ID, "BTC-PERP"),
            closes.running(ACCOUNT_ID, "BTC-PERP"),
            brackets.end("nothing", "a", wait_s=5),
        ]
        for call in calls:
            with pytest.raises(Unavailable):
                await call


async def test_a_bracket_whose_looks_fail_looks_again(desk: Desk) -> None:
    await desk.bracket(an_order(**MARKET, quantity=Decimal("0.1")))
    await desk.until_protected("0.1")
    desk.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "clearinghouseState", count=2)

    desk.cancel_at_venue(desk.exits()[0])
    await desk.tell_ends()

    await desk.until_protected("0.1")
    handle = desk.stage.client.get_workflow_handle(ids.bracket_workflow_id(desk.plan.bracket_id))
    await handle.cancel()

    async def ended() -> bool:
        return (await desk.now()).status.is_terminal

    await until(ended, what="a bracket that was canceled")
    assert not desk.exits()


async def test_a_close_that_stays_at_its_last_price(desk: Desk) -> None:
    desk.sell("0.5")
    timetable = Escalation(reprice_every_s=1, reprices=0, then=Then.STAY)
    plan = await desk.started(escalation=timetable)

    (order,) = desk.live()
    desk.exchange_fill(order, "0.5")
    await desk.hear()

    end = await desk.until_state(CloseStatus.DONE)
    assert end.plan == plan
    assert end.rung == 0
