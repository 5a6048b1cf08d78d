"""A TCP proxy in front of PostgreSQL that breaks connections at the worst moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto
from pathlib import Path

_COMMIT = b"COMMIT\x00"


class AtCommit(Enum):
    """What happens to the next COMMIT."""

    PASS = auto()
    #: It never reaches the server; the connection breaks.
    LOSE = auto()
    #: The server commits, and the connection breaks instead of bringing the answer.
    LOSE_ANSWER = auto()


class CommitProxy:
    """Forwards connections to a server's unix socket."""

    def __init__(self, socket_path: Path) -> None:
        self.socket_path = socket_path
        self.connections: set[asyncio.StreamWriter] = set()
        self.at_commit = AtCommit.PASS
        self.commits_broken = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen; return the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _Connection(self, reader, writer).run()

    def break_connections(self) -> None:
        """Break every connection there is."""
        for writer in list(self.connections):
            writer.transport.abort()

    def stop(self) -> None:
        """Refuse new connections and break those there are."""
        if self._server is not None:
            self._server.close()
        self.break_connections()


class _Connection:
    def __init__(
        self, proxy: CommitProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._muted = False
        self._answered = asyncio.Event()

    async def run(self) -> None:
        """Forward both ways until one side ends."""
        answers, server = await asyncio.open_unix_connection(self._proxy.socket_path)
        both = {self._writer, server}
        self._proxy.connections |= both
        down = asyncio.create_task(self._down(answers))
        up = asyncio.create_task(self._up(server))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (up, down):
                task.cancel()
            self._proxy.connections -= both
            for writer in both:
                writer.transport.abort()

    async def _up(self, server: asyncio.StreamWriter) -> None:
        while data := await _read(self._reader):
            happening = self._proxy.at_commit
            if _COMMIT in data and happening is not AtCommit.PASS:
                self._proxy.at_commit = AtCommit.PASS
                self._proxy.commits_broken += 1
                if happening is AtCommit.LOSE_ANSWER:
                    self._muted = True
                    server.write(data)
                    await self._answered.wait()
                return
            server.write(data)

    async def _down(self, answers: asyncio.StreamReader) -> None:
        while data := await _read(answers):
            if self._muted:
                self._answered.set()
            else:
                self._writer.write(data)


async def _read(source: asyncio.StreamReader) -> bytes:
    try:
        return await source.read(65_536)
    except ConnectionError:
        return b""


@asynccontextmanager
async def commit_proxy(socket_path: Path) -> AsyncIterator[CommitProxy]:
    """Run a proxy for the block."""
    proxy = CommitProxy(socket_path)
    try:
        yield proxy
    finally:
        proxy.stop()
