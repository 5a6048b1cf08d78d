"""How a process dies: together with its parent, and without leaving its memory on a disk.

Linux only where the kernel is asked (`prctl`); elsewhere the calls do what they can and say so
by their result. Knows nothing of who the parent is.
"""

import ctypes
import os
import resource
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4


def die_with_parent(parent_pid: int | None = None) -> bool:
    """Have the kernel kill this process (SIGKILL) when its parent thread ends.

    With `parent_pid`, a parent that is already gone ends this process here and now: the kernel
    does not report a death that came before the call. Returns whether the kernel was asked.
    """
    if not sys.platform.startswith("linux"):
        return False
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent_pid is not None and os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGKILL)
    return True


def protect_memory() -> bool:
    """Forbid core dumps and inspection by other processes of the same user.

    For processes that hold opened credentials. Returns whether inspection could be forbidden too
    (Linux); core dumps are off in any case.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not sys.platform.startswith("linux"):
        return False
    _prctl(_PR_SET_DUMPABLE, 0)
    return True


def _prctl(option: int, value: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}, {value}): {os.strerror(number)}")
