"""A key file that others may change while a process runs: read again when it has been.

An older version in its place is refused, and the newer one kept in use.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from sealing.errors import SealingError, SecretFileRolledBack

LOOK_EVERY_S = 1.0


class Versioned(Protocol):
    """What a key file holds."""

    @property
    def version(self) -> int:
        """Grows with each change of the file."""
        ...


Held = TypeVar("Held", bound=Versioned)


class Watched(Generic[Held]):
    """What is in a file now; `async with` keeps looking, and `failed` is told once of a trouble."""

    def __init__(
        self,
        path: Path,
        load: Callable[[], Held],
        *,
        failed: Callable[[SealingError], None] = lambda error: None,
    ) -> None:
        self._path = path
        self._load = load
        self._failed = failed
        self._seen = self._stamp()
        self._reading = asyncio.Lock()
        self._following: asyncio.Task[None] | None = None
        self.value = load()

    async def refresh(self) -> Held:
        """Return what is in the file, read again if it was changed.

        Raises:
            SecretFileRolledBack: an older version was put in its place.
            SealingError: it cannot be read; what was read before stays in use.
        """
        async with self._reading:
            stamp = self._stamp()
            if stamp == self._seen:
                return self.value
            # Deriving a key takes a tenth of a second, a keeper over the network longer.
            found = await asyncio.to_thread(self._load)
            if found.version < self.value.version:
                raise SecretFileRolledBack(
                    f"{str(self._path)!r} is of version {found.version}, this process has read "
                    f"version {self.value.version}: an older file was put in its place; put the "
                    "newest back"
                )
            self.value, self._seen = found, stamp
            return found

    async def __aenter__(self) -> Self:
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following

    async def _follow(self) -> None:
        told: Any = None
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.refresh()
                told = None
            except SealingError as error:
                if told != str(error):
                    self._failed(error)
                told = str(error)

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size
