"""Which port each process of the stack listens on, and who has it if it is taken.

A port is tested by binding it on the address that the process will use.
"""

import random
import socket
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from stack.errors import PortTaken
from stack.settings import SIMULATED, StackSettings

LOOPBACK: Final = "127.0.0.1"

# Below the usual ephemeral range: a client that keeps reconnecting to a dead port inside that
# range can be given this very port as its own and so take it for good.
_AUTO_FIRST: Final = 15_000
_AUTO_LAST: Final = 29_999
_ATTEMPTS_MAX: Final = 200


class PortChoice(StrEnum):
    """How ports are chosen."""

    FIXED = "fixed"
    AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPorts:
    """One port per listening socket of the stack."""

    temporal: int
    temporal_ui: int
    valkey: int
    api: int
    streaming: int
    api_metrics: int
    worker_metrics: int
    streaming_metrics: int
    #: By name, of every simulated exchange: its wire's port and its controls'.
    simulators: Mapping[str, int]

    @classmethod
    def of(cls, settings: StackSettings) -> Self:
        """Give the ports as they are set."""
        return cls._named(
            {name: getattr(settings, _setting(name).lower()) for name in (*_FIXED, *_simulated())}
        )

    @classmethod
    def _named(cls, ports: Mapping[str, int]) -> Self:
        simulators = {name: ports[name] for name in _simulated()}
        return cls(**{name: ports[name] for name in _FIXED}, simulators=simulators)

    def as_dict(self) -> dict[str, int]:
        """Give the ports by name, for the state file."""
        return {**{name: getattr(self, name) for name in _FIXED}, **self.simulators}


_FIXED: Final = tuple(field.name for field in fields(StackPorts) if field.name != "simulators")


def simulator_ports(venue: str) -> tuple[str, str]:
    """Name the wire's and the controls' port of a venue's simulated exchange."""
    return SIMULATED[venue], f"{SIMULATED[venue]}_control"


def _simulated() -> tuple[str, ...]:
    return tuple(name for venue in SIMULATED for name in simulator_ports(venue))


def needed_ports(settings: StackSettings) -> tuple[str, ...]:
    """Name the ports that the stack itself will listen on; servers of the user's need none."""
    left_out: set[str] = set()
    if settings.temporal_address is not None:
        left_out |= {"temporal", "temporal_ui"}
    if settings.redis_url is not None:
        left_out.add("valkey")
    for venue in SIMULATED:
        if venue not in settings.simulators:
            left_out.update(simulator_ports(venue))
    return tuple(name for name in (*_FIXED, *_simulated()) if name not in left_out)


def choose_ports(
    settings: StackSettings, choice: PortChoice, previous: Mapping[str, int]
) -> StackPorts:
    """Choose all ports, or raise `PortTaken` for the first one that is in use.

    With AUTO, a port that is set explicitly is kept, then the `previous` one if it is free, then
    any free one.
    """
    ports = StackPorts.of(settings).as_dict()
    needed = needed_ports(settings)
    if choice is PortChoice.AUTO:
        given = settings.model_fields_set
        chosen: set[int] = {ports[name] for name in needed if _setting(name).lower() in given}
        for name in needed:
            if _setting(name).lower() not in given:
                ports[name] = _free_port(previous.get(name), chosen)
                chosen.add(ports[name])
    taken: dict[int, str] = {}
    for name in needed:
        port = ports[name]
        if port in taken:
            raise PortTaken(
                f"{_setting(name)}: expected a port of its own, found {port}, which "
                f"{_setting(taken[port])} has too; change one of them"
            )
        taken[port] = name
        if not is_free(port, _host(settings, name)):
            raise PortTaken(_explain_taken(name, port))
    return StackPorts._named(ports)


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Say whether a server could listen on this port of `host` now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        # As servers do: a connection in TIME_WAIT does not make a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def port_owner(port: int) -> str | None:
    """Name the process that listens on `port`, as far as this user may see it (Linux)."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _holds_any(process, inodes):
            try:
                name = (process / "comm").read_text(encoding="utf-8").strip()
            except OSError:
                return f"pid {process.name}"
            return f"{name} (pid {process.name})"
    return None


def _host(settings: StackSettings, name: str) -> str:
    hosts = {"api": settings.api_host, "streaming": settings.streaming_host}
    return hosts.get(name, LOOPBACK)


def _setting(name: str) -> str:
    return f"{name}_PORT".upper()


def _explain_taken(name: str, port: int) -> str:
    owner = port_owner(port) or "a process that is not yours to see"
    return (
        f"{_setting(name)}: expected port {port} to be free, found it taken by {owner}; stop that "
        f"process, set {_setting(name)} to another port, or use --ports auto"
    )


def _free_port(previous: int | None, chosen: set[int]) -> int:
    if previous is not None and previous not in chosen and is_free(previous):
        return previous
    for _ in range(_ATTEMPTS_MAX):
        port = random.randint(_AUTO_FIRST, _AUTO_LAST)
        if port not in chosen and is_free(port):
            return port
    raise PortTaken(
        f"--ports auto: expected a free port between {_AUTO_FIRST} and {_AUTO_LAST}, found none in "
        f"{_ATTEMPTS_MAX} attempts; set the ports yourself"
    )


def _listening_inodes(port: int) -> set[str]:
    inodes: set[str] = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            rows = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            columns = row.split()
            # Column 1 is the local address in hexadecimal, 3 the state (0A listens), 9 the inode.
            if columns[3] == "0A" and int(columns[1].rpartition(":")[2], 16) == port:
                inodes.add(columns[9])
    return inodes


def _holds_any(process: Path, inodes: set[str]) -> bool:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    try:
        return any(str(link.readlink()) in wanted for link in (process / "fd").iterdir())
    except OSError:
        return False
