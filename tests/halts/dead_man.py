"""The dead man's switch on a real stack: renewed while a worker lives, gone off when none does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.crash.rig import Rig, eventually
from tests.crash.trader import Trader
from tests.halts.drill import live

AFTER_S = 10
GOES_OFF_WITHIN_S = 30.0


async def run_dead_man(home: Path, say: Callable[[str], None]) -> str:
    """Return what is wrong, or nothing."""
    async with Rig(home) as rig:
        trader = Trader(rig.api_url, rig.home / "api-token")
        await trader.open_account(await rig.control("POST", "/accounts", {}), "dead-man")
        path = f"/api/v1/accounts/{trader.account_id}/dead-man"
        armed = await trader._insist("POST", path, json={"after_s": AFTER_S})
        if armed.status_code != 200 or not armed.json()["armed"]:
            return f"expected an armed switch, found {armed.status_code} {armed.text}"
        placed = await trader.place(
            "resting", symbol="BTC-PERP", side="BUY", quantity="0.01", price="20000"
        )
        until = time.monotonic() + 2 * AFTER_S
        while time.monotonic() < until:
            if not live(await rig.ledger()):
                return "the order went although a worker renewed the switch"
            await asyncio.sleep(0.5)
        say("renewed twice over; the worker is killed")
        rig.kill("worker")

        async def seen() -> list[dict[str, Any]]:
            return live(await rig.ledger())

        await eventually(
            seen, within_s=GOES_OFF_WITHIN_S, what="no open order", until=lambda open_: not open_
        )
        shown = (await trader._insist("GET", path)).json()
        if (shown["state"], shown["armed"]) != ("WENT_OFF", False):
            return f"expected it to be told as gone off, found {shown}"
        await rig.start("worker")

        async def rearmed() -> dict[str, Any]:
            return dict((await trader._insist("GET", path)).json())

        state = await eventually(
            rearmed, within_s=30, what="an armed switch", until=lambda found: bool(found["armed"])
        )
        ended = await trader.until(
            placed["order_id"], lambda order: order["status"] == "CANCELED", within_s=60
        )
        say(f"armed again after {state['triggers_today']} today; our order: {ended['status']}")
        return "" if state["triggers_today"] == 1 else f"expected one trigger, found {state}"
