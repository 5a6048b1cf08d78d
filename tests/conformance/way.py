"""The way between a connector and a simulator: it passes on, keeps what was sent, and breaks.

Knows no venue: only which paths bear commands. HTTP only; feeds go to the simulator itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

import aiohttp
from aiohttp import web

from tests.conformance.rig import WireReply

#: Of one connection, not of what is asked or answered.
_OF_CONNECTION = frozenset(
    ("host", "content-length", "connection", "upgrade", "transfer-encoding", "accept-encoding")
)


def passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    """Return what of a message's headers is its own: a venue may sign in any of them."""
    return {
        name: value
        for name, value in headers.items()
        if name.lower() not in _OF_CONNECTION and not name.lower().startswith("sec-websocket")
    }


class Broken(StrEnum):
    """How the way fails a command; the simulator's own faults are other ones."""

    #: Nothing gets there, nothing comes back.
    LOST = "lost"
    #: It gets there, the answer does not come back.
    ANSWER_LOST = "answer lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One command as it left the connector."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Way:
    """`script` says what becomes of the next commands, one each; `queries` of every query.

    `sent` are the commands so far, `asked` the paths of the queries.
    """

    url: str
    behind: str
    command_paths: frozenset[str]
    session: aiohttp.ClientSession
    script: list[WireReply | Broken] = field(default_factory=list)
    queries: WireReply | Broken | None = None
    sent: list[Sent] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = passed_on(request.headers)
        sent = Sent(method=request.method, path=request.path_qs, headers=headers, body=body)
        if request.path in self.command_paths and request.method != "GET":
            self.sent.append(sent)
            fate = self.script.pop(0) if self.script else None
        else:
            self.asked.append(request.path)
            fate = self.queries
        if isinstance(fate, WireReply):
            return _response(fate)
        if fate is Broken.LOST:
            return _cut(request)
        reply = await self.pass_on(sent)
        return _cut(request) if fate is Broken.ANSWER_LOST else _response(reply)

    async def pass_on(self, sent: Sent) -> WireReply:
        """Send bytes to the simulator, as often as one likes, and return its answer."""
        asked = self.session.request(
            sent.method, self.behind + sent.path, data=sent.body, headers=sent.headers
        )
        async with asked as answer:
            body = await answer.read()
            return WireReply(
                status=answer.status,
                body=body,
                content_type=answer.content_type,
                headers=passed_on(answer.headers),
            )


@asynccontextmanager
async def way_to(behind: str, command_paths: frozenset[str]) -> AsyncIterator[Way]:
    """Open a way to the simulator at `behind`."""
    async with aiohttp.ClientSession() as session:
        way = Way(url="", behind=behind, command_paths=command_paths, session=session)
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


def _response(reply: WireReply) -> web.Response:
    return web.Response(
        status=reply.status,
        body=reply.body,
        headers={**reply.headers, "Content-Type": reply.content_type},
    )


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
