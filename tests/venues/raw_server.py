"""A small real HTTP server on a free port whose connection handling a test scripts itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Handler = Callable[["RawServer", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Request:
    """One request as it arrived."""

    head: str
    body: bytes

    @property
    def path(self) -> str:
        return self.head.split(" ", 2)[1]


@dataclass
class RawServer:
    """What a scripted server saw."""

    url: str = ""
    connections: int = 0
    requests: list[Request] = field(default_factory=list)

    async def read(self, reader: asyncio.StreamReader) -> Request | None:
        """Read one request, or None when the client closed before a whole one."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        length = 0
        for line in head.split("\r\n"):
            name, _, value = line.partition(":")
            if name.lower() == "content-length":
                length = int(value)
        request = Request(head=head, body=await reader.readexactly(length))
        self.requests.append(request)
        return request


def response(body: bytes, *, status: str = "200 OK", headers: str = "") -> bytes:
    """Spell a whole response."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[RawServer]:
    """Run `handler` for each connection until the block ends."""
    seen = RawServer()
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(seen, reader, writer)
        except ConnectionError:
            pass
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    seen.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield seen
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answering(*bodies: bytes, status: str = "200 OK", headers: str = "") -> Handler:
    """Answer each request with the next body, and the last one from then on."""
    left = list(bodies)

    async def handle(
        seen: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while await seen.read(reader) is not None:
            body = left.pop(0) if len(left) > 1 else left[0]
            writer.write(response(body, status=status, headers=headers))
            await writer.drain()

    return handle
