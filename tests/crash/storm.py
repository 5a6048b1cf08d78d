"""The storm: seeded orders while processes die at random and the wire loses requests and answers.

Judged at the end by the exchange's own ledger: each intent at most once (counted by its own
quantity, not by client id alone), every order and workflow as the exchange says, every fill once,
nothing unresolved a minute after the faults stop.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from domain.ports import OrderFilter
from storage.opening import open_storage
from tests.crash.rig import ORDER_OF_START, Rig, eventually
from tests.crash.trader import Trader

VICTIMS = ("worker", "api", "streaming", "temporal", "valkey")
WIRE_FAULTS = (
    "drop-before-apply",
    "drop-after-apply",
    "delay",
    "delay-answer",
    "garble",
    "500-before",
    "500-after",
    "429",
)
SETTLE_WITHIN_S = 60.0
BOOKED_WITHIN_S = 20.0
TRADERS = 8
LOT = Decimal("0.00001")
BASE_QUANTITY = Decimal("0.01")
FAR_BELOW = 20_000


@dataclass(slots=True, kw_only=True)
class Intent:
    """What a trader wants of one order, and what it was told."""

    index: int
    kind: str
    quantity: Decimal
    order_id: str = ""
    told: list[str] = field(default_factory=list)


class Storm:
    """One seeded run of lives of these `kinds`."""

    kinds: tuple[str, ...] = ("rest", "cancel", "ioc", "market", "fill", "modify")

    def __init__(self, rig: Rig, trader: Trader, *, seed: int, say: Callable[[str], None]) -> None:
        self._rig = rig
        self._trader = trader
        self._seed = seed
        self._say = say
        self._blowing = True
        self.kills: dict[str, int] = defaultdict(int)

    async def run(self, count: int) -> list[str]:
        """Trade `count` intents through the storm; return everything that is wrong at the end."""
        source = random.Random(self._seed)
        intents = [
            Intent(index=i, kind=source.choice(self.kinds), quantity=BASE_QUANTITY + LOT * (i + 1))
            for i in range(count)
        ]
        nemesis = asyncio.create_task(self._nemesis(random.Random(self._seed + 1)))
        limit = asyncio.Semaphore(TRADERS)

        async def trade(intent: Intent) -> None:
            async with limit:
                await self._trade(intent)

        try:
            await asyncio.gather(*(trade(intent) for intent in intents))
        finally:
            self._blowing = False
            await nemesis
        await self._rig.control("DELETE", "/faults")
        await self._rig.start(*ORDER_OF_START)
        self._say(f"the storm is over after {dict(self.kills)} kills; comparing")
        try:
            await eventually(
                self._unsettled, within_s=SETTLE_WITHIN_S, what="rest", until=lambda u: not u
            )
        except AssertionError as error:
            return [str(error)]
        return await self._agreed(intents)

    async def _agreed(self, intents: list[Intent]) -> list[str]:
        """Compare until nothing is wrong, for a while: the last fills are booked a moment later."""
        deadline = asyncio.get_running_loop().time() + BOOKED_WITHIN_S
        while wrong := await self._compare(intents):
            if asyncio.get_running_loop().time() >= deadline:
                break
            await asyncio.sleep(0.5)
        return wrong

    async def _trade(self, intent: Intent) -> None:
        key = f"storm-{self._seed}-{intent.index}"
        order: dict[str, Any] = {
            "symbol": "BTC-PERP",
            "side": "BUY",
            "quantity": str(intent.quantity),
        }
        if intent.kind == "market":
            order |= {"order_type": "MARKET", "time_in_force": "IOC"}
        elif intent.kind == "ioc":
            order |= {"price": "70000", "time_in_force": "IOC"}
        else:
            order |= {"price": str(FAR_BELOW + intent.index)}
        placed = await self._trader.place(key, within_s=120, **order)
        intent.order_id = placed["order_id"]
        intent.told.append(placed["status"])
        if placed["status"] != "ACCEPTED":
            return
        if intent.kind == "cancel":
            ended = await self._trader.cancel(intent.order_id, f"{key}-cancel", within_s=120)
            intent.told.append(ended["status"])
        elif intent.kind == "modify":
            moved = await self._trader.modify(
                intent.order_id, f"{key}-modify", within_s=120, price=str(30_000 + intent.index)
            )
            intent.told.append(moved["status"])
        elif intent.kind == "fill":
            await self._fill(placed)

    async def _fill(self, placed: dict[str, Any]) -> None:
        part = Decimal(placed["quantity"]) // (2 * LOT) * LOT
        for quantity in (part, None):
            body = {"client_order_id": placed["client_order_id"]}
            if quantity is not None:
                body["quantity"] = str(quantity)
            await self._rig.control("POST", "/fill", body)
            await asyncio.sleep(0.05)

    async def _nemesis(self, source: random.Random) -> None:
        while self._blowing:
            await asyncio.sleep(source.uniform(0.3, 1.5))
            if source.random() < 0.5:
                await self._rig.control(
                    "POST",
                    "/faults",
                    {
                        "kind": source.choice(WIRE_FAULTS),
                        "count": source.randint(1, 3),
                        "delay_ms": source.randint(500, 3500),
                    },
                )
            else:
                victims = source.sample(VICTIMS, k=source.choice((1, 1, 1, 2, 3)))
                for victim in victims:
                    self.kills[victim] += 1
                self._rig.kill(*victims)
                await asyncio.sleep(source.uniform(0.0, 1.0))
                await self._rig.start(*(n for n in ORDER_OF_START if n in victims))

    async def _unsettled(self) -> list[str]:
        """Return what is not at rest: undecided commands, unknown orders, undelivered reports."""
        storage = await open_storage("", self._rig.home)
        try:
            orders = await self._all_orders(storage)
            found = [
                f"{o.order_id} {o.status}"
                for o in orders
                if o.status.value in ("UNKNOWN", "SUBMITTED", "PENDING_CANCEL", "PENDING_MODIFY")
            ]
            found += [f"undelivered {d.report}" for d in await storage.orders.undelivered()]
            return found
        finally:
            await storage.close()

    async def _all_orders(self, storage: Any) -> list[Any]:
        orders: list[Any] = []
        cursor: str | None = None
        while True:
            page = await storage.orders.page(OrderFilter(owner="local", limit=200, cursor=cursor))
            orders += page.orders
            cursor = page.next_cursor
            if cursor is None:
                return orders

    async def _compare(self, intents: list[Intent]) -> list[str]:
        wrong: list[str] = []
        truth = await self._rig.ledger()
        storage = await open_storage("", self._rig.home)
        try:
            orders = {o.order_id: o for o in await self._all_orders(storage)}
            for intent in intents:
                order = orders.get(intent.order_id)
                if order is None:
                    wrong.append(f"{intent} is not in SQL")
                    continue
                fills = await storage.orders.fills(intent.order_id)
                wrong += judge(intent, order, fills, truth)
        finally:
            await storage.close()
        return wrong


def judge(intent: Intent, order: Any, fills: Any, truth: dict[str, Any]) -> list[str]:
    """Return what of one intent contradicts the exchange's ledger."""
    said = f"intent {intent.index} ({intent.kind}, told {intent.told}) {order.order_id}"
    mine = [
        row
        for row in truth["orders"]
        if Decimal(row["quantity"]) == intent.quantity and row["was_taken"]
    ]
    ids = {r.client_order_id for r in order.revisions}
    wrong = [f"{said}: the exchange has a stranger {r}" for r in mine if _cloid(r) not in ids]
    live = [row for row in mine if row["status"] == "open"]
    if len(live) > 1 or (intent.kind != "modify" and len(mine) > 1):
        wrong.append(f"{said}: more than once on the exchange: {mine}")
    filled = sum((Decimal(row["filled_quantity"]) for row in mine), Decimal(0))
    if filled > intent.quantity:
        wrong.append(f"{said}: filled {filled} of {intent.quantity}")
    if filled != order.filled_quantity:
        wrong.append(f"{said}: we say filled {order.filled_quantity}, the exchange {filled}")
    if bool(live) == order.is_terminal:
        wrong.append(f"{said}: we say {order.status}, the exchange {mine}")
    booked = sorted((f.trade_id, f.quantity) for f in fills)
    theirs = sorted(
        (str(f["trade_id"]), Decimal(f["quantity"]))
        for f in truth["fills"]
        if f["client_order_id"] in ids
    )
    if booked != theirs:
        wrong.append(f"{said}: booked {booked}, the exchange {theirs}")
    return wrong


def _cloid(row: dict[str, Any]) -> str:
    return str(row["client_order_id"])
