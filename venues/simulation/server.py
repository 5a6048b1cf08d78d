"""Runs a venue's simulator and its control port, in a process of its own or inside a test.

Composes exchange, faults, wire and control; knows no venue by name.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from venues.simulation.clock import Clock
from venues.simulation.control import ControlPort
from venues.simulation.exchange import Exchange, open_exchange
from venues.simulation.faults import FaultPlan
from venues.simulation.switches import Switches
from venues.simulation.venue import VenueSimulator, load_simulator, markets_of

#: How long a stop waits for requests that are being answered, in seconds.
_SHUTDOWN_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorOptions:
    """How to run a simulator. Port 0 picks a free one; without a `home` nothing is kept."""

    venue: str = "hyperliquid"
    host: str = "127.0.0.1"
    port: int = 0
    control_port: int = 0
    home: Path | None = None
    seed: int = 0
    switches: Switches = field(default_factory=Switches)
    clock: Clock | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningSimulator:
    """A simulator that answers: its addresses, and its parts for tests in the same process."""

    url: str
    ws_url: str
    control_url: str
    exchange: Exchange
    faults: FaultPlan
    simulator: VenueSimulator


@asynccontextmanager
async def running_simulator(
    options: SimulatorOptions | None = None, **changes: object
) -> AsyncIterator[RunningSimulator]:
    """Run a simulator until the block ends.

    Takes options, or their fields as keywords: `running_simulator(home=path, seed=7)`.
    Raises `NoSimulator`, `JournalLocked`, `JournalDamaged`, `OSError` for a taken port.
    """
    chosen = options or SimulatorOptions(**changes)  # type: ignore[arg-type]
    build = load_simulator(chosen.venue)
    exchange = open_exchange(
        chosen.home,
        clock=chosen.clock,
        seed=chosen.seed,
        switches=chosen.switches,
        instruments=markets_of(chosen.venue),
    )
    faults = FaultPlan()
    try:
        simulator = build(exchange, faults, chosen.environment)
        control = ControlPort(exchange, faults, simulator, chosen.venue)
        async with (
            _serving(simulator.application, chosen.host, chosen.port) as url,
            _serving(control.application, chosen.host, chosen.control_port) as control_url,
        ):
            control.endpoint = url
            yield RunningSimulator(
                url=url,
                ws_url="ws" + url.removeprefix("http") + "/ws",
                control_url=control_url,
                exchange=exchange,
                faults=faults,
                simulator=simulator,
            )
    finally:
        await exchange.close()


@asynccontextmanager
async def _serving(application: web.Application, host: str, port: int) -> AsyncIterator[str]:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        number = runner.addresses[0][1]
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{number}"
    finally:
        await runner.cleanup()
