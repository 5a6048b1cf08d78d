"""Checkpoints that stop a process where a test wants to kill or freeze it.

A point is armed by a file; the process that reaches it renames the file and stands still, event
loop and all, until it is killed or the file `<point>.go` appears.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

POINTS_VARIABLE = "CRASH_POINTS_DIR"
LOOK_EVERY_S = 0.005
STAND_STILL_S = 60.0


class FileCheckpoints:
    """Checkpoints armed by files in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @classmethod
    def from_environment(cls) -> FileCheckpoints:
        """Take the directory from CRASH_POINTS_DIR."""
        return cls(Path(os.environ[POINTS_VARIABLE]))

    def reached(self, point: str) -> None:
        """Stand still here if the point is armed."""
        armed = self._directory / f"{point}.armed"
        try:
            armed.rename(self._directory / f"{point}.hit")
        except FileNotFoundError:
            return
        go = self._directory / f"{point}.go"
        deadline = time.monotonic() + STAND_STILL_S
        while not go.exists() and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY_S)

    def arm(self, point: str) -> None:
        """Have the next process that reaches `point` stand still there."""
        for suffix in ("hit", "go"):
            (self._directory / f"{point}.{suffix}").unlink(missing_ok=True)
        (self._directory / f"{point}.armed").touch()

    def is_hit(self, point: str) -> bool:
        """Tell whether a process stands, or stood, at `point`."""
        return (self._directory / f"{point}.hit").exists()

    def go(self, point: str) -> None:
        """Let the process that stands at `point` go on."""
        (self._directory / f"{point}.go").touch()

    def disarm(self) -> None:
        """Forget all points."""
        for path in self._directory.iterdir():
            path.unlink(missing_ok=True)
