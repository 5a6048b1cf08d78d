"""Several processes place at once: a limit is never exceeded together, a halt never passed."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import func, select

from domain.risk_limits import RiskLimits
from domain.violations import ALL_ACCOUNTS
from storage.accounts import SqlAccountStore
from storage.engine import Database
from storage.halts import HaltStore
from storage.ledger import SqlIntentLedger
from storage.risk import SqlRiskStore
from storage.tables import commands, orders
from tests.storage.builders import an_account
from tests.storage.conftest import Clock

ROOT = Path(__file__).parents[2]
PROCESSES = 3
EACH = 25
RAISING = PROCESSES * (EACH - EACH // 3)
MARK = Decimal(45_000)


@asynccontextmanager
async def placing(
    url: str, accounts: Sequence[str]
) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """Processes that are ready to place, in these accounts in turn."""
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.storage.risk_child",
            url,
            f"p{number}",
            str(EACH),
            accounts[number % len(accounts)],
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for number in range(PROCESSES)
    ]
    try:
        for process in started:
            assert await line_of(process) == "ready"
        yield started
    finally:
        for process in started:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def line_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        return (await process.stdout.readline()).decode().strip()


async def say(process: asyncio.subprocess.Process, line: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(line)
    await process.stdin.drain()


async def answers(
    process: asyncio.subprocess.Process, told: asyncio.Queue[str], first: bytes = b"go\nthe rest\n"
) -> None:
    await say(process, first)
    while (line := await line_of(process)) != "done":
        assert line, "the process ended before it was done"
        told.put_nowait(line)


async def newest_raising(database: Database) -> int:
    """The number of the newest ledger row that raises exposure."""
    raising = orders.c.body.not_like('%"reduce_only":true%')
    row = await database.fetch_one(
        select(func.max(commands.c.position))
        .join_from(commands, orders, orders.c.order_id == commands.c.order_id)
        .where(raising)
    )
    return 0 if row is None or row[0] is None else int(row[0])


async def run_all(url: str, accounts: Sequence[str]) -> Counter[str]:
    told: asyncio.Queue[str] = asyncio.Queue()
    async with placing(url, accounts) as processes:
        await asyncio.gather(*(answers(process, told) for process in processes))
    return Counter(told.get_nowait() for _ in range(told.qsize()))


@pytest.mark.parametrize("scope", ["acc", ALL_ACCOUNTS])
@pytest.mark.timeout(120)
async def test_orders_of_several_processes_never_exceed_a_limit_together(
    database_url: str, ledger: SqlIntentLedger, database: Database, clock: Clock, scope: str
) -> None:
    accounts, names = SqlAccountStore(database, now=clock), ["acc"]
    if scope == ALL_ACCOUNTS:
        names = ["acc", "acc1", "acc2"]
        for name in names[1:]:
            await accounts.add(an_account(name), trading=b"", feed=None)
    risk = SqlRiskStore(database)
    await risk.put(scope, RiskLimits(max_position_notional=MARK * 17), by="me")
    told = await run_all(database_url, names)
    assert told == {
        "raising": 17,
        "refused max_position_notional": RAISING - 17,
        "reducing": PROCESSES * EACH - RAISING,
    }
    used = {use.limit.value: use.value for use in await risk.use(scope)}
    assert used["max_position_notional"] == MARK * 17


@pytest.mark.parametrize("halted", [None, "acc"])
@pytest.mark.timeout(120)
async def test_no_exposure_is_reserved_after_a_halt_was_acknowledged(
    database_url: str, ledger: SqlIntentLedger, database: Database, halted: str | None
) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    lines: list[str] = []
    await SqlRiskStore(database).put("acc", RiskLimits(max_position_notional=MARK * 45), by="me")
    async with placing(database_url, ["acc"]) as processes, asyncio.TaskGroup() as group:
        for process in processes:
            group.create_task(answers(process, told, b"go\n"))
        while lines.count("raising") < 5:
            lines.append(await told.get())
        await HaltStore(database).halt(halted, reason="among them", by="me")
        at_halt = await newest_raising(database)
        # However fast they were, some orders come after the halt.
        for process in processes:
            await say(process, b"the rest\n")
    lines += [told.get_nowait() for _ in range(told.qsize())]
    assert await newest_raising(database) == at_halt
    counted = Counter(lines)
    # On a slow machine the limit may have been met before the halt came.
    refused = sum(count for word, count in counted.items() if word.startswith("refused"))
    assert counted["raising"] + refused == RAISING
    assert counted["refused halted"] > 0
    assert counted["reducing"] == PROCESSES * EACH - RAISING
    assert 5 <= counted["raising"] < RAISING
