"""Compares everybody's story with the exchange's own ledger, and names what differs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import aiohttp
from sqlalchemy import Connection, select

from domain.fills import Fill
from domain.orders import Order
from domain.timeline import OrderChange
from storage.fill_rows import FILL_COLUMNS, read_fill
from storage.opening import Storage
from storage.tables import fills as fills_table
from tests.stream_chaos.crowd import Crowd
from tests.stream_chaos.judge import (
    judge_changes,
    judge_fills,
    judge_money,
    judge_orders,
    judge_orders_follower,
    judge_positions,
    judge_states_follower,
    judge_timeline,
)
from tests.stream_chaos.market_judge import (
    judge_book,
    judge_ticker,
    judge_times,
    judge_top,
    judge_trades,
    trades_told,
)
from tests.stream_chaos.rig import Rig
from tests.streaming.floor import SYMBOL, Floor

Json = dict[str, Any]

_PAGE = 500


async def fills_of(storage: Storage, account_id: str) -> list[Fill]:
    """Return every booked fill of an account, those of no order of ours among them."""
    statement = select(*FILL_COLUMNS).where(fills_table.c.account_id == account_id)

    def work(connection: Connection) -> list[Fill]:
        return [read_fill(row) for row in connection.execute(statement)]

    return await storage.database.read(work)


async def changes_of(storage: Storage, account_id: str) -> list[OrderChange]:
    """Return every change of an account, from the first."""
    found: list[OrderChange] = []
    while True:
        after = found[-1].sequence if found else 0
        page = await storage.orders.changes([account_id], {account_id: after}, limit=_PAGE)
        if not page:
            return found
        found.extend(page)


async def book_of(floor: Floor) -> Json:
    """Return the exchange's own book, with its mark price."""
    url, params = floor.sim.control_url + "/book", {"symbol": SYMBOL}
    async with aiohttp.ClientSession() as session, session.get(url, params=params) as answer:
        found: Json = await answer.json()
        return found


async def ledger_of(floor: Floor, account_id: str) -> Json:
    """Return the exchange's truth about one account."""
    params = {"account": floor.access[account_id].account.address}
    url = floor.sim.control_url + "/ledger"
    async with aiohttp.ClientSession() as session, session.get(url, params=params) as answer:
        found: Json = await answer.json()
        return found


class Witness:
    """Looks at storage, at the clients and at both exchanges."""

    def __init__(self, rig: Rig, crowd: Crowd) -> None:
        self._rig = rig
        self._crowd = crowd
        self.fills = 0
        self.changes = 0
        #: Trades at the venue being looked at, and the share of them that clients were told of.
        self._made: dict[str, tuple[Decimal, Decimal]] = {}
        self.trades_told: dict[str, str] = {}

    async def differences(self) -> list[str]:
        """Return all that is wrong now; what is only late is wrong until it has come."""
        self.fills = self.changes = 0
        wrong: list[str] = []
        for floor in (self._rig.venue, self._rig.other):
            self._made = {}
            for account_id in floor.access:
                wrong += await self._account(floor, account_id)
            wrong += await self._markets(floor)
        for follower in self._crowd.followers:
            wrong += follower.wrong
        return wrong

    async def _account(self, floor: Floor, account_id: str) -> list[str]:
        storage = self._rig.storage
        ledger = await ledger_of(floor, account_id)
        for row in ledger["fills"]:
            self._made[row["trade_id"]] = (Decimal(row["price"]), Decimal(row["quantity"]))
        booked = await fills_of(storage, account_id)
        changes = await changes_of(storage, account_id)
        self.fills += len(booked)
        self.changes += len(changes)
        wrong = judge_fills(account_id, booked, ledger["fills"])
        wrong += judge_changes(account_id, changes)
        orders = {change.order.order_id: change.order for change in changes}
        wrong += judge_orders(orders.values(), ledger["orders"])
        wrong += await self._timelines(orders, booked)
        for follower in self._crowd.orders:
            if follower.subject["account_id"] == account_id:
                wrong += judge_orders_follower(follower.name, follower.heard, changes)
        if account_id == self._crowd.shipped.account_id:
            wrong += self._crowd.shipped.wrong(changes[-1].sequence if changes else 0)
        return wrong + self._states(account_id, ledger)

    async def _timelines(self, orders: dict[str, Order], booked: list[Fill]) -> list[str]:
        wrong: list[str] = []
        for order_id, order in orders.items():
            timeline = await self._rig.storage.orders.timeline(order_id)
            of_order = [fill for fill in booked if fill.order_id == order_id]
            wrong += judge_timeline(order, of_order, timeline)
        return wrong

    async def _markets(self, floor: Floor) -> list[str]:
        exchange = await book_of(floor)
        wrong: list[str] = []
        for follower in self._crowd.markets:
            if follower.subject["network"] != floor.network:
                continue
            name, heard, newest = follower.name, follower.heard, follower.newest or {}
            # Where a venue repeats no trade to whoever comes back, the next one has to come first.
            if not follower.is_live and follower.channel != "trades":
                wrong.append(f"{name}: is said to be stale")
            if follower.channel == "book":
                wrong += judge_book(name, heard, exchange, floor.venue)
            elif follower.channel == "top":
                wrong += judge_top(name, newest, exchange)
            elif follower.channel == "ticker":
                wrong += judge_ticker(name, newest, exchange)
            else:
                wrong += judge_trades(name, heard, self._made)
                self.trades_told[name] = f"{len(trades_told(heard))} of {len(self._made)}"
            wrong += judge_states_follower(name, heard)
            if follower.channel in ("book", "top") and follower.subject["venue"] is not None:
                wrong += judge_times(name, heard)
        return wrong

    def _states(self, account_id: str, ledger: Json) -> list[str]:
        wrong: list[str] = []
        for follower in (*self._crowd.positions, *self._crowd.money):
            if follower.subject["account_id"] != account_id:
                continue
            wrong += judge_states_follower(follower.name, follower.heard)
            newest = follower.newest or {}
            if follower.channel == "positions":
                wrong += judge_positions(
                    follower.name, newest.get("positions", []), ledger["positions"]
                )
            else:
                (row,) = ledger["balances"]
                wrong += judge_money(follower.name, newest.get("balance"), row)
        return wrong
