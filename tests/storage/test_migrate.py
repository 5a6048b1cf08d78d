"""The schema: its migrations say what the tables say, and the command tells what to do."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect

from domain.accounts import Network
from domain.errors import InvalidInput, Unavailable
from storage import migrate
from storage.accounts import SqlAccountStore
from storage.all_tables import metadata
from storage.columns import UtcTime
from storage.engine import Database, open_database
from storage.revision import HEAD, UPGRADE_COMMAND, WrongRevision
from storage.schema import alembic_config, upgrade
from storage.url import blocking_url, default_url, parse_url
from tests.storage.builders import an_account
from tests.storage.postgres import RunningPostgres

ROOT = Path(__file__).parents[2]


def same_type(*compared: object) -> bool | None:
    """Tell Alembic that our time column is the database's."""
    return False if isinstance(compared[4], UtcTime) else None


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without schema."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'home' / 'perp-dex.db'}"
    server: RunningPostgres = request.getfixturevalue("postgres")
    return server.create_database()


async def test_the_migrations_make_exactly_our_tables(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection, opts={"compare_type": same_type, "compare_server_default": True}
        )
        return list(compare_metadata(context, metadata))

    def constraints(connection: Connection) -> dict[str, set[str]]:
        inspector = inspect(connection)
        return {
            name: {str(c["name"]) for c in inspector.get_check_constraints(name)}
            for name in metadata.tables
        }

    assert await database.read(differences) == []
    found = await database.read(constraints)
    for name, table in metadata.tables.items():
        named = {str(c.name) for c in table.constraints if type(c).__name__ == "CheckConstraint"}
        assert found[name] == named


def test_the_code_is_written_for_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_heads() == [HEAD]


def test_upgrading_again_changes_nothing_and_at_once_is_safe(empty_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        reached = list(pool.map(upgrade, [empty_url] * 4))
    assert reached == [HEAD] * 4
    assert upgrade(empty_url) == HEAD


def test_the_first_migration_can_be_taken_back(empty_url: str) -> None:
    upgrade(empty_url)
    engine = create_engine(blocking_url(parse_url(empty_url)))
    with engine.begin() as connection:
        command.downgrade(alembic_config(connection), "base")
        left = set(inspect(connection).get_table_names()) - {"alembic_version", "sqlite_sequence"}
    engine.dispose()
    assert left == set()
    assert upgrade(empty_url) == HEAD


def test_a_new_sqlite_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "home" / "perp-dex.db"
    upgrade(f"sqlite+aiosqlite:///{path}")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_a_database_without_or_with_another_schema_names_the_command(
    empty_url: str,
) -> None:
    database = open_database(empty_url)
    with pytest.raises(WrongRevision, match=f"found none; run: {UPGRADE_COMMAND}"):
        await database.check_revision()
    await asyncio.to_thread(upgrade, empty_url)
    await database.check_revision()
    await database.write(
        lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    )
    with pytest.raises(WrongRevision, match=f"found 9999; run: {UPGRADE_COMMAND}"):
        await database.check_revision()
    await database.write(lambda c: c.exec_driver_sql("DELETE FROM alembic_version"))
    assert await database.revision() is None
    await database.close()


async def test_an_existing_file_without_schema_is_no_schema(tmp_path: Path) -> None:
    (tmp_path / "x.db").touch()
    database = open_database(f"sqlite+aiosqlite:///{tmp_path / 'x.db'}")
    assert await database.revision() is None
    await database.close()


def run(arguments: str, monkeypatch: pytest.MonkeyPatch, **environment: str) -> int:
    for name in ("DATABASE_URL", "PERP_DEX_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return migrate.main(arguments.split())


def test_the_command_upgrades_checks_and_tells(
    empty_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("current", monkeypatch, DATABASE_URL=empty_url) == 0
    assert run("check", monkeypatch, DATABASE_URL=empty_url) == 1
    assert run("paper-only", monkeypatch, DATABASE_URL=empty_url) == 0
    told = capsys.readouterr()
    assert told.out.startswith("none\n")
    assert UPGRADE_COMMAND in told.err
    assert run("upgrade", monkeypatch, DATABASE_URL=empty_url) == 0
    assert run("current", monkeypatch, DATABASE_URL=empty_url) == 0
    assert run("check", monkeypatch, DATABASE_URL=empty_url) == 0
    assert f"\n{HEAD}\n" in capsys.readouterr().out
    asyncio.run(_add_account(empty_url))
    assert run("paper-only", monkeypatch, DATABASE_URL=empty_url) == 3
    assert "not paper" in capsys.readouterr().err


async def _add_account(url: str) -> None:
    database = open_database(url)
    account = an_account(network=Network.MAINNET)
    await SqlAccountStore(database).add(account, trading=b"x", feed=None)
    await database.close()


def test_without_an_address_the_command_uses_the_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("upgrade", monkeypatch, PERP_DEX_HOME=str(tmp_path)) == 0
    assert (tmp_path / "perp-dex.db").is_file()
    assert default_url(tmp_path) == f"sqlite+aiosqlite:///{tmp_path}/perp-dex.db"
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert run("current", monkeypatch) == 0


def test_the_command_runs_as_a_process(tmp_path: Path) -> None:
    environment = {**os.environ, "PERP_DEX_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment.pop("DATABASE_URL", None)
    called = [sys.executable, "-m", "storage.migrate"]
    upgraded = subprocess.run([*called, "upgrade"], env=environment, cwd=tmp_path, check=False)
    checked = subprocess.run([*called, "check"], env=environment, cwd=tmp_path, check=False)
    assert (upgraded.returncode, checked.returncode) == (0, 0)


@pytest.mark.parametrize(
    "url", ["mysql://u:canary@h/d", "sqlite+aiosqlite://", "sqlite:///:memory:", "no address"]
)
def test_addresses_we_cannot_use_are_wrong_settings_and_show_no_secret(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidInput, match="DATABASE_URL"):
        parse_url(url)
    assert run("upgrade", monkeypatch, DATABASE_URL=url) == 2
    told = capsys.readouterr()
    assert "expected sqlite+aiosqlite" in told.err
    assert "canary" not in told.err + told.out


@pytest.mark.parametrize("action", ["upgrade", "check"])
def test_a_database_that_does_not_answer_has_its_own_exit_code(
    action: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "postgresql://u:canary@127.0.0.1:1/d"
    assert run(action, monkeypatch, DATABASE_URL=url) == 4
    told = capsys.readouterr()
    assert "does not answer" in told.err
    assert "canary" not in told.err + told.out


def test_common_spellings_of_addresses_are_taken() -> None:
    for spelled in ("sqlite:////tmp/x.db", "sqlite+aiosqlite:////tmp/x.db"):
        assert parse_url(spelled).drivername == "sqlite+aiosqlite"
    for spelled in ("postgresql://h/d", "postgres://h/d", "postgresql+psycopg://h/d"):
        assert parse_url(spelled).drivername == "postgresql+psycopg"
    database = open_database("postgresql://u:canary@h/d")
    assert "canary" not in repr(database)


def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable):
        upgrade(f"sqlite+aiosqlite:///{tmp_path}/file/perp-dex.db")
