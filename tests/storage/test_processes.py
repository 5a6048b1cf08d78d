"""Several processes over one database, and processes that are killed while they write."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from domain.orders import OrderStatus
from domain.outcomes import Accepted
from storage.accounts import SqlAccountStore
from storage.engine import Database
from storage.ledger import SqlIntentLedger
from storage.orders import SqlOrderStore
from storage.tables import client_order_ids, commands, orders
from tests.storage.builders import a_placement, an_order, reserve

ROOT = Path(__file__).parents[2]


async def start(url: str, action: str, count: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.storage.child",
        url,
        action,
        str(count),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


async def next_line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        return (await process.stdout.readline()).decode().strip()


async def kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
    await process.communicate()


async def test_two_processes_insert_each_placement_once_with_nonces_of_its_own(
    database_url: str, accounts: SqlAccountStore
) -> None:
    count = 40
    processes = [await start(database_url, "reserve", count) for _ in range(2)]
    try:
        for process in processes:
            assert await next_line(process) == "ready"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            await process.stdin.drain()
        lines = [(await next_line(p)).split() for p in processes for _ in range(count)]
    finally:
        for process in processes:
            await kill(process)
    inserted = [number for number, kind, _ in lines if kind == "inserted"]
    assert Counter(inserted) == Counter(str(number) for number in range(count))
    nonces = {number: nonce for number, _, nonce in lines}
    assert len(set(nonces.values())) == count
    assert all(nonces[number] == nonce for number, _, nonce in lines)


async def test_a_process_killed_inside_a_transaction_leaves_nothing_and_no_lock(
    database_url: str, ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    process = await start(database_url, "hang", 0)
    try:
        assert await next_line(process) == "inside"
    finally:
        await kill(process)
    draft = a_placement(an_order("hung"))
    assert await ledger.read(draft.key) is None
    assert await orders.get(draft.key.order_id) is None
    await reserve(ledger, draft)
    assert await orders.last_sequence("acc") == 2


@pytest.mark.timeout(180)
async def test_killed_writers_leave_a_whole_database(
    database_url: str, database: Database, ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    acknowledged: list[tuple[int, int]] = []
    for seed in range(4):
        process = await start(database_url, "churn", seed)
        try:
            for _ in range(3 + seed):
                number, status = (await next_line(process)).split()
                assert status == "ACCEPTED"
                acknowledged.append((seed, int(number)))
        finally:
            await kill(process)
    for seed, placed in acknowledged:
        stored = await orders.get(an_order(f"churn-{seed}-{placed}").order_id)
        assert stored is not None
        assert stored.status is OrderStatus.FILLED
        (row,) = await ledger.of_order(stored.order_id)
        assert isinstance(row.outcome, Accepted)
        assert (await orders.fill_total(stored.order_id)).quantity == 1
    await check_whole(database, orders)


async def check_whole(database: Database, store: SqlOrderStore) -> None:
    """Check that every row has the rows that were written with it."""
    if database.is_sqlite:
        checked = await database.fetch_all(text("PRAGMA integrity_check"))
        assert [row[0] for row in checked] == ["ok"]
        assert await database.fetch_all(text("PRAGMA foreign_key_check")) == []
    counts = [
        await database.fetch_one(select(func.count()).select_from(table))
        for table in (commands, orders, client_order_ids)
    ]
    assert len({count[0] for count in counts if count is not None}) == 1
    changes = await store.changes(["acc"], {}, limit=100_000)
    assert [change.sequence for change in changes] == list(range(1, len(changes) + 1))
    assert await store.last_sequence("acc") == len(changes)
    newest = {change.order.order_id: change.order for change in changes}
    for order_id, order in newest.items():
        assert await store.get(order_id) == order
