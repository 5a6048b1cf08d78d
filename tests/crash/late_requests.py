"""Requests that the exchange applies only after we gave up waiting: at most once all the same.

Nobody dies here. Our call ends unknown after its two seconds, is resolved while the request is
still on its way, and the request arrives within its admission time: only a closed fence stops it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from decimal import Decimal
from typing import Any

from domain.commands import CommandKind
from tests.crash.ground import Party, taken
from tests.crash.matrix import Cell, CellResult
from tests.crash.rig import Rig

LATE_MS = (2300, 4500, 8000)
#: Far from the prices that the matrix uses at the same venue.
FIRST_PRICE = 500


def run_late_requests(rig: Rig, party: Party) -> Iterator[Coroutine[Any, Any, CellResult]]:
    """Yield one run per lateness."""
    for number, late_ms in enumerate(LATE_MS, 1):
        yield _run(rig, party, late_ms, price=party.ground.price(FIRST_PRICE + number))


async def _run(rig: Rig, party: Party, late_ms: int, *, price: str) -> CellResult:
    cell = Cell(
        command="place", gap=f"request arrives after {late_ms} ms", kill="-", venue=party.venue
    )
    loop = asyncio.get_running_loop()
    began = loop.time()
    wrong: str | None = None
    try:
        await _place_late(rig, party, late_ms, price=price)
    except AssertionError as error:
        wrong = str(error)
    return CellResult(cell=cell, wrong=wrong, seconds=loop.time() - began)


async def _place_late(rig: Rig, party: Party, late_ms: int, *, price: str) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    action = party.ground.rig.actions[CommandKind.PLACE]
    fault = {"kind": "delay", "delay_ms": late_ms, "count": 1, "action": action}
    await rig.control("POST", "/faults", fault, venue=party.venue)
    placed = await party.trader.place(
        f"late-{party.venue}-{price}",
        within_s=party.ground.decided_within_s,
        **party.ground.resting(price),
    )
    assert placed["status"] == "ACCEPTED", f"expected ACCEPTED, found {placed}"
    await asyncio.sleep(max(0.0, late_ms / 1000 + 1 - (loop.time() - began)))
    orders = await taken(rig, party, price=Decimal(price))
    assert len(orders) == 1, f"expected one order at {price}, the exchange has {orders}"
    ended = await party.trader.cancel(placed["order_id"], f"late-end-{party.venue}-{price}")
    assert ended["status"] == "CANCELED", f"expected CANCELED at last, found {ended}"
