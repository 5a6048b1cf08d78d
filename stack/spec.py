"""What the supervisor must know of one process: how to start it, how to tell that it works.

Data only. The table of the real stack is built in `table.py`; tests build tables of their own.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

#: Answers whether the process can do its work now. May raise `OSError` or `TimeoutError`: no.
Probe = Callable[[], Awaitable[bool]]

#: Done once each time the process answers, before it counts as ready. Raises `StackError`.
Preparation = Callable[[], Awaitable[None]]


class ProcessState(StrEnum):
    """What `status` says of a process."""

    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPED = "stopped"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """One process of the stack."""

    name: str
    #: Program (absolute path) and arguments; never a secret among them.
    command: tuple[str, ...]
    environment: Mapping[str, str]
    endpoint: str | None = None
    #: Stages are started in ascending order, each when the one before is ready.
    start_stage: int = 0
    #: Stages are stopped in ascending order.
    drain_stage: int = 0
    #: How long it may take to stop after SIGTERM before it is killed.
    grace_s: float = 10.0
    #: With a heartbeat file, readiness and life are read from it (and readiness from `probe` too).
    heartbeat_file: Path | None = None
    probe: Probe | None = None
    prepare: Preparation | None = None
    #: A process without a sign of life for so long is frozen and is killed.
    frozen_after_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalServer:
    """A server of the user's, used instead of an embedded one; `probe` must answer before start."""

    name: str
    endpoint: str
    setting: str
    probe: Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class StackTable:
    """Everything that runs in one stack; `order` is the order in which it is shown."""

    processes: tuple[ProcessSpec, ...]
    external: tuple[ExternalServer, ...] = ()
    order: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often the supervisor looks, how it restarts, how much it keeps."""

    look_starting_s: float = 0.05
    look_ready_s: float = 0.25
    #: Pause between two probes of a ready process that has no heartbeat file.
    probe_interval_s: float = 1.0
    backoff_first_s: float = 0.2
    backoff_max_s: float = 10.0
    #: A process that was ready for so long starts again with the first backoff.
    stable_after_s: float = 30.0
    #: So many ends in a row without becoming stable are `failed` (and still retried once up).
    crashes_max: int = 4
    start_timeout_s: float = 90.0
    #: A process that is still starting may be silent for so long: it imports and warms up, holds
    #: no work that a frozen process could finish late, and a slow machine must not kill it.
    starting_silence_max_s: float = 30.0
    rotate_interval_s: float = 2.0
    log_size_max_bytes: int = 10 * 1024 * 1024
