"""Two streaming processes on one PostgreSQL: whatever breaks, each fill is booked and told once.

The database is what production has, and everything is real: processes, Valkey, sockets. The
exchange's own ledger and the numbered changes in storage are the judges.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from storage.opening import Storage, open_storage
from storage.schema import upgrade
from tests.storage.postgres import RunningPostgres, name_of, start_postgres
from tests.stream_chaos.follower import Follower
from tests.stream_chaos.judge import (
    judge_changes,
    judge_fills,
    judge_orders,
    judge_orders_follower,
    judge_timeline,
)
from tests.stream_chaos.rig import said, until
from tests.streaming.stage import Stage, client_id, order_id
from tests.streaming.test_main import Running
from tests.streaming.test_scale_out import BOUND_S, CONNECTING_S, Group, group

ACCOUNT = "acc-1"
#: The number of the order that is there before the group is.
FIRST = 100
LEASE = "accounts:hyperliquid:paper"
#: A process frozen in the middle of a write holds its account until PostgreSQL ends its
#: transaction (`idle_in_transaction_session_timeout`).
IN_A_WRITE_S = 5.0
ALL_WITHIN_S = 20.0


@dataclass
class Desk:
    """A group with a client at each of its two processes."""

    postgres: RunningPostgres
    database: str
    storage: Storage
    stage: Stage
    made: Group
    clients: tuple[Follower, Follower]
    sent: int = 0

    @property
    def processes(self) -> tuple[Running, Running]:
        return (self.made.first, self.made.second)

    def owner(self) -> int:
        """Return which process says last that the account is its to follow."""
        roles = []
        for process in self.processes:
            lines = [x for x in said(process.log.read_text()) if x.get("lease") == LEASE]
            roles.append(bool(lines) and lines[-1]["role"] in ("owner", "alone"))
        assert roles.count(True) == 1, roles
        return roles.index(True)

    async def order(self) -> int:
        """Have an order rest at the exchange; return its number."""
        self.sent += 1
        await self.made.floor.send(self.sent)
        return self.sent

    async def told(self, number: int, *clients: Follower, within_s: float = ALL_WITHIN_S) -> float:
        """Wait until clients are told that an order is filled; return how long that took."""
        began_at = time.monotonic()

        async def all_told() -> bool:
            return all(_is_filled(client, number) for client in clients)

        await until(all_told, within_s, lambda: f"order {number} filled: {self._seen()}")
        return time.monotonic() - began_at

    async def until_once(self) -> None:
        """Wait until one process alone follows the account at the exchange."""

        async def once() -> bool:
            return self.made.sockets(of_users=True) == 1

        await until(once, ALL_WITHIN_S, "the account followed once")

    @contextmanager
    def account_held(self) -> Iterator[None]:
        """Hold the row that whoever writes of the account waits for."""
        address = f"host={self.postgres.socket_directory} user=postgres dbname={self.database}"
        with psycopg.connect(address) as connection:
            connection.execute(
                "SELECT last_sequence FROM account_sequences WHERE account_id = %s FOR UPDATE",
                [ACCOUNT],
            )
            yield

    async def until_session(self, process: str, state: str) -> None:
        """Wait until the server says of a session of the process that it is in this state."""

        async def is_there() -> bool:
            rows = await asyncio.to_thread(
                self.postgres.execute,
                f"SELECT 1 FROM pg_stat_activity WHERE application_name = '{process}' AND {state}",
            )
            return bool(rows)

        await until(is_there, ALL_WITHIN_S, f"a session of {process} with {state}")

    async def until_right(self) -> None:
        """Wait until nothing is wrong; the last fill may come after its order's report."""
        wrong: list[str] = []

        async def right() -> bool:
            wrong[:] = await self.wrong()
            return not wrong

        await until(right, ALL_WITHIN_S, lambda: "\n".join(wrong))

    async def wrong(self) -> list[str]:
        """Compare with the exchange's ledger, and what clients heard with what is kept."""
        orders = self.storage.orders
        numbers = (FIRST, *range(1, self.sent + 1))
        ours = [await self.stage.order(number) for number in numbers]
        fills = [fill for order in ours for fill in await orders.fills(order.order_id)]
        address = self.made.floor.access[ACCOUNT].account.address
        url = self.made.floor.sim.control_url + "/ledger"
        async with self.made.floor.http.get(url, params={"account": address}) as answer:
            ledger = await answer.json()
        changes = await orders.changes([ACCOUNT], {ACCOUNT: 0}, limit=10_000)
        wrong = [
            *judge_fills(ACCOUNT, fills, ledger["fills"]),
            *judge_orders(ours, ledger["orders"]),
            *judge_changes(ACCOUNT, changes),
        ]
        for order in ours:
            own = [fill for fill in fills if fill.order_id == order.order_id]
            wrong += judge_timeline(order, own, await orders.timeline(order.order_id))
        for client in self.clients:
            wrong += [*client.wrong, *judge_orders_follower(client.name, client.heard, changes)]
        return wrong

    def _seen(self) -> list[object]:
        return [(client.name, client.counts, client.newest) for client in self.clients]


def token_of(made: Group, which: int) -> str:
    """Return the token with which clients come to a process."""
    return (made.homes[which] / "api-token").read_text().strip()


def _is_filled(client: Follower, number: int) -> bool:
    for heard in client.heard:
        shown = heard.body.get("orders") or [heard.body.get("order") or {}]
        wanted = (order_id(number), "FILLED")
        if any((o.get("order_id"), o.get("status")) == wanted for o in shown):
            return True
    return False


@asynccontextmanager
async def open_desk(home: Path) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        postgres = stack.enter_context(start_postgres())
        url = postgres.create_database()
        await asyncio.to_thread(upgrade, url)
        storage = await open_storage(url, home)
        stack.push_async_callback(storage.close)
        stage = Stage(storage.orders, storage.accounts, storage.ledger, storage.positions)
        await stage.add_principal(storage, "somebody")
        made = await stack.enter_async_context(group(stage, home, url, in_order=False))
        clients = tuple(
            Follower(
                made.homes[which].name,
                made.urls[which],
                "orders",
                {"account_id": ACCOUNT},
                token_of(made, which),
                sound=True,
            )
            for which in (0, 1)
        )
        listening = [asyncio.create_task(client.run()) for client in clients]
        try:
            yield Desk(postgres, name_of(url), storage, stage, made, (clients[0], clients[1]))
        finally:
            for task in listening:
                task.cancel()
            await asyncio.wait(listening)


@pytest.mark.timeout(240)
async def test_a_group_on_postgresql_books_and_tells_each_fill_once(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        await until(lambda: _live(desk), ALL_WITHIN_S, "fresh data at both")
        await desk.until_once()
        number = await desk.order()
        await desk.made.floor.fill(number)
        await desk.told(number, *desk.clients)

        await leases_and_nudges_are_lost(desk)
        await the_database_is_restarted(desk)
        frozen_s = await the_owner_is_frozen_in_a_write(desk)
        killed_s = await the_owner_is_killed(desk)

        await desk.until_right()
        print(f"fills told: owner frozen in a write {frozen_s:.2f} s, killed {killed_s:.2f} s")
        assert frozen_s < IN_A_WRITE_S + CONNECTING_S
        assert killed_s < BOUND_S + CONNECTING_S


async def _live(desk: Desk) -> bool:
    return all(client.is_live for client in desk.clients)


async def leases_and_nudges_are_lost(desk: Desk) -> None:
    """Empty Valkey under a living group."""
    number = await desk.order()
    assert desk.made.valkey.command("FLUSHALL").startswith(b"+OK")
    await desk.made.floor.fill(number)
    await desk.told(number, *desk.clients)
    await desk.until_once()


async def the_database_is_restarted(desk: Desk) -> None:
    """Kill the server, have fills made while it is away, and start it again."""
    during, after = await desk.order(), await desk.order()
    resting = {"client_order_id": client_id(order_id(during))}
    await asyncio.to_thread(desk.postgres.kill)
    try:
        await desk.made.floor.control("/fill", resting)
    finally:
        await asyncio.to_thread(desk.postgres.start_again)
    await desk.told(during, *desk.clients)
    await desk.made.floor.fill(after)
    await desk.told(after, *desk.clients)


async def the_owner_is_frozen_in_a_write(desk: Desk) -> float:
    """Freeze the owner where it has begun to book a fill, and let it go on when that is booked."""
    number = await desk.order()
    owner = desk.owner()
    frozen, other = desk.processes[owner], desk.clients[1 - owner]
    with desk.account_held():
        await desk.made.floor.fill(number)
        await desk.until_session(frozen.home.name, "wait_event_type = 'Lock'")
        os.kill(frozen.process.pid, signal.SIGSTOP)
    await desk.until_session(frozen.home.name, "state = 'idle in transaction'")
    took_s = await desk.told(number, other)
    os.kill(frozen.process.pid, signal.SIGCONT)
    await desk.told(number, *desk.clients)
    await desk.until_once()
    return took_s


async def the_owner_is_killed(desk: Desk) -> float:
    """Kill the owner; its client goes on at the other process, from where it was."""
    number, later = await desk.order(), await desk.order()
    owner = desk.owner()
    killed, left = desk.processes[owner], desk.clients[owner]
    heard = len(left.heard)
    left.go_to(desk.made.urls[1 - owner], token_of(desk.made, 1 - owner))
    killed.process.kill()
    await killed.process.wait()
    await desk.made.floor.fill(number)
    took_s = await desk.told(number, *desk.clients)
    await desk.made.floor.fill(later)
    await desk.told(later, *desk.clients)
    await desk.until_once()
    # It missed nothing, so it was told nothing anew.
    assert [one.kind for one in left.heard[heard:] if one.kind != "update"] == []
    return took_s
