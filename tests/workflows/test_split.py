"""A split order's life on the stage: fills, refusals, cancels, deaths; one venue order per leg."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from domain.errors import Conflict, NotFound
from domain.orders import OrderStatus, Origin
from domain.splits import SplitStatus, requested
from tests.activities.floor import until
from tests.workflows.splitting import (
    FIRST,
    OTHER_ID,
    SECOND,
    TAKING,
    Splitting,
    a_split,
    open_splitting,
)
from tests.workflows.stage import Stage
from venues.simulation.faults import FaultKind
from workflows import ids


@pytest.fixture
async def desk(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Splitting]:
    async with open_splitting(stage, monkeypatch) as splitting:
        yield splitting


async def test_both_shares_fill(desk: Splitting) -> None:
    plan = await desk.start(a_split())
    await desk.until_resting()
    await desk.fill(SECOND)

    async def half() -> bool:
        return (await desk.now(plan)).filled == SECOND

    await until(half, what="one share filled in the parent")
    assert (await desk.now(plan)).status is SplitStatus.WORKING
    await desk.fill(FIRST)

    end = await desk.until_ended(plan, SplitStatus.FILLED)
    assert (end.filled, end.reason) == (plan.quantity, "filled 0.05 of 0.05")
    assert end.average_price == plan.price
    for child in await desk.children(plan):
        assert (child.origin, child.parent_id) == (Origin.SPLIT, plan.split_id)
        assert child.status is OrderStatus.FILLED
    assert len(desk.at_venue()) == 2


async def test_market_shares_trade_at_once(desk: Splitting) -> None:
    plan = await desk.start(a_split(**TAKING))
    await until(lambda: len(desk.at_venue()) == 2, what="both at the exchange")
    await desk.hear()
    end = await desk.until_ended(plan, SplitStatus.FILLED)
    assert end.filled == plan.quantity


async def test_a_refused_share_is_said_and_goes_nowhere_else(desk: Splitting) -> None:
    await desk.floor.storage.halts.halt(OTHER_ID, reason="drill", by="local")
    plan = await desk.start(a_split())
    await until(lambda: desk.live() == [FIRST], what="the other share at the exchange")
    await desk.fill(FIRST)

    end = await desk.until_ended(plan, SplitStatus.PARTLY_FILLED)

    assert end.reason == (
        "filled 0.03 of 0.05; leg 2 at hyperliquid DENIED (the account is halted: drill): "
        "0.02 not filled; it was not sent elsewhere"
    )
    assert len(desk.at_venue()) == 1


async def test_when_every_share_is_refused_it_is_refused(desk: Splitting) -> None:
    await desk.floor.storage.halts.halt(None, reason="drill", by="local")
    plan = await desk.start(a_split())
    await desk.until_ended(plan, SplitStatus.REFUSED)
    assert not desk.at_venue()


async def test_an_ioc_that_finds_nobody_ends_unfilled(desk: Splitting) -> None:
    plan = await desk.start(a_split(time_in_force=TAKING["time_in_force"]))
    await until(lambda: len(desk.at_venue()) == 2, what="both at the exchange")
    end = await desk.until_ended(plan, SplitStatus.UNFILLED)
    assert "leg 1 at hyperliquid CANCELED" in end.reason


async def test_the_parents_cancel_ends_every_child(desk: Splitting) -> None:
    plan = await desk.start(a_split())
    await desk.until_resting()
    await desk.fill(FIRST, "0.01")

    answer = await desk.workflows.cancel(plan.split_id, "c1", wait_s=20)

    assert answer.decided
    assert answer.state is not None
    assert answer.state.status is SplitStatus.PARTLY_FILLED
    assert answer.state.filled == Decimal("0.01")
    assert not desk.live()
    with pytest.raises((Conflict, NotFound)):
        await desk.workflows.cancel(plan.split_id, "c2", wait_s=20)


async def test_a_cancel_that_nobody_hears_is_kept(desk: Splitting) -> None:
    """No worker lives when it is asked for, and whoever asked is gone when one does."""
    plan = await desk.start(a_split())
    await desk.until_resting()
    await desk.stop_core()

    answer = await desk.workflows.cancel(plan.split_id, "c1", wait_s=0.3)
    assert not answer.decided
    assert desk.live() == [SECOND, FIRST]
    await desk.start_core()

    await desk.until_ended(plan, SplitStatus.CANCELED)
    assert not desk.live()


async def test_what_was_not_begun_when_the_end_was_asked_for_never_is(desk: Splitting) -> None:
    await desk.stop_core()
    plan = await desk.start(a_split())
    assert not (await desk.workflows.cancel(plan.split_id, "c1", wait_s=0.3)).decided
    await desk.start_core()

    end = await desk.until_ended(plan, SplitStatus.CANCELED)

    assert "leg 1 at hyperliquid was never begun: 0.03 not placed" in end.reason
    assert not desk.at_venue()


async def test_a_child_canceled_by_itself_leaves_the_others(desk: Splitting) -> None:
    plan = await desk.start(a_split())
    await desk.until_resting()
    [first, _] = sorted(await desk.children(plan), key=lambda each: -each.quantity)
    await desk.stage.workflows.cancel(first.order_id, "mine", wait_s=20)
    assert desk.live() == [SECOND]
    await desk.fill(SECOND)
    end = await desk.until_ended(plan, SplitStatus.PARTLY_FILLED)
    assert "leg 1 at hyperliquid CANCELED" in end.reason


async def test_lost_answers_make_one_venue_order_for_each_share(desk: Splitting) -> None:
    desk.floor.fault(FaultKind.DROP_AFTER_APPLY, count=2)
    plan = await desk.start(a_split())
    await desk.until_resting()

    async def known() -> bool:
        return {child.outcome for child in await desk.children(plan)} == {"accepted"}

    await until(known, what="both outcomes found out")
    assert len(desk.at_venue()) == 2
    await desk.workflows.cancel(plan.split_id, "c1", wait_s=20)


async def test_another_worker_goes_on(desk: Splitting) -> None:
    plan = await desk.start(a_split())
    await desk.until_resting()
    await desk.stop_core()
    await desk.stage.restart_worker()
    await desk.start_core()
    await desk.fill(FIRST)
    await desk.fill(SECOND)
    await desk.until_ended(plan, SplitStatus.FILLED)
    assert len(desk.at_venue()) == 2


async def test_a_lost_parent_goes_on_with_the_same_children(desk: Splitting) -> None:
    plan = await desk.start(a_split())
    await desk.until_resting()
    assert await desk.sweep.run() == (), "it is driven"
    await desk.terminate(plan)

    assert await desk.sweep.run() == (plan.split_id,)

    await desk.fill(FIRST)
    answer = await desk.workflows.cancel(plan.split_id, "c1", wait_s=20)
    assert answer.decided
    await desk.until_ended(plan, SplitStatus.PARTLY_FILLED)
    assert len(desk.at_venue()) == 2, "placed once each"


async def test_a_parent_lost_before_it_heard_of_its_children_begins_none_twice(
    desk: Splitting,
) -> None:
    """The store says only that they are being begun; one runs, of the other nothing is known."""
    plan = a_split()
    desk.remember(plan)
    await desk.start(plan)
    await desk.until_resting()
    await desk.terminate(plan)
    kept = await desk.store.get(plan.split_id)
    assert kept is not None
    legs = tuple(replace(leg, begun=True, confirmed=False, news=None) for leg in kept.legs)
    await desk.store.keep(replace(kept, legs=legs, fresh=False))

    assert await desk.sweep.run() == (plan.split_id,)

    await desk.fill(FIRST)
    await desk.fill(SECOND)
    await desk.until_ended(plan, SplitStatus.FILLED)
    assert len(desk.at_venue()) == 2


async def test_what_was_only_asked_for_does_not_begin_by_itself(desk: Splitting) -> None:
    plan = a_split()
    await desk.store.keep(requested(plan))
    assert await desk.sweep.run() == ()
    assert not desk.at_venue()


async def test_starting_it_again_starts_nothing(desk: Splitting) -> None:
    plan = await desk.start(a_split())
    await desk.until_resting()
    await asyncio.gather(*(desk.start(plan) for _ in range(5)))
    assert len(desk.at_venue()) == 2
    await desk.workflows.cancel(plan.split_id, "c1", wait_s=20)
    await desk.until_ended(plan, SplitStatus.CANCELED)
    await desk.start(plan)
    assert len(desk.at_venue()) == 2


async def test_an_operator_reads_what_it_is(desk: Splitting) -> None:
    plan = await desk.start(a_split())
    await desk.until_resting()
    handle = desk.stage.client.get_workflow_handle(ids.split_workflow_id(plan.split_id))
    description = await handle.describe()
    summary = await description.static_summary()
    assert summary == "split: BUY 0.05 BTC-PERP @ 60000 GTC over 2"
    await handle.cancel()
    end = await desk.until_ended(plan, SplitStatus.CANCELED)
    assert (await handle.result()) == f"CANCELED: {end.reason}"
    assert not desk.live()


async def test_children_that_run_already_are_not_begun_twice(desk: Splitting) -> None:
    """The parent is lost while its children are started and nobody has run one yet."""
    await desk.stage.stop_worker()
    plan = await desk.start(a_split())

    async def begun() -> bool:
        return all(leg.confirmed for leg in (await desk.now(plan)).legs)

    await until(begun, what="both children started")
    await desk.terminate(plan)
    assert await desk.sweep.run() == (plan.split_id,)
    await until(begun, what="both children begun once more")
    await desk.stage.start_worker()

    await desk.until_resting()
    assert (await desk.workflows.cancel(plan.split_id, "c1", wait_s=20)).decided
    assert len(desk.at_venue()) == 2


async def test_a_child_that_lost_its_workflow_is_asked_again(
    desk: Splitting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.policies.SPLIT_LOOK_FOR_END", timedelta(milliseconds=200))
    plan = await desk.start(a_split())
    await desk.until_resting()
    [lost, _] = await desk.children(plan)
    await desk.stage.handle(lost).terminate("lost")

    assert not (await desk.workflows.cancel(plan.split_id, "c1", wait_s=1)).decided
    # Of the other one, its venue order lives, and nobody drives it.
    await until(lambda: len(desk.live()) == 1, what="the end of the child that has its workflow")
    assert (await desk.now(plan)).status is SplitStatus.WORKING
    await desk.stage.workflows.adopt(lost)

    await desk.until_ended(plan, SplitStatus.CANCELED)
    assert not desk.live()
