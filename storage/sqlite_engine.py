"""SQLite: WAL, every commit on disk, one writing thread whose transactions begin IMMEDIATE.

A whole transaction runs in the thread. Going to a thread and back for every cursor call, as the
asynchronous drivers do, costs 0.6 ms a statement where the statement takes 0.05.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.engine import Engine as BlockingEngine

from domain.errors import Unavailable
from storage.failures import DATABASE_ERRORS, translate
from storage.transactions import Progress, run_transaction
from storage.url import blocking_url

BUSY_TIMEOUT_S = 5.0
"""How long a transaction waits for another process's."""
DEADLINE_S = 12.0
"""How long a caller waits, its place in the queue included."""

_READERS = 4

T = TypeVar("T")


class SqliteEngine:
    """Runs work on a SQLite file: writes in one thread, reads beside it in a few."""

    def __init__(self, url: URL) -> None:
        self._writer = _engine(url, connections=1)
        event.listen(self._writer, "begin", _begin_immediate)
        self._reader = _engine(url, connections=_READERS)
        event.listen(self._reader, "connect", _forbid_writing)
        self._written, self._read = _Kept(self._writer), _Kept(self._reader)
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="sqlite-write")
        self._reading = ThreadPoolExecutor(_READERS, thread_name_prefix="sqlite-read")

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on a reading connection; nothing can be written on it."""

        def run() -> T:
            try:
                with self._read.connection() as connection:
                    return work(connection)
            except DATABASE_ERRORS as error:
                raise translate(error, committing=False) from error

        return await _in_thread(self._reading, run)

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction. Once begun it ends by itself, also if the caller left."""

        def run() -> T:
            progress = Progress()
            try:
                with self._written.connection() as connection:
                    return run_transaction(connection, work, progress)
            except DATABASE_ERRORS as error:
                raise translate(error, committing=progress.committing) from error

        return await _in_thread(self._writing, run)

    async def close(self) -> None:
        """Wait for what runs, then close all connections."""
        for executor in (self._writing, self._reading):
            await asyncio.to_thread(executor.shutdown)
        for kept in (self._written, self._read):
            kept.close()
        self._writer.dispose()
        self._reader.dispose()


class _Kept:
    """A connection for each thread, kept from one use to the next while all goes well.

    To take one from the pool and give it back costs more than the statement of most reads.
    """

    def __init__(self, engine: BlockingEngine) -> None:
        self._engine = engine
        self._by_thread: dict[int, Connection] = {}

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend this thread's connection; after an error it goes through the pool, which resets it.

        What reads by it must take every row: the next read sees what is committed then.
        """
        thread = threading.get_ident()
        connection = self._by_thread.get(thread)
        if connection is None:
            connection = self._by_thread[thread] = self._engine.connect()
        try:
            yield connection
        except BaseException:
            del self._by_thread[thread]
            connection.close()
            raise

    def close(self) -> None:
        """Close all of them; no thread may use one any more."""
        for connection in self._by_thread.values():
            connection.close()
        self._by_thread.clear()


async def _in_thread(executor: ThreadPoolExecutor, run: Callable[[], T]) -> T:
    running = asyncio.get_running_loop().run_in_executor(executor, run)
    try:
        # Not `wait_for`: in Python 3.11 it swallows a cancellation that comes with the result.
        async with asyncio.timeout(DEADLINE_S):
            return await running
    except TimeoutError:
        raise Unavailable(
            f"the database did not answer within {DEADLINE_S:.0f} s; what was asked of it may "
            "still be done"
        ) from None


def _engine(url: URL, *, connections: int) -> BlockingEngine:
    engine = create_engine(
        blocking_url(url),
        hide_parameters=True,
        isolation_level="AUTOCOMMIT",
        pool_size=connections,
        max_overflow=0,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
    )
    event.listen(engine, "connect", _configure)
    return engine


def _configure(connection: Any, _record: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _forbid_writing(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA query_only=ON").close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
