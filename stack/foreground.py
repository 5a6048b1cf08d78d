"""Run the stack in this process: lock, ports, migration, supervision, state file, signals."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from stack.errors import StackError
from stack.lock import supervisor_lock
from stack.logfile import append_lines
from stack.migration import prepare_database
from stack.paths import StackPaths
from stack.ports import PortChoice, StackPorts, choose_ports, needed_ports
from stack.settings import StackSettings
from stack.spec import Pace, StackTable
from stack.state import (
    Durability,
    Phase,
    ProcessStatus,
    StackStatus,
    last_state,
    nothing_running,
    write_state,
)
from stack.supervisor import Change, Supervisor
from stack.table import control_urls, in_url, loopback_of, stack_table, temporal_ui_url

TableBuilder = Callable[[StackSettings, StackPorts, StackPaths, Durability], StackTable]
DatabasePreparation = Callable[[StackSettings, StackPorts, StackPaths, Durability], Awaitable[None]]

_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


async def run_stack(
    settings: StackSettings,
    paths: StackPaths,
    *,
    choice: PortChoice,
    durability: Durability,
    pace: Pace,
    progress: Callable[[str], None],
    on_ready: Callable[[StackStatus], None] | None = None,
    build_table: TableBuilder = stack_table,
    prepare: DatabasePreparation = prepare_database,
) -> None:
    """Run the stack until a stop signal; everything is stopped when this returns or raises.

    The first signal drains, a second one kills. Raises `StackError` as `lifecycle.up` says.
    """
    with supervisor_lock(paths.lock_file):
        board = _Board(settings, paths, durability, progress)
        try:
            with _signals() as (stop, hurry):
                ports = choose_ports(settings, choice, board.previous_ports)
                board.ports = ports
                board.publish()
                board.note(Change("migrate", "bringing the database up to date"))
                await prepare(settings, ports, paths, durability)
                table = build_table(settings, ports, paths, durability)

                def changed(change: Change) -> None:
                    board.note(change)
                    board.publish(supervisor.phase, supervisor.statuses())
                    became_ready = change.name is None and supervisor.phase is Phase.READY
                    if became_ready and on_ready is not None:
                        on_ready(board.status)

                supervisor = Supervisor(table, paths=paths, pace=pace, changed=changed)
                await supervisor.run(stop, hurry=hurry)
        except StackError as error:
            board.fail(error)
            raise


class _Board:
    """The one place that writes the state file and the supervisor's own log."""

    def __init__(
        self,
        settings: StackSettings,
        paths: StackPaths,
        durability: Durability,
        progress: Callable[[str], None],
    ) -> None:
        self.ports: StackPorts | None = None
        self._settings = settings
        self._paths = paths
        self._durability = durability
        self._progress = progress
        former = last_state(paths)
        self.previous_ports = dict(former.ports) if former is not None else {}
        self.status = self._compose(Phase.STARTING, (), None)

    def publish(
        self, phase: Phase = Phase.STARTING, processes: tuple[ProcessStatus, ...] = ()
    ) -> None:
        """Write the present state for `status` to read."""
        self.status = self._compose(phase, processes, None)
        write_state(self._paths.state_file, self.status)

    def fail(self, error: StackError) -> None:
        """Leave behind why the stack did not start, for whoever started it detached."""
        self.status = self._compose(Phase.FAILED, self.status.processes, str(error))
        write_state(self._paths.state_file, self.status)
        self.note(Change(None, f"failed: {error}"))

    def note(self, change: Change) -> None:
        """Say one thing to the person watching and keep it in the log."""
        line = f"{change.name or 'stack'}: {change.said}"
        self._progress(line)
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        append_lines(self._paths.log_file("supervisor"), [f"{stamp} {line}"])

    def _compose(
        self, phase: Phase, processes: tuple[ProcessStatus, ...], failure: str | None
    ) -> StackStatus:
        ports, settings = self.ports, self._settings
        needed = needed_ports(settings)
        urls: dict[str, str | None] = {}
        controls: dict[str, str] = {}
        if ports is not None:
            urls["api_url"] = f"http://{in_url(loopback_of(settings.api_host))}:{ports.api}"
            urls["ws_url"] = (
                f"ws://{in_url(loopback_of(settings.streaming_host))}:{ports.streaming}"
            )
            controls = control_urls(settings, ports)
            urls["sim_control_url"] = controls.get("hyperliquid")
            urls["temporal_ui_url"] = temporal_ui_url(settings, ports)
        taken = ports.as_dict() if ports is not None else self.previous_ports
        return StackStatus(
            home=str(self._paths.home),
            phase=phase,
            supervisor_pid=os.getpid(),
            durability=self._durability,
            processes=processes or nothing_running(),
            ports={name: port for name, port in taken.items() if name in needed},
            failure=failure,
            sim_control_urls=controls,
            **urls,
        )


@contextmanager
def _signals() -> Iterator[tuple[asyncio.Event, asyncio.Event]]:
    """Give the events of the first stop signal and of the second."""
    loop = asyncio.get_running_loop()
    stop, hurry = asyncio.Event(), asyncio.Event()

    def signaled() -> None:
        if stop.is_set():
            hurry.set()
        stop.set()

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, signaled)
    try:
        yield stop, hurry
    finally:
        for number in _STOP_SIGNALS:
            loop.remove_signal_handler(number)
