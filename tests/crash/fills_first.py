"""Fills that overtake the answer: the order ends right although its end came before its start."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from decimal import Decimal
from typing import Any

from tests.crash.matrix import Cell, CellResult
from tests.crash.rig import Rig, eventually
from tests.crash.trader import Trader

HOLD_ANSWER_MS = 700
CASES: dict[str, dict[str, Any]] = {
    "market": {"order_type": "MARKET", "time_in_force": "IOC"},
    "ioc": {"price": "90000", "time_in_force": "IOC"},
    "crossing limit": {"price": "90000"},
}


def run_fills_first(rig: Rig, trader: Trader) -> Iterator[Coroutine[Any, Any, CellResult]]:
    """Yield one run per case."""
    for number, (name, order) in enumerate(CASES.items()):
        yield _run(rig, trader, name, order, Decimal("0.02") + Decimal("0.00001") * number)


async def _run(
    rig: Rig, trader: Trader, name: str, order: dict[str, Any], quantity: Decimal
) -> CellResult:
    cell = Cell(command="place", gap=f"fill before answer: {name}", kill="-")
    loop = asyncio.get_running_loop()
    began = loop.time()
    wrong: str | None = None
    try:
        await rig.control(
            "POST",
            "/faults",
            {"kind": "delay-answer", "delay_ms": HOLD_ANSWER_MS, "count": 1, "action": "order"},
        )
        placed = await trader.place(
            f"first-{name}", symbol="BTC-PERP", side="BUY", quantity=str(quantity), **order
        )
        ended = await trader.until(
            placed["order_id"], lambda o: o["status"] == "FILLED", within_s=20
        )
        assert Decimal(ended["filled_quantity"]) == quantity, f"expected all filled: {ended}"
        await eventually(lambda: _booked_once(rig, quantity), within_s=10, what="one venue order")
    except AssertionError as error:
        wrong = str(error)
    return CellResult(cell=cell, wrong=wrong, seconds=loop.time() - began)


async def _booked_once(rig: Rig, quantity: Decimal) -> bool:
    orders = (await rig.ledger())["orders"]
    mine = [o for o in orders if Decimal(o["quantity"]) == quantity]
    return len(mine) == 1 and Decimal(mine[0]["filled_quantity"]) == quantity
