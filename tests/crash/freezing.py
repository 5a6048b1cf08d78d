"""Freeze and resume: a worker that stands still, is taken over, and goes on too late."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from decimal import Decimal
from typing import Any

from tests.crash.ground import Party, taken
from tests.crash.matrix import Cell, CellResult
from tests.crash.rig import Rig, eventually

POINTS = ("place.ledger_committed", "place.answer_read", "place.outcome_committed")
FROZEN_FOR_S = 6.0
#: Far from the prices that the matrix uses at the same venue.
FIRST_PRICE = 600


def run_freezing(rig: Rig, party: Party) -> Iterator[Coroutine[Any, Any, CellResult]]:
    """Yield one run per point, without and with a second worker that takes over."""
    number = 0
    for taken_over in (False, True):
        for point in POINTS:
            number += 1
            yield _run(
                rig,
                party,
                point,
                taken_over=taken_over,
                price=party.ground.price(FIRST_PRICE + number),
            )


async def _run(rig: Rig, party: Party, point: str, *, taken_over: bool, price: str) -> CellResult:
    how = "taken over, then resumed" if taken_over else "resumed"
    cell = Cell(
        command="place", gap=f"frozen at {point.split('.')[1]}", kill=how, venue=party.venue
    )
    loop = asyncio.get_running_loop()
    began = loop.time()
    wrong: str | None = None
    try:
        await _freeze(rig, party, point, taken_over=taken_over, price=price)
    except AssertionError as error:
        wrong = str(error)
    finally:
        rig.points.go(point)
        rig.kill("worker-2")
        rig.points.disarm()
        await rig.start("worker")
    return CellResult(cell=cell, wrong=wrong, seconds=loop.time() - began)


async def _freeze(rig: Rig, party: Party, point: str, *, taken_over: bool, price: str) -> None:
    rig.points.arm(point)
    key, order = f"freeze-{party.venue}-{price}", party.ground.resting(price)
    command = asyncio.create_task(party.trader.place(key, within_s=90, **order))
    try:

        async def hit() -> bool:
            return rig.points.is_hit(point)

        await eventually(hit, within_s=20, what=f"the worker to reach {point}")
        if taken_over:
            rig.freeze("worker")
            await rig.start("worker-2")
            if party.ground.proves_absence or point != POINTS[0]:
                placed = await command
            # Else only the frozen one can tell that nothing left it: it does, once it goes on.
            rig.resume("worker")
        await asyncio.sleep(FROZEN_FOR_S)
        rig.points.go(point)
        placed = await command
    finally:
        command.cancel()
    assert placed["status"] == "ACCEPTED", f"expected ACCEPTED, found {placed}"
    await asyncio.sleep(1.0)
    orders = await taken(rig, party, price=Decimal(price))
    assert len(orders) == 1, f"expected one order at {price}, the exchange has {orders}"
    ended = await party.trader.cancel(placed["order_id"], f"{key}-end", within_s=60)
    assert ended["status"] == "CANCELED", f"expected CANCELED at last, found {ended}"
