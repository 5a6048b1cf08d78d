"""The command journal: what is on disk, what a crash may leave, and several writers at once."""

from __future__ import annotations

import asyncio
import resource
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from domain.accounts import Network
from domain.commands import CommandKind
from domain.errors import CorruptState, Unavailable
from domain.ledger import CommandKey, CommandRow
from domain.orders import Verdict
from domain.outcomes import Accepted, SendResult, Unknown
from storage.journal import JOURNAL_NAME, FileCommandJournal
from tests.storage.builders import CREATED_AT, a_report, an_order

LOST = SendResult(outcome=Unknown(reason="no answer"), received_at=CREATED_AT)


def a_row(number: int = 0, message: str = '{"type":"cancel"}') -> CommandRow:
    order = an_order()
    return CommandRow(
        key=CommandKey(order_id=order.order_id, command=CommandKind.CANCEL, revision=number),
        account_id="acc",
        venue="hyperliquid",
        network=Network.PAPER,
        symbol="BTC-PERP",
        signer="signer-acc",
        lane="",
        target_revision=0,
        client_order_id="c1",
        nonce=1_000 + number,
        admitted_until=CREATED_AT + timedelta(seconds=10),
        message=message,
        inserted_at=CREATED_AT,
        send_by=CREATED_AT + timedelta(seconds=1),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal" / JOURNAL_NAME


@pytest.fixture
def journal(path: Path) -> FileCommandJournal:
    return FileCommandJournal(path.parent)


async def test_an_entry_is_kept_exactly_until_it_is_absorbed(
    journal: FileCommandJournal, path: Path
) -> None:
    assert await journal.pending() == ()
    entry_id = await journal.begin(a_row())
    result = SendResult(
        outcome=Accepted(report=a_report(an_order(), Verdict.CANCELED, "0.125")),
        raw='{"status":"ok"}',
        received_at=CREATED_AT,
        venue_time=CREATED_AT,
    )
    await journal.note(entry_id, LOST)
    await journal.note(entry_id, result)

    (entry,) = await FileCommandJournal(path.parent).pending()
    assert (entry.entry_id, entry.row, entry.result) == (entry_id, a_row(), result)
    assert await journal.pending() == (entry,)
    await journal.mark_absorbed(entry)
    assert await journal.pending() == ()
    assert await journal.pending() == ()
    await journal.begin(a_row(1))
    assert [e.row.key.revision for e in await journal.pending()] == [1]


async def test_a_result_after_the_absorption_makes_the_entry_pending_again(
    journal: FileCommandJournal,
) -> None:
    entry_id = await journal.begin(a_row())
    (entry,) = await journal.pending()
    assert entry.result is None
    await journal.mark_absorbed(entry)
    assert await journal.pending() == ()
    await journal.note(entry_id, LOST)
    (again,) = await journal.pending()
    assert again == replace(entry, result=LOST)
    await journal.mark_absorbed(again)
    assert await journal.pending() == ()


async def test_files_are_their_owners_alone(journal: FileCommandJournal, path: Path) -> None:
    await journal.begin(a_row())
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("torn", [b'{"entry":"x","int', b"\xff\xfe", b"{}"])
async def test_a_torn_last_line_is_passed_over_and_cut_away(
    journal: FileCommandJournal, path: Path, torn: bytes
) -> None:
    await journal.begin(a_row())
    whole = path.read_bytes()
    path.write_bytes(whole + torn)

    assert [e.row for e in await journal.pending()] == [a_row()]
    await journal.begin(a_row(1))
    assert path.read_bytes().startswith(whole + b'{"entry"')
    assert [e.row.key.revision for e in await journal.pending()] == [0, 1]


@pytest.mark.parametrize(
    "damage", [b"nonsense\n", b"\xff\n", b'{"entry":"unheard of","absorbed":true}\n']
)
async def test_a_damaged_line_in_the_middle_calls_for_an_operator(
    journal: FileCommandJournal, path: Path, damage: bytes
) -> None:
    await journal.begin(a_row())
    path.write_bytes(damage + path.read_bytes())
    with pytest.raises(CorruptState, match=r"line 1 of .* compare with the venue"):
        await journal.pending()
    await journal.begin(a_row(1))


async def test_several_writers_lose_nothing(path: Path) -> None:
    writers = [FileCommandJournal(path.parent) for _ in range(4)]
    long = "x" * 20_000
    await asyncio.gather(
        *(writers[n % 4].begin(a_row(n, message=f'"{long}{n}"')) for n in range(40))
    )
    pending = await writers[0].pending()
    assert {e.row.key.revision for e in pending} == set(range(40))
    assert len({e.entry_id for e in pending}) == 40


async def test_a_place_that_cannot_be_written_or_read_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="cannot be written"):
        await FileCommandJournal(tmp_path / "file").begin(a_row())
    (tmp_path / JOURNAL_NAME).mkdir()
    with pytest.raises(Unavailable, match="cannot be read"):
        await FileCommandJournal(tmp_path).pending()


async def test_a_link_in_the_journals_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable):
        await FileCommandJournal(tmp_path).begin(a_row())
    assert not (tmp_path / "elsewhere").exists()


async def test_a_line_that_does_not_fit_is_no_entry(
    journal: FileCommandJournal, path: Path
) -> None:
    await journal.begin(a_row())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, hard))
    try:
        with pytest.raises(Unavailable, match="did not fit"):
            await journal.begin(a_row(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [e.row for e in await journal.pending()] == [a_row()]
    await journal.begin(a_row(2))
    assert [e.row.key.revision for e in await journal.pending()] == [0, 2]
