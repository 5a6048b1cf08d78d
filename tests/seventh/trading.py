"""The seventh venue traded for real: `python -m tests.seventh.trading HOME`.

By the command line, through the API and Temporal to a worker, and to the venue's simulator, each a
process of its own; then a placement whose answer is lost because the worker dies. What was seen is
printed as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.seventh.joining import NAME, join_stack

if TYPE_CHECKING:
    from tests.crash.rig import Rig

QUANTITY: Final = "0.01"
#: Far below the book of the simulator, and through it.
RESTS: Final = "50000"
TAKES: Final = "66000"


class Terminal:
    """Somebody at the command line of the product."""

    def __init__(self, rig: Rig) -> None:
        named = {
            "PERP_DEX_API_URL": rig.api_url,
            "PERP_DEX_API_TOKEN_FILE": str(rig.home / "api-token"),
        }
        self._environment: Mapping[str, str] = {**rig.environment, **named}

    async def says(self, *arguments: str, typed: str = "") -> dict[str, Any]:
        """Give a command line and return the document that it prints."""
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "cli.main", *arguments, "--json"],
            env=self._environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        document: dict[str, Any] = json.loads(done.stdout)
        return document


async def traded(rig: Rig) -> dict[str, Any]:
    """Register an account, see the venue, rest and cancel an order, take, and look at the rest."""
    from tests.conformance.rig import rig_of

    terminal, its = Terminal(rig), rig_of(NAME)
    opened = await rig.control("POST", "/accounts", {}, venue=NAME)
    account = await terminal.says(
        *("account", "add", "--dex", NAME, "--network", "paper", "--label", "main"),
        *("--address", its.address(opened), "--key-file", "-"),
        typed=its.credential(opened),
    )
    venue = await terminal.says("venue", "info", NAME)
    buy = ("trade", "buy", its.symbol, QUANTITY, "--account", "main", "--price")
    rests = await terminal.says(*buy, RESTS)
    canceled = await terminal.says("trade", "cancel", rests["order_id"], "--wait")
    took = await terminal.says(*buy, TAKES, "--wait-fill")
    positions = await terminal.says("position", "list")
    ledger = await rig.control("GET", f"/ledger?account={its.address(opened)}", venue=NAME)
    return {
        "account": account["state"],
        "experimental": venue["experimental"],
        "orders": [rests["status"], canceled["status"], took["status"]],
        "positions": [each["quantity"] for each in positions["positions"]],
        "at_the_exchange": [order["status"] for order in ledger["orders"]],
    }


async def lost(rig: Rig) -> str | None:
    """Lose the answer to a placement by the worker's death; return what is wrong afterwards."""
    from tests.crash.ground import join
    from tests.crash.matrix import GAPS, Cell, Matrix

    cell = Cell(command="place", gap=GAPS[2], kill="worker", venue=NAME)
    return (await Matrix(rig, await join(rig, NAME)).run(cell)).wrong


async def main(home: Path) -> None:
    """Trade on a stack that serves this one venue."""
    join_stack()
    from tests.crash.rig import Rig

    async with Rig(home, venues=(NAME,)) as rig:
        seen = {**await traded(rig), "lost_answer": await lost(rig)}
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
    sys.stdout.flush()
    os._exit(0)
