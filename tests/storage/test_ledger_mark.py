"""The ledger's mark: it moves on, it halts what raises exposure, and an operator resets it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from domain.errors import CorruptState, RiskRefused, Unavailable
from domain.findings import Counts, Reconciliation, ReconciliationReason, ReconciliationStatus
from domain.reconciliation_store import Ending
from storage import migrate
from storage.engine import Database, open_database
from storage.halts import HaltStore
from storage.ledger import SqlIntentLedger
from storage.ledger_mark import RESUME_COMMAND, SET_BY, LedgerGuard, LedgerMark
from storage.reconciliations import SqlReconciliations
from tests.storage.builders import a_cancel, a_placement, an_order, reserve


@pytest.fixture
def mark(tmp_path: Path) -> LedgerMark:
    return LedgerMark(tmp_path / "home")


@pytest.fixture
def guard(mark: LedgerMark, ledger: SqlIntentLedger, database: Database) -> LedgerGuard:
    return LedgerGuard(mark, ledger, HaltStore(database), SqlReconciliations(database))


async def test_the_mark_follows_the_ledger(
    guard: LedgerGuard, mark: LedgerMark, ledger: SqlIntentLedger, tmp_path: Path
) -> None:
    assert await guard.check() is None
    assert mark.read() == 0
    await reserve(ledger, a_placement(an_order()))
    assert await guard.check() is None
    assert mark.read() == await ledger.ledger_position() > 0
    assert await guard.check() is None
    assert [path.name for path in (tmp_path / "home" / "run").iterdir()] == ["ledger-mark"]
    assert (tmp_path / "home" / "run" / "ledger-mark").stat().st_mode & 0o777 == 0o600


async def test_a_shorter_ledger_takes_no_new_exposure_until_an_operator_has_looked(
    guard: LedgerGuard, mark: LedgerMark, ledger: SqlIntentLedger, database: Database
) -> None:
    order = an_order()
    await reserve(ledger, a_placement(order))
    kept = await ledger.ledger_position()
    mark.write(kept + 5)

    first, again = await guard.check(), await guard.check()

    assert first is not None and again is not None
    assert (first.expected, first.found) == (kept + 5, kept)
    assert (first.newly_halted, again.newly_halted) == (True, False)
    assert RESUME_COMMAND in str(first)
    assert mark.read() == kept + 5
    (halt,) = await HaltStore(database).halted()
    assert (halt.account_id, halt.set_by, halt.reason) == (None, SET_BY, str(first))
    with pytest.raises(RiskRefused, match="every account is reconciled"):
        await reserve(ledger, a_placement(an_order("new")))
    await reserve(ledger, a_cancel(order))
    await reserve(ledger, a_placement(an_order("closing"), raises_exposure=False))

    assert await guard.resume() == (kept + 5, await ledger.ledger_position())
    assert await HaltStore(database).halted() == ()
    assert await guard.check() is None
    with pytest.raises(Unavailable, match="compared with its venue"):
        await reserve(ledger, a_placement(an_order("new")))
    await pass_a_reconciliation(SqlReconciliations(database))
    await reserve(ledger, a_placement(an_order("new")))


async def pass_a_reconciliation(records: SqlReconciliations) -> None:
    """Have the account compared with its venue, and nothing found."""
    began = Reconciliation(
        reconciliation_id="after-the-loss",
        account_id="acc",
        reason=ReconciliationReason.DUE,
        status=ReconciliationStatus.RUNNING,
        started_at=datetime.now(UTC),
    )
    await records.begin(began)
    ending = Ending(status=ReconciliationStatus.PASSED, counts=Counts())
    await records.finish(began.reconciliation_id, ending)


async def test_another_halt_is_kept_in_mind_and_not_lifted(
    guard: LedgerGuard, mark: LedgerMark, database: Database
) -> None:
    halts = HaltStore(database)
    await halts.halt("acc", reason="account", by="alice")
    await halts.halt(None, reason="lunch", by="alice")
    await guard.resume()
    assert len(await halts.halted()) == 2
    mark.write(7)
    await guard.check()
    assert "(halted before by alice: lunch)" in (await halts.halted())[0].reason
    await guard.resume()
    assert [halt.account_id for halt in await halts.halted()] == ["acc"]


async def test_a_halt_that_was_lifted_without_a_look_comes_back(
    guard: LedgerGuard, mark: LedgerMark, database: Database
) -> None:
    mark.write(7)
    await guard.check()
    await HaltStore(database).resume(None, reason="hurry", by="bob")
    shortfall = await guard.check()
    assert shortfall is not None
    assert shortfall.newly_halted


async def test_a_mark_that_is_no_number_is_not_guessed(
    guard: LedgerGuard, mark: LedgerMark, tmp_path: Path
) -> None:
    path = tmp_path / "home" / "run" / "ledger-mark"
    for content in (b"", b"12x", b"\xff", "٣".encode()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        with pytest.raises(CorruptState, match=RESUME_COMMAND):
            await guard.check()
    assert await guard.resume() == (0, 0)
    assert mark.read() == 0


async def test_a_mark_that_cannot_be_read_or_written_is_unavailable(
    mark: LedgerMark, tmp_path: Path
) -> None:
    (tmp_path / "home" / "run" / "ledger-mark").mkdir(parents=True)
    with pytest.raises(Unavailable, match="cannot be read"):
        mark.read()
    with pytest.raises(Unavailable, match="cannot be written"):
        mark.write(1)


def resume(monkeypatch: pytest.MonkeyPatch, url: str, home: Path) -> int:
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("PERP_DEX_HOME", str(home))
    return migrate.main(["resume"])


def test_the_command_lifts_the_halt(
    database_url: str,
    mark: LedgerMark,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def shorten() -> None:
        opened = open_database(database_url)
        guard = LedgerGuard(
            mark, SqlIntentLedger(opened), HaltStore(opened), SqlReconciliations(opened)
        )
        await guard.check()
        assert len(await HaltStore(opened).halted()) == 1
        await opened.close()

    async def halted() -> int:
        opened = open_database(database_url)
        found = await HaltStore(opened).halted()
        await opened.close()
        return len(found)

    mark.write(9)
    asyncio.run(shorten())
    assert resume(monkeypatch, database_url, tmp_path / "home") == 0
    assert "was 9 and is 0" in capsys.readouterr().out
    assert mark.read() == 0
    assert asyncio.run(halted()) == 0


def test_the_command_needs_the_schema_and_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert resume(monkeypatch, f"sqlite+aiosqlite:///{tmp_path / 'none.db'}", tmp_path) == 1
    assert "db upgrade" in capsys.readouterr().err
    assert resume(monkeypatch, "postgresql://u@127.0.0.1:1/d", tmp_path) == 4
    assert not (tmp_path / "run").exists()
