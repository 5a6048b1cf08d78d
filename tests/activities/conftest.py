"""Fixtures of the activities' tests: a floor for each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.schema import upgrade
from tests.activities.floor import Floor, open_floor


@pytest.fixture(scope="session")
def database_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of the current revision, to be copied."""
    path = tmp_path_factory.mktemp("template") / "perp-dex.db"
    upgrade(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture
async def floor(
    database_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Floor]:
    async with open_floor(database_template, tmp_path, monkeypatch) as opened:
        yield opened
