"""Signs of life: how long a process has been silent, whatever the wall clock does.

Silence is counted in the supervisor's own looks, each worth two and a half seconds at most. A
laptop that slept, a clock that was set or a supervisor that was itself stopped kill nobody.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# More than a probe may take, so that a server that does not answer is not counted short.
_LOOK_WORTH_MAX_S: Final = 2.5


@dataclass(frozen=True, slots=True)
class Beat:
    """What a process last wrote into its heartbeat file."""

    state: str
    endpoint: str | None


class Silence:
    """Counts the seconds since the last sign of life."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def grow(self, elapsed_s: float) -> None:
        """Count the time since the last look."""
        self.seconds += min(elapsed_s, _LOOK_WORTH_MAX_S)

    def end(self) -> None:
        """Note a sign of life."""
        self.seconds = 0.0


class HeartbeatReader:
    """Reads one heartbeat file; beats of a process with another pid are not this one's."""

    def __init__(self, path: Path, pid: int) -> None:
        self._path = path
        self._pid = pid
        self._seen: tuple[int, int] | None = None

    def new_beat(self) -> Beat | None:
        """Give the beat if the file was rewritten since the last call, else None."""
        try:
            stat = self._path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns)
            if seen == self._seen:
                return None
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            # Not written yet, or being removed by a process that ends.
            return None
        if not isinstance(content, dict) or content.get("pid") != self._pid:
            return None
        self._seen = seen
        endpoint = content.get("endpoint")
        return Beat(str(content.get("state")), endpoint if isinstance(endpoint, str) else None)
