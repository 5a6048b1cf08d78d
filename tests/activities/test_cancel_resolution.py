"""Resolving a cancel: what became of it is seen in its order, or it is sent again.

Beside `test_resolution`, which is of placements.
"""

from __future__ import annotations

from typing import Any

from domain.commands import CommandKind
from domain.orders import Concern, Order, OrderStatus
from domain.outcomes import NotSent, Rejected
from tests.activities.floor import Floor, an_order
from tests.activities.test_resolution import LOST, NEVER_CAME, short_looks
from venues.simulation.faults import FaultKind

__all__ = ("short_looks",)


async def canceling(floor: Floor, kind: FaultKind, **changes: Any) -> Order:
    """Rest an order and lose its cancel."""
    order = (await floor.place(an_order())).order
    floor.fault(kind, "cancel")
    result = await floor.cancel(order, **changes)
    assert not result.definite
    return order


async def test_a_cancel_whose_answer_was_lost_is_seen_in_the_order(floor: Floor) -> None:
    order = await canceling(floor, LOST)

    result = await floor.resolve(order, CommandKind.CANCEL)

    assert result.definite
    assert result.order.status is OrderStatus.CANCELED
    assert result.order.concern is Concern.NONE


async def test_a_cancel_that_never_came_is_sent_again(floor: Floor) -> None:
    order = await canceling(floor, NEVER_CAME, concern=Concern.PENDING_MODIFY)

    result = await floor.resolve(order, CommandKind.CANCEL)

    assert result.definite
    assert result.order.concern is Concern.PENDING_MODIFY, "the modify goes on"
    assert floor.one_at_venue().status.value == "canceled"


async def test_a_cancel_of_an_order_that_filled_meanwhile(floor: Floor) -> None:
    order = await canceling(floor, NEVER_CAME)
    floor.fill()

    result = await floor.resolve(order, CommandKind.CANCEL)

    assert result.definite
    assert result.order.status is OrderStatus.FILLED
    outcome = (await floor.row(order, CommandKind.CANCEL)).outcome
    assert isinstance(outcome, Rejected)
    assert "FILLED already" in outcome.reason


async def test_a_cancel_past_its_admission_of_an_order_that_rests_was_never_sent(
    floor: Floor,
) -> None:
    order = await canceling(floor, NEVER_CAME)
    floor.past_admission()

    result = await floor.resolve(order, CommandKind.CANCEL)

    assert result.definite
    outcome = (await floor.row(order, CommandKind.CANCEL)).outcome
    assert isinstance(outcome, NotSent)
    assert "still rests" in outcome.proof


async def test_a_cancel_that_stays_lost_is_open_until_its_admission_ends(floor: Floor) -> None:
    order = await canceling(floor, NEVER_CAME)
    floor.fault(NEVER_CAME, "cancel", count=None)

    result = await floor.resolve(order, CommandKind.CANCEL)

    assert not result.definite
    assert result.answer == "the venue has the order: ACCEPTED"


async def test_a_cancel_of_an_order_that_vanished_is_open_until_its_admission_ends(
    floor: Floor,
) -> None:
    order = await canceling(floor, NEVER_CAME)
    floor.hide_orders(fills_too=True)

    first = await floor.resolve(order, CommandKind.CANCEL)

    assert not first.definite
    assert first.answer.startswith("no look-up shows the order; it could still be admitted")
    floor.past_admission()
    second = await floor.resolve(order, CommandKind.CANCEL)
    assert second.definite
    outcome = (await floor.row(order, CommandKind.CANCEL)).outcome
    assert isinstance(outcome, Rejected)
    assert outcome.code == "no_such_order"


async def test_a_cancel_of_an_order_that_only_its_fills_show_ends_filled(floor: Floor) -> None:
    order = await canceling(floor, NEVER_CAME)
    floor.fill()
    floor.hide_orders()

    result = await floor.resolve(order, CommandKind.CANCEL)

    assert result.definite
    assert result.order.status is OrderStatus.FILLED


async def test_fills_of_a_part_do_not_tell_whether_the_rest_still_rests(floor: Floor) -> None:
    order = await canceling(floor, NEVER_CAME)
    floor.fill("0.004")
    floor.hide_orders()
    floor.past_admission()

    result = await floor.resolve(order, CommandKind.CANCEL)

    assert not result.definite
    assert (await floor.stored(order)).concern is Concern.PENDING_CANCEL


async def test_a_resent_cancel_that_is_refused_proves_nothing_by_itself(floor: Floor) -> None:
    order = await canceling(floor, NEVER_CAME)
    floor.venue.exchange.tables.agents.pop(floor.opened["agent_address"])

    result = await floor.resolve(order, CommandKind.CANCEL)

    assert not result.definite
    assert result.answer == "the venue has the order: ACCEPTED"
