"""The write-ahead log: one checked line per applied action, on disk before anybody is answered.

Concurrent actions share one fsync: a line is appended to a buffer, a single writer empties the
buffer, and every action waits until its own line is on the disk. Knows lines, not their meaning.

File format: `<crc32, 8 hex digits> <JSON>\\n`. A last line that was cut short by a crash was never
answered and is dropped when the log is opened; damage before the last line is an error.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import zlib
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

JOURNAL_NAME: Final = "exchange.wal"
_CRC_LENGTH: Final = 8


class JournalDamaged(Exception):
    """The log holds a line that is neither whole nor the last one."""


class JournalFailed(Exception):
    """A line could not be written; the exchange must not answer any more."""


class JournalLocked(Exception):
    """Another process has this log open."""


class Journal(Protocol):
    """Where applied actions are kept."""

    on_durable: Callable[[int], None]

    def append(self, line: bytes) -> int:
        """Take a line for writing and return its number. Raises `JournalFailed`."""
        ...

    async def durable(self, number: int) -> None:
        """Return once line `number` is on the disk. Raises `JournalFailed`."""
        ...

    async def close(self) -> None:
        """Write what is buffered and release the file."""
        ...


class MemoryJournal:
    """A log that forgets: every line counts as durable at once. For tests without a disk."""

    def __init__(self) -> None:
        self.on_durable: Callable[[int], None] = _ignore
        self._number = 0

    def append(self, line: bytes) -> int:
        """Count the line and report it durable in the next turn of the loop."""
        del line
        self._number += 1
        asyncio.get_running_loop().call_soon(self.on_durable, self._number)
        return self._number

    async def durable(self, number: int) -> None:
        """Return at once."""

    async def close(self) -> None:
        """Do nothing."""


class FileJournal:
    """The log in a directory, locked against a second process."""

    def __init__(self, directory: Path) -> None:
        self.on_durable: Callable[[int], None] = _ignore
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / JOURNAL_NAME
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise JournalLocked(
                f"expected to be the only user of {str(self.path)!r}, found it locked; "
                "stop the other simulator or choose another SIM_HOME"
            ) from error
        self._buffer: list[bytes] = []
        self._number = 0
        self._durable = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

    def read(self) -> list[bytes]:
        """Return the JSON of every whole line and cut off a torn last one.

        Raises `JournalDamaged` where a line before the last is not what was written.
        """
        content = self.path.read_bytes()
        lines: list[bytes] = []
        offset = 0
        while offset < len(content):
            end = content.find(b"\n", offset)
            body = None if end < 0 else _checked(content[offset:end])
            if body is None:
                self._cut_torn_tail(content, offset, end, len(lines) + 1)
                break
            lines.append(body)
            offset = end + 1
        return lines

    def _cut_torn_tail(self, content: bytes, offset: int, end: int, number: int) -> None:
        rest = content[end + 1 :].split(b"\n") if end >= 0 else []
        if any(_checked(line) is not None for line in rest):
            raise JournalDamaged(
                f"line {number} of {str(self.path)!r}: expected a whole line, found a damaged one "
                "before good ones; restore the file or remove it to start afresh"
            )
        os.ftruncate(self._file, offset)
        os.fsync(self._file)

    def append(self, line: bytes) -> int:
        """Buffer the line, start the writer, return the line's number since opening."""
        if self._failure is not None:
            raise JournalFailed(f"{str(self.path)!r}: {self._failure}") from self._failure
        self._number += 1
        self._buffer.append(b"%08x %s\n" % (zlib.crc32(line), line))
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write(), name="journal")
        return self._number

    async def durable(self, number: int) -> None:
        """Wait for the fsync that covers line `number`."""
        if self._failure is not None:
            raise JournalFailed(f"{str(self.path)!r}: {self._failure}") from self._failure
        if number <= self._durable:
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((number, future))
        await future

    async def close(self) -> None:
        """Write what is buffered, then unlock and close the file."""
        while self._writer is not None:
            await asyncio.wait([self._writer])
        os.close(self._file)

    async def _write(self) -> None:
        try:
            while self._buffer:
                lines, self._buffer = self._buffer, []
                number = self._number
                await asyncio.to_thread(self._write_and_sync, b"".join(lines))
                self._durable = number
                self._wake(number)
                asyncio.get_running_loop().call_soon(self.on_durable, number)
        except OSError as error:
            self._fail(error)
        finally:
            self._writer = None

    def _write_and_sync(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            view = view[os.write(self._file, view) :]
        os.fdatasync(self._file)

    def _wake(self, number: int) -> None:
        # Answers wait in the order of their lines, so the first that is too new ends the search.
        while self._waiting and self._waiting[0][0] <= number:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)

    def _fail(self, error: OSError) -> None:
        self._failure = error
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_exception(JournalFailed(f"{str(self.path)!r}: {error}"))


def _checked(line: bytes) -> bytes | None:
    body = line[_CRC_LENGTH + 1 :]
    good = len(line) > _CRC_LENGTH + 1 and line[:_CRC_LENGTH] == b"%08x" % zlib.crc32(body)
    return body if good else None


def _ignore(number: int) -> None:
    del number
