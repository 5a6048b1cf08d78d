"""Two real streaming processes on one database and one Valkey: each feed once, no fill lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from bus.leases import LOOK_EVERY_S, TTL_S
from domain.orders import TimeInForce
from tests.bus.valkey import ValkeyProcess, running_valkey
from tests.streaming.floor import Floor, open_floor
from tests.streaming.sockets import ask, hear
from tests.streaming.stage import Stage, order_id
from tests.streaming.test_ingest import until
from tests.streaming.test_main import Running, running

#: From the death of an owner to another's, and what connecting then takes on a busy machine.
BOUND_S = TTL_S + LOOK_EVERY_S
CONNECTING_S = 3.0
BTC = {"venue": "hyperliquid", "network": "paper", "symbol": "BTC-PERP"}


def clients_of(floor: Floor) -> Any:
    """Return the sockets at the exchange, as it has them."""
    simulator: Any = floor.sim.simulator
    return simulator._feeds._clients


@dataclass
class Group:
    """Two processes; made in order, the first was there first, and so does everything."""

    floor: Floor
    valkey: ValkeyProcess
    first: Running
    second: Running
    urls: tuple[str, str]
    homes: tuple[Path, Path]

    def sockets(self, *, of_users: bool) -> int:
        """Count the sockets at the exchange that carry something private, or only markets."""
        clients = clients_of(self.floor)
        found = [any(s.user for s in client.subscriptions.values()) for client in clients]
        return found.count(of_users)

    def is_once(self) -> bool:
        return self.sockets(of_users=True) == 1 and self.sockets(of_users=False) == 1

    @asynccontextmanager
    async def client(self, which: int, path: str, **wanted: str) -> AsyncIterator[ClientConnection]:
        token = (self.homes[which] / "api-token").read_text().strip()
        async with connect(f"{self.urls[which]}/ws/v1/{path}") as client:
            assert (await hear(client))["type"] == "hello"
            assert (await ask(client, op="auth", token=token))["type"] == "ack"
            assert (await ask(client, op="subscribe", **wanted))["type"] == "ack"
            yield client


@asynccontextmanager
async def group(
    stage: Stage, tmp_path: Path, database_url: str | None = None, *, in_order: bool = True
) -> AsyncIterator[Group]:
    url = database_url or f"sqlite+aiosqlite:///{tmp_path / 'perp-dex.db'}"
    async with AsyncExitStack() as stack:
        valkey = stack.enter_context(running_valkey())
        floor = await stack.enter_async_context(open_floor(stage))
        await floor.open_account()
        await floor.send(100, price=floor.bid * 2, time_in_force=TimeInForce.IOC)
        homes = (tmp_path / "first", tmp_path / "second")
        processes: list[Running] = []
        for home in homes:
            home.mkdir()
            made = await stack.enter_async_context(
                running(
                    home,
                    DATABASE_URL=url,
                    # Tells a PostgreSQL which of them a connection is of.
                    PGAPPNAME=home.name,
                    REDIS_URL=valkey.url,
                    HYPERLIQUID_PAPER_URL=floor.sim.url,
                )
            )
            processes.append(made)
            if in_order:
                await made.endpoint()
                await until(lambda: len(clients_of(floor)) > 0)
        first, second = processes
        urls = (await first.endpoint(), await second.endpoint())
        yield Group(floor, valkey, first, second, urls, homes)


async def message(
    client: ClientConnection, wanted: Callable[[dict[str, Any]], bool], timeout_s: float = 20
) -> dict[str, Any]:
    async with asyncio.timeout(timeout_s):
        while not wanted(found := await hear(client, timeout_s)):
            pass
    return found


def filled(number: int) -> Callable[[dict[str, Any]], bool]:
    def is_it(found: dict[str, Any]) -> bool:
        return bool(
            found["type"] == "update"
            and found["order"]["order_id"] == order_id(number)
            and found["order"]["status"] == "FILLED"
        )

    return is_it


def is_stale(stale: bool) -> Callable[[dict[str, Any]], bool]:
    return lambda found: found["type"] == "status" and found["stale"] is stale


def has_position(found: dict[str, Any]) -> bool:
    return found["type"] in ("snapshot", "update") and bool(found["positions"])


async def test_each_feed_once_and_the_owners_death_loses_nothing(
    stage: Stage, tmp_path: Path
) -> None:
    async with group(stage, tmp_path) as made:
        floor = made.floor
        async with (
            made.client(0, "positions") as first_positions,
            made.client(1, "positions") as positions,
            made.client(1, "orders") as orders,
            made.client(1, "markets", channel="ticker", **BTC) as ticker,
        ):
            await message(ticker, is_stale(False))
            # Who does not follow the account knows all the same that its data is fresh.
            await message(orders, is_stale(False))
            await message(first_positions, has_position)
            await message(positions, has_position)
            await until(made.is_once)
            await marks_move(floor, positions, "91000")

            await floor.send(1)
            await floor.fill(1)
            await message(orders, filled(1))

            await floor.send(2)
            made.first.process.kill()
            await made.first.process.wait()
            died_at = time.monotonic()
            await floor.fill(2)
            await message(orders, filled(2))
            told_s = time.monotonic() - died_at
            await until(made.is_once)
            once_s = time.monotonic() - died_at
            print(f"after the owner's death: fill told {told_s:.2f} s, all feeds {once_s:.2f} s")
            assert once_s < BOUND_S + CONNECTING_S
            await message(ticker, is_stale(True))
            await message(ticker, is_stale(False))
            await marks_move(floor, positions, "92000")
            await message(ticker, lambda found: '"92000' in json.dumps(found))
            await floor.send(3)
            await floor.fill(3)
            await message(orders, filled(3))
        await all_is_booked(floor, stage, 100, 1, 2, 3)


async def marks_move(floor: Floor, positions: ClientConnection, price: str) -> None:
    """Have the exchange's price move, and see it at a socket."""
    await floor.control("/price", {"symbol": "BTC", "price": price})
    await message(positions, lambda found: f'"{price}' in json.dumps(found))


async def all_is_booked(floor: Floor, stage: Stage, *numbers: int) -> None:
    """Compare with the exchange's own ledger; the last fill may come after its order's report."""
    at_venue = {fill["trade_id"] for fill in await floor.fills_at_venue()}
    assert len(at_venue) == len(numbers)
    deadline = time.monotonic() + 10
    while True:
        found = [f for n in numbers for f in await stage.orders.fills(order_id(n))]
        if len(found) == len(at_venue) or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.02)
    missing = at_venue - {fill.trade_id for fill in found}
    assert not missing, [f for f in await floor.fills_at_venue() if f["trade_id"] in missing]


def is_free(database: Path) -> bool:
    """Tell whether nobody holds the database's lock for writing."""
    with closing(sqlite3.connect(database, timeout=0.2, isolation_level=None)) as writing:
        try:
            writing.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        writing.execute("ROLLBACK")
        return True


async def freeze_between_writes(running: Running, database: Path) -> None:
    """Freeze a process that holds no lock: frozen in a write, it would hold up everybody's."""
    async with asyncio.timeout(20):
        while True:
            os.kill(running.process.pid, signal.SIGSTOP)
            if is_free(database):
                return
            os.kill(running.process.pid, signal.SIGCONT)
            await asyncio.sleep(0.02)


async def test_frozen_owners_and_a_dead_valkey_lose_nothing(stage: Stage, tmp_path: Path) -> None:
    async with group(stage, tmp_path) as made:
        floor = made.floor
        async with made.client(0, "orders") as first, made.client(1, "orders") as second:
            await message(second, is_stale(False))
            await floor.send(1)
            await freeze_between_writes(made.first, tmp_path / "perp-dex.db")
            frozen_at = time.monotonic()
            await floor.fill(1)
            await message(second, filled(1))
            assert time.monotonic() - frozen_at < BOUND_S + CONNECTING_S
            # The frozen one's socket is still open at the exchange.
            assert made.sockets(of_users=True) == 2
            os.kill(made.first.process.pid, signal.SIGCONT)
            await until(lambda: made.sockets(of_users=True) == 1)
            await message(first, filled(1))
            for number in (2, 3, 4, 5):
                match number:
                    case 3:
                        made.valkey.kill()
                    case 4:
                        await until(lambda: made.sockets(of_users=True) == 2)
                    case 5:
                        made.valkey.start()
                        await until(lambda: made.sockets(of_users=True) == 1)
                await floor.send(number)
                await floor.fill(number)
                await message(first, filled(number))
                await message(second, filled(number))
        await all_is_booked(floor, stage, 100, 1, 2, 3, 4, 5)
