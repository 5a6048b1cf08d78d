"""Fixtures of the API's tests: a migrated database to copy, storage over it, a serving API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import structlog

from storage.opening import Storage
from storage.schema import upgrade
from tests.api.serving import Api, fresh_storage, serving


@pytest.fixture(scope="session", autouse=True)
def plain_log_lines() -> Iterator[None]:
    """Log as our processes do: plain lines, tracebacks without local variables."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    )
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def database_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of the current revision."""
    path = tmp_path_factory.mktemp("template") / "perp-dex.db"
    upgrade(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture
async def storage(database_template: Path, tmp_path: Path) -> AsyncIterator[Storage]:
    """Storage with one active paper account and two markets."""
    opened = await fresh_storage(database_template, tmp_path)
    yield opened
    await opened.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_api(
    database_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Api]:
    """An API that serves a whole module of tests which leave nothing behind."""
    opened = await fresh_storage(database_template, tmp_path_factory.mktemp("shared"))
    async with serving(opened) as running:
        yield running
    await opened.close()


@pytest.fixture
async def api(storage: Storage) -> AsyncIterator[Api]:
    """An API that serves."""
    async with serving(storage) as running:
        yield running
