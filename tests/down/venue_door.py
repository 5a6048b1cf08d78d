"""The way to the exchange, of which one half or both can be shut: its REST API, its sockets.

Stands between our processes and a simulator. Tells the two apart by the first line of a connection
and understands nothing else of what passes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum

_CHUNK_BYTES = 64 * 1024


class Half(StrEnum):
    """What a connection is for."""

    REST = "rest"
    SOCKETS = "sockets"


class VenueDoor:
    """Passes connections on to a port of this machine, while their half is open."""

    def __init__(self) -> None:
        self.target_port = 0
        self.port = 0
        self._shut: set[Half] = set()
        self._open: dict[asyncio.StreamWriter, Half] = {}
        self._passing: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def shut(self, *halves: Half) -> None:
        """Cut the connections of these halves, and take no new ones."""
        self._shut.update(halves)
        self._cut(*halves)

    def _cut(self, *halves: Half) -> None:
        for writer, half in list(self._open.items()):
            if half in halves:
                writer.transport.abort()

    async def open(self) -> None:
        """Take connections, of both halves; again on the same port."""
        self._shut.clear()
        if self._server is None:
            self._server = await asyncio.start_server(self._take, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def wall_up(self) -> None:
        """Refuse every connection, as a machine does on which nothing listens."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._cut(*Half)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._pass(reader, writer))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def close(self) -> None:
        """Cut everything and wait until it is gone."""
        self.wall_up()
        for task in self._passing:
            task.cancel()
        if self._passing:
            await asyncio.wait(self._passing)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first = await reader.readline()
            half = Half.SOCKETS if first.startswith(b"GET /ws") else Half.REST
            if not first or half in self._shut:
                return
            self._open[writer] = half
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
            far_writer.write(first)
            forth = asyncio.create_task(_pass_on(reader, far_writer))
            back = asyncio.create_task(_pass_on(far_reader, writer))
            try:
                await asyncio.wait([forth, back], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task, end in ((forth, far_writer), (back, writer)):
                    task.cancel()
                    end.transport.abort()
        except OSError:
            # One of the two ends is gone; so is the other now.
            pass
        finally:
            self._open.pop(writer, None)
            writer.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()


@asynccontextmanager
async def venue_door() -> AsyncIterator[VenueDoor]:
    """Give an open door on a port of its own; set its `target_port` before it is used."""
    door = VenueDoor()
    await door.open()
    try:
        yield door
    finally:
        await door.close()
