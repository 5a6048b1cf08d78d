"""Start the supervisor as a process of its own that outlives its starter.

Spawned without a `Popen` object, which would complain about a child that is meant to live on.
"""

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack.logfile import open_for_append


class Daemon:
    """A process in a session of its own, its output in a log file."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        descriptor = open_for_append(log)
        try:
            self.pid = os.posix_spawn(
                command[0],
                list(command),
                dict(environment),
                setsid=True,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, descriptor, 1),
                    (os.POSIX_SPAWN_DUP2, descriptor, 2),
                ],
            )
        finally:
            os.close(descriptor)
        self._exit_code: int | None = None

    def exit_code(self) -> int | None:
        """Give the exit code if it ended, negative for a signal, else None."""
        if self._exit_code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid == self.pid:
                self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code

    def terminate(self) -> None:
        """Ask it to stop, if it still runs."""
        if self.exit_code() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
