"""Build tables of tiny real processes, and wait for what they do."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from stack.paths import StackPaths
from stack.spec import Pace, ProcessSpec, ProcessState, StackTable
from stack.supervisor import Change, Supervisor

CHILD = Path(__file__).with_name("child_program.py")

#: As the real one, with shorter waits.
QUICK = Pace(
    look_ready_s=0.05,
    backoff_first_s=0.05,
    backoff_max_s=0.2,
    crashes_max=3,
    start_timeout_s=30.0,
    probe_interval_s=0.1,
    rotate_interval_s=0.1,
)


def child(paths: StackPaths, name: str, *habits: str, **changes: Any) -> ProcessSpec:
    """Describe one tiny process with a heartbeat."""
    heartbeat = paths.heartbeat_file(name)
    values: dict[str, Any] = {
        "name": name,
        "command": (sys.executable, "-I", "-S", str(CHILD), str(paths.home), name, *habits),
        "environment": {"PERP_DEX_HEARTBEAT_FILE": str(heartbeat), "PATH": os.environ["PATH"]},
        "heartbeat_file": heartbeat,
        "grace_s": 10.0,
        **changes,
    }
    return ProcessSpec(**values)


async def eventually(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Wait until `condition` holds, or fail saying `what` did not happen."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"did not happen in time: {what}"
        await asyncio.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Say whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def events_of(paths: StackPaths) -> list[str]:
    """Give what the processes noted, without pids."""
    path = paths.home / "events"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [" ".join(line.split()[:2]) for line in lines]


def pids_of(paths: StackPaths) -> list[int]:
    """Give every pid that was noted."""
    lines = (paths.home / "events").read_text(encoding="utf-8").splitlines()
    return [int(line.split()[2]) for line in lines if len(line.split()) > 2]


@dataclass
class Running:
    """A supervisor at work in this process."""

    supervisor: Supervisor
    task: asyncio.Task[None]
    stop: asyncio.Event
    hurry: asyncio.Event
    changes: list[Change] = field(default_factory=list)

    def state_of(self, name: str) -> ProcessState:
        return next(one.state for one in self.supervisor.statuses() if one.name == name)

    def pid_of(self, name: str) -> int | None:
        return next(one.pid for one in self.supervisor.statuses() if one.name == name)

    def said_of(self, name: str | None) -> list[str]:
        return [change.said for change in self.changes if change.name == name]

    async def until_ready(self) -> None:
        """Wait for all to be ready; raise what made the start fail."""
        await eventually(
            lambda: self.task.done() or "ready" in self.said_of(None), "everything ready"
        )
        if self.task.done():
            await self.task

    async def end(self) -> None:
        """Stop and wait."""
        self.stop.set()
        async with asyncio.timeout(60):
            await self.task


def supervise(paths: StackPaths, *specs: ProcessSpec, pace: Pace = QUICK, **more: Any) -> Running:
    """Run a table in this process."""
    changes: list[Change] = []
    table = StackTable(processes=specs, **more)
    supervisor = Supervisor(table, paths=paths, pace=pace, changed=changes.append)
    stop, hurry = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(supervisor.run(stop, hurry=hurry))
    return Running(supervisor, task, stop, hurry, changes)
