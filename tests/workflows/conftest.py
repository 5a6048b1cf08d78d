"""Fixtures of the workflows' tests: one Temporal for all, a stage for each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from storage.schema import upgrade
from tests.workflows.stage import Stage, open_stage, temporal_server


@pytest.fixture(scope="session")
def temporal() -> Iterator[str]:
    with temporal_server() as address:
        yield address


@pytest.fixture(scope="session")
def database_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of the current revision, to be copied."""
    path = tmp_path_factory.mktemp("template") / "perp-dex.db"
    upgrade(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture
async def stage(
    temporal: str, database_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    async with open_stage(temporal, database_template, tmp_path, monkeypatch) as opened:
        yield opened
