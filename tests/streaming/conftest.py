from __future__ import annotations

import shutil
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from storage.opening import Storage, open_storage
from storage.schema import upgrade
from tests.streaming.stage import Stage


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("database") / "empty.db"
    upgrade(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture
async def storage(tmp_path: Path, empty_database: Path) -> AsyncIterator[Storage]:
    path = tmp_path / "perp-dex.db"
    shutil.copy(empty_database, path)
    opened = await open_storage(f"sqlite+aiosqlite:///{path}", tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
async def stage(storage: Storage) -> Stage:
    made = Stage(storage.orders, storage.accounts, storage.ledger, storage.positions)
    await made.add_principal(storage, "somebody")
    return made


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Return a function that names a port nobody listens on."""

    def pick() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return pick
