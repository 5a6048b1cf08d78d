"""Timeouts, retries and pauses of all workflows, in one place. Constants: they replay."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from temporalio.common import RetryPolicy

from domain.errors import CorruptState

TASK_TIMEOUT = timedelta(seconds=3)

COMMAND_TIMEOUT = timedelta(seconds=5)
"""Longest life of a placing or cancelling activity; the venue call in it has 2 s."""

LOOK_TIMEOUT = timedelta(seconds=30)
LOOK_HEARTBEAT = timedelta(seconds=10)

ONCE = RetryPolicy(maximum_attempts=1)
"""For what talks to a venue on an order's behalf: the workflow decides about another attempt."""

PATIENT = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=10),
)
"""For what only reads and writes our own store."""

ADOPTING = replace(PATIENT, non_retryable_error_types=[CorruptState.__name__])
"""As PATIENT; but where the ledger knows nothing, asking again brings nothing."""

TELL_AGAIN = timedelta(seconds=10)
"""After so long it is tried again to write into a timeline, when storage was away."""

SETTLE_PAUSE = timedelta(seconds=1)
"""Between an order's end and its workflow's: late reports are collected meanwhile."""

BRACKET_LOOK_EVERY = timedelta(minutes=2)
"""How often a bracket looks although it heard nothing: a signal may be lost."""

SPLIT_LOOK_EVERY = timedelta(minutes=5)
SPLIT_LOOK_FOR_END = timedelta(seconds=20)
"""How often a split order looks although it heard nothing, and while its end is wanted."""

CLOSING_ORDER_WITHIN = timedelta(seconds=15)
"""A closing order not sent by then is never sent; the close looks again."""

HALT_FIRST_PAUSE = timedelta(milliseconds=600)
HALT_LONGEST_PAUSE = timedelta(seconds=5)
"""Between two looks of the kill switch; each costs some of the venue's budget of queries."""

HALT_ASK_AGAIN = timedelta(seconds=5)
"""After so long an order that is still open is asked anew to be canceled."""

HALT_LISTEN = timedelta(seconds=20)
"""After so long of silence the kill switch asks after an account that it stops."""

HALT_ATTENTION_AFTER = timedelta(seconds=60)
"""How long stopping an account may take before it asks for an operator; it goes on trying."""

GUARD_HELD_UP = timedelta(seconds=2)
"""How long a guard waits for another close of its position before it looks again."""

FIRST_PAUSE = timedelta(milliseconds=250)
LONGEST_PAUSE = timedelta(seconds=5)
JITTER = 0.2

ATTENTION_AFTER = timedelta(seconds=30)
"""How long a command may stay unresolved before the order asks for an operator."""


def pause(attempts: int, jitter: float) -> timedelta:
    """Return the pause before the next attempt after `attempts` fruitless ones.

    Doubles from 250 ms to 5 s; `jitter` in [0, 1) spreads it by up to 20 %.
    """
    length = min(FIRST_PAUSE * float(1 << min(attempts, 10)), LONGEST_PAUSE)
    return length * (1 + JITTER * jitter)


def halt_pause(attempts: int, jitter: float) -> timedelta:
    """Return the pause between two looks of the kill switch, doubling as `pause` does."""
    length = min(HALT_FIRST_PAUSE * float(1 << min(attempts, 10)), HALT_LONGEST_PAUSE)
    return length * (1 + JITTER * jitter)


def describe() -> str:
    """Return the retry policy in one line, for an order's details."""
    return (
        f"provably unsent commands are tried again after {FIRST_PAUSE.total_seconds():g} s, "
        f"doubling to {LONGEST_PAUSE.total_seconds():g} s, until place_by"
    )
