"""Exit codes: what a script may conclude from each. `perp-dex help exit-codes` prints this."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What became of a command."""

    DONE = 0
    INTERNAL_ERROR = 1
    USAGE = 2
    NOT_AUTHORIZED = 3
    NOT_FOUND = 4
    REFUSED = 5
    UNKNOWN = 6
    STILL_LIVE = 7
    PARTLY_DONE = 8
    RATE_LIMITED = 9
    UNREACHABLE = 10
    INTERRUPTED = 130
    CLOSED_OUTPUT = 141


MEANINGS = {
    ExitCode.DONE: "done as asked; with --wait-fill: filled",
    ExitCode.INTERNAL_ERROR: "a defect of ours; please report it",
    ExitCode.USAGE: "wrong arguments or input; nothing was sent",
    ExitCode.NOT_AUTHORIZED: "the API token is missing or refused; nothing was sent",
    ExitCode.NOT_FOUND: "no such order, account, market or process",
    ExitCode.REFUSED: "refused by the venue or by us, proven; nothing is open "
    "(with --wait-fill also: ended without a fill)",
    ExitCode.UNKNOWN: "the outcome is not known: it may have happened. Do not send again with "
    "another key; `perp-dex trade show <order_id>` tells",
    ExitCode.STILL_LIVE: "the time was over and the order is still live",
    ExitCode.PARTLY_DONE: "partly done: the order ended partly filled",
    ExitCode.RATE_LIMITED: "too busy; nothing was started, try again later",
    ExitCode.UNREACHABLE: "the API or a part it needs does not answer; nothing was sent",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C; an order that was placed goes on working",
    ExitCode.CLOSED_OUTPUT: "nobody reads the output any more",
}


def explained() -> str:
    """Return the table of exit codes as text."""
    return "\n".join(f"{code.value:>4}  {meaning}" for code, meaning in MEANINGS.items())
