"""Our own dead man's switch on a real stack: each part of the trading side killed in its turn.

The exchange is the simulated Pacifica, which has no switch of its own; its ledger is the witness.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.crash.rig import Rig, eventually
from tests.crash.trader import Trader
from tests.halts.drill import live

VENUE = "pacifica"
AFTER_S = 10
GOES_OFF_WITHIN_S = 40.0
ARMED_WITHIN_S = 40.0

Said = Callable[[str], None]


@dataclass
class WatchedStack:
    """A stack with the watchdog, and an account with a position, its stop, and a resting order."""

    rig: Rig
    trader: Trader
    address: str
    stop_id: str = ""
    resting_id: str = ""
    placed: int = 0

    @property
    def path(self) -> str:
        """Where the switch is in the API."""
        return f"/api/v1/accounts/{self.trader.account_id}/dead-man"

    async def truth(self) -> list[dict[str, Any]]:
        """Return the exchange's live orders of the account."""
        path = f"/ledger?account={self.address}"
        return live(await self.rig.control("GET", path, venue=VENUE))

    async def shown(self) -> dict[str, Any]:
        """Return the switch as the API shows it."""
        return dict((await self.trader._insist("GET", self.path)).json())

    async def rest(self) -> None:
        """Place an order that rests far below."""
        self.placed += 1
        placed = await self.trader.place(
            f"resting-{self.placed}", symbol="BTC-PERP", side="BUY", quantity="0.01", price="20000"
        )
        self.resting_id = placed["order_id"]

    async def protect(self) -> None:
        """Open a position, and a stop at the venue that protects it."""
        opened = await self.trader.place(
            "position", symbol="BTC-PERP", side="BUY", quantity="0.01", order_type="MARKET",
            time_in_force="IOC",
        )  # fmt: skip
        assert opened["status"] == "FILLED", opened
        stop = await self.trader.place(
            "stop", symbol="BTC-PERP", side="SELL", quantity="0.01", order_type="STOP_MARKET",
            trigger_price="20000", reduce_only=True,
        )  # fmt: skip
        self.stop_id = stop["order_id"]
        assert len(await self.truth()) == 1

    async def arm(self) -> dict[str, Any]:
        """Want the switch, and wait until it is in force."""
        await self.trader._insist("POST", self.path, json={"after_s": AFTER_S})
        return await self.until_armed()

    async def until_armed(self) -> dict[str, Any]:
        """Wait until it is in force."""
        return await eventually(
            self.shown,
            within_s=ARMED_WITHIN_S,
            what="an armed switch",
            until=lambda found: bool(found["armed"]),
        )

    async def until_cleared(self) -> float:
        """Wait until only the stop is left at the exchange; return the seconds it took."""
        began = time.monotonic()
        await eventually(
            self.truth,
            within_s=GOES_OFF_WITHIN_S,
            what="only the stop at the exchange",
            until=lambda orders: len(orders) == 1,
        )
        return time.monotonic() - began

    async def wrong_after(self) -> str:
        """Return what is wrong with what is left, or nothing."""
        (left,) = await self.truth()
        is_stop = left["trigger_price"] is not None
        return "" if is_stop else f"expected the stop to be left, found {left}"


@asynccontextmanager
async def watched_stack(home: Path) -> AsyncIterator[WatchedStack]:
    """Start everything, the watchdog and Pacifica's exchange too, and arm the switch."""
    rig = Rig(home, venues=(VENUE,), watchdog=True)
    async with rig:
        trader = Trader(rig.api_url, rig.home / "api-token")
        opened = await rig.control("POST", "/accounts", {}, venue=VENUE)
        await trader.open_account(opened, "watched", venue=VENUE)
        stack = WatchedStack(rig=rig, trader=trader, address=opened["address"])
        await stack.protect()
        await stack.rest()
        await stack.arm()
        yield stack


async def run_watchdog(home: Path, say: Said) -> str:
    """Return what is wrong, or nothing."""
    async with watched_stack(home) as stack:
        for check in (renewed, worker_killed, feed_killed, temporal_killed_and_watchdog_too):
            wrong = await check(stack, say)
            if wrong:
                return f"{check.__name__}: {wrong}"
    return ""


async def renewed(stack: WatchedStack, say: Said) -> str:
    """While all lives nothing is canceled, for longer than the time."""
    until = time.monotonic() + 1.3 * AFTER_S
    while time.monotonic() < until:
        if len(await stack.truth()) != 2:
            return "an order went although everything lives"
        await asyncio.sleep(0.5)
    say("renewed")
    return ""


async def worker_killed(stack: WatchedStack, say: Said) -> str:
    """The watchdog, another process, cancels without Temporal's workers."""
    stack.rig.kill("worker")
    seconds = await stack.until_cleared()
    shown = await stack.shown()
    if (shown["state"], shown["armed"]) != ("WENT_OFF", False):
        return f"expected it to be told as gone off, found {shown}"
    say(f"worker killed: cleared after {seconds:.1f} s by the watchdog")
    wrong = await stack.wrong_after()
    await stack.rig.start("worker")
    await stack.trader.until(
        stack.resting_id, lambda order: order["status"] == "CANCELED", within_s=60
    )
    await stack.until_armed()
    # It is written down once the watchdog has seen that the worker is back.
    await eventually(
        stack.shown,
        within_s=ARMED_WITHIN_S,
        what="one trigger",
        until=lambda found: found["triggers_today"] == 1,
    )
    return wrong


async def feed_killed(stack: WatchedStack, say: Said) -> str:
    """A worker that lives does not keep the account: nobody follows its feed."""
    await stack.rest()
    stack.rig.kill("streaming")
    seconds = await stack.until_cleared()
    say(f"streaming killed: cleared after {seconds:.1f} s")
    wrong = await stack.wrong_after()
    await stack.rig.start("streaming")
    await stack.until_armed()
    return wrong


async def temporal_killed_and_watchdog_too(stack: WatchedStack, say: Said) -> str:
    """Temporal is gone and so is the watchdog: the worker stands in for it."""
    await stack.rest()
    stack.rig.kill("temporal", "watchdog")
    seconds = await stack.until_cleared()
    say(f"Temporal and the watchdog killed: cleared after {seconds:.1f} s by the worker")
    return await stack.wrong_after()
