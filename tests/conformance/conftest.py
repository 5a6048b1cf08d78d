"""Fixtures of the suite: every registered venue in turn, on a stage of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.schema import upgrade
from tests.conformance.rig import VenueRig, rig_of
from tests.conformance.stage import Stage, open_stage, running
from tests.conformance.way import Way, way_to
from venues import registry


@pytest.fixture(scope="session")
def database_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of the current revision, to be copied."""
    path = tmp_path_factory.mktemp("template") / "perp-dex.db"
    upgrade(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture(params=registry.names())
def rig(request: pytest.FixtureRequest) -> VenueRig:
    venue: str = request.param
    return rig_of(venue)


@pytest.fixture
async def stage(
    rig: VenueRig, database_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    async with (
        running(rig) as simulator,
        open_stage(rig, simulator, database_template, tmp_path, monkeypatch) as opened,
    ):
        yield opened


@pytest.fixture
async def scripted(
    rig: VenueRig, database_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Stage, Way]]:
    """A stage whose commands go by a way that can be told what to do with them."""
    async with (
        running(rig) as simulator,
        way_to(simulator.url, rig.command_paths) as way,
        open_stage(rig, simulator, database_template, tmp_path, monkeypatch, url=way.url) as opened,
    ):
        yield opened, way
