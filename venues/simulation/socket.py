"""One client's WebSocket at a simulated venue: text in, frames out, and nothing of any venue.

Frames leave through a bounded queue; a client that does not read is cut off. Faults of sockets
(stalled, doubled) happen here, whatever the frames say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, Final, Generic, TypeVar

from aiohttp import WSMsgType, web

from venues.simulation.faults import FaultKind, FaultPlan

K = TypeVar("K")
S = TypeVar("S")

_QUEUE_MAX: Final = 10_000
_UNDER_WAY_MAX: Final = 100
_MESSAGE_MAX: Final = 1 << 20


class ClientSocket(Generic[K, S]):
    """One connected client with its subscriptions: of a venue's kind `S`, told apart by `K`."""

    def __init__(
        self,
        request: web.Request,
        faults: FaultPlan,
        *,
        is_binary: Callable[[], bool] | None = None,
        protocols: Sequence[str] = (),
        ping_every_s: float | None = None,
        requests_max: int = _UNDER_WAY_MAX,
    ) -> None:
        """Take a request; `is_binary` tells of each frame whether it goes as binary.

        Of the subprotocols that the client offers the first of `protocols` is echoed. With
        `ping_every_s` the client has to answer the protocol's pings. `requests_max` may be under
        way at a time.
        """
        self._request = request
        self._faults = faults
        self._is_binary = is_binary or (lambda: False)
        self._socket = web.WebSocketResponse(
            autoping=True,
            heartbeat=ping_every_s,
            max_msg_size=_MESSAGE_MAX,
            protocols=protocols,
        )
        self._requests_max = requests_max
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(_QUEUE_MAX)
        self._under_way: set[asyncio.Task[None]] = set()
        self.subscriptions: dict[K, S] = {}
        self.last_heard_s = self.last_sent_s = asyncio.get_running_loop().time()

    @property
    def remote(self) -> str:
        """The client's address."""
        return self._request.remote or ""

    @property
    def is_busy(self) -> bool:
        """Whether as many requests are under way as one client may have."""
        return len(self._under_way) >= self._requests_max

    async def serve(self, receive: Callable[[str], None]) -> web.WebSocketResponse:
        """Give each text to `receive` until one side ends the connection."""
        await self._socket.prepare(self._request)
        writer = asyncio.create_task(self._write(), name="socket writer")
        try:
            async for message in self._socket:
                self.last_heard_s = asyncio.get_running_loop().time()
                if message.type is WSMsgType.TEXT:
                    receive(message.data)
        finally:
            for task in (writer, *self._under_way):
                task.cancel()
            await asyncio.gather(writer, *self._under_way, return_exceptions=True)
        return self._socket

    async def refuse(self, code: int) -> web.WebSocketResponse:
        """Take the connection only to close it with a code of the venue's."""
        await self._socket.prepare(self._request)
        await self._socket.close(code=code)
        return self._socket

    def close(self, code: int) -> None:
        """Close the connection with a code of the venue's."""

        async def closing() -> None:
            await self._socket.close(code=code)

        self.start(closing())

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Carry out a request beside the reading; it ends with the connection."""
        task = asyncio.create_task(work, name="socket request")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def kill(self) -> None:
        """Cut the connection without a closing frame."""
        transport = self._request.transport
        if transport is not None:
            transport.abort()

    def send_encoded(self, frame: bytes, names: Collection[str] = ()) -> None:
        """Queue a frame; `names` (channel, action) are what faults are filtered by."""
        if self._faults.take(FaultKind.STALL, names):
            return
        try:
            self._outgoing.put_nowait(frame)
            if self._faults.take(FaultKind.DUPLICATE, names):
                self._outgoing.put_nowait(frame)
        except asyncio.QueueFull:
            self.kill()

    async def _write(self) -> None:
        while True:
            frame = await self._outgoing.get()
            try:
                if self._is_binary():
                    await self._socket.send_bytes(frame)
                else:
                    await self._socket.send_str(frame.decode())
            except (ConnectionError, RuntimeError):
                return
            self.last_sent_s = asyncio.get_running_loop().time()
