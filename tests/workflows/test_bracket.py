"""A bracket's life on the stage: entry, partial entry, target, stop, refusals, deaths."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal

import pytest

from domain.brackets import (
    BracketStatus,
    ExitRule,
    LegKind,
    OnFailure,
)
from domain.instruments import OrderSide
from tests.activities.floor import MARKET, an_order, until
from tests.workflows.bracketing import Desk
from tests.workflows.stage import Stage
from venues.simulation.faults import FaultKind
from venues.simulation.records import Side
from workflows import ids


@pytest.fixture
def desk(stage: Stage) -> Iterator[Desk]:
    yield Desk(stage)


async def test_target_reached(desk: Desk) -> None:
    await desk.bracket(an_order(**MARKET, quantity=Decimal("0.1")))
    await desk.until_protected("0.1")

    desk.set_price("70100")
    await desk.hear()

    end = await desk.until_ended(BracketStatus.DONE)
    assert "TAKE_PROFIT 0.1" in end.reason
    assert not desk.exits(), "the stop is canceled"
    assert desk.held == 0

    async def kept() -> bool:
        return await desk.floor.storage.brackets.get(desk.plan.bracket_id) == end

    await until(kept, what="the end in the database")


async def test_stop_reached_by_percent_of_a_short_entry(desk: Desk) -> None:
    order = an_order(**MARKET, quantity=Decimal("0.1"), side=OrderSide.SELL)
    await desk.bracket(
        order,
        take_profit=ExitRule(percent=Decimal(10)),
        stop_loss=ExitRule(percent=Decimal(5)),
    )
    await desk.until_protected("0.1")
    prices = sorted(order.trigger.price for order in desk.exits() if order.trigger)
    assert prices == [Decimal(58_496), Decimal(68_245)]

    desk.set_price("68400")
    await desk.hear()

    end = await desk.until_ended(BracketStatus.DONE)
    assert "STOP_LOSS 0.1" in end.reason
    assert desk.held == 0


async def test_a_partial_entry_is_protected_too(desk: Desk) -> None:
    await desk.bracket(an_order(quantity=Decimal("0.1"), price=Decimal(60_000)))
    await until(desk.resting, what="the entry at the venue")
    desk.floor.fill("0.04")
    await desk.hear()
    await desk.until_protected("0.04")

    desk.exchange_fill(desk.entry(), "0.06")
    await desk.hear()
    await desk.until_protected("0.1", of_each=2)

    answer = await desk.brackets.end(desk.plan.bracket_id, "end", wait_s=20)
    assert answer.decided
    assert answer.state is not None
    assert answer.state.status is BracketStatus.CANCELED
    assert not desk.exits()
    assert desk.held == Decimal("0.1"), "what was entered stays"


async def test_the_rest_of_a_canceled_entry_stays_protected(desk: Desk) -> None:
    await desk.bracket(an_order(quantity=Decimal("0.1"), price=Decimal(60_000)))
    await until(desk.resting, what="the entry at the venue")
    desk.floor.fill("0.04")
    await desk.hear()
    await desk.until_protected("0.04")

    await desk.stage.workflows.cancel(desk.plan.bracket_id, "c1", wait_s=20)

    async def protecting() -> bool:
        return (await desk.now()).status is BracketStatus.PROTECTING

    await until(protecting, what="a bracket whose entry has ended")
    await desk.until_protected("0.04")
    desk.set_price("54000")
    await desk.hear()
    end = await desk.until_ended(BracketStatus.DONE)
    assert "STOP_LOSS 0.04" in end.reason


async def test_an_entry_canceled_unfilled_ends_it(desk: Desk) -> None:
    await desk.bracket(an_order(quantity=Decimal("0.1"), price=Decimal(60_000)))
    await until(desk.resting, what="the entry at the venue")

    await desk.stage.workflows.cancel(desk.plan.bracket_id, "c1", wait_s=20)

    end = await desk.until_ended(BracketStatus.NOT_ENTERED)
    assert end.reason.startswith("CANCELED")
    assert not end.legs


async def test_a_refused_entry_ends_it(desk: Desk) -> None:
    await desk.bracket(an_order(quantity=Decimal(5_000)))

    end = await desk.until_ended(BracketStatus.NOT_ENTERED)
    assert end.reason.startswith("REJECTED")


async def test_a_stop_that_is_refused_becomes_a_market_close(desk: Desk) -> None:
    """The price is below the stop already: the venue takes no such trigger."""
    await desk.bracket(
        an_order(**MARKET, quantity=Decimal("0.1")),
        take_profit=None,
        stop_loss=ExitRule(price=Decimal(66_000)),
    )

    end = await desk.until_ended(BracketStatus.DONE)

    assert "CLOSE 0.1" in end.reason
    assert desk.held == 0
    kinds = [leg.kind for leg in end.legs]
    assert kinds == [LegKind.STOP_LOSS] * 3 + [LegKind.CLOSE]


async def test_or_calls_for_an_operator(desk: Desk) -> None:
    await desk.bracket(
        an_order(**MARKET, quantity=Decimal("0.1")),
        take_profit=None,
        stop_loss=ExitRule(price=Decimal(66_000)),
        on_failure=OnFailure.ALERT,
    )

    async def calls() -> bool:
        return (await desk.now()).failures >= 3

    await until(calls, what="three refusals")
    handle = desk.stage.client.get_workflow_handle(ids.bracket_workflow_id(desk.plan.bracket_id))

    async def marked() -> bool:
        pairs = (await handle.describe()).typed_search_attributes
        return {pair.key.name: pair.value for pair in pairs}.get("NeedsAttention") is True

    await until(marked, what="a call for attention")
    assert desk.held == Decimal("0.1")
    await handle.cancel()
    await desk.until_ended(BracketStatus.CANCELED)


async def test_a_position_closed_by_hand_ends_it(desk: Desk) -> None:
    await desk.bracket(an_order(**MARKET, quantity=Decimal("0.1")))
    await desk.until_protected("0.1")

    desk.trade(Side.SELL, "0.1")
    for exit_order in desk.exits():
        desk.cancel_at_venue(exit_order)
    await desk.tell_ends()

    end = await desk.until_ended(BracketStatus.POSITION_GONE)
    assert "no position" in end.reason


async def test_an_exit_canceled_at_the_venue_is_placed_again(desk: Desk) -> None:
    await desk.bracket(an_order(**MARKET, quantity=Decimal("0.1")))
    await desk.until_protected("0.1")

    first = desk.exits()[0]
    desk.cancel_at_venue(first)
    await desk.tell_ends()

    await desk.until_protected("0.1")
    assert first not in desk.exits()
    assert (await desk.now()).failures == 1
    await desk.brackets.end(desk.plan.bracket_id, "end", wait_s=20)


async def test_another_worker_goes_on(desk: Desk) -> None:
    await desk.bracket(an_order(**MARKET, quantity=Decimal("0.1")))
    await desk.until_protected("0.1")

    await desk.stage.restart_worker()
    desk.set_price("70100")
    await desk.hear()

    await desk.until_ended(BracketStatus.DONE)
    assert desk.held == 0


async def test_an_unsure_stop_is_found_out(desk: Desk) -> None:
    desk.floor.fault(FaultKind.DROP_AFTER_APPLY, count=2)

    await desk.bracket(an_order(**MARKET, quantity=Decimal("0.1")))

    await desk.until_protected("0.1")
    assert len([o for o in desk.floor.at_venue() if o.reduce_only]) == 2, "each placed once"
    await desk.brackets.end(desk.plan.bracket_id, "end", wait_s=20)


async def test_an_end_wished_before_it_began_holds_for_an_entry_that_others_start(
    desk: Desk,
) -> None:
    """The API starts the bracket and then the entry, and no worker has heard of either yet."""
    await desk.stage.stop_worker()
    entry = an_order(quantity=Decimal("0.1"), price=Decimal(60_000))
    plan = await desk.bracket(entry)
    answer = await desk.brackets.end(plan.bracket_id, "end", wait_s=0.2)
    assert not answer.decided
    placing = asyncio.create_task(desk.stage.workflows.place(plan.entry, wait_s=30))

    await desk.stage.start_worker()
    end = await desk.until_ended(BracketStatus.CANCELED)
    await placing

    assert end.reason == "canceled; nothing was entered"
    assert not desk.resting(), "sent or not, it does not live on"


async def test_what_was_begun_is_known_to_whoever_goes_on(desk: Desk) -> None:
    """Terminated with its exits under way: another run ends those, and places none twice."""
    await desk.bracket(an_order(quantity=Decimal("0.1"), price=Decimal(60_000)))
    await until(desk.resting, what="the entry at the venue")
    desk.floor.fill("0.04")
    await desk.hear()
    await desk.until_protected("0.04")
    handle = desk.stage.client.get_workflow_handle(ids.bracket_workflow_id(desk.plan.bracket_id))
    await handle.terminate()

    kept = await desk.floor.storage.brackets.get(desk.plan.bracket_id)
    assert kept is not None
    assert [leg.kind for leg in kept.legs] == [LegKind.STOP_LOSS, LegKind.TAKE_PROFIT]
    assert await desk.brackets.adopt(desk.plan)
    answer = await desk.brackets.end(desk.plan.bracket_id, "end", wait_s=20)

    assert answer.state is not None
    assert answer.state.reason == "canceled; what was entered stays open"
    assert not desk.exits()
    assert not desk.resting()
