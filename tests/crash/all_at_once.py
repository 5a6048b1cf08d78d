"""An order on every venue at the same time, everything killed, and each found out by its own rules.

What is lost at one venue must not hold up, or be taken for, what is lost at another. Judged by each
exchange's own ledger, within the bound of the venue's own proof table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from domain.commands import CommandKind
from domain.identifiers import order_id_for
from tests.crash.ground import Party, count, taken
from tests.crash.matrix import (
    HOLD_ANSWER_MS,
    HOLD_BEFORE_MS,
    OWNER,
    Cell,
    CellResult,
)
from tests.crash.rig import Rig, eventually
from tests.crash.undecidable import judge_undecidable

#: Where all the orders are when everything dies.
GAPS = {
    "all: first byte | venue applied": "delay",
    "all: venue applied | answer read": "delay-answer",
    "all: one at its ledger commit": "",
}
OURS = ("streaming", "worker", "api", "temporal", "valkey")
KILLS = ("everything of ours", "exchanges too")
COMMAND = "place"


def all_cells() -> list[Cell]:
    """Return all cells; the venue of each is every venue."""
    return [
        Cell(command=COMMAND, gap=gap, kill=kill, venue="all") for gap in GAPS for kill in KILLS
    ]


class AllAtOnce:
    """Runs cells on one rig with every venue, each cell with prices of its own."""

    #: Far from the prices that the matrix uses at the same venues.
    first_price = 400

    def __init__(self, rig: Rig, parties: Sequence[Party]) -> None:
        self._rig = rig
        self._parties = tuple(parties)
        self._runs = 0

    async def run(self, cell: Cell) -> list[CellResult]:
        """Run one cell and return what became of each venue's order."""
        self._runs += 1
        loop = asyncio.get_running_loop()
        began = loop.time()
        prices = {
            party.venue: party.ground.price(self.first_price + self._runs)
            for party in self._parties
        }
        commands = {}
        try:
            hit = await self._arm(cell)
            for party in self._parties:
                commands[party.venue] = asyncio.create_task(self._place(party, prices))
            await eventually(hit, within_s=30, what=f"every venue to reach {cell.gap!r}")
            self._kill(cell)
            await self._rig.start(*self._rig.order_of_start)
            if GAPS[cell.gap] == "delay":
                # Requests whose exchange lives on arrive although their sender is dead.
                await asyncio.sleep(HOLD_BEFORE_MS / 1000)
            wrong = await asyncio.gather(
                *(
                    self._judged(party, commands[party.venue], prices[party.venue])
                    for party in self._parties
                )
            )
        except AssertionError as error:
            wrong = [str(error) or repr(error)] * len(self._parties)
        finally:
            for command in commands.values():
                command.cancel()
            await asyncio.gather(*commands.values(), return_exceptions=True)
            self._rig.points.disarm()
            await self._rig.start(*self._rig.order_of_start)
        return [
            CellResult(
                cell=Cell(command=COMMAND, gap=cell.gap, kill=cell.kill, venue=party.venue),
                wrong=found,
                seconds=loop.time() - began,
            )
            for party, found in zip(self._parties, wrong, strict=True)
        ]

    async def _arm(self, cell: Cell) -> Any:
        kind = GAPS[cell.gap]
        if not kind:
            # The process stands still at the first of them; the others are wherever they are.
            self._rig.points.arm("place.ledger_committed")
            return self._is_hit
        for party in self._parties:
            fault = {
                "kind": kind,
                "delay_ms": HOLD_BEFORE_MS if kind == "delay" else HOLD_ANSWER_MS,
                "count": 1,
                "action": party.ground.rig.actions[CommandKind.PLACE],
            }
            await self._rig.control("POST", "/faults", fault, venue=party.venue)
        return self._faults_are_used

    async def _is_hit(self) -> bool:
        return self._rig.points.is_hit("place.ledger_committed")

    async def _faults_are_used(self) -> bool:
        left = [
            (await self._rig.control("GET", "/faults", venue=party.venue))["faults"]
            for party in self._parties
        ]
        return not any(left)

    def _kill(self, cell: Cell) -> None:
        exchanges = [f"sim-{party.venue}" for party in self._parties]
        self._rig.kill(*OURS, *(exchanges if cell.kill == KILLS[1] else ()))
        self._rig.points.disarm()

    async def _place(self, party: Party, prices: dict[str, str]) -> dict[str, Any]:
        return await party.trader.place(
            self._key(party),
            within_s=2 * party.ground.decided_within_s,
            **party.ground.resting(prices[party.venue]),
        )

    def _key(self, party: Party) -> str:
        return f"all-{self._runs}-{party.trader.account_id}"

    async def _judged(
        self, party: Party, command: asyncio.Task[dict[str, Any]], price: str
    ) -> str | None:
        try:
            await self._judge(party, command, price)
        except AssertionError as error:
            return str(error) or repr(error)
        return None

    async def _judge(self, party: Party, command: asyncio.Task[dict[str, Any]], price: str) -> None:
        bound_s = party.ground.decided_within_s
        order_id = order_id_for(OWNER, self._key(party))
        if not party.ground.proves_absence and await self._is_lost(party, order_id, price):
            await judge_undecidable(self._rig, party, order_id, price)
            return
        done, _ = await asyncio.wait([command], timeout=bound_s)
        assert done, f"expected an outcome on {party.venue} within {bound_s:g} s, found none"
        order = command.result()
        assert order["status"] == "ACCEPTED", f"expected ACCEPTED, found {order}"
        await count(self._rig, party, price, live=1, ever=1)
        ended = await party.trader.cancel(order_id, f"{self._key(party)}-end")
        assert ended["status"] == "CANCELED", f"expected CANCELED at last, found {ended}"
        await count(self._rig, party, price, live=0, ever=1)

    async def _is_lost(self, party: Party, order_id: str, price: str) -> bool:
        """Tell whether the ledger has a command of which the exchange has no trace."""
        order = await party.trader.get(order_id)
        there = await taken(self._rig, party, price=Decimal(price))
        return not there and order["status"] in ("SUBMITTED", "UNKNOWN")
