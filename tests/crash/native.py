"""Brackets whose exits leave in the entry's own request, killed between any two of its steps.

Judged by the exchange's own ledger: entry and exits at most once, never more closed than entered,
flat in the end, whoever was dead meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from tests.crash.matrix import (
    HOLD_ANSWER_MS,
    HOLD_BEFORE_MS,
    KILL_SETS,
    Cell,
    CellResult,
)
from tests.crash.rig import ORDER_OF_START, Rig, eventually
from tests.crash.trader import Trader

POINTS = {
    "ledger commit | first byte": "ledger_committed",
    "first byte | venue applied": "",
    "venue applied | answer read": "",
    "answer read | first outcome commit": "answer_read",
    "one outcome commit | the others": "one_outcome_committed",
    "outcome commits | task completion": "outcome_committed",
}
ENDS = ("target", "canceled", "parts")
MARK, ABOVE_TARGET = "65000", "90500"
TARGET, STOP = "90000", "10000"
LOT = Decimal("0.00001")
ALL_DEAD = "all dead when it fills and when the price comes"


def native_cells() -> list[Cell]:
    """Return all cells."""
    return [
        Cell(command="native bracket", gap=gap, kill=kill) for gap in POINTS for kill in KILL_SETS
    ]


class NativeBrackets:
    """Runs cells on one rig, one after the other, each with a quantity of its own."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._trader = Trader(rig.api_url, rig.home / "api-token")
        self._address = ""
        self._runs = 0

    async def run(self, cell: Cell) -> CellResult:
        """Run one cell: kill while the request is made, then let the bracket live to its end."""
        return await self._judged(cell, lambda: self._cell(cell))

    async def run_all_dead(self) -> CellResult:
        """Fill the entry and reach the target while nothing of ours runs: the venue closes it."""
        cell = Cell(command="native bracket", gap=ALL_DEAD, kill="all")
        return await self._judged(cell, self._all_dead)

    async def _judged(self, cell: Cell, life: Callable[[], Awaitable[None]]) -> CellResult:
        loop = asyncio.get_running_loop()
        began = loop.time()
        wrong: str | None = None
        try:
            if not self._address:
                opened = await self._rig.control("POST", "/accounts", {})
                self._address = str(opened["address"]).lower()
                await self._trader.open_account(opened, "native")
            await life()
        except AssertionError as error:
            wrong = str(error) or repr(error)
        finally:
            self._rig.points.disarm()
            await self._rig.control("DELETE", "/faults")
            await self._price(MARK)
            await self._rig.start(*ORDER_OF_START)
        return CellResult(cell=cell, wrong=wrong, seconds=loop.time() - began)

    async def _cell(self, cell: Cell) -> None:
        self._runs += 1
        hit = await self._arm(cell)
        placing = asyncio.create_task(self._place())
        try:
            await eventually(hit, within_s=20, what=f"the request to reach {cell.gap!r}")
            self._rig.kill(*KILL_SETS[cell.kill])
            self._rig.points.disarm()
            await self._rig.start("temporal", "worker", "api")
            entry = await placing
        finally:
            placing.cancel()
        assert entry["status"] == "ACCEPTED", f"expected ACCEPTED, found {entry}"
        if cell.gap == "first byte | venue applied":
            # The request may still arrive of which nobody heard.
            await asyncio.sleep(HOLD_BEFORE_MS / 1000)
        await self._until_placed(entry)
        await self._live_on(entry, ENDS[self._runs % len(ENDS)])

    async def _all_dead(self) -> None:
        self._runs += 1
        entry = await self._place()
        await self._until_placed(entry)
        self._rig.kill("streaming", "worker", "api", "temporal")
        await self._fill(entry)
        await self._price(ABOVE_TARGET)
        ledger = await self._ledger()
        assert not ledger["positions"], f"expected the venue to have closed it: {ledger}"
        await self._rig.start(*ORDER_OF_START)
        await self._until_ended(entry, "DONE")

    # What is asked, and by whom.

    @property
    def _quantity(self) -> Decimal:
        return Decimal("0.02") + 2 * LOT * self._runs

    async def _place(self) -> dict[str, Any]:
        return await self._trader.place(
            f"native-{self._runs}",
            symbol="BTC-PERP",
            side="BUY",
            quantity=str(self._quantity),
            price="20000",
            take_profit={"price": TARGET},
            stop_loss={"price": STOP},
            native=True,
        )

    async def _arm(self, cell: Cell) -> Callable[[], Awaitable[bool]]:
        step = POINTS[cell.gap]
        if step:
            point = f"joint.{step}"
            self._rig.points.arm(point)

            async def stands() -> bool:
                return self._rig.points.is_hit(point)

            return stands
        is_before = cell.gap.startswith("first byte")
        fault = {
            "kind": "delay" if is_before else "delay-answer",
            "delay_ms": HOLD_BEFORE_MS if is_before else HOLD_ANSWER_MS,
            "count": 1,
            "action": "order",
        }
        await self._rig.control("POST", "/faults", fault)

        async def is_used() -> bool:
            return not (await self._rig.control("GET", "/faults"))["faults"]

        return is_used

    async def _fill(self, entry: dict[str, Any], quantity: Decimal | None = None) -> None:
        asked = None if quantity is None else str(quantity)
        body = {"client_order_id": entry["client_order_id"], "quantity": asked}
        await self._rig.control("POST", "/fill", body)

    async def _price(self, price: str) -> None:
        await self._rig.control("POST", "/price", {"symbol": "BTC", "price": price})

    # How it goes on.

    async def _live_on(self, entry: dict[str, Any], end: str) -> None:
        if end == "canceled":
            await self._trader.cancel(entry["order_id"], f"native-{self._runs}-cancel")
            await self._until_ended(entry, "NOT_ENTERED")
            return
        if end == "parts":
            await self._fill(entry, self._quantity / 2)
            await eventually(
                self._awake, within_s=30, what="exits of the part", until=lambda n: n == 2
            )
        entry = await self._trader.get(entry["order_id"])
        await self._fill(entry)
        await eventually(self._exits, within_s=30, what="two exits", until=lambda n: n == 2)
        await self._price(ABOVE_TARGET)
        await self._until_ended(entry, "DONE")

    async def _until_placed(self, entry: dict[str, Any]) -> None:
        """Wait until entry and exits are at the exchange, each once, and our books say so."""
        mine = await self._mine()
        kinds = sorted((order["reduce_only"], order["trigger_price"]) for order in mine)
        asked = [(False, None), (True, STOP), (True, TARGET)]
        assert kinds == asked, f"expected entry, stop and target once, the exchange has {mine}"
        assert all(order["is_live"] for order in mine), f"expected all live: {mine}"
        await self._until(entry, lambda b: b["protected_by"] == "venue", "exits kept by the venue")

    async def _until_ended(self, entry: dict[str, Any], status: str) -> None:
        bracket = await self._until(entry, lambda b: b["is_terminal"], "an ended bracket")
        assert bracket["status"] == status, f"expected {status}, found {bracket}"
        ledger = await self._ledger()
        assert not ledger["positions"], f"expected no position: {ledger['positions']}"
        live = [order for order in ledger["orders"] if order["is_live"]]
        assert not live, f"expected nothing live: {live}"
        mine = await self._mine()
        assert len(mine) == 3, f"expected no other order of this quantity: {mine}"
        entered = {"DONE": self._quantity}.get(status, Decimal(0))
        assert Decimal(bracket["entered_quantity"]) == entered, f"not as the exchange: {bracket}"
        assert Decimal(bracket["exited_quantity"]) == entered, f"not as the exchange: {bracket}"

    async def _until(
        self, entry: dict[str, Any], good: Callable[[dict[str, Any]], bool], what: str
    ) -> dict[str, Any]:
        return await eventually(
            lambda: self._trader.bracket(entry["order_id"]), within_s=60, what=what, until=good
        )

    async def _ledger(self) -> dict[str, Any]:
        return await self._rig.control("GET", f"/ledger?account={self._address}")

    async def _mine(self) -> list[dict[str, Any]]:
        """Return the orders of this run's own quantity that the exchange took, ever."""
        orders = (await self._ledger())["orders"]
        return [
            order
            for order in orders
            if Decimal(order["quantity"]) == self._quantity and order["was_taken"]
        ]

    async def _exits(self) -> int:
        orders = (await self._ledger())["orders"]
        return sum(order["is_live"] and order["reduce_only"] for order in orders)

    async def _awake(self) -> int:
        """Return how many exits of ours protect a part."""
        orders = (await self._ledger())["orders"]
        return sum(
            order["is_live"]
            and order["reduce_only"]
            and Decimal(order["quantity"]) == self._quantity / 2
            for order in orders
        )
