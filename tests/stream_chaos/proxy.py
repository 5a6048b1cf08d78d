"""A proxy between a WebSocket client and its server that makes weather. HTTP passes untouched.

Each connection and direction draws from a source of its own, named by seed, proxy, number of the
connection and direction: what happens to a message does not depend on what others do. Knows
nothing of what is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Coroutine
from typing import Any, Final

from tests.stream_chaos.frames import Frame, FrameCutter, text_frame
from tests.stream_chaos.weather import CALM, Cut, Fate, Weather

_HEAD_MAX: Final = 64 * 1024
_CHUNK: Final = 64 * 1024
_END_OF_HEAD: Final = b"\r\n\r\n"


class FaultProxy:
    """Listens on a port of its own and forwards to another of this machine."""

    def __init__(self, name: str, upstream_port: int, seed: int) -> None:
        self.name = name
        self.weather: Weather = CALM
        #: Whether what clients say passes whatever the weather.
        self.spare_up = False
        #: What happened: fates of messages, kinds of cuts, `connections`.
        self.counts: Counter[str] = Counter()
        self.port = 0
        self._upstream_port = upstream_port
        self._seed = seed
        self._source = random.Random(f"{seed}/{name}")
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def open_sockets(self) -> int:
        """How many WebSocket connections stand."""
        return len(self._connections)

    async def start(self) -> int:
        """Listen; return the port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_HEAD_MAX)
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._keep(asyncio.create_task(self._cut_regularly(), name=f"{self.name} cuts"))
        return self.port

    async def stop(self) -> None:
        """Refuse new connections and break those there are."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut_all(self, how: Cut | None = None) -> None:
        """Cut every WebSocket connection, each in a drawn way unless `how` is given."""
        for connection in tuple(self._connections):
            # What is mute already is broken at last.
            drawn = how or (Cut.ABORT if connection.muted else self._source.choice(list(Cut)))
            self.counts[drawn.value] += 1
            connection.cut(drawn)

    async def _cut_regularly(self) -> None:
        while True:
            every_s = self.weather.cut_every_s
            if every_s is None:
                await asyncio.sleep(0.05)
                continue
            await asyncio.sleep(every_s * self._source.uniform(0.8, 1.2))
            if self.weather.cut_every_s is not None:
                self.cut_all()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._keep(asyncio.create_task(self._serve(reader, writer), name=f"{self.name} proxy"))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(_END_OF_HEAD)
            answers, server = await asyncio.open_connection(
                "127.0.0.1", self._upstream_port, limit=_HEAD_MAX
            )
        except (OSError, asyncio.IncompleteReadError):
            writer.transport.abort()
            return
        try:
            server.write(head)
            if b"\r\nupgrade: websocket\r\n" in head.lower():
                await self._serve_socket(reader, writer, answers, server)
            else:
                await _both(_pour(reader, server), _pour(answers, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()
            server.transport.abort()

    async def _serve_socket(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        server: asyncio.StreamWriter,
    ) -> None:
        writer.write(await answers.readuntil(_END_OF_HEAD))
        self.counts["connections"] += 1
        connection = _Connection(self, self.counts["connections"], writer, server)
        self._connections.add(connection)
        try:
            await _both(
                connection.carry(reader, server, "up"), connection.carry(answers, writer, "down")
            )
        finally:
            self._connections.discard(connection)

    def source(self, number: int, direction: str) -> random.Random:
        """Return what one direction of one connection draws from."""
        return random.Random(f"{self._seed}/{self.name}/{number}/{direction}")


class _Connection:
    """One WebSocket connection, both ways."""

    def __init__(
        self,
        proxy: FaultProxy,
        number: int,
        client: asyncio.StreamWriter,
        server: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._number = number
        self._client = client
        self._server = server
        self.muted = False

    def cut(self, how: Cut) -> None:
        """End the connection."""
        match how:
            case Cut.ABORT:
                self._client.transport.abort()
                self._server.transport.abort()
            case Cut.CLOSE:
                self._client.close()
                self._server.close()
            case Cut.HALF_CLOSE:
                # The client is told that no more will come; it is for it to end the connection.
                self.muted = True
                with contextlib.suppress(OSError):
                    self._client.write_eof()
            case Cut.MUTE:
                self.muted = True

    async def carry(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, direction: str
    ) -> None:
        """Carry one direction until its source ends."""
        cutter, drawn_from = FrameCutter(), self._proxy.source(self._number, direction)
        held: Frame | None = None
        while data := await source.read(_CHUNK):
            for frame in cutter.feed(data):
                if self.muted:
                    self._proxy.counts["muted"] += 1
                elif not frame.is_message or (frame.masked and self._proxy.spare_up):
                    target.write(frame.data)
                else:
                    held = await self._message(frame, held, target, drawn_from)
            await target.drain()

    async def _message(
        self,
        frame: Frame,
        held: Frame | None,
        target: asyncio.StreamWriter,
        source: random.Random,
    ) -> Frame | None:
        """Let a message meet its fate; return what is held from now on."""
        weather = self._proxy.weather
        fate = weather.fate(source)
        if fate is Fate.GARBLE and frame.masked:
            # What a client says cannot be cut short without its key; it is lost instead.
            fate = Fate.DROP
        self._proxy.counts[fate.value] += 1
        if fate is Fate.SWAP and held is None:
            return frame
        if fate is Fate.STALL:
            await asyncio.sleep(weather.stall_s * source.uniform(0.2, 1.0))
            if self.muted or target.is_closing():
                return None
        for data in _written(frame, fate, source):
            target.write(data)
        if held is not None:
            target.write(held.data)
        return None


def _written(frame: Frame, fate: Fate, source: random.Random) -> tuple[bytes, ...]:
    match fate:
        case Fate.DROP:
            return ()
        case Fate.DUPLICATE:
            return (frame.data, frame.data)
        case Fate.GARBLE:
            return (text_frame(frame.payload[: source.randrange(len(frame.payload) or 1)]),)
        case _:
            return (frame.data,)


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(_CHUNK):
        target.write(data)
        await target.drain()


async def _both(*directions: Coroutine[Any, Any, None]) -> None:
    """Run both directions until one ends; a broken connection is an end like any other."""
    tasks = [asyncio.create_task(direction) for direction in directions]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception) and not isinstance(ended, OSError):
                raise ended
