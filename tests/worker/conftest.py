"""Fixtures of the worker's tests: Temporal, a simulated exchange, a migrated home."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from storage.schema import upgrade
from tests.activities.conftest import database_template, floor
from tests.activities.floor import until
from tests.workflows.stage import temporal_server
from venues.simulation.server import RunningSimulator, running_simulator

__all__ = ["database_template", "floor"]


@pytest.fixture(scope="session")
def temporal() -> Iterator[str]:
    with temporal_server() as address:
        yield address


@pytest.fixture
async def exchange() -> AsyncIterator[RunningSimulator]:
    async with running_simulator() as venue:
        yield venue


@dataclass
class Home:
    """A home directory, and the environment of a worker that lives in it."""

    path: Path
    environment: dict[str, str]

    def migrate(self) -> None:
        upgrade(f"sqlite+aiosqlite:///{self.path / 'perp-dex.db'}")

    def beat(self) -> str:
        """Return the state that the heartbeat tells, or nothing."""
        try:
            return str(json.loads((self.path / "beat").read_text())["state"])
        except (OSError, ValueError):
            return ""

    async def until_ready(self) -> None:
        await until(lambda: self.beat() == "ready", what="a worker that is ready", within_s=40)


@pytest.fixture
def home(tmp_path: Path, temporal: str, exchange: RunningSimulator) -> Home:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "PERP_DEX_HOME": str(tmp_path),
        "PERP_DEX_HEARTBEAT_FILE": str(tmp_path / "beat"),
        "TEMPORAL_ADDRESS": temporal,
        "HYPERLIQUID_PAPER_URL": exchange.url,
        "REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "LOG_FORMAT": "json",
    }
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return Home(path=tmp_path, environment=kept | environment)
