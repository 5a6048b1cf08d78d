"""Bringing a database's schema up to date, safely also when several processes try at once."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import URL

from storage.failures import DATABASE_ERRORS, translate
from storage.url import blocking_url, is_sqlite, parse_url

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK_KEY = 5_918_274_403
_LOCK_TIMEOUT_S = 60
_LOCK_PAUSE_S = 0.05
_FILE_MODE = 0o600
_DIRECTORY_MODE = 0o700


def upgrade(url: str, revision: str = "head") -> str:
    """Bring the schema at `url` to `revision`, in one transaction; return the revision it has then.

    A SQLite file is made if there is none, readable by its owner only.

    Raises:
        InvalidInput: `url` is no address of a database we can use.
        Unavailable: the database does not answer.
    """
    parsed = parse_url(url)
    try:
        if is_sqlite(parsed):
            _make_file(Path(str(parsed.database)))
        return _upgrade(parsed, revision)
    except DATABASE_ERRORS as error:
        raise translate(error, committing=False) from error


def alembic_config(connection: Connection | None = None) -> Config:
    """Return the settings with which Alembic finds the migrations."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _upgrade(url: URL, revision: str) -> str:
    engine = create_engine(
        blocking_url(url),
        hide_parameters=True,
        connect_args={"timeout": _LOCK_TIMEOUT_S} if is_sqlite(url) else {"connect_timeout": 5},
        **({"isolation_level": "AUTOCOMMIT"} if is_sqlite(url) else {}),
    )
    if is_sqlite(url):
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_exclusive)
    try:
        with engine.begin() as connection:
            if not is_sqlite(url):
                connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT_S}s'"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            command.upgrade(alembic_config(connection), revision)
            reached = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    return str(reached)


def _make_file(path: Path) -> None:
    path.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE))


def _configure_sqlite(connection: Any, _record: object) -> None:
    # Foreign keys stay unchecked while tables are rebuilt; WAL is a property of the file.
    # Changing the mode does not wait for locks by itself, and two may start at once.
    deadline = time.monotonic() + _LOCK_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            break
        except sqlite3.OperationalError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_LOCK_PAUSE_S)
    connection.execute("PRAGMA synchronous=FULL").close()


def _begin_exclusive(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
