"""A worker's emergency commands over a floor whose database is locked by another connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from activities.contracts import CancelTask, CommandResult
from activities.emergency_journal import CachedAccess, EmergencyCommands, absorb_journal
from activities.orders import OrderActivities
from domain.commands import CommandKind
from domain.ledger import CommandRow
from domain.orders import Concern, Order
from storage.journal import FileCommandJournal
from storage.nonce_files import FileSharedNonces
from tests.activities.floor import ACCOUNT_ID, Floor, an_order, now


class Killed(BaseException):
    """What ends an activity where a test would kill the process."""


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold the database locked: nothing can be written, and whoever tries waits."""
    holder = sqlite3.connect(home / "perp-dex.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.execute("ROLLBACK")
        holder.close()


class Away:
    """A worker's cancels with their journal, in the home of a floor."""

    def __init__(self, floor: Floor, home: Path, **parts: Any) -> None:
        self.floor = floor
        self.home = home
        self.journal = FileCommandJournal(home / "journal")
        self.access = CachedAccess(floor.access, fresh_s=0)
        self.emergency = EmergencyCommands(
            journal=self.journal,
            access=self.access,
            nonces=FileSharedNonces(home / "journal"),
            checkpoints=floor.points,
            now=now,
        )
        self.orders = OrderActivities(floor.parts(access=self.access, **parts), self.emergency)

    async def resting(self) -> Order:
        order = an_order()
        await self.access.open(ACCOUNT_ID)
        return (await self.floor.place(order)).order

    async def cancel(self, canceled: Order, number: int = 0, **changes: Any) -> CommandResult:
        task = CancelTask(
            order_id=canceled.order_id,
            number=number,
            revision=0,
            concern=Concern.PENDING_CANCEL,
            order=canceled,
        )
        return await self.floor.environment.run(self.orders.cancel, replace(task, **changes))

    async def absorb(self, later_s: float = 0.0) -> int:
        at = now() + timedelta(seconds=later_s)
        return await absorb_journal(self.journal, self.floor.storage.ledger, at)

    async def cancels(self, order: Order) -> list[CommandRow]:
        rows = await self.floor.storage.ledger.of_order(order.order_id)
        return [row for row in rows if row.key.command is CommandKind.CANCEL]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have both waits for the database end sooner; of the two the cancel's ends first, as ever."""
    monkeypatch.setattr("activities.orders.LEDGER_WITHIN_S", 0.4)
    monkeypatch.setattr("storage.sqlite_engine.BUSY_TIMEOUT_S", 0.8)


@pytest.fixture
def away(floor: Floor, tmp_path: Path) -> Away:
    return Away(floor, tmp_path)
