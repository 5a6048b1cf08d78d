"""The worker as a process: it starts, serves, drains on SIGTERM, and says why it cannot start."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from serving.settings import EXIT_CONFIGURATION, WorkerSettings
from tests.worker.conftest import Home
from venues.simulation.server import RunningSimulator
from worker import run, run_to_exit

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-P", "-m", "worker")


def start(home: Home, **changes: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        COMMAND,
        cwd=ROOT,
        env={**home.environment, "PYTHONPATH": str(ROOT), **changes},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


async def ended(child: subprocess.Popen[str], *, within_s: float = 40.0) -> tuple[int, str]:
    try:
        output, _ = await asyncio.to_thread(child.communicate, timeout=within_s)
    except subprocess.TimeoutExpired:
        child.kill()
        raise
    return child.returncode, output


async def test_it_serves_and_drains_on_sigterm(home: Home) -> None:
    home.migrate()
    child = start(home)
    try:
        await home.until_ready()
    finally:
        child.send_signal(signal.SIGTERM)

    code, output = await ended(child)

    assert code == 0, output
    assert "worker ready" in output
    assert "worker drains" in output
    assert "never retrieved" not in output


@pytest.mark.parametrize("kind", ["missing", "unmigrated"])
async def test_a_database_of_another_revision_is_refused(home: Home, kind: str) -> None:
    if kind == "unmigrated":
        (home.path / "perp-dex.db").touch()

    code, output = await ended(start(home))

    assert code == EXIT_CONFIGURATION, output
    assert "upgrade" in output, "the command to run is named"


async def test_a_temporal_that_is_not_there_is_said(home: Home) -> None:
    home.migrate()

    code, output = await ended(start(home, TEMPORAL_ADDRESS="127.0.0.1:1"))

    assert code == EXIT_CONFIGURATION, output
    assert "cannot be reached" in output


async def test_a_wrong_setting_is_named(home: Home) -> None:
    code, output = await ended(start(home, WORKER_CONCURRENCY="none"))

    assert code == EXIT_CONFIGURATION
    assert "WORKER_CONCURRENCY" in output


@pytest.fixture
def settings(home: Home, monkeypatch: pytest.MonkeyPatch) -> WorkerSettings:
    for name, value in home.environment.items():
        monkeypatch.setenv(name, value)
    return WorkerSettings.load()


async def test_the_composition_runs_and_stops(
    home: Home, settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.migrate()
    running = asyncio.create_task(run(settings))
    await home.until_ready()

    os.kill(os.getpid(), signal.SIGTERM)

    async with asyncio.timeout(20):
        await running
    assert home.beat() in ("", "draining")


async def test_a_venue_that_is_down_does_not_keep_the_worker_from_serving(
    home: Home,
    settings: WorkerSettings,
    exchange: RunningSimulator,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from venues.simulation.faults import FaultKind

    home.migrate()
    exchange.faults.add(FaultKind.MAINTENANCE, count=None)
    running = asyncio.create_task(run(settings))
    await home.until_ready()

    os.kill(os.getpid(), signal.SIGTERM)

    async with asyncio.timeout(20):
        await running
    assert "venue not warm" in capsys.readouterr().out


def test_what_prevents_a_start_is_an_exit_code(
    settings: WorkerSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_to_exit(settings) == EXIT_CONFIGURATION
    assert "worker cannot start" in capsys.readouterr().out
