"""One drill: open orders and positions, then the kill switch, on a stack that loses requests.

Judged by the exchange's own ledger: flat, no open order, and on the way no position ever grew or
turned, whatever was lost and however often the worker was killed.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from domain.halts import HaltStage
from domain.ports import OrderFilter
from storage.opening import open_storage
from tests.crash.rig import HOUSE, Rig, eventually
from tests.crash.trader import Trader
from tests.halts.lossy import LossyWay, lossy_way

LOTS = {
    "BTC-PERP": Decimal("0.00001"),
    "ETH-PERP": Decimal("0.0001"),
    "SOL-PERP": Decimal("0.01"),
    "HYPE-PERP": Decimal("0.01"),
    "DOGE-PERP": Decimal(1),
}
SYMBOLS = tuple(LOTS)
AT_ONCE = 8
FAILING = 0.1
HALTED_WITHIN_S = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is opened, how often the worker is killed, and by which dice."""

    orders: int = 50
    positions: int = 5
    kills: int = 2
    seed: int = 20261125


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a drill; `wrong` is empty when all is as it must be."""

    wrong: tuple[str, ...]
    seconds: float
    kills: int
    requests: int
    failed_share: float


class Drill:
    """One drill on one stack."""

    def __init__(self, rig: Rig, way: LossyWay, plan: Plan, say: Callable[[str], None]) -> None:
        self._rig = rig
        self._way = way
        self._plan = plan
        self._say = say
        self._source = random.Random(plan.seed)
        self._trader = Trader(rig.api_url, rig.home / "api-token")
        self._address = ""

    async def run(self) -> Outcome:
        """Open, halt, kill, and judge."""
        opened = await self._rig.control("POST", "/accounts", {"balance": "10000000"})
        self._address = opened["address"]
        await self._trader.open_account(opened, "drill")
        await self._open()
        before = await self._mine()
        self._say(f"open: {len(live(before))} orders, {len(held(before))} positions")
        self._way.share = FAILING
        began = time.monotonic()
        switch = await self._halt()
        killing = asyncio.create_task(self._kill_on_the_way(len(live(before))))
        try:
            state = await self._until_halted(switch)
            seconds = time.monotonic() - began
        finally:
            self._way.share = 0.0
            killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        after = await self._mine()
        wrong = [*judge(before, after), *await self._judge_ours(state)]
        if self.kills < self._plan.kills:
            wrong.append(f"expected {self._plan.kills} kills on the way, came to {self.kills}")
        return Outcome(
            wrong=tuple(wrong),
            seconds=seconds,
            kills=self.kills,
            requests=self._way.passed,
            failed_share=self._way.failed_share,
        )

    kills = 0

    # Before

    async def _open(self) -> None:
        symbols = SYMBOLS[: self._plan.positions]
        marks = {symbol: await self._mark(symbol) for symbol in symbols}
        for number, symbol in enumerate(symbols):
            placed = await self._trader.place(
                f"position-{symbol}",
                symbol=symbol,
                side="BUY" if number % 2 else "SELL",
                quantity=_worth(symbol, Decimal(2_000), marks[symbol]),
                order_type="MARKET",
                time_in_force="IOC",
            )
            assert placed["status"] == "FILLED", placed
        limit = asyncio.Semaphore(AT_ONCE)

        async def rest(number: int) -> None:
            symbol = symbols[number % len(symbols)]
            side = self._source.choice(("BUY", "SELL"))
            far = Decimal("0.7") if side == "BUY" else Decimal("1.3")
            price = _three_digits(marks[symbol] * far)
            async with limit:
                placed = await self._trader.place(
                    f"rest-{number}",
                    symbol=symbol,
                    side=side,
                    quantity=_worth(symbol, Decimal(100), price),
                    price=str(price),
                )
            assert placed["status"] == "ACCEPTED", placed

        await asyncio.gather(*(rest(number) for number in range(self._plan.orders)))

    async def _mark(self, symbol: str) -> Decimal:
        book = await self._rig.control("GET", f"/book?symbol={symbol.removesuffix('-PERP')}")
        return Decimal(book["mark_price"])

    # On the way

    async def _halt(self) -> dict[str, Any]:
        body = {"scope": "all", "flatten": True, "reason": "drill"}
        response = await self._trader._insist("POST", "/api/v1/halt", json=body)
        assert response.status_code == 202, response.text
        return dict(response.json()["kill_switch"])

    async def _kill_on_the_way(self, orders: int) -> None:
        """Kill the worker while orders are being canceled, then while positions are closed."""
        for kill in range(self._plan.kills):
            at_most = orders - 1 if kill == 0 else 0
            await eventually(
                self._mine,
                within_s=HALTED_WITHIN_S,
                what=f"at most {at_most} open orders",
                until=partial(_has_at_most, at_most),
            )
            truth = await self._mine()
            self._say(f"kill {kill + 1}: {len(live(truth))} orders, {len(held(truth))} positions")
            self._rig.kill("worker")
            self.kills += 1
            await self._rig.start("worker")

    async def _until_halted(self, switch: dict[str, Any]) -> dict[str, Any]:
        async def look() -> dict[str, Any]:
            path = f"/api/v1/halt/{switch['kill_switch_id']}"
            return dict((await self._trader._insist("GET", path)).json())

        return await eventually(
            look,
            within_s=HALTED_WITHIN_S,
            what="a kill switch at its end",
            until=lambda state: state["stage"] == HaltStage.HALTED.value,
        )

    # After

    async def _judge_ours(self, state: dict[str, Any]) -> list[str]:
        wrong = [f"{each} not HALTED" for each in state["accounts"] if each["stage"] != "HALTED"]
        refused = await self._trader._once(
            "POST",
            "/api/v1/orders",
            json={
                "account": self._trader.account_id,
                "symbol": "BTC-PERP",
                "side": "BUY",
                "quantity": "0.01",
                "price": "20000",
            },
            headers={"Idempotency-Key": "after the halt", "Prefer": "wait=10"},
        )
        if refused.status_code != 422 or "halted" not in refused.text:
            wrong.append(f"a new order after the halt: {refused.status_code} {refused.text}")
        async with _storage(self._rig) as storage:
            page = await storage.orders.page(OrderFilter(owner="local", limit=1000))
            wrong += [f"{o.order_id} is {o.status}" for o in page.orders if not o.is_terminal]
            counted = await storage.net_positions.of_account(self._trader.account_id)
            wrong += [f"we count {p.quantity} {p.symbol}" for p in counted if p.quantity]
        return wrong

    async def _mine(self) -> dict[str, Any]:
        return await self._rig.control("GET", f"/ledger?account={self._address}")


@asynccontextmanager
async def _storage(rig: Rig) -> AsyncIterator[Any]:
    storage = await open_storage("", rig.home)
    try:
        yield storage
    finally:
        await storage.close()


def live(truth: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the orders that rest at the exchange."""
    return [order for order in truth["orders"] if order["is_live"]]


def _has_at_most(count: int, truth: dict[str, Any]) -> bool:
    return len(live(truth)) <= count


def held(truth: dict[str, Any]) -> dict[str, Decimal]:
    """Return the positions that are not flat."""
    found = {row["symbol"]: Decimal(row["quantity"]) for row in truth["positions"]}
    return {symbol: quantity for symbol, quantity in found.items() if quantity}


def judge(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return what the exchange's ledger says is wrong."""
    wrong = [f"still open: {order}" for order in live(after)]
    wrong += [f"not flat: {quantity} {symbol}" for symbol, quantity in held(after).items()]
    seen = {fill["trade_id"] for fill in before["fills"]}
    path: defaultdict[str, Decimal] = defaultdict(Decimal, held(before))
    for fill in after["fills"]:
        if fill["trade_id"] in seen:
            continue
        change = Decimal(fill["quantity"]) * (1 if fill["side"].upper() == "BUY" else -1)
        was = path[fill["symbol"]]
        path[fill["symbol"]] = now = was + change
        if abs(now) > abs(was) or now * was < 0:
            wrong.append(f"{fill['symbol']} went from {was} to {now} by {fill}")
    return wrong


def _worth(symbol: str, notional: Decimal, price: Decimal) -> str:
    """Return a quantity of about this notional, in whole lots."""
    return str((notional / price).quantize(LOTS[symbol]))


def _three_digits(price: Decimal) -> Decimal:
    exponent = price.adjusted() - 2
    return price.quantize(Decimal(1).scaleb(exponent)) + 0


async def run_drill(home: Path, plan: Plan, say: Callable[[str], None]) -> Outcome:
    """Run one drill on a stack of its own, the worker's way to the venue being lossy."""
    rig = Rig(home)
    target = rig.venue_url(HOUSE)
    async with lossy_way(target, random.Random(plan.seed + 1)) as (way, url):
        spec = rig._specs["worker"]
        environment = {**spec.environment, "HYPERLIQUID_PAPER_URL": url}
        rig._specs["worker"] = replace(spec, environment=environment)
        async with rig:
            try:
                return await Drill(rig, way, plan, say).run()
            except (AssertionError, httpx2.HTTPError):
                say(rig.log_tail("worker", lines=60))
                raise
