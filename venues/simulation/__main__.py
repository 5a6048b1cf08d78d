"""`python -m venues.simulation hyperliquid`: one venue's simulator as a process of its own.

The only place of this room that reads the environment. Prints nothing but log lines.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import Field

from process.heartbeat import Heartbeat
from process.logging import configure_logging
from process.settings import EXIT_CONFIGURATION, ProcessSettings, SettingsError
from process.signals import stop_event
from venues import folders
from venues.simulation.exchange import ExchangeStopped
from venues.simulation.journal import JournalDamaged, JournalLocked
from venues.simulation.server import SimulatorOptions, running_simulator
from venues.simulation.switches import Switches

_log = logging.getLogger(__name__)

#: How often a process looks whether its exchange broke, in seconds.
_LOOK_S = 0.5


class SimulatorSettings(ProcessSettings):
    """Settings of a simulator process."""

    sim_host: str = Field("127.0.0.1", description="Address to listen on.")
    sim_port: int = Field(
        8710, ge=0, le=65535, description="Port of the venue's wire; 0: a free one."
    )
    sim_control_port: int = Field(
        8711, ge=0, le=65535, description="Port of the operator's control; 0: a free one."
    )
    sim_home: Path | None = Field(
        None, description="Directory of the exchange's log; unset: nothing is kept."
    )
    sim_commit_delay_ms: int = Field(
        0, ge=0, le=60_000, description="Time from an action's arrival to its block, milliseconds."
    )
    sim_seed: int = Field(0, description="Seed of the house's quotes and of price walks.")
    log_format: str = Field("json", description="Form of log lines: json or console.")
    log_level: str = Field("INFO", description="Least level that is logged.")


async def serve(venue: str, settings: SimulatorSettings) -> None:
    """Run until the process is asked to stop. Raises `ExchangeStopped` when the exchange broke."""
    async with Heartbeat.from_environment() as heartbeat:
        options = SimulatorOptions(
            venue=venue,
            host=settings.sim_host,
            port=settings.sim_port,
            control_port=settings.sim_control_port,
            home=settings.sim_home,
            seed=settings.sim_seed,
            switches=Switches(commit_delay_ms=settings.sim_commit_delay_ms),
        )
        async with running_simulator(options) as running:
            _log.info("simulator of %s at %s, control %s", venue, running.url, running.control_url)
            stop = stop_event()
            heartbeat.ready(running.url)
            while not stop.is_set() and running.exchange.failure is None:
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _LOOK_S)
            heartbeat.draining()
            if running.exchange.failure is not None:
                raise ExchangeStopped("the exchange broke") from running.exchange.failure


def main(arguments: Sequence[str]) -> int:
    """Run the simulator of the venue that the first argument names; return the exit code."""
    if len(arguments) != 1 or arguments[0] not in folders.names():
        venues = "|".join(folders.names())
        sys.stderr.write(f"usage: python -m venues.simulation {{{venues}}}\n")
        return EXIT_CONFIGURATION
    try:
        settings = SimulatorSettings.load()
        configure_logging(
            service=f"sim-{arguments[0]}",
            log_format=settings.log_format,
            level=settings.log_level,
        )
        asyncio.run(serve(arguments[0], settings))
    except (
        SettingsError,
        ValueError,  # among them a venue or a network that does not exist
        JournalLocked,
        JournalDamaged,
        OSError,
    ) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIGURATION
    except ExchangeStopped as error:
        _log.critical("%s: %r", error, error.__cause__)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
