"""What the routes of every simulated venue share: maintenance, cut lines, slow and lost answers.

Makes the application that the exchange's clock runs in; the routes and their answers are the
venue's. Knows no venue.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Final, Protocol

from aiohttp import web

from venues.simulation.exchange import Exchange, ExchangeStopped
from venues.simulation.faults import FaultKind, FaultPlan
from venues.simulation.journal import JournalFailed
from venues.simulation.operations import pass_time

_TICK_S: Final = 0.1
_BODY_MAX: Final = 1 << 20
_log = logging.getLogger(__name__)


class SocketFeeds(Protocol):
    """A venue's channels, as its clock sees them."""

    def pass_time(self) -> None:
        """Send what is due by time, and cut sockets that were silent for too long."""
        ...

    def kill_all(self) -> None:
        """Cut every socket."""
        ...


def venue_application(exchange: Exchange, faults: FaultPlan, feeds: SocketFeeds) -> web.Application:
    """Return an application without routes in which the exchange's time passes.

    Under maintenance everything answers 503; a shutdown cuts all sockets.
    """

    @web.middleware
    async def maintenance(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if faults.take(FaultKind.MAINTENANCE):
            return web.Response(status=503, text="Service Unavailable")
        return await handler(request)

    async def clockwork(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(_tick(exchange, feeds), name="simulator clock")
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def on_shutdown(_: web.Application) -> None:
        feeds.kill_all()

    application = web.Application(client_max_size=_BODY_MAX, middlewares=[maintenance])
    application.cleanup_ctx.append(clockwork)
    application.on_shutdown.append(on_shutdown)
    return application


async def _tick(exchange: Exchange, feeds: SocketFeeds) -> None:
    while exchange.failure is None:
        try:
            pass_time(exchange)
        except (ExchangeStopped, JournalFailed) as error:
            _log.error("the simulated exchange stands still: %s", error)
            return
        feeds.pass_time()
        await asyncio.sleep(_TICK_S)


def cut(request: web.Request) -> web.Response:
    """Cut the connection; what is returned is never written."""
    transport = request.transport
    if transport is not None:
        transport.abort()
    return web.Response(status=500)


async def query_fault(
    request: web.Request,
    faults: FaultPlan,
    names: Collection[str],
    refuse: Callable[[int], web.Response],
) -> web.StreamResponse | None:
    """Apply faults of a query known by `names`; dropped before or after is the same.

    `refuse` writes the venue's answer of a status (429 or 500). None: answer it as usual.
    """
    for kind in (FaultKind.DELAY, FaultKind.DELAY_ANSWER):
        delay = faults.take(kind, names, is_query=True)
        if delay is not None:
            await asyncio.sleep(delay.delay_ms / 1_000)
    if faults.take(FaultKind.RATE_LIMIT, names, is_query=True):
        return refuse(429)
    for kind in (FaultKind.ERROR_BEFORE_APPLY, FaultKind.ERROR_AFTER_APPLY):
        if faults.take(kind, names, is_query=True):
            return refuse(500)
    for kind in (FaultKind.DROP_BEFORE_APPLY, FaultKind.DROP_AFTER_APPLY):
        if faults.take(kind, names, is_query=True):
            return cut(request)
    return None


def garbled(body: bytes, faults: FaultPlan, names: Collection[str]) -> bytes:
    """Return a query's answer, or half of it under a fault that garbles."""
    if faults.take(FaultKind.GARBLE, names, is_query=True):
        return body[: len(body) // 2]
    return body
