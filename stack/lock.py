"""One supervisor per home: a file lock that ends with the process that holds it.

A pid in a file can be stale or reused; a held lock cannot. The pid beside it is for people and
for `down`.
"""

import fcntl
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stack.errors import StackAlreadyRunning
from stack.paths import StackPaths

if TYPE_CHECKING:
    from collections.abc import Iterator

# Long enough for a `status` that looks at the same moment.
_PATIENCE_S: Final = 0.5
_RETRY_S: Final = 0.02


@contextmanager
def supervisor_lock(path: Path) -> "Iterator[None]":
    """Hold the lock of a home; raise `StackAlreadyRunning` when another supervisor does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _acquire(descriptor):
            raise already_running(StackPaths(path.parent.parent), _pid_in(descriptor))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)


def lock_holder(path: Path) -> int | None:
    """Give the pid of the living supervisor of a home, None if there is none, 0 if not known."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _pid_in(descriptor)
        return None
    finally:
        os.close(descriptor)


def already_running(paths: StackPaths, holder: int) -> StackAlreadyRunning:
    """Say that `holder` supervises this home already."""
    return StackAlreadyRunning(
        f"expected no running stack in {paths.home}, found one with supervisor pid "
        f"{holder or 'not known yet'}; use `perp-dex status` or `perp-dex down`, or another "
        "PERP_DEX_HOME"
    )


def _pid_in(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0).decode("ascii", errors="replace").strip()
    # Empty between taking the lock and writing the pid.
    return int(text) if text.isdigit() else 0


def _acquire(descriptor: int) -> bool:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_RETRY_S)
        else:
            return True
