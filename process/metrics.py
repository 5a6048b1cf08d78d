"""Serve a process's metrics for Prometheus: `GET /metrics` on a port of its own.

Answered by the event loop that does the work, so that what is read is never half changed, and a
loop that is stuck shows as a scrape that fails. What is measured comes from collectors given in,
beside what every process has. Metrics never stop a process: where the port is taken, a free one is
used.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from prometheus_client import Gauge, Histogram
from prometheus_client.aiohttp import make_aiohttp_handler
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

PATH: Final = "/metrics"
LOOP_LOOK_S: Final = 0.25
_DELAYS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

_log = logging.getLogger(__name__)


def registry_of(collectors: Iterable[Collector] = ()) -> CollectorRegistry:
    """Return a registry of what every process measures of itself, and of `collectors`."""
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    for collector in collectors:
        registry.register(collector)
    return registry


@asynccontextmanager
async def serving_metrics(
    collectors: Iterable[Collector], host: str, port: int
) -> AsyncIterator[str]:
    """Serve metrics meanwhile; give the URL they are really at.

    Raises:
        OSError: the address cannot be used at all.
    """
    registry = registry_of(collectors)
    delays = loop_delays(registry)
    loop_tasks(registry, asyncio.get_running_loop())
    app = web.Application()
    app.router.add_get(PATH, make_aiohttp_handler(registry))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    watching = asyncio.create_task(_watch_loop(delays), name="loop-delay")
    try:
        yield await _listen(runner, host, port)
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        await runner.cleanup()


def loop_delays(registry: CollectorRegistry) -> Histogram:
    """Return the measure of how late the event loop gets to what is due."""
    return Histogram(
        "perp_dex_event_loop_delay_seconds",
        "How late the event loop gets to what is due.",
        buckets=_DELAYS_S,
        registry=registry,
    )


def loop_tasks(registry: CollectorRegistry, loop: asyncio.AbstractEventLoop) -> None:
    """Have it said how many tasks an event loop has: what grows for ever is never awaited."""
    tasks = Gauge(
        "perp_dex_event_loop_tasks", "Tasks of the event loop that have not ended.",
        registry=registry,
    )  # fmt: skip
    tasks.set_function(lambda: len(asyncio.all_tasks(loop)))


async def _listen(runner: web.AppRunner, host: str, port: int) -> str:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        await web.TCPSite(runner, host, 0).start()
        _log.warning("the port for metrics is taken; a free one is used", extra={"taken": port})
    address, found = runner.addresses[0][:2]
    url = f"http://[{address}]" if ":" in address else f"http://{address}"
    return f"{url}:{found}{PATH}"


async def _watch_loop(delays: Histogram) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LOOP_LOOK_S
        await asyncio.sleep(LOOP_LOOK_S)
        delays.observe(max(loop.time() - due, 0.0))
