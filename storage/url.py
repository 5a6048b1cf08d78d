"""Database addresses: which are taken, and how each driver spells them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from domain.errors import InvalidInput

VARIABLE = "DATABASE_URL"
DATABASE_NAME = "perp-dex.db"

_EXPECTED = (
    "expected sqlite+aiosqlite:////absolute/path.db or postgresql+psycopg://user@host/database"
)
_SQLITE_DRIVERS = ("sqlite", "sqlite+aiosqlite", "sqlite+pysqlite")
_POSTGRESQL_DRIVERS = ("postgresql", "postgres", "postgresql+psycopg")


def default_url(home: Path) -> str:
    """Return the address of the embedded stack's database."""
    return f"sqlite+aiosqlite:///{home.absolute() / DATABASE_NAME}"


def parse_url(text: str) -> URL:
    """Return the address `text` spells, with the driver the running system uses.

    Raises:
        InvalidInput: it is no address of a database we can use.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise InvalidInput(VARIABLE, f"{_EXPECTED}, found something else") from None
    if url.drivername in _SQLITE_DRIVERS:
        if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
            raise InvalidInput(VARIABLE, f"{_EXPECTED}, found SQLite without a file")
        return url.set(drivername="sqlite+aiosqlite")
    if url.drivername in _POSTGRESQL_DRIVERS:
        return url.set(drivername="postgresql+psycopg")
    raise InvalidInput(VARIABLE, f"{_EXPECTED}, found the driver {url.drivername!r}")


def blocking_url(url: URL) -> URL:
    """Return the address for a driver without event loop, as migrations use it."""
    return url.set(drivername="sqlite") if is_sqlite(url) else url


def is_sqlite(url: URL) -> bool:
    """Tell whether the address names a SQLite file."""
    return url.get_backend_name() == "sqlite"
