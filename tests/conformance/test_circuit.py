"""A venue that gives no verdicts any more: nothing new is risked there, and what cuts risk goes.

By the worker's own activities, over each venue.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from activities.contracts import CancelTask, CommandResult, PlaceTask
from domain.circuits import PAUSE_FIRST_S, UNANSWERED_MAX
from domain.commands import CommandKind
from domain.errors import Unavailable
from domain.identifiers import order_id_for
from domain.instruments import OrderSide
from domain.orders import Concern, Order, OrderStatus, OrderType, TimeInForce
from tests.conformance.stage import Stage, now
from venues.circuits import Circuits
from venues.simulation.faults import FaultKind


@dataclass
class Clock:
    at: float = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock(stage: Stage) -> Clock:
    made = Clock()
    stage.connectors.circuits = Circuits(made)
    return made


async def place(stage: Stage, number: int, **changes: Any) -> CommandResult:
    """Place a limit order by the worker's activity."""
    prices = await stage.prices()
    created = now()
    order = Order(
        order_id=order_id_for("local", f"circuit-{number}"),
        owner="local",
        account_id=stage.account.account_id,
        venue=stage.rig.venue,
        symbol=stage.rig.symbol,
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=prices.quantity,
        time_in_force=TimeInForce.GTC,
        created_at=created,
        place_by=created + timedelta(seconds=30),
        price=prices.below,
        fingerprint=f"circuit-{number}",
        idempotency_key=f"circuit-{number}",
    )
    order = replace(order, **changes)
    task = PlaceTask(
        order=order,
        revision=0,
        quantity=order.quantity,
        price=order.price,
        not_after=order.place_by,
    )
    return await stage.environment.run(stage.orders.place, task)


async def silence(stage: Stage, commands: int) -> None:
    """Have the exchange take so many orders and answer none of them."""
    stage.fault(FaultKind.ERROR_AFTER_APPLY, CommandKind.PLACE, count=commands)
    for number in range(commands):
        result = await place(stage, 100 + number)
        assert not result.definite


async def test_nothing_new_is_risked_where_no_verdict_comes(stage: Stage, clock: Clock) -> None:
    resting = await place(stage, 1)
    assert resting.order.status is OrderStatus.ACCEPTED
    await silence(stage, UNANSWERED_MAX)
    before = len(stage.records())

    refused = await place(stage, 2)
    assert refused.order.status is OrderStatus.DENIED
    assert "no verdict on 8 commands" in (refused.denied or refused.order.denied or "")
    assert len(stage.records()) == before
    assert stage.connectors.circuits.refused == {(stage.rig.venue, "paper"): 1}

    task = CancelTask(
        order_id=resting.order.order_id, number=0, revision=0, concern=Concern.PENDING_CANCEL
    )
    stage.fault(FaultKind.ERROR_AFTER_APPLY, CommandKind.CANCEL)
    canceled = await stage.environment.run(stage.orders.cancel, task)
    assert not canceled.definite, "it was sent, and lost like the others"
    (waits,) = stage.connectors.circuits.opens_in_s().values()
    assert waits == PAUSE_FIRST_S


async def test_an_order_is_not_taken_back_for_a_replacement_that_would_be_refused(
    stage: Stage, clock: Clock
) -> None:
    resting = await place(stage, 1)
    await silence(stage, UNANSWERED_MAX)
    task = CancelTask(
        order_id=resting.order.order_id, number=0, revision=0, concern=Concern.PENDING_MODIFY
    )
    with pytest.raises(Unavailable, match="no verdict on 8 commands"):
        await stage.environment.run(stage.orders.cancel, task)
    (record,) = [
        one for one in stage.records() if one.client_order_id == resting.order.client_order_id
    ]
    assert record.status.is_live
    clock.at += PAUSE_FIRST_S
    assert (await stage.environment.run(stage.orders.cancel, task)).definite
    assert not record.status.is_live


async def test_a_position_can_be_reduced_all_the_same(stage: Stage, clock: Clock) -> None:
    held = await stage.position()
    await silence(stage, UNANSWERED_MAX)
    sold = await place(
        stage,
        3,
        side=OrderSide.SELL,
        reduce_only=True,
        quantity=held,
        price=(await stage.prices()).below,
        time_in_force=stage.immediate,
    )
    assert sold.definite
    assert stage.held() == 0
    # Its verdict shows that the venue is there again.
    assert (await place(stage, 4)).order.status is OrderStatus.ACCEPTED


async def test_after_a_pause_one_order_tries_for_all(stage: Stage, clock: Clock) -> None:
    await silence(stage, UNANSWERED_MAX)
    clock.at += PAUSE_FIRST_S
    stage.fault(FaultKind.ERROR_AFTER_APPLY, CommandKind.PLACE)
    trial = await place(stage, 5)
    assert not trial.definite
    assert (await place(stage, 6)).order.status is OrderStatus.DENIED
    clock.at += 2 * PAUSE_FIRST_S
    assert (await place(stage, 7)).order.status is OrderStatus.ACCEPTED
    assert (await place(stage, 8)).order.status is OrderStatus.ACCEPTED
    outcomes = stage.connectors.circuits.outcomes
    assert {kind: n for (_, _, kind), n in outcomes.items()} == {
        "unknown": UNANSWERED_MAX + 1,
        "accepted": 2,
    }
