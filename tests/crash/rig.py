"""The rig: every process of the stack as a real process that can be killed, frozen and started."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx2

from stack.paths import StackPaths
from stack.ports import PortChoice, StackPorts, choose_ports, simulator_ports
from stack.settings import StackSettings
from stack.spec import ProcessSpec
from stack.state import Durability
from stack.table import own_command, stack_table
from tests.crash.checkpoints import POINTS_VARIABLE, FileCheckpoints

READY_WITHIN_S = 40.0
ORDER_OF_START = ("temporal", "valkey", "sim-hyperliquid", "worker", "api", "streaming")
HOUSE = "hyperliquid"
"""The venue of rigs that need but one."""
MUTANT_VARIABLE = "CRASH_MUTANT"
WITHOUT_FENCE = "without-fence"
"""A mutant that is none: a worker that knows of no fence has to be as careful as this."""

T = TypeVar("T")


class Rig:
    """A whole stack in one home directory, without a supervisor: the test is the supervisor.

    It serves `venues`, each with its simulated exchange; with `watchdog` there is one, too.
    """

    def __init__(
        self,
        home: Path,
        *,
        venues: Sequence[str] = (HOUSE,),
        watchdog: bool = False,
        mutant: str = "",
        durability: str = "process",
    ) -> None:
        self.home = home
        self.mutant = mutant
        self.venues = tuple(venues)
        self._trading = ("worker", "watchdog") if watchdog else ("worker",)
        self.paths = StackPaths(home)
        self.paths.create()
        served = ",".join(self.venues)
        settings = StackSettings.load(home).model_copy(update={"simulated_venues": served})
        self.ports: StackPorts = choose_ports(settings, PortChoice.AUTO, {})
        table = stack_table(settings, self.ports, self.paths, Durability(durability))
        self._specs = {spec.name: spec for spec in table.processes}
        self._specs["worker-2"] = self._second_worker(self._specs["worker"])
        points = home / "points"
        points.mkdir(exist_ok=True)
        self.points = FileCheckpoints(points)
        self._extra = {
            POINTS_VARIABLE: str(points),
            MUTANT_VARIABLE: mutant,
            "WORKER_VENUES": served,
            "API_VENUES": served,
        }
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def _second_worker(self, spec: ProcessSpec) -> ProcessSpec:
        beat = self.paths.heartbeat_file("worker-2")
        environment = {**spec.environment, "PERP_DEX_HEARTBEAT_FILE": str(beat)}
        return replace(spec, name="worker-2", heartbeat_file=beat, environment=environment)

    @property
    def api_url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.ports.api}"

    @property
    def order_of_start(self) -> tuple[str, ...]:
        """Every process, each after those that it needs."""
        simulators = (f"sim-{venue}" for venue in self.venues)
        return ("temporal", "valkey", *simulators, *self._trading, "api", "streaming")

    @property
    def control_url(self) -> str:
        """Where the control port of the house's simulator is."""
        return self._simulator_url(HOUSE, 1)

    def venue_url(self, venue: str) -> str:
        """Where a venue's simulated exchange is."""
        return self._simulator_url(venue, 0)

    def _simulator_url(self, venue: str, which: int) -> str:
        return f"http://127.0.0.1:{self.ports.as_dict()[simulator_ports(venue)[which]]}"

    @property
    def temporal_address(self) -> str:
        """Where Temporal is."""
        return f"127.0.0.1:{self.ports.temporal}"

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of our own processes."""
        return {**os.environ, **self._specs["worker"].environment, **self._extra}

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._migrate)
        await self.start(*self.order_of_start)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for name in (*reversed(self.order_of_start), *self._children):
            self.resume(name)
            self.kill(name)

    def _migrate(self) -> None:
        subprocess.run(
            own_command("storage.migrate", "upgrade"),
            env=self.environment,
            check=True,
            capture_output=True,
            timeout=60,
        )

    async def start(self, *names: str) -> None:
        """Start processes that do not run, each when those before it are ready."""
        for name in names:
            if not self.is_alive(name):
                self._spawn(self._specs[name])
                await self._until_ready(self._specs[name])

    def _spawn(self, spec: ProcessSpec) -> None:
        command = {
            "worker": own_command("tests.crash.worker_process"),
            "worker-2": own_command("tests.crash.worker_process"),
            "api": own_command("tests.crash.api_process"),
            "streaming": own_command("tests.crash.streaming_process"),
        }.get(spec.name, spec.command)
        if spec.heartbeat_file is not None:
            spec.heartbeat_file.unlink(missing_ok=True)
        environment = dict(spec.environment)
        if spec.heartbeat_file is not None:
            environment |= self._extra
        with self.paths.log_file(spec.name).open("ab") as out:
            self._children[spec.name] = subprocess.Popen(
                command, env=environment, stdout=out, stderr=out, start_new_session=True
            )

    async def _until_ready(self, spec: ProcessSpec) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            child = self._children[spec.name]
            if child.poll() is not None:
                raise AssertionError(
                    f"{spec.name} ended with {child.returncode}:\n{self.log_tail(spec.name)}"
                )
            if await self._is_ready(spec):
                if spec.prepare is not None:
                    await spec.prepare()
                return
            await asyncio.sleep(0.03)
        raise AssertionError(f"{spec.name} is not ready:\n{self.log_tail(spec.name)}")

    async def _is_ready(self, spec: ProcessSpec) -> bool:
        if spec.heartbeat_file is not None:
            try:
                beat = json.loads(spec.heartbeat_file.read_text())
            except (OSError, ValueError):
                return False
            if beat["state"] != "ready" or beat["pid"] != self._children[spec.name].pid:
                return False
        if spec.probe is None:
            return True
        try:
            return await spec.probe()
        except (OSError, TimeoutError):
            return False

    async def become(self, mutant: str) -> None:
        """Go on with a worker that is such a mutant; none is the product's own."""
        self.mutant = self._extra[MUTANT_VARIABLE] = mutant
        self.kill("worker")
        await self.start("worker")

    def is_alive(self, name: str) -> bool:
        """Tell whether a process runs."""
        child = self._children.get(name)
        return child is not None and child.poll() is None

    def pid(self, name: str) -> int:
        """Return a running process's id."""
        return self._children[name].pid

    def kill(self, *names: str) -> None:
        """Kill processes with SIGKILL, all at once, and wait until they are gone."""
        living = [self._children[name] for name in names if self.is_alive(name)]
        for child in living:
            os.killpg(child.pid, signal.SIGKILL)
        for child in living:
            child.wait()

    def freeze(self, name: str) -> None:
        """Stop a process with SIGSTOP."""
        os.killpg(self._children[name].pid, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a frozen process go on."""
        if self.is_alive(name):
            os.killpg(self._children[name].pid, signal.SIGCONT)

    def log_tail(self, name: str, *, lines: int = 40) -> str:
        """Return the end of a process's log."""
        try:
            text = self.paths.log_file(name).read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    async def ledger(self) -> dict[str, Any]:
        """Return the exchange's own truth."""
        return await self.control("GET", "/ledger")

    async def control(
        self, method: str, path: str, body: object = None, *, venue: str = HOUSE
    ) -> dict[str, Any]:
        """Ask the control port of a venue's simulator."""
        url = self._simulator_url(venue, 1)
        async with httpx2.AsyncClient(base_url=url, timeout=10) as client:
            response = await client.request(method, path, json=body)
            response.raise_for_status()
            result: dict[str, Any] = response.json()
            return result


async def eventually(
    look: Callable[[], Awaitable[T]],
    *,
    within_s: float,
    what: str,
    until: Callable[[T], bool] = bool,
) -> T:
    """Look again and again until `until` holds of what was seen; fail with the last sight."""
    deadline = time.monotonic() + within_s
    while True:
        seen = await look()
        if until(seen):
            return seen
        if time.monotonic() >= deadline:
            raise AssertionError(f"expected {what} within {within_s} s, found {seen!r}")
        await asyncio.sleep(0.05)
