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

    def shut(self, *halves: Half) -> None:
        """Cut the connections of these halves, and take no new ones."""
        self._shut.update(halves)
        for writer, half in list(self._open.items()):
            if half in halves:
                writer.transport.abort()

    def open(self) -> None:
        """Take connections again."""
        self._shut.clear()

    def count(self, half: Half) -> int:
        """Return how many connections of a half there are."""
        return sum(each is half for each in self._open.values())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on to its end."""
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
            await asyncio.wait([forth, back], return_when=asyncio.FIRST_COMPLETED)
            for task, end in ((forth, far_writer), (back, writer)):
                task.cancel()
                end.transport.abort()
            await asyncio.wait([forth, back])
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
    server = await asyncio.start_server(door.serve, "127.0.0.1", 0)
    door.port = server.sockets[0].getsockname()[1]
    try:
        yield door
    finally:
        server.close()
        door.shut(*Half)
