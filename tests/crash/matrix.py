"""The enumerated crash matrix: a kill between each pair of steps, for each command, each kill set.

Every cell runs on real processes and is judged by the exchange's own ledger: the intent is at most
once on its book, our order says what the exchange says, and the workflow ends when the order does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from domain.commands import CommandKind
from domain.identifiers import order_id_for
from tests.crash.ground import Party, count
from tests.crash.rig import HOUSE, Rig, eventually
from tests.crash.undecidable import judge_undecidable

COMMANDS = ("place", "cancel", "modify-cancel", "modify-place")
KILL_SETS: dict[str, tuple[str, ...]] = {
    "worker": ("worker",),
    "worker+temporal": ("worker", "temporal"),
    "worker+temporal+api": ("worker", "temporal", "api"),
}
GAPS = (
    "ledger commit | first byte",
    "first byte | venue applied",
    "venue applied | answer read",
    "answer read | outcome commit",
    "outcome commit | task completion",
    "task completion | answer to the caller",
)
HOLD_BEFORE_MS = 6000
HOLD_ANSWER_MS = 4000
OWNER = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One place in the matrix."""

    command: str
    gap: str
    kill: str
    venue: str = HOUSE

    def __str__(self) -> str:
        return f"{self.venue:12} | {self.command:14} | {self.gap:38} | {self.kill}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """What became of a cell: None is good, else what was wrong."""

    cell: Cell
    wrong: str | None
    seconds: float


def cells(venue: str = HOUSE) -> list[Cell]:
    """Return all cells of a venue."""
    return [
        Cell(command=command, gap=gap, kill=kill, venue=venue)
        for command in COMMANDS
        for gap in GAPS
        for kill in KILL_SETS
    ]


class Matrix:
    """Runs cells on one rig at one venue, one after the other, each with prices of its own."""

    def __init__(self, rig: Rig, party: Party, *, first: int = 0) -> None:
        """Take the rig and a trader; prices begin with the one of cell number `first`."""
        self._rig = rig
        self._party = party
        self._trader = party.trader
        self._ground = party.ground
        self._runs = first

    async def run(self, cell: Cell) -> CellResult:
        """Run one cell."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        wrong: str | None = None
        try:
            await self._run(cell)
        except AssertionError as error:
            wrong = str(error) or repr(error)
        finally:
            self._rig.points.disarm()
            await self._control("DELETE", "/faults")
            await self._rig.start(*self._rig.order_of_start)
        return CellResult(cell=cell, wrong=wrong, seconds=loop.time() - began)

    async def _run(self, cell: Cell) -> None:
        self._runs += 1
        key = f"{self._trader.account_id}-{self._runs}-{cell.command}"
        price, moved = self._ground.price(2 * self._runs), self._ground.price(2 * self._runs - 1)
        order_id = order_id_for(OWNER, key)
        if cell.command != "place":
            placed = await self._trader.place(key, **self._ground.resting(price))
            assert placed["status"] == "ACCEPTED", f"placing first: {placed}"
            order_id = placed["order_id"]
        hit = await self._arm(cell)
        command = asyncio.create_task(self._command(cell, key, price, moved, order_id))
        try:
            await eventually(hit, within_s=20, what=f"{cell.command} to reach {cell.gap!r}")
            self._rig.kill(*KILL_SETS[cell.kill])
            self._rig.points.disarm()
            if "api" not in KILL_SETS[cell.kill] and cell.gap == GAPS[5]:
                self._rig.points.go(_point(cell))
            await self._rig.start("temporal", "worker", "api")
            if self._is_lost_for_good(cell):
                # Of the one order of a placement, or the new one of a modify, nothing ever came.
                here = price if cell.command == "place" else moved
                await judge_undecidable(self._rig, self._party, order_id, here)
                return
            order = await command
        finally:
            command.cancel()
        await self._judge(cell, order, price, moved)

    def _is_lost_for_good(self, cell: Cell) -> bool:
        """Tell whether nobody can ever prove what became of the placement: it was never sent."""
        places = cell.command in ("place", "modify-place")
        return places and cell.gap == GAPS[0] and not self._ground.proves_absence

    async def _command(
        self, cell: Cell, key: str, price: str, moved: str, order_id: str
    ) -> dict[str, Any]:
        within_s = self._ground.decided_within_s
        if cell.command == "place":
            return await self._trader.place(key, within_s=within_s, **self._ground.resting(price))
        if cell.command == "cancel":
            return await self._trader.cancel(order_id, f"{key}-cancel", within_s=within_s)
        return await self._trader.modify(order_id, f"{key}-modify", within_s=within_s, price=moved)

    async def _arm(self, cell: Cell) -> Any:
        """Arm what makes the command stand still in the gap; return how to see that it does."""
        if cell.gap not in GAPS[1:3]:
            self._rig.points.arm(_point(cell))
            return lambda: _later(self._rig.points.is_hit(_point(cell)))
        before = cell.gap == GAPS[1]
        cancels = cell.command in ("cancel", "modify-cancel")
        kind = CommandKind.CANCEL if cancels else CommandKind.PLACE
        fault = {
            "kind": "delay" if before else "delay-answer",
            "delay_ms": HOLD_BEFORE_MS if before else HOLD_ANSWER_MS,
            "count": 1,
            "action": self._ground.rig.actions[kind],
        }
        await self._control("POST", "/faults", fault)
        return self._fault_is_used

    async def _fault_is_used(self) -> bool:
        return not (await self._control("GET", "/faults"))["faults"]

    async def _control(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        return await self._rig.control(method, path, body, venue=self._party.venue)

    async def _judge(self, cell: Cell, order: dict[str, Any], price: str, moved: str) -> None:
        """Compare with the exchange, then end the order and compare again."""
        if cell.command == "place":
            assert order["status"] == "ACCEPTED", f"expected ACCEPTED, found {order}"
            await self._count(price, live=1, ever=1)
        elif cell.command == "cancel":
            assert order["status"] == "CANCELED", f"expected CANCELED, found {order}"
            await self._count(price, live=0, ever=1)
        else:
            assert order["status"] == "ACCEPTED", f"expected ACCEPTED, found {order}"
            assert Decimal(order["price"]) == Decimal(moved), f"not moved: {order}"
            await self._count(price, live=0, ever=1)
            await self._count(moved, live=1, ever=1)
        # A request that was on its way when the sender died may still arrive.
        if cell.gap == GAPS[1]:
            await asyncio.sleep(HOLD_BEFORE_MS / 1000)
        if cell.command != "cancel":
            ended = await self._trader.cancel(order["order_id"], f"end-{order['order_id']}")
            assert ended["status"] == "CANCELED", f"expected CANCELED at last, found {ended}"
        await self._count(price, live=0, ever=1)

    async def _count(self, price: str, *, live: int, ever: int) -> None:
        """Check how many orders at this price the exchange knows."""
        await count(self._rig, self._party, price, live=live, ever=ever)


def _point(cell: Cell) -> str:
    step = {
        GAPS[0]: "ledger_committed",
        GAPS[3]: "answer_read",
        GAPS[4]: "outcome_committed",
        GAPS[5]: "task_completed",
    }[cell.gap]
    if cell.gap == GAPS[5]:
        return f"{cell.command.split('-')[0]}.{step}"
    command = {"modify-cancel": "cancel", "modify-place": "place"}.get(cell.command, cell.command)
    return f"{command}.{step}"


async def _later(value: bool) -> bool:
    return value


def show(results: Sequence[CellResult]) -> str:
    """Return the results as a table."""
    head = f"{'venue':12} | {'command':14} | {'between':38} | {'killed':19} | {'s':>5} | result"
    lines = [head]
    lines += [
        f"{r.cell.venue:12} | {r.cell.command:14} | {r.cell.gap:38} | {r.cell.kill:19} | "
        f"{r.seconds:5.1f} | "
        f"{'once, as the exchange says' if r.wrong is None else 'WRONG: ' + r.wrong}"
        for r in results
    ]
    return "\n".join(lines)
