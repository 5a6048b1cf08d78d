"""Say once a second, from the event loop, that this process is alive and what it is doing.

The supervisor reads the file and kills a process whose heartbeat is five seconds old, so the
file must be written by the loop that does the work: never by a thread of its own.

File format: JSON `{"pid": int, "state": "starting"|"ready"|"draining", "endpoint": str|null}`,
replaced atomically. The file's modification time is the time of the beat.
"""

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

HEARTBEAT_FILE_VARIABLE: Final = "PERP_DEX_HEARTBEAT_FILE"
BEAT_INTERVAL_S: Final = 1.0

_log = logging.getLogger(__name__)


class HeartbeatState(StrEnum):
    """What a process tells its supervisor about itself."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class Heartbeat:
    """The heartbeat file of this process; without a path, every method does nothing."""

    def __init__(self, path: Path | None, *, endpoint: str | None = None) -> None:
        self._path = path
        self._endpoint = endpoint
        self._state = HeartbeatState.STARTING
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def from_environment(
        cls, endpoint: str | None = None, *, environment: Mapping[str, str] | None = None
    ) -> Self:
        """Take the path from PERP_DEX_HEARTBEAT_FILE; unset or empty means no heartbeat."""
        source = os.environ if environment is None else environment
        value = source.get(HEARTBEAT_FILE_VARIABLE, "")
        return cls(Path(value) if value else None, endpoint=endpoint)

    @property
    def state(self) -> HeartbeatState:
        """What was last said."""
        return self._state

    def ready(self, endpoint: str | None = None) -> None:
        """Say that work is being done; `endpoint` where the address is known only now."""
        if endpoint is not None:
            self._endpoint = endpoint
        self._say(HeartbeatState.READY)

    def draining(self) -> None:
        """Say that no new work is taken and what is begun is being finished."""
        self._say(HeartbeatState.DRAINING)

    async def __aenter__(self) -> Self:
        self._beat()
        if self._path is not None:
            self._task = asyncio.create_task(self._beat_forever(), name="heartbeat")
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        if self._path is not None:
            # A file left behind would look like a frozen process.
            self._path.unlink(missing_ok=True)

    def _say(self, state: HeartbeatState) -> None:
        self._state = state
        if self._task is not None:
            self._beat()

    async def _beat_forever(self) -> None:
        while True:
            await asyncio.sleep(BEAT_INTERVAL_S)
            self._beat()

    def _beat(self) -> None:
        if self._path is None:
            return
        content = {"pid": os.getpid(), "state": self._state, "endpoint": self._endpoint}
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        try:
            new.write_text(json.dumps(content), encoding="utf-8")
            new.replace(self._path)
        except OSError as error:
            # Not fatal here: if it lasts, the supervisor sees an old heartbeat and decides.
            _log.error("heartbeat not written to %s: %s", self._path, error)
