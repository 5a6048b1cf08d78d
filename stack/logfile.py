"""Log files of the processes: bounded in size, read by `perp-dex logs`.

Processes write to their file themselves, so that a stalled supervisor never blocks a worker on a
full pipe. The file is therefore bounded by copying and truncating; lines written between the two
are lost, which a log can bear.
"""

import os
import re
import shutil
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final

SIZE_MAX_BYTES: Final = 10 * 1024 * 1024
_PART_BYTES_MAX: Final = 1024 * 1024

# Programs that are not ours write what they like; a log line must not steer the terminal.
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def open_for_append(path: Path) -> int:
    """Open a log for a process to write to and give the descriptor, which the caller closes."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def rotate_if_large(path: Path, size_max_bytes: int = SIZE_MAX_BYTES) -> bool:
    """Keep one former part as `<name>.log.1` and empty the file when it is too large."""
    if not path.is_file() or path.stat().st_size <= size_max_bytes:
        return False
    former = path.with_name(f"{path.name}.1")
    shutil.copyfile(path, former)
    former.chmod(0o600)
    os.truncate(path, 0)
    return True


def append_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines of the supervisor's own to a log."""
    rotate_if_large(path)
    with os.fdopen(open_for_append(path), "w", encoding="utf-8") as log:
        log.writelines(f"{line}\n" for line in lines)


def last_lines(path: Path, count: int, start: int = 0) -> tuple[str, ...]:
    """Give the last `count` lines; none for a file that does not exist yet.

    `start` is a former size of the file: only what was written since is given.
    """
    return LogReader(path).tail(count, start)


class LogReader:
    """Reads one log: first its tail, then what is added, through rotations."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._rest = ""

    def tail(self, count: int, start: int = 0) -> tuple[str, ...]:
        """Give the last `count` lines; what comes later is left to `added`."""
        if not self._path.is_file():
            return ()
        with self._path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            # Smaller than at the start: it was rotated meanwhile.
            stream.seek(max(start if start <= size else 0, size - _PART_BYTES_MAX))
            content = stream.read()
            self._position = stream.tell()
        lines = content.decode("utf-8", errors="replace").splitlines()
        return tuple(printable(line) for line in deque(lines, maxlen=max(count, 0)))

    def added(self) -> tuple[str, ...]:
        """Give the whole lines added since the last call."""
        size = self._path.stat().st_size if self._path.is_file() else 0
        if size < self._position:
            # Truncated by a rotation; the start of a cut line would be joined to a stranger.
            self._position, self._rest = 0, ""
        if size == self._position:
            return ()
        with self._path.open("rb") as stream:
            stream.seek(self._position)
            content = stream.read(_PART_BYTES_MAX)
        self._position += len(content)
        *lines, self._rest = (self._rest + content.decode("utf-8", errors="replace")).split("\n")
        return tuple(printable(line) for line in lines)


def printable(line: str) -> str:
    """Replace control characters, so that a line cannot steer the terminal that shows it."""
    return _CONTROLS.sub("�", line.rstrip("\r"))
