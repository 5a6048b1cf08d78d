"""What one look at a position shows when things happen between its readings."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from activities.close_contracts import CloseLookTask
from domain.closing import Sight, closing_order_id
from domain.instruments import OrderSide
from domain.orders import Origin, Verdict
from tests.domain.building import an_order
from tests.domain.closing_building import CLOSE_ID, a_plan
from tests.workflows.close_world import OrderLife, World

ORDER = closing_order_id(CLOSE_ID, 0)
READINGS = 5
"""Before the look, and after position, open orders, live orders: before each thing that is read."""


def a_world() -> tuple[World, OrderLife]:
    """Return a long position of 10 and a closing order of 5 that is not placed yet."""
    world = World(a_plan(percent=Decimal(50)), Decimal(10), takes_small=True)
    order = an_order(
        order_id=ORDER,
        side=OrderSide.SELL,
        quantity=Decimal(5),
        reduce_only=True,
        origin=Origin.CLOSE,
        parent_id=CLOSE_ID,
    )
    life = world.lives[ORDER] = OrderLife(world, order)
    return world, life


def look(world: World, after: int = 0, event: Callable[[], None] = lambda: None) -> Sight:
    """Look; let something happen after so many readings."""
    task = CloseLookTask(plan=world.plan, orders=1, follows=ORDER)
    looking = world.activities.look(task)
    for reading in range(100):
        if reading == after:
            event()
        try:
            looking.send(None)
        except StopIteration as end:
            sight: Sight = end.value
            return sight
    raise AssertionError("expected an end of the look")


def test_an_order_placed_and_filled_amid_a_look_is_live_or_counted() -> None:
    for reading in range(READINGS):
        world, life = a_world()

        def places_and_ends(life: OrderLife = life) -> None:
            life.work("accepted", Decimal(0), hides=False)
            life.world.exchange.fill(life.world.exchange.orders[ORDER], Decimal(5))
            life.world.hear(life.world.exchange.orders[ORDER].report())

        sight = look(world, reading, places_and_ends)

        is_unseen = sight.newest is None and not sight.live
        assert is_unseen or sight.live == (ORDER,) or sight.filled == 5, reading


def test_an_order_that_fills_and_ends_amid_a_look_is_live_or_counted() -> None:
    """Read as ended without its fills, the next order would ask for them again."""
    for reading in range(READINGS):
        world, life = a_world()
        life.work("accepted", Decimal(0), hides=False)
        at_venue = world.exchange.orders[ORDER]

        def ends(world: World = world) -> None:
            at_venue = world.exchange.orders[ORDER]
            world.exchange.fill(at_venue, Decimal(5))
            world.hear(at_venue.report())

        sight = look(world, reading, ends)

        assert at_venue.filled == 5
        assert sight.live == (ORDER,) or sight.filled == 5, reading


def test_an_order_that_is_stored_amid_a_look_is_live() -> None:
    for reading in range(READINGS):
        world, life = a_world()

        def is_on_its_way(life: OrderLife = life) -> None:
            life.work("on its way", Decimal(0), hides=False)

        sight = look(world, reading, is_on_its_way)

        assert (sight.newest is None) == (sight.live == ()), reading


def test_fills_that_the_end_of_a_lost_order_hides_are_read() -> None:
    """The venue had cut it, and its workflow, which would have asked for them, is gone."""
    world, life = a_world()
    life.work("accepted", Decimal(0), hides=False)
    at_venue = world.exchange.orders[ORDER]
    world.exchange.fill(at_venue, Decimal(3))
    at_venue.verdict = Verdict.CANCELED
    world.hear(at_venue.report(hides=True))
    assert world.orders[ORDER].filled_quantity == 0

    sight = look(world)

    assert sight.filled == 3
    assert not sight.live
