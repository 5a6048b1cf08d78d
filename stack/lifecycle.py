"""`up`, `down`, `status` and `logs` of the embedded stack, as functions with typed results.

What the command line calls. Knows how the parts of this package play together; prints only
progress, through a callable it is given.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from stack.daemon import Daemon
from stack.errors import StackConfigurationError, StackError
from stack.foreground import run_stack
from stack.lock import already_running, lock_holder
from stack.logfile import LogReader, last_lines
from stack.paths import StackPaths
from stack.ports import PortChoice
from stack.settings import StackSettings
from stack.spec import Pace, ProcessState
from stack.state import Durability, Phase, StackStatus, last_state, process_names, read_status
from stack.table import own_command, with_our_rooms

Progress = Callable[[str], None]

#: The supervisor's own log and that of the database migration are read like the others.
LOG_NAMES: Final = (*process_names(), "supervisor", "migrate")

_LOOK_S: Final = 0.1
# Three drain stages of ten seconds, and what killing takes.
_DOWN_TIMEOUT_S: Final = 45.0
_KILLED_TIMEOUT_S: Final = 5.0
_START_MARGIN_S: Final = 150.0
_LINES_SHOWN: Final = 20

#: What `python -m stack` exits with when the configuration is wrong.
EXIT_CONFIGURATION: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    """How `up` starts the stack; `home` None means PERP_DEX_HOME or its default."""

    detach: bool = False
    ports: PortChoice = PortChoice.FIXED
    durability: Durability = Durability.POWER
    home: Path | None = None
    pace: Pace | None = field(default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DownResult:
    """What `down` found and did."""

    was_running: bool
    #: The supervisor did not stop in time and was killed, its processes with it.
    killed: bool
    status: StackStatus


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log of the process `name`."""

    name: str
    text: str


def to_stderr(line: str) -> None:
    """Show one line of progress to a person."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


async def up(
    options: UpOptions,
    *,
    progress: Progress = to_stderr,
    on_ready: Callable[[StackStatus], None] | None = None,
) -> StackStatus:
    """Start the whole stack.

    Detached, it returns the status as soon as everything is ready, and the stack lives on.
    Otherwise it calls `on_ready`, runs until SIGTERM, SIGINT or SIGHUP (call it from the main
    thread), stops everything in order and returns the final status.

    Raises `StackConfigurationError` (`PortTaken` among them), `StackAlreadyRunning`, or
    `ChildFailed` with the last log lines when a process does not get ready (detached, a plain
    `StackError` with the same text); nothing is left running then.
    """
    settings = StackSettings.load(options.home)
    paths = StackPaths(settings.perp_dex_home)
    paths.create()
    if options.detach:
        status = await _up_detached(options, settings, paths, progress)
        if on_ready is not None:
            on_ready(status)
        return status
    pace = options.pace or Pace(start_timeout_s=settings.stack_start_timeout_s)
    await run_stack(
        settings,
        paths,
        choice=options.ports,
        durability=options.durability,
        pace=pace,
        progress=progress,
        on_ready=on_ready,
    )
    return read_status(paths)


async def down(
    home: Path | None = None,
    *,
    progress: Progress = to_stderr,
    timeout_s: float = _DOWN_TIMEOUT_S,
) -> DownResult:
    """Stop the running stack in order and wait for it; a stack that is not running is fine.

    Raises `StackError` if the supervisor survives even SIGKILL.
    """
    paths = _paths(home)
    holder = lock_holder(paths.lock_file)
    if holder is None:
        return DownResult(was_running=False, killed=False, status=read_status(paths))
    if holder:
        progress(f"stopping the stack (supervisor pid {holder})")
        _send(holder, signal.SIGTERM)
    if await _until_unlocked(paths, timeout_s):
        return DownResult(was_running=True, killed=False, status=read_status(paths))
    holder = lock_holder(paths.lock_file)
    if holder:
        progress(f"not stopped within {timeout_s:g} s; killing supervisor and processes")
        _send(holder, signal.SIGKILL)
    if not await _until_unlocked(paths, _KILLED_TIMEOUT_S):
        raise StackError(
            f"expected the supervisor (pid {holder}) to be gone after SIGKILL, found it holding "
            f"{paths.lock_file}; look at the process with `ps`"
        )
    return DownResult(was_running=True, killed=True, status=read_status(paths))


def status(home: Path | None = None) -> StackStatus:
    """Give the present status; the state file of a dead supervisor reads as stopped."""
    return read_status(_paths(home))


async def logs(
    name: str | None = None,
    *,
    home: Path | None = None,
    lines: int = 100,
    follow: bool = False,
) -> AsyncIterator[LogLine]:
    """Give the last `lines` of one log, or of each, then with `follow` what is added.

    Raises `StackError` for a name that is no log.
    """
    if name is not None and name not in LOG_NAMES:
        raise StackError(f"expected one of {', '.join(LOG_NAMES)}, found {name!r}")
    paths = _paths(home)
    names = (name,) if name is not None else LOG_NAMES
    readers = {one: LogReader(paths.log_file(one)) for one in names}
    for one, reader in readers.items():
        for text in reader.tail(lines):
            yield LogLine(one, text)
    while follow:
        quiet = True
        for one, reader in readers.items():
            for text in reader.added():
                quiet = False
                yield LogLine(one, text)
        if quiet:
            await asyncio.sleep(_LOOK_S)


def _paths(home: Path | None) -> StackPaths:
    return StackPaths(StackSettings.load(home).perp_dex_home)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


async def _until_unlocked(paths: StackPaths, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while lock_holder(paths.lock_file) is not None:
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(_LOOK_S)
    return True


async def _up_detached(
    options: UpOptions, settings: StackSettings, paths: StackPaths, progress: Progress
) -> StackStatus:
    """Start the supervisor as a process of its own and wait until it is ready or gone."""
    holder = lock_holder(paths.lock_file)
    if holder is not None:
        raise already_running(paths, holder)
    command = [
        *own_command("stack"),
        *("--home", str(paths.home)),
        *("--ports", str(options.ports)),
        *("--durability", str(options.durability)),
    ]
    daemon = Daemon(command, with_our_rooms(os.environ), paths.log_file("supervisor"))
    try:
        return await _until_ready(daemon, settings, paths, progress)
    except BaseException:
        # Whoever waited is gone or was told that it failed: nothing may be left running.
        daemon.terminate()
        raise


async def _until_ready(
    daemon: Daemon, settings: StackSettings, paths: StackPaths, progress: Progress
) -> StackStatus:
    deadline = time.monotonic() + settings.stack_start_timeout_s + _START_MARGIN_S
    shown: dict[str, ProcessState] = {}
    while time.monotonic() < deadline:
        found = read_status(paths)
        if found.supervisor_pid == daemon.pid:
            _show_changes(found, shown, progress)
            if found.phase is Phase.READY:
                return found
        code = daemon.exit_code()
        if code is not None:
            raise _failure_of(paths, daemon.pid, code)
        await asyncio.sleep(_LOOK_S)
    raise StackError(
        f"expected the supervisor (pid {daemon.pid}) to report within the start timeout, found "
        f"nothing; see {paths.log_file('supervisor')}"
    )


def _show_changes(found: StackStatus, shown: dict[str, ProcessState], progress: Progress) -> None:
    for process in found.processes:
        if shown.get(process.name, ProcessState.STOPPED) is not process.state:
            shown[process.name] = process.state
            progress(f"{process.name}: {process.state}")


def _failure_of(paths: StackPaths, pid: int, code: int) -> StackError:
    """Turn what the supervisor left behind into the error it died of."""
    state = last_state(paths)
    if state is not None and state.supervisor_pid == pid and state.failure is not None:
        kind = StackConfigurationError if code == EXIT_CONFIGURATION else StackError
        return kind(state.failure)
    lines = last_lines(paths.log_file("supervisor"), _LINES_SHOWN)
    text = "\n".join(lines)
    return StackError(f"the supervisor ended with exit code {code}; its last lines:\n{text}")
