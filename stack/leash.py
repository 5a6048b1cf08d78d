"""Become another program that dies with the supervisor: `leash.py <supervisor pid> <program> …`.

Run as a script by an isolated interpreter, so it imports the standard library only. A separate
program instead of a hook between fork and exec, because such hooks are not safe beside threads.
"""

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
EXIT_CANNOT_START = 127


def main() -> None:
    """Tie this process to its parent, undo what Python changed, and execute the program."""
    supervisor, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    # The supervisor may have died before the kernel was asked; it does not report that.
    if os.getppid() != supervisor:
        sys.exit(EXIT_CANNOT_START)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Python ignores these two, and an ignored signal stays ignored through exec.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(program[0], program)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.stderr.write(f"cannot start {program[0]!r}: {error.strerror}\n")
        sys.exit(EXIT_CANNOT_START)


if __name__ == "__main__":
    main()
