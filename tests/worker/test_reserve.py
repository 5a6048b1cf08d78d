"""What the worker keeps beside the database: read at its start, and once more at its end."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from activities.access import NoCheckpoints
from domain.accounts import AccountState
from domain.commands import CommandKind
from domain.errors import CorruptState, Unavailable
from serving.reserve import Reserve
from storage.ledger_mark import SET_BY, LedgerMark
from tests.activities.away import Away, locked
from tests.activities.floor import ACCOUNT_ID, Floor, add_account, an_order


@pytest.fixture
def reserve(floor: Floor, tmp_path: Path) -> Reserve:
    return Reserve.beside(floor.storage, floor.access, tmp_path, NoCheckpoints())


async def test_the_start_opens_what_cancels_need(reserve: Reserve, floor: Floor) -> None:
    unopenable = "33333333-3333-4333-8333-333333333333"
    await add_account(floor, unopenable, address="0x" + "3" * 40)
    await floor.storage.accounts.set_state(
        unopenable, AccountState.ACTIVE, reason=None, signer="0x" + "3" * 40
    )
    await floor.storage.database.write(
        lambda connection: connection.exec_driver_sql(
            "UPDATE credentials SET sealed = x'00' WHERE account_id = ?", (unopenable,)
        )
    )
    with capture_logs() as logs:
        await reserve.start()
    assert reserve.access.last(ACCOUNT_ID).account.account_id == ACCOUNT_ID
    with pytest.raises(Unavailable):
        reserve.access.last(unopenable)
    assert [(log["event"], log["account_id"]) for log in logs] == [
        ("credential not opened", unopenable)
    ]


async def test_the_start_halts_when_the_ledger_is_shorter_and_serves_on(
    reserve: Reserve, floor: Floor, tmp_path: Path
) -> None:
    order = (await floor.place(an_order())).order
    LedgerMark(tmp_path).write(1_000)
    with capture_logs() as logs:
        await reserve.start()
        await reserve._check()
    assert [log["log_level"] for log in logs] == ["critical"]
    assert [halt.set_by for halt in await floor.storage.halts.halted()] == [SET_BY]
    denied = await floor.place(an_order())
    assert denied.denied is not None
    assert "trading is halted" in denied.denied
    assert (await floor.cancel(order)).order.is_terminal


async def test_a_ledger_that_shrinks_under_a_running_worker_halts_too(
    reserve: Reserve, floor: Floor, tmp_path: Path
) -> None:
    await reserve.start()
    LedgerMark(tmp_path).write(1_000)
    with capture_logs() as logs:
        await reserve._check()
    assert [log["event"] for log in logs] == ["new exposure is halted"]


async def test_a_damaged_journal_is_critical_and_does_not_keep_the_worker_from_starting(
    reserve: Reserve, tmp_path: Path
) -> None:
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "commands.jsonl").write_text("nonsense\n")
    with capture_logs() as logs:
        await reserve.start()
    assert [log["log_level"] for log in logs] == ["critical"]
    with pytest.raises(CorruptState):
        await reserve._absorb()


async def test_the_end_absorbs_and_marks_if_the_database_answers(
    reserve: Reserve, floor: Floor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.orders.LEDGER_WITHIN_S", 0.4)
    away = Away(floor, tmp_path)
    order = await away.resting()
    with locked(tmp_path):
        await away.cancel(order)
        await reserve.stop()
        assert len(await reserve.journal.pending()) == 1
    await reserve.stop()
    assert await reserve.journal.pending() == ()
    assert (await floor.row(order, CommandKind.CANCEL)).is_decided
    assert LedgerMark(tmp_path).read() == await floor.storage.ledger.ledger_position()
