"""A way to the simulator that twists what comes back, over HTTP and on sockets. Knows no venue."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from tests.conformance.hostility import Twist
from tests.conformance.way import passed_on

_MESSAGE_MAX = 64 * 1024 * 1024


@dataclass
class HostileWay:
    """`answers` twists what is answered over HTTP, `frames` the next `frames_left` of sockets.

    `endless` says which paths are answered with bytes that do not end; `served` is the most
    that one answer came to.
    """

    behind: str
    session: aiohttp.ClientSession
    url: str = ""
    answers: Twist | None = None
    frames: Twist | None = None
    frames_left: int = 0
    twisted: asyncio.Event = field(default_factory=asyncio.Event)
    endless: Callable[[str], bool] = lambda path: False
    served: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._bridge(request)
        if self.endless(request.path):
            return await self._without_end(request)
        headers = passed_on(request.headers)
        async with self.session.request(
            request.method,
            self.behind + request.path_qs,
            data=await request.read(),
            headers=headers,
        ) as answer:
            body = await answer.read()
            status, kind = answer.status, answer.headers.get("Content-Type", "text/plain")
        if self.answers is not None:
            body = self.answers(body)
        return web.Response(status=status, body=body, headers={"Content-Type": kind})

    def twist_frames(self, twist: Twist, count: int) -> None:
        """Twist the next frames, as many as are said."""
        self.twisted.clear()
        self.frames, self.frames_left = twist, count

    async def _without_end(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        written = 0
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"[" + b" " * 262_143)
                written += 262_144
                self.served = max(self.served, written)
        return response

    async def _bridge(self, request: web.Request) -> web.WebSocketResponse:
        near = web.WebSocketResponse(max_msg_size=_MESSAGE_MAX, compress=False)
        await near.prepare(request)
        url = "ws" + self.behind.removeprefix("http") + request.path_qs
        headers = passed_on(request.headers)
        async with self.session.ws_connect(url, headers=headers, max_msg_size=_MESSAGE_MAX) as far:
            there = asyncio.create_task(self._pass_on(near, far))
            back = asyncio.create_task(self._pass_back(far, near))
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
            for task in (there, back):
                task.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
        await near.close()
        return near

    async def _pass_on(
        self, near: web.WebSocketResponse, far: aiohttp.ClientWebSocketResponse
    ) -> None:
        async for message in near:
            if message.type is aiohttp.WSMsgType.TEXT:
                await far.send_str(message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                await far.send_bytes(message.data)

    async def _pass_back(
        self, far: aiohttp.ClientWebSocketResponse, near: web.WebSocketResponse
    ) -> None:
        async for message in far:
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                continue
            data = message.data
            body = data.encode() if isinstance(data, str) else bytes(data)
            if self.frames is not None and self.frames_left > 0:
                changed = self.frames(body)
                if changed != body:
                    self.frames_left -= 1
                    body = changed
                    if self.frames_left == 0:
                        self.twisted.set()
            try:
                await near.send_str(body.decode())
            except UnicodeDecodeError:
                # A text frame that is no text: aiohttp would not send it as one.
                await near.send_bytes(body)


@asynccontextmanager
async def hostile_way_to(behind: str) -> AsyncIterator[HostileWay]:
    """Open a way to the simulator at `behind`; honest until told otherwise."""
    async with aiohttp.ClientSession() as session:
        way = HostileWay(behind=behind, session=session)
        application = web.Application(client_max_size=1 << 22)
        application.router.add_route("*", "/{path:.*}", way.handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            way.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield way
        finally:
            await runner.cleanup()
            await asyncio.sleep(0)
