"""Fixtures of the simulated venue: a running simulator and one funded client."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.venues.hyperliquid.simulator_client import SimulatorClient
from venues.simulation.server import RunningSimulator, running_simulator


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningSimulator]:
    """A simulator with a log of its own."""
    async with running_simulator(home=tmp_path, seed=5) as running:
        yield running


@pytest.fixture
async def client(running: RunningSimulator) -> AsyncIterator[SimulatorClient]:
    """A funded client of it."""
    async with SimulatorClient.opened(running.url, running.control_url) as client:
        yield client
