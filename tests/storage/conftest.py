"""Fixtures of the storage tests: every test that uses `database` runs on both databases."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.accounts import SqlAccountStore
from storage.engine import Database, open_database
from storage.ledger import SqlIntentLedger
from storage.orders import SqlOrderStore
from storage.schema import upgrade
from tests.storage.builders import an_account
from tests.storage.postgres import RunningPostgres, name_of, start_postgres


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, **duration: float) -> datetime:
        self.time += timedelta(**duration)
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[RunningPostgres]:
    with start_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres: RunningPostgres) -> str:
    """The name of a database at the newest schema, to be copied."""
    url = postgres.create_database()
    upgrade(url)
    return name_of(url)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file at the newest schema, to be copied."""
    path = tmp_path_factory.mktemp("template") / "perp-dex.db"
    upgrade(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "perp-dex.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture
def postgres_url(postgres: RunningPostgres, postgres_template: str) -> Iterator[str]:
    url = postgres.create_database(template=postgres_template)
    yield url
    postgres.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = open_database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def accounts(database: Database, clock: Clock) -> SqlAccountStore:
    """The account store, with the account 'acc' in it."""
    store = SqlAccountStore(database, now=clock)
    await store.add(an_account(), trading=b"sealed trading", feed=None)
    return store


@pytest.fixture
def ledger(database: Database, accounts: SqlAccountStore, clock: Clock) -> SqlIntentLedger:
    return SqlIntentLedger(database, now=clock)


@pytest.fixture
def orders(database: Database, accounts: SqlAccountStore, clock: Clock) -> SqlOrderStore:
    return SqlOrderStore(database, now=clock)
