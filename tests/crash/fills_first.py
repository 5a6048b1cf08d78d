"""Fills that overtake the answer: the order ends right although its end came before its start."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from decimal import Decimal
from typing import Any

from domain.commands import CommandKind
from tests.crash.ground import Party, taken
from tests.crash.matrix import Cell, CellResult
from tests.crash.rig import Rig, eventually

HOLD_ANSWER_MS = 700
IMMEDIATE = "IOC, or what the venue has in its place"
CASES: dict[str, dict[str, Any]] = {
    "market": {"order_type": "MARKET", "time_in_force": "IOC"},
    "immediate": {"time_in_force": IMMEDIATE},
    "crossing limit": {},
}


def run_fills_first(rig: Rig, party: Party) -> Iterator[Coroutine[Any, Any, CellResult]]:
    """Yield one run per case."""
    ground = party.ground
    for number, (name, fields) in enumerate(CASES.items()):
        quantity = ground.quantity + ground.lot * (number + 1)
        order = ground.order(quantity=f"{quantity:f}", **fields)
        if order.get("time_in_force") == IMMEDIATE:
            order["time_in_force"] = ground.immediate
        if "order_type" not in fields:
            order["price"] = f"{ground.taking:f}"
        yield _run(rig, party, name, order, quantity)


async def _run(
    rig: Rig, party: Party, name: str, order: dict[str, Any], quantity: Decimal
) -> CellResult:
    cell = Cell(command="place", gap=f"fill before answer: {name}", kill="-", venue=party.venue)
    loop = asyncio.get_running_loop()
    began = loop.time()
    wrong: str | None = None
    action = party.ground.rig.actions[CommandKind.PLACE]
    try:
        await rig.control(
            "POST",
            "/faults",
            {"kind": "delay-answer", "delay_ms": HOLD_ANSWER_MS, "count": 1, "action": action},
            venue=party.venue,
        )
        placed = await party.trader.place(f"first-{party.venue}-{name}", **order)
        ended = await party.trader.until(
            placed["order_id"], lambda o: o["status"] == "FILLED", within_s=20
        )
        assert Decimal(ended["filled_quantity"]) == quantity, f"expected all filled: {ended}"
        await eventually(
            lambda: _booked_once(rig, party, quantity), within_s=10, what="one venue order"
        )
    except AssertionError as error:
        wrong = str(error)
    return CellResult(cell=cell, wrong=wrong, seconds=loop.time() - began)


async def _booked_once(rig: Rig, party: Party, quantity: Decimal) -> bool:
    mine = await taken(rig, party, quantity=quantity)
    return len(mine) == 1 and Decimal(mine[0]["filled_quantity"]) == quantity
