"""The last nonces taken without the database, in a file that all processes of a home share.

With the database away two processes may sign for one signer at the same moment: a worker, and an
operator's emergency command. Knows no database.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from domain.errors import CorruptState, Unavailable

_FILE_MODE = 0o600
_DIRECTORY_MODE = 0o700


class FileSharedNonces:
    """Implements `activities.emergency_journal.SharedNonces` in a directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "nonces.json"

    def take(self, signer: str, at_least: int) -> int:
        """Return a nonce that nobody has taken from here; see the port.

        Raises:
            CorruptState: the file holds something else.
            Unavailable: it can be neither read nor written.
        """
        try:
            return self._take(signer, at_least)
        except OSError as error:
            raise Unavailable(f"the nonces in {self._path} cannot be written: {error}") from error

    def _take(self, signer: str, at_least: int) -> int:
        self._path.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(self._path, flags, _FILE_MODE), "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            last = self._read(file.read())
            taken = max(at_least, last.get(signer, 0) + 1)
            content = json.dumps(last | {signer: taken}).encode()
            # Whole in one write: a shorter one never follows, since numbers only grow.
            os.pwrite(file.fileno(), content, 0)
        return taken

    def _read(self, content: bytes) -> dict[str, int]:
        if not content:
            return {}
        try:
            last = json.loads(content)
            if not isinstance(last, dict) or any(type(n) is not int for n in last.values()):
                raise ValueError("no numbers by signer")
        except ValueError as error:
            raise CorruptState(
                f"expected the last nonces in {self._path}, {error}; move the file away: the next "
                "nonces are taken from the clock then"
            ) from error
        return last
