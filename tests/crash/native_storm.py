"""The storm over native brackets: seeded entries with exits in their request, kills, a bad wire.

When it is over the price passes every target. Judged by the exchange's ledger: each entry at most
once, no exit that is not ours, no bracket that closed other than it entered, flat, nothing live.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from storage.opening import open_storage
from tests.crash.native import ABOVE_TARGET, MARK, STOP, TARGET
from tests.crash.rig import eventually
from tests.crash.storm import FAR_BELOW, SETTLE_WITHIN_S, Intent, Storm

KINDS = ("market", "rest", "cancel", "fill", "end")


class NativeStorm(Storm):
    """One seeded run; `kinds` of the ordinary storm stand for lives of brackets."""

    kinds = KINDS

    async def open_account(self) -> None:
        """Have the trader use an account on which nothing else happens."""
        opened = await self._rig.control("POST", "/accounts", {})
        self._address = str(opened["address"]).lower()
        await self._trader.open_account(opened, "native-storm")

    async def _trade(self, intent: Intent) -> None:
        key = f"native-storm-{self._seed}-{intent.index}"
        order: dict[str, Any] = {
            "symbol": "BTC-PERP",
            "side": "BUY",
            "quantity": str(intent.quantity),
            "take_profit": {"price": TARGET},
            "stop_loss": {"price": STOP},
            "native": True,
        }
        if intent.kind == "market":
            order |= {"order_type": "MARKET", "time_in_force": "IOC"}
        else:
            order |= {"price": str(FAR_BELOW + intent.index)}
        placed = await self._trader.place(key, within_s=120, **order)
        intent.order_id = placed["order_id"]
        intent.told.append(placed["status"])
        if placed["status"] != "ACCEPTED":
            return
        if intent.kind == "cancel":
            await self._trader.cancel(intent.order_id, f"{key}-cancel", within_s=120)
        elif intent.kind == "end":
            await self._trader.end_bracket(intent.order_id, f"{key}-end", within_s=120)
        elif intent.kind == "fill":
            await self._fill(placed)

    async def _compare(self, intents: list[Intent]) -> list[str]:
        """Have every target be passed, and compare what is left then."""
        for bracket in await self._trader.brackets():
            if not Decimal(bracket["entered_quantity"]):
                await self._trader.cancel(bracket["bracket_id"], f"over-{bracket['bracket_id']}")
        await self._rig.control("POST", "/price", {"symbol": "BTC", "price": ABOVE_TARGET})
        running: list[str] = []
        try:
            await eventually(
                self._running, within_s=SETTLE_WITHIN_S, what="all over", until=lambda r: not r
            )
        except AssertionError as error:
            running = [str(error)]
        truth = await self._rig.control("GET", f"/ledger?account={self._address}")
        await self._rig.control("POST", "/price", {"symbol": "BTC", "price": MARK})
        wrong = running + [f"held: {row}" for row in truth["positions"]]
        wrong += [f"live: {row}" for row in truth["orders"] if row["is_live"]]
        storage = await open_storage("", self._rig.home)
        try:
            orders = {o.order_id: o for o in await self._all_orders(storage)}
        finally:
            await storage.close()
        for intent in intents:
            bracket = await self._trader.bracket(intent.order_id)
            wrong += _judge(intent, bracket, orders, truth)
        return wrong

    async def _running(self) -> list[str]:
        """Return what has not ended yet."""
        storage = await open_storage("", self._rig.home)
        try:
            live = [
                f"order {order.order_id} {order.status}"
                for order in await storage.orders.live()
                if order.account_id == self._trader.account_id
            ]
            brackets = await self._trader.brackets()
            return live + [f"bracket {b['bracket_id']} {b['status']}" for b in brackets]
        finally:
            await storage.close()


def _judge(
    intent: Intent, bracket: dict[str, Any], orders: dict[str, Any], truth: dict[str, Any]
) -> list[str]:
    said = f"bracket {intent.index} ({intent.kind}, told {intent.told}) {intent.order_id}"
    rows = {row["client_order_id"]: row for row in truth["orders"]}
    taken = [
        row
        for row in truth["orders"]
        if row["side"] == "buy" and Decimal(row["quantity"]) == intent.quantity and row["was_taken"]
    ]
    wrong = [f"{said}: entered more than once: {taken}"] if len(taken) > 1 else []
    own = [orders[leg["order_id"]] for leg in bracket["exits"] if leg["order_id"] in orders]
    closed = sum(
        (
            Decimal(rows[revision.client_order_id]["filled_quantity"])
            for order in own
            for revision in order.revisions
            if revision.client_order_id in rows
        ),
        Decimal(0),
    )
    entered = sum((Decimal(row["filled_quantity"]) for row in taken), Decimal(0))
    if closed != entered:
        wrong.append(f"{said}: entered {entered}, closed {closed}: {bracket}")
    if (entered, closed) != tuple(
        Decimal(bracket[name]) for name in ("entered_quantity", "exited_quantity")
    ):
        wrong.append(f"{said}: not as the exchange has it: {entered}, {closed}: {bracket}")
    return wrong
