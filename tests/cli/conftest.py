"""Fixtures of the command line's tests: a serving API, a simulator, and a terminal of our own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from tests.api.conftest import api, database_template, storage
from tests.api.serving import TOKEN, Api
from venues.simulation.server import SimulatorOptions, running_simulator

__all__ = ["api", "database_template", "storage"]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="package", autouse=True)
def api_logs_elsewhere() -> Iterator[None]:
    """Keep the lines of the API, which serves in this process, out of what commands print."""
    with Path(os.devnull).open("w") as nowhere:
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=nowhere))
        yield
        structlog.reset_defaults()


@dataclass
class Result:
    """What a command did."""

    code: int
    out: str
    err: str


class Terminal:
    """Runs command lines in this process, without a terminal."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def run(self, *arguments: str) -> Result:
        """Run one command line here and now."""
        from cli.main import run

        self._capsys.readouterr()
        code = int(run(list(arguments)))
        captured = self._capsys.readouterr()
        return Result(code, captured.out, captured.err)

    async def __call__(self, *arguments: str) -> Result:
        """Run one command line beside the loop that serves the API."""
        return await asyncio.to_thread(self.run, *arguments)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Keep the user's own installation and settings out of every test."""
    for name in list(os.environ):
        if name.startswith("PERP_DEX_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PERP_DEX_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    yield


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str]) -> Terminal:
    """A terminal that knows no API."""
    return Terminal(capsys)


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """The token file of the serving API."""
    path = tmp_path / "api-token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    return path


@pytest.fixture
def desk(
    api: Api, terminal: Terminal, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    """A terminal that talks to the serving API."""
    monkeypatch.setenv("PERP_DEX_API_URL", api.url)
    monkeypatch.setenv("PERP_DEX_API_TOKEN_FILE", str(token_file))
    return terminal


@pytest.fixture
async def simulator(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A running simulated exchange; gives its control address."""
    options = SimulatorOptions(venue="hyperliquid", host="127.0.0.1", port=0, control_port=0)
    async with running_simulator(options) as running:
        monkeypatch.setenv("PERP_DEX_SIM_CONTROL_URL", running.control_url)
        yield running.control_url


def command() -> list[str]:
    """Return the command line of the program as a process of its own."""
    return [sys.executable, "-m", "cli.main"]


def environment(**changes: str) -> dict[str, str]:
    """Return the environment of such a process."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **changes}
