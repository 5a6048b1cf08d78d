"""How many files this process may have open: every client's connection is one."""

from __future__ import annotations

import resource


def raise_open_files() -> int:
    """Raise the soft limit of open files to the hard one, as every process may; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):
        # A hard limit of "unlimited" can be more than the kernel gives.
        return soft
    return hard
