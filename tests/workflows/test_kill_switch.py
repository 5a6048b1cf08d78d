"""The kill switch's life: from open orders and positions to the venue's word that none is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest

from domain.errors import Conflict, NotFound
from domain.halts import EVERYTHING, HaltStage, account_scope, venue_scope
from domain.order_fold import apply
from domain.orders import Order, OrderStatus, Origin, Verdict
from domain.ports import OrderFilter
from domain.timeline import EventKind, TimelineEvent
from tests.activities.floor import ACCOUNT_ID, an_order, now, until
from tests.workflows.halting import Halting, a_switch, open_halting
from tests.workflows.stage import Stage, a_report
from venues.simulation.faults import FaultKind
from venues.simulation.records import Side
from workflows import ids
from workflows.ids import NEEDS_ATTENTION


@pytest.fixture
async def halting(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Halting]:
    async with open_halting(stage, monkeypatch) as opened:
        yield opened


async def test_with_nothing_open_it_ends_with_two_looks(halting: Halting) -> None:
    begun = await halting.halt()

    end = await halting.ended()

    assert end.stage is HaltStage.HALTED
    assert end.ended_at is not None
    assert end == await halting.store.get(begun.kill_switch_id)
    [account] = end.accounts
    assert (account.round, account.orders, account.positions) == (2, 0, 0)
    assert len(await halting.store.halted()) == 1


async def test_our_orders_and_those_of_others_are_canceled_and_positions_stay(
    halting: Halting, stage: Stage
) -> None:
    halting.buy("0.5")
    orders = [an_order(price=Decimal(50_000 + n)) for n in range(3)]
    for order in orders:
        await stage.place(order)
    placement = halting.trade(Side.BUY, "0.02", price=Decimal(40_000))
    assert placement.refusal is None
    begun = await halting.halt()

    end = await halting.until_stage(begun)

    assert halting.open_at_venue() == []
    assert halting.held == Decimal("0.5")
    assert end.accounts[0].positions == 1
    assert end.accounts[0].still_open == ()
    for order in orders:
        assert (await stage.floor.stored(order)).status is OrderStatus.CANCELED
        await stage.ended(order)
    external = [o for o in await _all(stage) if o.origin is Origin.EXTERNAL]
    assert [(o.status, o.quantity) for o in external] == [(OrderStatus.CANCELED, Decimal("0.02"))]
    halting.stage.orders += external
    [cancel] = await stage.floor.storage.ledger.of_order(external[0].order_id)
    assert cancel.is_decided


async def _all(stage: Stage) -> list[Order]:
    page = await stage.floor.storage.orders.page(OrderFilter(owner="local", limit=500))
    return list(page.orders)


async def test_every_position_is_closed_when_asked(halting: Halting, stage: Stage) -> None:
    halting.buy("0.5")
    order = an_order()
    await stage.place(order)
    begun = await halting.halt(flatten=True)
    stage.kept_ids.add(ids.close_workflow_id(ACCOUNT_ID, "BTC-PERP"))

    end = await halting.until_stage(begun)

    assert halting.held == 0
    assert halting.open_at_venue() == []
    assert end.accounts[0].last_answer == ""
    closing = [o for o in await _all(stage) if o.origin is Origin.KILL_SWITCH]
    assert [o.reduce_only for o in closing] == [True]
    stage.orders += closing


async def test_a_close_that_runs_is_ended_first_and_the_whole_position_closed(
    halting: Halting, stage: Stage
) -> None:
    halting.buy("0.5")
    plan = await halting.started(percent=Decimal(10), limit_price=Decimal(90_000))
    begun = await halting.halt(flatten=True)

    await halting.until_stage(begun)

    assert halting.held == 0
    kept = await stage.floor.storage.closes.get(plan.close_id)
    assert kept is not None
    assert kept.status.value == "CANCELED"


async def test_without_flattening_a_close_that_runs_is_ended_too(halting: Halting) -> None:
    halting.buy("0.5")
    plan = await halting.started(limit_price=Decimal(90_000))
    begun = await halting.halt()

    await halting.until_stage(begun)

    assert halting.held == Decimal("0.5")
    kept = await halting.floor.storage.closes.get(plan.close_id)
    assert kept is not None
    assert kept.status.is_terminal


async def test_a_second_halt_upgrades_the_one_that_runs(halting: Halting, stage: Stage) -> None:
    halting.buy("0.5")
    stage.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "frontendOpenOrders", count=None)
    first = await halting.halt()
    await halting.until_stage(first, HaltStage.BLOCKING)
    second = await halting.halt(flatten=True)
    assert second.kill_switch_id == first.kill_switch_id
    stage.floor.venue_is_back()

    end = await halting.until_stage(first)

    assert end.flatten
    assert halting.held == 0


async def test_a_halt_after_the_end_begins_anew(halting: Halting) -> None:
    first = await halting.halt()
    await halting.until_stage(first)
    await halting.ended()
    halting.buy("0.5")

    second = await halting.halt(flatten=True)

    assert second.kill_switch_id != first.kill_switch_id
    assert (await halting.until_stage(second)).flatten
    assert halting.held == 0


async def test_two_scopes_share_the_stopping_of_an_account(halting: Halting, stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    stage.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "cancel", count=3)
    scopes = [EVERYTHING, venue_scope("hyperliquid"), account_scope(ACCOUNT_ID)]

    begun = [await halting.halt(scope) for scope in scopes]
    ends = [await halting.until_stage(one) for one in begun]

    assert [len(end.accounts) for end in ends] == [1, 1, 1]
    assert halting.open_at_venue() == []
    assert [halt.scope for halt in await halting.store.halted()] == scopes


async def test_a_venue_without_accounts_has_nothing_to_stop(halting: Halting) -> None:
    scope = venue_scope("lighter")
    await halting.halt(scope)
    assert (await halting.ended(scope)).accounts == ()


async def test_the_worker_may_be_lost_at_any_time(halting: Halting, stage: Stage) -> None:
    halting.buy("0.5")
    await stage.place(an_order())
    stage.floor.fault(FaultKind.DROP_AFTER_APPLY, count=2)
    begun = await halting.halt(flatten=True)
    await halting.until_stage(begun, HaltStage.CANCELING)
    await halting.stop_core()
    await stage.restart_worker()
    await halting.start_core()

    await halting.until_stage(begun, within_s=60)

    assert halting.held == 0
    assert halting.open_at_venue() == []


async def test_without_temporal_the_sweep_starts_it_later(halting: Halting) -> None:
    begun = await halting.store.begin(a_switch())
    halting.remember(EVERYTHING)

    assert await halting.sweep.run() == (EVERYTHING,)
    await halting.until_stage(begun)
    await halting.ended()
    assert await halting.sweep.run() == ()


async def test_a_switch_that_has_ended_in_the_store_ends_at_once(halting: Halting) -> None:
    begun = await halting.store.begin(a_switch())
    stopped = await halting.store.resume(EVERYTHING, reason="x", by="local", forced=True)
    halting.remember(EVERYTHING)

    await halting.switches.start(begun)

    assert await halting.ended() == stopped


async def test_a_forced_resume_stops_it(halting: Halting, stage: Stage) -> None:
    await stage.place(an_order())
    stage.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "cancel", count=None)
    begun = await halting.halt()
    await halting.until_stage(begun, HaltStage.CANCELING)

    await halting.store.resume(EVERYTHING, reason="x", by="local", forced=True)
    await halting.switches.stop(EVERYTHING)

    assert (await halting.ended()).stage is HaltStage.STOPPED
    child = stage.client.get_workflow_handle(ids.account_halt_workflow_id(ACCOUNT_ID))

    async def has_ended() -> bool:
        status = (await child.describe()).status
        return status is not None and status.name == "COMPLETED"

    await until(has_ended, what="the account's workflow to end")
    assert await halting.sweep.run() == ()
    await halting.switches.stop(EVERYTHING)
    await halting.switches.stop(account_scope("none"))


async def test_an_account_stopped_by_hand_is_started_anew(halting: Halting, stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    stage.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "cancel", count=None)
    begun = await halting.halt()
    await halting.until_stage(begun, HaltStage.CANCELING)

    await stage.client.get_workflow_handle(ids.account_halt_workflow_id(ACCOUNT_ID)).cancel()
    stage.floor.venue_is_back()

    await halting.until_stage(begun)
    assert halting.open_at_venue() == []


async def test_late_it_asks_for_an_operator_says_what_is_open_and_goes_on(
    halting: Halting, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.policies.HALT_ATTENTION_AFTER", timedelta(seconds=1))
    order = an_order()
    await stage.place(order)
    stage.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "cancel", count=None)
    begun = await halting.halt()

    async def asks() -> bool:
        state = await halting.store.get(begun.kill_switch_id)
        return state is not None and state.needs_attention

    await until(asks, what="a call for attention")
    state = await halting.switches.state(EVERYTHING)
    assert state.shown_stage == "ATTENTION"
    assert [order.order_id in text for text in state.accounts[0].still_open] == [True]
    described = await halting.handle_of(ids.account_halt_workflow_id(ACCOUNT_ID)).describe()
    assert described.typed_search_attributes.get(NEEDS_ATTENTION) is True
    stage.floor.venue_is_back()
    end = await halting.until_stage(begun)
    assert not end.needs_attention


async def test_what_rests_although_our_record_has_ended_is_canceled_at_the_venue(
    halting: Halting, stage: Stage
) -> None:
    order = an_order()
    await stage.place(order)
    await stage.handle(order).terminate("lost")
    await stage.floor.storage.orders.amend(
        order.order_id,
        lambda stored: apply(stored, a_report(order, Verdict.CANCELED)),
        TimelineEvent(order_id=order.order_id, kind=EventKind.FINDING, text="x", at=now()),
    )
    begun = await halting.halt()

    await halting.until_stage(begun)

    assert halting.open_at_venue() == []


async def test_an_order_that_nobody_manages_gets_a_workflow(
    halting: Halting, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.policies.HALT_ASK_AGAIN", timedelta(seconds=1))
    order = an_order()
    await stage.place(order)
    await stage.handle(order).terminate("lost")
    begun = await halting.halt()

    await halting.until_stage(begun)

    assert halting.open_at_venue() == []
    assert (await stage.floor.stored(order)).status is OrderStatus.CANCELED


async def test_while_halted_new_orders_are_denied_and_closes_pass(
    halting: Halting, stage: Stage
) -> None:
    halting.buy("0.5")
    begun = await halting.halt()
    await halting.until_stage(begun)

    denied = await stage.place(an_order())
    end = await halting.close()

    assert denied.status is OrderStatus.DENIED
    assert denied.reason == "trading is halted: a test"
    assert end.filled == Decimal("0.5")
    with pytest.raises(Conflict):
        await halting.store.resume(account_scope(ACCOUNT_ID), reason="x", by="l", forced=False)
    await halting.store.resume(EVERYTHING, reason="x", by="local", forced=False)
    assert (await stage.place(an_order())).status is OrderStatus.ACCEPTED


async def test_its_state_is_asked_of_it(halting: Halting) -> None:
    with pytest.raises(NotFound):
        await halting.switches.state(account_scope("nobody"))
    assert not await halting.switches.is_running(account_scope("nobody"))
    begun = await halting.halt()
    await halting.until_stage(begun)
    assert (await halting.switches.state(EVERYTHING)).kill_switch_id == begun.kill_switch_id


async def test_ten_at_once_are_one(halting: Halting) -> None:
    begun = await asyncio.gather(*(halting.halt(flatten=n == 7) for n in range(10)))
    assert len({one.kill_switch_id for one in begun}) == 1
    assert (await halting.until_stage(begun[0])).flatten
