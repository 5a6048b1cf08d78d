"""One supervised process: start it, watch it, start it again, stop it.

Knows nothing of the other processes, nor of what the process does.
"""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from stack import leash
from stack.errors import ChildFailed, StackError
from stack.logfile import last_lines, open_for_append, rotate_if_large
from stack.paths import StackPaths
from stack.spec import Pace, ProcessSpec, ProcessState
from stack.vitals import Beat
from stack.watch import Watch

#: What our own processes exit with when their settings are wrong; trying again cannot help.
EXIT_CONFIGURATION: Final = 2

_LEASH: Final = (sys.executable, "-I", "-S", str(Path(leash.__file__)))
_LOG_LINES_SHOWN: Final = 20
_KILLED_WAIT_S: Final = 5.0


def leashed(command: tuple[str, ...]) -> tuple[str, ...]:
    """Give the command line that runs `command` and dies with this process."""
    return (*_LEASH, str(os.getpid()), *command)


class SupervisedProcess:
    """Runs one `ProcessSpec` until it is told to stop.

    `changed` is called after each change of what `status` would show, with a line for people.
    """

    def __init__(
        self,
        spec: ProcessSpec,
        *,
        paths: StackPaths,
        pace: Pace,
        changed: Callable[["SupervisedProcess", str], None],
    ) -> None:
        self.spec = spec
        self.state = ProcessState.STOPPED
        self.pid: int | None = None
        self.endpoint = spec.endpoint
        #: Times the process was started again.
        self.restarts = 0
        #: Why it last ended, for people.
        self.last_end: str | None = None
        self._paths = paths
        self._pace = pace
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._decided = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ready_since: float | None = None
        self._ends_in_a_row = 0
        # Where the log of this incarnation begins.
        self._log_start = 0

    def start(self) -> None:
        """Begin to run the process; returns at once."""
        self._stopping.clear()
        self._decided.clear()
        self._task = asyncio.create_task(self._run(), name=f"supervise-{self.spec.name}")

    async def until_ready(self) -> None:
        """Wait for the process to be ready; raise `ChildFailed` when it will not be."""
        await self._decided.wait()
        if self._task is not None and self._task.done():
            await self._task
        if self.state is not ProcessState.READY:
            raise self.failure()

    def failure(self) -> ChildFailed:
        """Describe why the process does not work, with the end of its log."""
        reason = self.last_end or f"not ready, state {self.state}"
        log = self._paths.log_file(self.spec.name)
        lines = last_lines(log, _LOG_LINES_SHOWN, self._log_start)
        return ChildFailed(self.spec.name, reason, lines)

    async def until_broken(self) -> None:
        """Wait for ever, unless the supervision itself breaks; then raise what broke it."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Ask the process to end, wait, kill what is left after its grace; never restarts it."""
        self._stopping.set()
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def kill(self) -> None:
        """Kill the process and everything it started, now."""
        if self._process is not None and self._process.returncode is None:
            self._signal(signal.SIGKILL)

    async def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                if self.state is ProcessState.STOPPED:
                    self._set(ProcessState.STARTING, "starting")
                ended = await self._live()
                if self._stopping.is_set():
                    break
                self._note_end(ended)
                await self._back_off()
                self.restarts += 1
        finally:
            self.kill()
            self.pid = None
            self._set(ProcessState.STOPPED, "stopped")
            self._decided.set()

    async def _live(self) -> str:
        """Start the process and watch it to its end; say how it ended."""
        self._ready_since = None
        if self.spec.heartbeat_file is not None:
            self.spec.heartbeat_file.unlink(missing_ok=True)
        process = await self._spawn()
        self._process, self.pid = process, process.pid
        try:
            return await self._watch(process)
        finally:
            # Also ends what the process may have started and left behind.
            self._signal(signal.SIGKILL)
            await process.wait()
            self._process, self.pid = None, None

    async def _spawn(self) -> asyncio.subprocess.Process:
        log = open_for_append(self._paths.log_file(self.spec.name))
        self._log_start = os.fstat(log).st_size
        try:
            return await asyncio.create_subprocess_exec(
                *leashed(self.spec.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(self.spec.environment),
                # Its own session: a Ctrl-C in the supervisor's terminal is the supervisor's only.
                start_new_session=True,
                umask=0o077,
            )
        finally:
            os.close(log)

    async def _watch(self, process: asyncio.subprocess.Process) -> str:
        watch = Watch(self.spec, process.pid, self._pace)
        rotated_at = time.monotonic()
        while True:
            ready = self.state is ProcessState.READY
            look = self._pace.look_ready_s if ready else self._pace.look_starting_s
            if await self._ended_or_stopped(process, look):
                break
            self._take_in(watch.look_at_file())
            frozen = watch.frozen()
            if frozen is not None:
                return frozen
            if watch.should_ask(ready=ready):
                answer = await watch.ask()
                if answer and not ready:
                    problem = await self._become_ready()
                    if problem is not None:
                        return problem
            if time.monotonic() - rotated_at >= self._pace.rotate_interval_s:
                rotated_at = time.monotonic()
                rotate_if_large(self._paths.log_file(self.spec.name), self._pace.log_size_max_bytes)
        if process.returncode is None:
            await self._end(process)
        return _describe_exit(process.returncode)

    async def _ended_or_stopped(
        self, process: asyncio.subprocess.Process, timeout_s: float
    ) -> bool:
        waits = [
            asyncio.ensure_future(process.wait()),
            asyncio.ensure_future(self._stopping.wait()),
        ]
        try:
            done, _ = await asyncio.wait(
                waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for wait in waits:
                wait.cancel()
        return bool(done)

    def _take_in(self, beat: Beat | None) -> None:
        if beat is None:
            return
        state, endpoint = beat.state, beat.endpoint
        if endpoint is not None and endpoint != self.endpoint:
            self.endpoint = endpoint
            self._changed(self, f"listens on {endpoint}")
        if self.state is ProcessState.READY and state != "ready":
            self._set(ProcessState.RESTARTING, f"says it is {state}")

    async def _become_ready(self) -> str | None:
        """Prepare and announce; give what went wrong, if anything did."""
        if self.spec.prepare is not None:
            try:
                await self.spec.prepare()
            except (StackError, TimeoutError) as error:
                return f"answered, but could not be prepared: {error}"
        self._ready_since = time.monotonic()
        self._set(ProcessState.READY, "ready")
        self._decided.set()
        return None

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Let the process finish within its grace; kill it after."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self.spec.grace_s):
                await process.wait()
        except TimeoutError:
            self.last_end = f"did not stop within {self.spec.grace_s:g} s and was killed"
            self._changed(self, self.last_end)
            self._signal(signal.SIGKILL)
            async with asyncio.timeout(_KILLED_WAIT_S):
                await process.wait()

    def _note_end(self, ended: str) -> None:
        since = self._ready_since
        if since is not None and time.monotonic() - since >= self._pace.stable_after_s:
            self._ends_in_a_row = 0
        self._ends_in_a_row += 1
        self.last_end = ended
        hopeless = ended == _describe_exit(EXIT_CONFIGURATION)
        if hopeless or self._ends_in_a_row >= self._pace.crashes_max:
            self._set(ProcessState.FAILED, f"failed: {ended}")
            self._decided.set()
        else:
            self._set(ProcessState.RESTARTING, f"{ended}; starting it again")

    async def _back_off(self) -> None:
        doubled = self._pace.backoff_first_s * 2.0 ** min(self._ends_in_a_row - 1, 30)
        # Jitter: processes that fell together do not rise together.
        pause = min(doubled, self._pace.backoff_max_s) * random.uniform(0.5, 1.0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._stopping.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _set(self, state: ProcessState, said: str) -> None:
        if state is not self.state:
            self.state = state
            self._changed(self, said)


def _describe_exit(code: int | None) -> str:
    if code is not None and code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
