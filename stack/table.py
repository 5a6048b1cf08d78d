"""What this product's stack consists of: every process, its command line and environment.

Starts our own processes by module name; imports none of them.
"""

import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import stack
from stack import probes
from stack.paths import StackPaths
from stack.ports import LOOPBACK, StackPorts, simulator_ports
from stack.servers import temporal_spec, valkey_spec
from stack.settings import FILE_VARIABLES, StackSettings
from stack.spec import ExternalServer, Probe, ProcessSpec, StackTable
from stack.state import Durability, process_names

_GRACE_S: Final = 10.0
_SIMULATOR_GRACE_S: Final = 5.0
_REDIS_PORT: Final = 6379


def stack_table(
    settings: StackSettings, ports: StackPorts, paths: StackPaths, durability: Durability
) -> StackTable:
    """Describe the whole stack, an external server in place of each that the user brings."""
    processes: list[ProcessSpec] = []
    external: list[ExternalServer] = []
    if settings.temporal_address is None:
        processes.append(temporal_spec(settings, ports, paths, durability))
    else:
        external.append(_external_temporal(settings.temporal_address))
    if settings.redis_url is None:
        processes.append(valkey_spec(ports, paths))
    else:
        external.append(_external_valkey(settings.redis_url))
    processes += _own_processes(settings, ports, paths)
    present = {spec.name for spec in processes} | {server.name for server in external}
    order = tuple(name for name in process_names() if name in present)
    return StackTable(processes=tuple(processes), external=tuple(external), order=order)


def own_command(module: str, *arguments: str) -> tuple[str, ...]:
    """Give the command line of one of our modules.

    Without the working directory on the path: a user's `worker.py` there is not ours.
    """
    return (sys.executable, "-P", "-m", module, *arguments)


def own_environment(
    settings: StackSettings, ports: StackPorts, paths: StackPaths
) -> dict[str, str]:
    """Give the environment of our own processes: the supervisor's, and the addresses."""
    environment = with_our_rooms(os.environ)
    environment.update(
        PERP_DEX_HOME=str(paths.home),
        LOG_FORMAT=settings.log_format,
        LOG_LEVEL=settings.log_level,
        DATABASE_URL=settings.database_url or f"sqlite+aiosqlite:///{paths.home / 'perp-dex.db'}",
        TEMPORAL_ADDRESS=settings.temporal_address or f"{LOOPBACK}:{ports.temporal}",
        TEMPORAL_NAMESPACE=settings.temporal_namespace,
        REDIS_URL=settings.redis_url or f"redis://{LOOPBACK}:{ports.valkey}/0",
        API_HOST=settings.api_host,
        API_PORT=str(ports.api),
        STREAMING_HOST=settings.streaming_host,
        STREAMING_PORT=str(ports.streaming),
        PYTHONUNBUFFERED="1",
    )
    for venue in settings.simulators:
        wire, _ = simulator_ports(venue)
        environment[f"{venue.upper()}_PAPER_URL"] = _at(ports, wire)
    ui_url = temporal_ui_url(settings, ports)
    if ui_url is not None:
        environment["TEMPORAL_UI_URL"] = ui_url
    if ui_url is not None and settings.temporal_address is None:
        environment["TEMPORAL_UI_UPSTREAM"] = ui_url
    for variable in FILE_VARIABLES:
        # Resolved above; a process that finds both forms refuses to start.
        environment.pop(f"{variable}_FILE", None)
    # The heartbeat of an outer supervisor, should there be one, is not its children's.
    environment.pop("PERP_DEX_HEARTBEAT_FILE", None)
    return environment


def control_urls(settings: StackSettings, ports: StackPorts) -> dict[str, str]:
    """Give where each simulated exchange is controlled, by its venue."""
    return {venue: _at(ports, simulator_ports(venue)[1]) for venue in settings.simulators}


def _at(ports: StackPorts, name: str) -> str:
    return f"http://{LOOPBACK}:{ports.as_dict()[name]}"


def temporal_ui_url(settings: StackSettings, ports: StackPorts) -> str | None:
    """Give where Temporal's web UI is: the embedded one's, or what the user says of theirs."""
    if settings.temporal_address is None:
        return f"http://{LOOPBACK}:{ports.temporal_ui}"
    return settings.temporal_ui_url


def with_our_rooms(environment: Mapping[str, str]) -> dict[str, str]:
    """Give an environment in which another interpreter finds our modules, checkout or not."""
    root = Path(stack.__file__).parents[1]
    former = environment.get("PYTHONPATH")
    if root.name in ("site-packages", "dist-packages"):
        return dict(environment)
    return {
        **environment,
        "PYTHONPATH": f"{root}{os.pathsep}{former}" if former else str(root),
    }


def loopback_of(host: str) -> str:
    """Give the address under which a server bound to `host` is reached from here."""
    return LOOPBACK if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - compared, not bound


def in_url(host: str) -> str:
    """Give a host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def _own_processes(
    settings: StackSettings, ports: StackPorts, paths: StackPaths
) -> list[ProcessSpec]:
    own = partial(_own, own_environment(settings, ports, paths), paths)
    api_host = loopback_of(settings.api_host)
    # The last four start together: each spends seconds importing, and none needs another to start.
    return [
        *(
            own(
                f"sim-{venue}",
                own_command("venues.simulation", venue),
                _at(ports, simulator_ports(venue)[0]),
                start_stage=0,
                drain_stage=2,
                grace_s=_SIMULATOR_GRACE_S,
                particular=_simulator_environment(venue, ports, paths),
            )
            for venue in settings.simulators
        ),
        own(
            "worker",
            own_command("worker"),
            None,
            start_stage=1,
            drain_stage=1,
            metrics_port=ports.worker_metrics,
        ),
        own(
            "watchdog",
            own_command("serving.watchdog"),
            None,
            start_stage=1,
            # With the worker, and never before it.
            drain_stage=1,
        ),
        own(
            "api",
            own_command("api.main"),
            f"http://{in_url(api_host)}:{ports.api}",
            start_stage=1,
            drain_stage=0,
            probe=probes.http(api_host, ports.api, "/readyz"),
            metrics_port=ports.api_metrics,
        ),
        own(
            "streaming",
            own_command("streaming.main"),
            f"ws://{in_url(loopback_of(settings.streaming_host))}:{ports.streaming}",
            start_stage=1,
            drain_stage=0,
            metrics_port=ports.streaming_metrics,
        ),
    ]


def _own(
    environment: Mapping[str, str],
    paths: StackPaths,
    name: str,
    command: tuple[str, ...],
    endpoint: str | None,
    *,
    start_stage: int,
    drain_stage: int,
    grace_s: float = _GRACE_S,
    probe: Probe | None = None,
    metrics_port: int | None = None,
    particular: Mapping[str, str] | None = None,
) -> ProcessSpec:
    """Return a process of ours: it gets all addresses, and what is `particular` to it."""
    heartbeat = paths.heartbeat_file(name)
    its_own = {**(particular or {}), "PERP_DEX_HEARTBEAT_FILE": str(heartbeat)}
    if metrics_port is not None:
        its_own["METRICS_PORT"] = str(metrics_port)
    return ProcessSpec(
        name=name,
        command=command,
        environment={**environment, **its_own},
        endpoint=endpoint,
        start_stage=start_stage,
        drain_stage=drain_stage,
        grace_s=grace_s,
        heartbeat_file=heartbeat,
        probe=probe,
    )


def _simulator_environment(venue: str, ports: StackPorts, paths: StackPaths) -> dict[str, str]:
    wire, control = simulator_ports(venue)
    taken = ports.as_dict()
    return {
        "SIM_PORT": str(taken[wire]),
        "SIM_CONTROL_PORT": str(taken[control]),
        "SIM_HOME": str(paths.home / f"sim-{venue}"),
    }


def _external_temporal(address: str) -> ExternalServer:
    parts = urlsplit(f"//{address}")
    return ExternalServer(
        name="temporal",
        endpoint=address,
        setting="TEMPORAL_ADDRESS",
        probe=probes.tcp(parts.hostname or LOOPBACK, parts.port or 0),
    )


def _external_valkey(url: str) -> ExternalServer:
    """Never show the url: it may hold a password."""
    parts = urlsplit(url)
    host, port = parts.hostname or LOOPBACK, parts.port or _REDIS_PORT
    return ExternalServer(
        name="valkey", endpoint=f"{host}:{port}", setting="REDIS_URL", probe=probes.tcp(host, port)
    )
