"""What a worker and the watchdog do for dead man's switches, beside deciding and cancelling."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.dead_man import DeadManState, DeadManSwitch, Keeper
from domain.errors import Unavailable
from domain.ports import AuditRecord
from serving.dead_man import AuditAlarm, DeadManMeter, StandIn, TemporalSign
from serving.settings import WorkerSettings
from serving.watchdog import WatchdogProcess
from storage.watched_file import WatchedFile


def switch(**changes: Any) -> DeadManSwitch:
    past = datetime.now(UTC) - timedelta(seconds=30)
    known = DeadManSwitch(
        account_id="a",
        after_s=10,
        state=DeadManState.ARMED,
        set_by="local",
        set_at=past,
        armed_until=past,
        kept_by=Keeper.WATCHDOG,
    )
    return replace(known, **changes)


class Hound:
    """A watchdog that only says what it was asked to do."""

    grace = timedelta(seconds=5)

    def __init__(self) -> None:
        self.carried_out: list[str] = []
        self.succeeds = True

    async def is_wanted(self, known: DeadManSwitch) -> bool:
        return True

    async def carry_out(self, known: DeadManSwitch) -> bool:
        self.carried_out.append(known.account_id)
        return self.succeeds


def stand_in(hound: Hound, known: list[Any]) -> StandIn:
    async def wanted() -> Sequence[DeadManSwitch]:
        found = known[0]
        if isinstance(found, Exception):
            raise found
        return list(found)

    watchdog: Any = hound
    return StandIn(watchdog, wanted)


async def test_a_worker_carries_out_what_is_due_once() -> None:
    hound = Hound()
    known: list[Any] = [[switch(), switch(account_id="own", kept_by=Keeper.VENUE)]]
    worker = stand_in(hound, known)
    hound.succeeds = False
    await worker.run()
    hound.succeeds = True
    await worker.run()
    await worker.run()
    assert hound.carried_out == ["a", "a"]


async def test_with_the_database_away_it_goes_by_what_it_knew() -> None:
    hound = Hound()
    known: list[Any] = [Unavailable("away")]
    worker = stand_in(hound, known)
    with pytest.raises(Unavailable):
        await worker.run()
    known[0] = [switch(armed_until=datetime.now(UTC) - timedelta(seconds=4.9))]
    await worker.run()
    known[0] = Unavailable("away")
    await asyncio.sleep(0.15)
    await worker.run()
    assert hound.carried_out == ["a"]


async def test_temporal_is_known_to_answer_from_when_it_was_asked() -> None:
    answers = [False, True, False]
    times = iter([datetime(2026, 1, 1, second=n, tzinfo=UTC) for n in range(3)])

    async def healthy() -> bool:
        return answers.pop(0)

    sign = TemporalSign(healthy, lambda: next(times))
    seen: list[datetime | None] = []
    for _ in range(3):
        await sign.look()
        seen.append(sign.at())
    assert [at and at.second for at in seen] == [None, 1, 1]


async def test_the_alarm_is_in_the_audit_log_and_never_in_the_way() -> None:
    class Audit:
        def __init__(self) -> None:
            self.records: list[AuditRecord] = []
            self.error: Exception | None = None

        async def append(self, record: AuditRecord) -> None:
            if self.error is not None:
                raise self.error
            self.records.append(record)

    audit: Any = Audit()
    alarm = AuditAlarm(audit)
    await alarm.went_off(switch(), "order 1: canceled", done=True)
    audit.error = Unavailable("away")
    await alarm.went_off(switch(), "not known what is open", done=False)
    (record,) = audit.records
    assert (record.action, record.subject, record.outcome) == (
        "account.dead_man",
        "account:a",
        "canceled",
    )


def test_switches_are_counted_by_keeper_and_state() -> None:
    meter = DeadManMeter()
    meter.saw([switch(), switch(armed_until=None), switch(kept_by=None, armed_until=None)])
    (family,) = meter.collect()
    assert {tuple(s.labels.values()): s.value for s in family.samples} == {
        ("watchdog", "went_off"): 1,
        ("watchdog", "armed"): 1,
        ("unknown", "armed"): 1,
    }


def test_the_file_holds_what_was_last_wanted(tmp_path: Path) -> None:
    file = WatchedFile(tmp_path)
    assert file.read() == ()
    file.write((switch(),))
    (kept,) = WatchedFile(tmp_path).read()
    assert kept.account_id == "a" and kept.kept_by is Keeper.WATCHDOG
    again = WatchedFile(tmp_path)
    again.read()
    again.write(())
    assert WatchedFile(tmp_path).read() == ()
    path = tmp_path / "journal" / "dead-man.json"
    assert path.stat().st_mode & 0o077 == 0
    path.write_text("{")
    assert WatchedFile(tmp_path).read() == ()
    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("in the way")
    with pytest.raises(Unavailable):
        WatchedFile(tmp_path).write((switch(),))


async def test_the_watchdog_goes_on_with_its_database_away(tmp_path: Path) -> None:
    class Away:
        def __getattr__(self, name: str) -> Any:
            async def away(*_: object, **__: object) -> None:
                raise Unavailable("the database does not answer")

            return away

    class Storage:
        dead_man = Away()

    WatchedFile(tmp_path).write((switch(),))
    storage: Any = Storage()
    given: Any = {"perp_dex_home": tmp_path}
    settings = WorkerSettings(**given)
    process = WatchdogProcess(settings, storage, tmp_path)
    process._known = process._file.read()
    await process._look()
    (known,) = process._known
    assert await process._is_open(known)
    process._done[known.account_id, known.armed_until] = False
    assert not await process._is_open(known)
    assert not await process._is_open(switch(armed_until=datetime.now(UTC) + timedelta(days=1)))
    # No keys in this home: it does not say that it could act.
    await process._check_keys()
    assert not process._keys_open
