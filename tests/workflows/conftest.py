"""Fixtures of the workflows' tests: one Temporal for all, a stage for each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from storage.schema import upgrade
from tests.workflows.stage import Stage, open_stage, temporal_server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the SDK's warnings what they are in a worker: as errors they would fail its tasks."""
    kept = pytest.mark.filterwarnings(
        "default::temporalio.workflow.UnfinishedUpdateHandlersWarning",
        "default::temporalio.workflow.UnfinishedSignalHandlersWarning",
    )
    for item in items:
        if "stage" in getattr(item, "fixturenames", ()) or "impatient" in getattr(
            item, "fixturenames", ()
        ):
            item.add_marker(kept)


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
