"""The switches that the watchdog keeps, in a file: what it goes by while the database is away.

Knows no database.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from domain.dead_man import DeadManSwitch
from domain.errors import CorruptState, Unavailable
from storage.codec import Codec

_FILE_MODE = 0o600
_DIRECTORY_MODE = 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    switches: tuple[DeadManSwitch, ...]


_kept = Codec(_Kept)


class WatchedFile:
    """The file `journal/dead-man.json` in a home directory."""

    def __init__(self, home: Path) -> None:
        self._path = home / "journal" / "dead-man.json"
        self._written: tuple[DeadManSwitch, ...] | None = None

    def read(self) -> tuple[DeadManSwitch, ...]:
        """Return what was written last; nothing if that is nothing or cannot be read.

        The database is asked next, and what it says is written over it.
        """
        try:
            self._written = _kept.decode(self._path.read_text()).switches
        except FileNotFoundError:
            self._written = ()
        except (OSError, UnicodeDecodeError, CorruptState):
            return ()
        return self._written

    def write(self, switches: tuple[DeadManSwitch, ...]) -> None:
        """Write the switches, whole, when they have changed.

        Raises:
            Unavailable: the file cannot be written.
        """
        if switches == self._written:
            return
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._path.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            with os.fdopen(os.open(beside, flags, _FILE_MODE), "wb") as file:
                file.write(_kept.encode(_Kept(switches=switches)).encode())
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be written: {error}") from error
        self._written = switches
