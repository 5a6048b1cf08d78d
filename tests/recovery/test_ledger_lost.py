"""A database restored from a copy, and a stack that nobody watched: found again, then let trade.

The exchange's own ledger is the judge: each order was there once, and each fill is booked once.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from stack.table import own_command
from tests.cli.conftest import command
from tests.crash.rig import Rig, eventually
from tests.crash.trader import Trader

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

OURS = ("worker", "api", "streaming")


@dataclass(frozen=True)
class Stage:
    """A stack with one account."""

    rig: Rig
    trader: Trader

    @property
    def database(self) -> Path:
        return self.rig.home / "perp-dex.db"

    async def place(self, key: str, price: str) -> dict[str, Any]:
        return await self.trader.place(
            key, symbol="BTC-PERP", side="BUY", quantity="0.01", price=price
        )

    async def cli(self, *arguments: str) -> Any:
        """Run a command line with `--json` against this stack."""
        environment = {
            **os.environ,
            "PERP_DEX_API_URL": self.rig.api_url,
            "PERP_DEX_API_TOKEN_FILE": str(self.rig.home / "api-token"),
        }
        done = subprocess.run(
            [*command(), *arguments, "--json"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.returncode, json.loads(done.stdout or "null"), done.stderr

    def resume(self) -> str:
        """Do what `perp-dex db resume` does."""
        done = subprocess.run(
            own_command("storage.migrate", "resume"),
            env=self.rig.environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.stdout

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database, timeout=10)) as connection, connection:
            return connection.execute(statement).fetchall()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    home: Path = tmp_path_factory.mktemp("lost") / "home"
    async with Rig(home) as rig:
        trader = Trader(rig.api_url, rig.home / "api-token")
        await trader.open_account(await rig.control("POST", "/accounts", {}), "lost")
        yield Stage(rig, trader)


async def test_a_restored_database_finds_its_orders_again(stage: Stage, tmp_path: Path) -> None:
    rig, trader = stage.rig, stage.trader
    before = await stage.place("before", "20001")
    copy = tmp_path / "copy.db"
    with (
        closing(sqlite3.connect(stage.database)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    resting = await stage.place("resting", "20002")
    filled = await stage.place("filled", "20003")
    await rig.control("POST", "/fill", {"venue_order_id": filled["venue_order_id"]})
    await trader.until(filled["order_id"], lambda order: order["status"] == "FILLED", within_s=30)
    mark = rig.home / "run" / "ledger-mark"
    await eventually(
        lambda: _number(mark), within_s=20, what="the ledger's mark", until=lambda n: n >= 3
    )

    for name in OURS:
        rig.kill(name)
    for file in rig.home.glob("perp-dex.db*"):
        file.unlink()
    copy.rename(stage.database)
    await rig.start(*OURS)

    code, done, errors = await stage.cli("account", "reconcile", "lost", "--wait")
    assert code == 0, (done, errors)
    code, told, _ = await stage.cli("account", "findings", "lost")
    assert (code, told["due_since"]) == (0, None)
    lost = {
        finding["order_id"]
        for each in told["reconciliations"]
        for finding in each["findings"]
        if finding["kind"] == "lost_order"
    }
    assert lost == {resting["order_id"], filled["order_id"]}
    for order, status in ((before, "ACCEPTED"), (resting, "ACCEPTED"), (filled, "FILLED")):
        now = await trader.until(
            order["order_id"], lambda seen, s=status: seen["status"] == s, within_s=30
        )
        assert now["venue_order_id"] == order["venue_order_id"]
    assert stage.sql("SELECT quantity FROM net_positions") == [("0.01",)]
    assert len(stage.sql("SELECT 1 FROM fills WHERE order_id IS NOT NULL")) == 1

    refused = await stage.place("while-halted", "20004")
    assert refused["status"] == "DENIED", refused
    assert "a halt for its sake is lifted" in stage.resume()
    assert (await stage.place("after", "20005"))["status"] == "ACCEPTED"
    at_venue = sorted(order["price"] for order in (await rig.ledger())["orders"])
    assert [float(price) for price in at_venue] == [20001, 20002, 20003, 20005]


async def test_what_nobody_watched_is_reconciled_before_new_exposure(stage: Stage) -> None:
    rig, trader = stage.rig, stage.trader
    order = await stage.place("unwatched", "20010")
    for name in ("worker", "streaming"):
        rig.kill(name)
    await rig.control("POST", "/fill", {"venue_order_id": order["venue_order_id"]})
    stage.sql("UPDATE worker_sightings SET seen_at = '2026-01-01 00:00:00.000000'")

    await rig.start("worker")

    placed = await stage.place("waits", "20011")
    assert placed["status"] == "ACCEPTED"
    (due,) = stage.sql("SELECT reconcile_due FROM accounts")[0]
    assert due is None
    # What was reserved came after a reconciliation that began when the account was due.
    reserved = stage.sql("SELECT max(inserted_at) FROM commands")[0][0]
    passed = stage.sql("SELECT max(started_at) FROM reconciliations WHERE status = 'PASSED'")[0][0]
    assert passed < reserved
    await trader.until(order["order_id"], lambda seen: seen["status"] == "FILLED", within_s=30)
    await rig.start("streaming")


async def _number(mark: Path) -> int:
    return int(mark.read_text()) if mark.exists() else 0
