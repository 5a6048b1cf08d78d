"""A bracket on the whole stack: everything is killed, the price moves meanwhile, it still exits."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from tests.crash.rig import ORDER_OF_START, Rig, eventually
from tests.crash.trader import Trader

SYMBOL, START, TARGET, STOP = "HYPE-PERP", "40", "44", "36"
WITHIN_S = 60.0


async def protected_through_kills(rig: Rig, trader: Trader, address: str) -> list[str]:
    """Enter with a target and a stop, kill all of us, let the target be passed; return what is
    wrong then: the position flat by the exchange's ledger, the stop gone, the bracket DONE."""
    await rig.control("POST", "/price", {"symbol": SYMBOL, "price": START})
    placed = await trader.place(
        "race-bracket",
        symbol=SYMBOL,
        side="BUY",
        quantity="10",
        take_profit={"price": TARGET},
        stop_loss={"price": STOP},
    )
    bracket_id = placed["order_id"]

    async def exits() -> list[dict[str, Any]]:
        ledger = await rig.control("GET", f"/ledger?account={address}")
        mine = [row for row in ledger["orders"] if row["symbol"] == "HYPE"]
        return [row for row in mine if row["trigger_price"] is not None and row["is_live"]]

    await eventually(
        exits, within_s=WITHIN_S, what="target and stop", until=lambda found: len(found) == 2
    )
    await asyncio.to_thread(rig.kill, "worker", "streaming", "api", "temporal")
    await rig.control("POST", "/price", {"symbol": SYMBOL, "price": "44.5"})
    await rig.start(*ORDER_OF_START)

    async def bracket() -> dict[str, Any]:
        response = await trader._insist("GET", f"/api/v1/brackets/{bracket_id}")
        found: dict[str, Any] = response.json()
        return found

    ended = await eventually(
        bracket,
        within_s=WITHIN_S,
        what="a bracket that has ended",
        until=lambda found: bool(found.get("is_terminal")),
    )
    wrong: list[str] = []
    if ended["status"] != "DONE" or "TAKE_PROFIT 10" not in ended["reason"]:
        wrong.append(f"the bracket: {ended}")
    if left := await exits():
        wrong.append(f"exits are live after the bracket: {left}")
    ledger = await rig.control("GET", f"/ledger?account={address}")
    held = [row for row in ledger["positions"] if Decimal(row["quantity"])]
    if held:
        wrong.append(f"the bracket left {held}")
    return wrong
