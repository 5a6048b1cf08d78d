"""The log: whole lines survive, torn ones go, damage is said, one fsync covers many."""

import asyncio
import os
from pathlib import Path

import pytest

from venues.simulation.journal import (
    JOURNAL_NAME,
    FileJournal,
    JournalDamaged,
    JournalFailed,
    JournalLocked,
)


async def written(home: Path, *lines: bytes) -> None:
    journal = FileJournal(home)
    number = 0
    for line in lines:
        number = journal.append(line)
    await journal.durable(number)
    await journal.close()


async def reread(home: Path) -> list[bytes]:
    journal = FileJournal(home)
    lines = journal.read()
    await journal.close()
    return lines


async def test_what_was_durable_is_read_back(tmp_path: Path) -> None:
    await written(tmp_path, b'{"a":1}', b'{"b":2}')
    assert await reread(tmp_path) == [b'{"a":1}', b'{"b":2}']
    assert (tmp_path / JOURNAL_NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("cut", range(1, 17))
async def test_a_torn_last_line_is_dropped_and_the_log_goes_on(tmp_path: Path, cut: int) -> None:
    await written(tmp_path, b'{"a":1}', b'{"b":2}')
    path = tmp_path / JOURNAL_NAME
    os.truncate(path, path.stat().st_size - cut)
    assert await reread(tmp_path) == [b'{"a":1}']
    await written(tmp_path, b'{"c":3}')
    assert await reread(tmp_path) == [b'{"a":1}', b'{"c":3}']


async def test_garbage_after_the_last_line_is_dropped(tmp_path: Path) -> None:
    await written(tmp_path, b'{"a":1}')
    with (tmp_path / JOURNAL_NAME).open("ab") as file:
        file.write(b"\x00\x00\x00\nhalf a li")
    assert await reread(tmp_path) == [b'{"a":1}']


async def test_damage_before_good_lines_is_an_error(tmp_path: Path) -> None:
    await written(tmp_path, b'{"a":1}', b'{"b":2}', b'{"c":3}')
    path = tmp_path / JOURNAL_NAME
    path.write_bytes(path.read_bytes().replace(b'"b":2', b'"b":9'))
    journal = FileJournal(tmp_path)
    with pytest.raises(JournalDamaged, match="line 2"):
        journal.read()
    await journal.close()


async def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path)
    with pytest.raises(JournalLocked, match="SIM_HOME"):
        FileJournal(tmp_path)
    await journal.close()
    await reread(tmp_path)


async def test_concurrent_actions_share_syncs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = 0
    sync = os.fdatasync

    def counted(file: int) -> None:
        nonlocal syncs
        syncs += 1
        sync(file)

    monkeypatch.setattr(os, "fdatasync", counted)
    journal = FileJournal(tmp_path)
    reported: list[int] = []
    journal.on_durable = reported.append

    async def act(number: int) -> None:
        line = journal.append(b'{"n":%d}' % number)
        await journal.durable(line)

    await asyncio.gather(*(act(number) for number in range(200)))
    await journal.close()
    assert syncs <= 3
    assert len(await reread(tmp_path)) == 200
    assert reported[-1] == 200


async def test_a_line_that_cannot_be_written_stops_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, content: object) -> int:
        raise OSError(28, "No space left on device")

    journal = FileJournal(tmp_path)
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(JournalFailed, match="No space"):
        await journal.durable(journal.append(b"{}"))
    with pytest.raises(JournalFailed):
        journal.append(b"{}")
    with pytest.raises(JournalFailed):
        await journal.durable(1)
    await journal.close()
