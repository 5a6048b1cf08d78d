"""The command journal: an append-only file of commands that were sent without the database.

One JSON line for each command before its first byte, for each outcome, and for each absorption by
the ledger. Holds messages without signatures, and no secret. Knows no database.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from domain.accounts import Network
from domain.errors import CorruptState, Unavailable
from domain.ledger import CommandKey, CommandRow, JournaledCommand
from domain.orders import Order
from domain.outcomes import SendResult
from storage import codec

JOURNAL_NAME = "commands.jsonl"
_FILE_MODE = 0o600
_DIRECTORY_MODE = 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class _Intent:
    """A ledger row before its outcome, as a line spells it."""

    key: CommandKey
    account_id: str
    venue: str
    network: Network
    symbol: str
    signer: str
    lane: str
    target_revision: int
    client_order_id: str
    nonce: int | None
    admitted_until: datetime | None
    message: str
    inserted_at: datetime
    send_by: datetime
    order: Order | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """A command's outcome with its evidence, as a line spells it."""

    kind: str
    outcome: str
    raw: str | None
    received_at: datetime | None
    venue_time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One line: exactly one of the three. `absorbed` tells whether with a result."""

    entry: str
    intent: _Intent | None = None
    result: _Result | None = None
    absorbed: bool | None = None


_lines = codec.Codec(_Line)
_ROW_FIELDS = tuple(name for name in _Intent.__dataclass_fields__ if name != "order")


@dataclass(slots=True)
class _Entry:
    command: JournaledCommand
    absorbed: bool = False
    absorbed_with_result: bool = False

    @property
    def is_pending(self) -> bool:
        has_result = self.command.result is not None
        return not self.absorbed or (has_result and not self.absorbed_with_result)


class FileCommandJournal:
    """Implements `activities.emergency_journal.CommandJournal` in a directory.

    Several processes may write at once. What a crash tore off at the end was never acted on and
    is cut away by the next line.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / JOURNAL_NAME
        self._nothing_pending_at = 0

    async def begin(self, row: CommandRow, order: Order | None = None) -> str:
        """Append a command, on disk when this returns; see the port."""
        entry_id = secrets.token_hex(8)
        intent = _Intent(**{name: getattr(row, name) for name in _ROW_FIELDS}, order=order)
        await self._append(_Line(entry=entry_id, intent=intent))
        return entry_id

    async def note(self, entry_id: str, result: SendResult) -> None:
        """Append what became of an entry's command; see the port."""
        spelled = _Result(
            kind=result.outcome.kind,
            outcome=codec.encode_outcome(result.outcome),
            raw=result.raw,
            received_at=result.received_at,
            venue_time=result.venue_time,
        )
        await self._append(_Line(entry=entry_id, result=spelled))

    async def mark_absorbed(self, entry: JournaledCommand) -> None:
        """Append that the ledger has the entry; see the port."""
        await self._append(_Line(entry=entry.entry_id, absorbed=entry.result is not None))

    async def pending(self) -> tuple[JournaledCommand, ...]:
        """Return the entries that the ledger lacks, oldest first; see the port."""
        return await asyncio.to_thread(self._pending)

    async def _append(self, line: _Line) -> None:
        text = _lines.encode(line).encode() + b"\n"
        try:
            await asyncio.to_thread(self._write, text)
        except OSError as error:
            raise Unavailable(f"the journal {self._path} cannot be written: {error}") from error

    def _write(self, text: bytes) -> None:
        self._path.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        is_new = not self._path.exists()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(self._path, flags, _FILE_MODE), "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            whole = file.read().rfind(b"\n") + 1
            if whole < file.tell():
                file.truncate(whole)
            if file.write(text) != len(text):
                raise OSError(errno.ENOSPC, "the line did not fit")
            os.fsync(file.fileno())
        if is_new:
            _sync_directory(self._path.parent)

    def _pending(self) -> tuple[JournaledCommand, ...]:
        try:
            if self._path.stat().st_size == self._nothing_pending_at:
                return ()
            content = self._path.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise Unavailable(f"the journal {self._path} cannot be read: {error}") from error
        entries: dict[str, _Entry] = {}
        for number, text in enumerate(content.split(b"\n")[:-1], start=1):
            self._take(entries, number, text)
        pending = tuple(e.command for e in entries.values() if e.is_pending)
        self._nothing_pending_at = 0 if pending else len(content)
        return pending

    def _take(self, entries: dict[str, _Entry], number: int, text: bytes) -> None:
        try:
            line = _lines.decode(text.decode())
            if line.intent is not None:
                entries[line.entry] = _Entry(_command(line.entry, line.intent))
                return
            entry = entries[line.entry]
            if line.result is not None:
                entry.command = replace(entry.command, result=_send_result(line.result))
            else:
                entry.absorbed = True
                entry.absorbed_with_result |= bool(line.absorbed)
        except (CorruptState, UnicodeDecodeError, KeyError) as error:
            raise CorruptState(
                f"expected a journal entry in line {number} of {self._path}, {error}; commands in "
                "it may be unknown to the ledger: compare with the venue, then move the file away"
            ) from error


def _command(entry_id: str, intent: _Intent) -> JournaledCommand:
    row = CommandRow(**{name: getattr(intent, name) for name in _ROW_FIELDS})
    return JournaledCommand(entry_id=entry_id, row=row, order=intent.order)


def _send_result(spelled: _Result) -> SendResult:
    return SendResult(
        outcome=codec.decode_outcome(spelled.kind, spelled.outcome),
        raw=spelled.raw,
        received_at=spelled.received_at,
        venue_time=spelled.venue_time,
    )


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
