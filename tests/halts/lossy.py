"""A way to the venue that loses one request in ten: before it arrives, after, or with an error."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

FAULTS = ("drop-before", "drop-after", "500-before", "500-after", "delay")
DELAY_S = (0.3, 2.5)


class LossyWay:
    """Counts what passes and what fails; loses nothing before `lose` is set."""

    def __init__(self, target: str, session: aiohttp.ClientSession, source: random.Random) -> None:
        self._target = target
        self._session = session
        self._source = source
        self.share = 0.0
        self.passed = 0
        self.faults: Counter[str] = Counter()

    @property
    def failed_share(self) -> float:
        """The share of requests that failed since `share` was set."""
        return self.faults.total() / max(self.passed, 1)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Forward a request, or do to it what its turn brings."""
        body = await request.read()
        if self.share == 0.0:
            return await self._forward(request, body)
        self.passed += 1
        if self._source.random() >= self.share:
            return await self._forward(request, body)
        fault = self._source.choice(FAULTS)
        self.faults[fault] += 1
        if fault == "delay":
            await asyncio.sleep(self._source.uniform(*DELAY_S))
            return await self._forward(request, body)
        if fault.endswith("-after"):
            await self._forward(request, body)
        if fault.startswith("500"):
            return web.Response(status=500, text="no luck")
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        headers = {"Content-Type": request.headers.get("Content-Type", "application/json")}
        async with self._session.request(
            request.method, f"{self._target}{request.path}", data=body, headers=headers
        ) as answer:
            return web.Response(
                status=answer.status,
                body=await answer.read(),
                headers={"Content-Type": answer.headers.get("Content-Type", "application/json")},
            )


@asynccontextmanager
async def lossy_way(target: str, source: random.Random) -> AsyncIterator[tuple[LossyWay, str]]:
    """Open a way to `target` on a free port; yield it and its address."""
    async with aiohttp.ClientSession() as session:
        way = LossyWay(target, session, source)
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", way.handle)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        [(host, port)] = [address[:2] for address in runner.addresses]
        try:
            yield way, f"http://{host}:{port}"
        finally:
            await runner.cleanup()
