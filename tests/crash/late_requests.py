"""Requests that the exchange applies only after we gave up waiting: at most once all the same.

Nobody dies here. Our call ends unknown after its two seconds, is resolved while the request is
still on its way, and the request arrives within its admission time: only a closed fence stops it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from decimal import Decimal
from typing import Any

from tests.crash.matrix import Cell, CellResult
from tests.crash.rig import Rig
from tests.crash.trader import Trader

LATE_MS = (2300, 4500, 8000)


def run_late_requests(rig: Rig, trader: Trader) -> Iterator[Coroutine[Any, Any, CellResult]]:
    """Yield one run per lateness."""
    for number, late_ms in enumerate(LATE_MS, 1):
        yield _run(rig, trader, late_ms, price=26_000 + number)


async def _run(rig: Rig, trader: Trader, late_ms: int, *, price: int) -> CellResult:
    cell = Cell(command="place", gap=f"request arrives after {late_ms} ms", kill="-")
    loop = asyncio.get_running_loop()
    began = loop.time()
    wrong: str | None = None
    try:
        await _place_late(rig, trader, late_ms, price=price)
    except AssertionError as error:
        wrong = str(error)
    return CellResult(cell=cell, wrong=wrong, seconds=loop.time() - began)


async def _place_late(rig: Rig, trader: Trader, late_ms: int, *, price: int) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    fault = {"kind": "delay", "delay_ms": late_ms, "count": 1, "action": "order"}
    await rig.control("POST", "/faults", fault)
    order: dict[str, Any] = {
        "symbol": "BTC-PERP",
        "side": "BUY",
        "quantity": "0.01",
        "price": str(price),
    }
    placed = await trader.place(f"late-{price}", **order)
    assert placed["status"] == "ACCEPTED", f"expected ACCEPTED, found {placed}"
    await asyncio.sleep(max(0.0, late_ms / 1000 + 1 - (loop.time() - began)))
    orders = [o for o in (await rig.ledger())["orders"] if Decimal(o["price"]) == price]
    taken = [o for o in orders if "reject" not in o["status"].lower()]
    assert len(taken) == 1, f"expected one order at {price}, the exchange has {orders}"
    ended = await trader.cancel(placed["order_id"], f"late-end-{price}")
    assert ended["status"] == "CANCELED", f"expected CANCELED at last, found {ended}"
