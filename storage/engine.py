"""The database as the repositories see it: `fetch` to read, `write` for one transaction.

What runs in a transaction is plain blocking code on a `Connection`; the engine behind runs it in
a thread (SQLite) or over an asynchronous driver (PostgreSQL). Knows no table but the schema
revision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Table, func, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.sql import Executable

from storage.failures import CommitLost, Interrupted
from storage.revision import HEAD, wrong_revision
from storage.url import is_sqlite, parse_url

_ATTEMPTS = 3

T = TypeVar("T")
Work = Callable[[Connection], T]
Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None


class Engine(Protocol):
    """What runs work on connections, and speaks the errors of `storage.failures`."""

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a reading connection, each statement by itself."""
        ...

    async def transact(self, work: Work[T]) -> T:
        """Run `work` in one transaction and commit it; roll back when it raises."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class Database:
    """An open database. Close it before the event loop ends."""

    def __init__(self, url: URL, engine: Engine) -> None:
        self._url = url
        self._engine = engine
        self.is_sqlite = is_sqlite(url)

    def __repr__(self) -> str:
        return f"Database({self._url.render_as_string(hide_password=True)!r})"

    def insert(self, table: Table) -> postgresql.Insert:
        """Return an insert into `table` that knows ON CONFLICT in this database's dialect."""
        if self.is_sqlite:
            # Both have the same methods for what we say with them.
            return sqlite.insert(table)  # type: ignore[return-value]
        return postgresql.insert(table)

    def greatest(self, left: ColumnElement[int], right: ColumnElement[int]) -> ColumnElement[int]:
        """Return the expression of the greater of two numbers."""
        return func.max(left, right) if self.is_sqlite else func.greatest(left, right)

    async def read(self, work: Work[T]) -> T:
        """Run several queries on one reading connection; each sees what is committed then.

        Raises:
            Unavailable: the database does not answer.
        """
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self._engine.read(work)
            except Interrupted:
                continue
        return await self._engine.read(work)

    async def fetch_all(
        self, statement: Executable, parameters: Parameters = None
    ) -> Sequence[Row[Any]]:
        """Return all rows of a query; see `read`."""
        return await self.read(lambda connection: connection.execute(statement, parameters).all())

    async def fetch_one(
        self, statement: Executable, parameters: Parameters = None
    ) -> Row[Any] | None:
        """Return the first row of a query, or None; see `read`."""
        rows = await self.fetch_all(statement, parameters)
        return rows[0] if rows else None

    async def write(self, work: Work[T], *, repeat: bool = True) -> T:
        """Run `work` in one transaction, commit, and return what it returned.

        `work` may run again when the connection broke: it has to read anew whatever it decides
        by. With `repeat`, also when COMMIT was under way: then a second run must find what the
        first one wrote and leave it at that.

        Raises:
            CommitLost: COMMIT was sent and its answer did not come.
            Unavailable: nothing was committed.
            CorruptState: the database refuses what was written.
        """
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self._engine.transact(work)
            except CommitLost:
                if not repeat:
                    raise
            except Interrupted:
                continue
        return await self._engine.transact(work)

    async def revision(self) -> str | None:
        """Return the revision of the schema in the database, or None if it has none.

        Raises:
            Unavailable: the database does not answer.
        """
        if self._is_missing_file():
            return None
        return await self.read(_read_revision)

    def _is_missing_file(self) -> bool:
        return self.is_sqlite and not Path(str(self._url.database)).is_file()

    async def check_revision(self) -> None:
        """Check that the schema is the one this code is written for.

        Raises:
            WrongRevision: it is another one, or none; the message names the command to run.
            Unavailable: the database does not answer.
        """
        found = await self.revision()
        if found != HEAD:
            raise wrong_revision(found)

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.close()


def open_database(url: str) -> Database:
    """Return the database at `url`; the first use connects.

    Raises:
        InvalidInput: `url` is no address of a database we can use.
    """
    parsed = parse_url(url)
    return Database(parsed, _engine(parsed))


def _engine(url: URL) -> Engine:
    # Imported when needed: the asynchronous driver's side takes a third of a process's start.
    if is_sqlite(url):
        from storage.sqlite_engine import SqliteEngine

        return SqliteEngine(url)
    from storage.postgresql_engine import PostgresqlEngine

    return PostgresqlEngine(url)


def _read_revision(connection: Connection) -> str | None:
    try:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except (OperationalError, ProgrammingError) as error:
        undefined = getattr(error.orig, "sqlstate", None) == "42P01"
        if undefined or "no such table" in str(error.orig):
            return None
        raise
    return None if found is None else str(found)
