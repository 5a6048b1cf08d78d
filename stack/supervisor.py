"""Start a table of processes in order, keep them running, stop them in order.

Works for any table; what the stack of this product consists of is in `table.py`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

from stack.errors import ChildFailed, StackConfigurationError
from stack.paths import StackPaths
from stack.process import SupervisedProcess
from stack.spec import ExternalServer, Pace, ProcessState, StackTable
from stack.state import Phase, ProcessStatus


@dataclass(frozen=True, slots=True)
class Change:
    """Something about the stack changed: which process (None: the whole), in words."""

    name: str | None
    said: str


class Supervisor:
    """Runs one `StackTable`; `changed` is told of every change and must not block."""

    def __init__(
        self,
        table: StackTable,
        *,
        paths: StackPaths,
        pace: Pace,
        changed: Callable[[Change], None],
    ) -> None:
        self.phase = Phase.STARTING
        self._table = table
        self._pace = pace
        self._changed = changed
        self._processes = [
            SupervisedProcess(
                spec,
                paths=paths,
                pace=pace,
                changed=lambda process, said: changed(Change(process.spec.name, said)),
            )
            for spec in table.processes
        ]

    def statuses(self) -> tuple[ProcessStatus, ...]:
        """Give every process in the order of the table."""
        found = {
            process.spec.name: ProcessStatus(
                name=process.spec.name,
                pid=process.pid,
                state=process.state,
                endpoint=process.endpoint,
                restarts=process.restarts,
                last_end=process.last_end,
            )
            for process in self._processes
        }
        for server in self._table.external:
            found[server.name] = ProcessStatus(
                name=server.name, pid=None, state=ProcessState.EXTERNAL, endpoint=server.endpoint
            )
        return tuple(found[name] for name in self._table.order or tuple(found))

    async def run(self, stop: asyncio.Event, *, hurry: asyncio.Event | None = None) -> None:
        """Start everything, keep it running until `stop`, then drain; `hurry` kills at once.

        Raises `ChildFailed` or `StackConfigurationError` if not everything becomes ready; all
        that was started is stopped first. Nothing runs any more when this returns.
        """
        starting = asyncio.create_task(self._start(), name="stack-start")
        stopping = asyncio.create_task(stop.wait(), name="stack-stop")
        try:
            await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                self._enter(Phase.READY, "ready")
                await self._until(stopping)
        finally:
            for task in (starting, stopping):
                task.cancel()
            await asyncio.wait([starting, stopping])
            self._enter(Phase.DRAINING, "stopping")
            await self._drain(hurry or asyncio.Event())
            self._enter(Phase.STOPPED, "stopped")

    async def _start(self) -> None:
        for server in self._table.external:
            await _check_external(server)
        try:
            async with asyncio.timeout(self._pace.start_timeout_s):
                for _stage, members in _stages(self._processes, lambda one: one.spec.start_stage):
                    await self._start_stage(members)
        except TimeoutError:
            late = next(
                process for process in self._processes if process.state is not ProcessState.READY
            )
            failure = late.failure()
            raise ChildFailed(
                late.spec.name,
                f"not ready within {self._pace.start_timeout_s:g} s ({failure.reason}); see its "
                "log, or raise STACK_START_TIMEOUT_S on a slow machine",
                failure.log_lines,
            ) from None

    async def _start_stage(self, members: list[SupervisedProcess]) -> None:
        for process in members:
            process.start()
        waits = [asyncio.create_task(process.until_ready()) for process in members]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_EXCEPTION)
            for wait in done:
                await wait
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _until(self, stopping: asyncio.Task[bool]) -> None:
        """Wait for the stop; a defect in the supervision itself ends the stack, loudly."""
        broken = [asyncio.create_task(process.until_broken()) for process in self._processes]
        try:
            done, _ = await asyncio.wait([stopping, *broken], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await task
        finally:
            for task in broken:
                task.cancel()
            await asyncio.gather(*broken, return_exceptions=True)

    async def _drain(self, hurry: asyncio.Event) -> None:
        async def kill_in_a_hurry() -> None:
            await hurry.wait()
            for process in self._processes:
                process.kill()

        killer = asyncio.create_task(kill_in_a_hurry())
        try:
            for _stage, members in _stages(self._processes, lambda one: one.spec.drain_stage):
                await asyncio.gather(
                    *(process.stop() for process in members), return_exceptions=True
                )
        finally:
            killer.cancel()
            await asyncio.gather(killer, return_exceptions=True)

    def _enter(self, phase: Phase, said: str) -> None:
        self.phase = phase
        self._changed(Change(None, said))


async def _check_external(server: ExternalServer) -> None:
    try:
        answers = await server.probe()
    except (OSError, TimeoutError):
        answers = False
    if not answers:
        raise StackConfigurationError(
            f"{server.setting}: expected a server that answers at {server.endpoint}, found none; "
            f"start it, correct {server.setting}, or unset it to use the embedded one"
        )


def _stages(
    processes: list[SupervisedProcess], stage: "Callable[[SupervisedProcess], int]"
) -> list[tuple[int, list[SupervisedProcess]]]:
    ordered = sorted(processes, key=stage)
    return [(number, list(members)) for number, members in groupby(ordered, key=stage)]
