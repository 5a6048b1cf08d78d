"""What the supervisor writes about the stack and what `status` reads from it.

The file tells what was; whether it still holds is told by the supervisor's lock. Without a living
supervisor every process is stopped, whatever the file says.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Self

from stack.errors import StackError
from stack.lock import lock_holder
from stack.paths import StackPaths
from stack.settings import SIMULATED
from stack.spec import ProcessState


def process_names() -> tuple[str, ...]:
    """Name every process, in the order in which they are shown."""
    simulators = (f"sim-{venue}" for venue in SIMULATED)
    return ("temporal", "valkey", *simulators, "worker", "watchdog", "api", "streaming")


class Durability(StrEnum):
    """What acknowledged work survives."""

    #: A power failure (SQLite `synchronous=full` in the embedded Temporal).
    POWER = "power"
    #: The death of every process, not of the machine (`synchronous=normal`); paper only.
    PROCESS = "process"


class Phase(StrEnum):
    """Where the stack as a whole is."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """One process as `status` shows it."""

    name: str
    pid: int | None
    state: ProcessState
    endpoint: str | None
    restarts: int = 0
    last_end: str | None = None

    def to_json(self) -> dict[str, object]:
        """Give the contract of `perp-dex status --json` for one process."""
        return {
            "name": self.name,
            "pid": self.pid,
            "state": str(self.state),
            "endpoint": self.endpoint,
            "restarts": self.restarts,
            "last_end": self.last_end,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> Self:
        """Read what `to_json` wrote."""
        pid, restarts = content["pid"], content.get("restarts", 0)
        return cls(
            name=str(content["name"]),
            pid=pid if isinstance(pid, int) else None,
            state=ProcessState(str(content["state"])),
            endpoint=_text(content.get("endpoint")),
            restarts=restarts if isinstance(restarts, int) else 0,
            last_end=_text(content.get("last_end")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StackStatus:
    """The whole stack as `status` shows it; addresses are None while it is stopped."""

    home: str
    phase: Phase
    supervisor_pid: int | None
    durability: Durability
    processes: tuple[ProcessStatus, ...]
    ports: Mapping[str, int]
    api_url: str | None = None
    ws_url: str | None = None
    temporal_ui_url: str | None = None
    sim_control_url: str | None = None
    #: The controls of each venue's simulated exchange; `sim_control_url` is Hyperliquid's.
    sim_control_urls: Mapping[str, str] = field(default_factory=dict)
    #: Why it failed to start, for people.
    failure: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether everything runs and works: not while a process is being started again."""
        working = (ProcessState.READY, ProcessState.EXTERNAL)
        return self.phase is Phase.READY and all(one.state in working for one in self.processes)

    def to_json(self) -> dict[str, object]:
        """Give the contract of `perp-dex status --json`."""
        return {
            "processes": [process.to_json() for process in self.processes],
            "api_url": self.api_url,
            "ws_url": self.ws_url,
            "temporal_ui_url": self.temporal_ui_url,
            "sim_control_url": self.sim_control_url,
            "sim_control_urls": dict(self.sim_control_urls),
            "durability": str(self.durability),
            "home": self.home,
            "phase": str(self.phase),
            "supervisor_pid": self.supervisor_pid,
            "ports": dict(self.ports),
            "failure": self.failure,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> Self:
        """Read what `to_json` wrote; raise `KeyError`, `ValueError` or `TypeError` otherwise."""
        processes, ports, pid = content["processes"], content["ports"], content["supervisor_pid"]
        if not isinstance(processes, list) or not isinstance(ports, dict):
            raise TypeError("expected processes to be a list and ports an object")
        return cls(
            home=str(content["home"]),
            phase=Phase(str(content["phase"])),
            supervisor_pid=pid if isinstance(pid, int) else None,
            durability=Durability(str(content["durability"])),
            processes=tuple(ProcessStatus.from_json(process) for process in processes),
            ports={str(name): int(port) for name, port in ports.items()},
            api_url=_text(content["api_url"]),
            ws_url=_text(content["ws_url"]),
            temporal_ui_url=_text(content["temporal_ui_url"]),
            sim_control_url=_text(content["sim_control_url"]),
            sim_control_urls=_texts(content.get("sim_control_urls")),
            failure=_text(content["failure"]),
        )

    def stopped(self) -> Self:
        """Give the same stack with nothing running."""
        return replace(
            self,
            phase=Phase.STOPPED,
            supervisor_pid=None,
            processes=tuple(
                replace(process, pid=None, state=ProcessState.STOPPED, endpoint=None)
                for process in self.processes
            ),
            api_url=None,
            ws_url=None,
            temporal_ui_url=None,
            sim_control_url=None,
            sim_control_urls={},
        )


def nothing_running() -> tuple[ProcessStatus, ...]:
    """Give the processes of a stack none of which was started."""
    return tuple(
        ProcessStatus(name=name, pid=None, state=ProcessState.STOPPED, endpoint=None)
        for name in process_names()
    )


def write_state(path: Path, status: StackStatus) -> None:
    """Replace the state file atomically."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(status.to_json(), indent=1), encoding="utf-8")
    new.chmod(0o600)
    new.replace(path)


def last_state(paths: StackPaths) -> StackStatus | None:
    """Give what the last supervisor wrote, living or not; None if there was none."""
    try:
        content = paths.state_file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return StackStatus.from_json(json.loads(content))
    except (KeyError, TypeError, ValueError) as error:
        raise StackError(
            f"{paths.state_file}: expected the state of a stack, found something else ({error}); "
            "remove the file if no stack is running"
        ) from error


def read_status(paths: StackPaths) -> StackStatus:
    """Give the present status: the supervisor's word if it lives, else everything stopped."""
    state = last_state(paths)
    holder = lock_holder(paths.lock_file)
    if state is None or (holder is not None and state.supervisor_pid != holder):
        # Nothing yet, or the new supervisor has not written its first state.
        return StackStatus(
            home=str(paths.home),
            phase=Phase.STOPPED if holder is None else Phase.STARTING,
            supervisor_pid=holder or None,
            durability=Durability.POWER,
            processes=nothing_running(),
            ports={},
        )
    return state.stopped() if holder is None else state


def _texts(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError("expected sim_control_urls to be an object")
    return {str(name): str(url) for name, url in value.items()}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
