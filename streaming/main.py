"""The streaming process: composition root, `python -m streaming.main`.

Holds the payload key and the API token; no venue credential, and nothing that could sign.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Final

import structlog

from bus.connection import Bus
from domain.errors import PerpDexError
from process.death import protect_memory
from process.heartbeat import Heartbeat
from process.logging import configure_logging
from process.metrics import serving_metrics
from process.signals import stop_event
from sealing.choosing import open_keepers
from sealing.errors import SealingError
from sealing.key_ring import KEY_RING_NAME, LiveKeyRing
from sealing.keys import LiveKeyPairs, Recipient
from sealing.token import ensure_api_token, load_api_token
from storage.feed_credentials import SealedFeedAccess
from storage.opening import Storage, open_storage
from storage.resealing import SealingKeyUpkeep, Upkeep
from streaming.app import StreamingApp, StreamingParts
from streaming.bridge import connect_sink
from streaming.metrics import StreamingMetrics
from streaming.open_files import raise_open_files
from streaming.settings import StreamingSettings
from streaming.tokens import FileToken
from venues import registry
from venues.field_watch import FieldWatch

EXIT_CONFIGURATION: Final = 2
KEYS_EVERY_S: Final = 10.0
SWITCH_INTERVAL_S: Final = 0.0005
TOKEN_NAME: Final = "api-token"  # noqa: S105 - the name of a file

log = structlog.get_logger("streaming")


async def run(settings: StreamingSettings) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        PerpDexError: the database is missing or of another revision.
        SealingError: a secret file cannot be used.
        OSError: the port is taken.
    """
    stop = stop_event()
    async with AsyncExitStack() as stack:
        heartbeat = await stack.enter_async_context(Heartbeat.from_environment())
        fields = FieldWatch(registry.names())
        fields.install()
        app = await compose(settings, stack)
        port = await app.start(settings.streaming_host, settings.streaming_port)
        metrics = await stack.enter_async_context(
            serving_metrics(
                [StreamingMetrics(app), fields], settings.metrics_host, settings.metrics_port
            )
        )
        async with asyncio.TaskGroup() as tasks:
            working = tasks.create_task(app.run())
            looking = tasks.create_task(fields.run())
            endpoint = _endpoint(settings.streaming_host, port)
            heartbeat.ready(endpoint)
            log.info("streaming ready", endpoint=endpoint, metrics=metrics)
            await stop.wait()
            heartbeat.draining()
            log.info("streaming drains")
            await app.drain()
            working.cancel()
            looking.cancel()
    log.info("streaming stopped")


async def compose(settings: StreamingSettings, stack: AsyncExitStack) -> StreamingApp:
    """Make every part; `stack` closes them."""
    home = settings.perp_dex_home.expanduser()
    secrets = home / "secrets"
    keepers = await asyncio.to_thread(open_keepers, settings, secrets)
    log.info("keys kept", keeper=keepers.chosen.where(), passed_over=keepers.passed_over)
    ring = await stack.enter_async_context(
        await asyncio.to_thread(LiveKeyRing, secrets / KEY_RING_NAME, keepers, _key_trouble)
    )
    pairs = await stack.enter_async_context(
        await asyncio.to_thread(LiveKeyPairs, secrets, Recipient.STREAMING, keepers, _key_trouble)
    )
    token_file = home / TOKEN_NAME
    ensure_api_token(token_file)
    storage: Storage = await open_storage(settings.database_url, home)
    stack.push_async_callback(storage.close)
    upkeep = SealingKeyUpkeep(
        storage.database,
        pairs,
        secrets_directory=secrets,
        recipient=Recipient.STREAMING,
        keepers=keepers,
        grace_s=settings.key_grace_s,
        now=lambda: datetime.now(UTC),
    )
    await upkeep.check()
    keeping = asyncio.create_task(_keep_keys(upkeep))
    stack.callback(keeping.cancel)
    group = await storage.installation()
    bus = Bus(settings.redis_url, ca_file=settings.redis_ca_file, group=group)
    stack.push_async_callback(bus.close)
    sink = await connect_sink(
        settings.temporal_address,
        settings.temporal_namespace,
        ring,
    )
    app = StreamingApp(
        StreamingParts(
            orders=storage.orders,
            accounts=storage.accounts,
            positions=storage.positions,
            load=registry.load,
            sink=sink,
            conditions=storage.conditions,
            crossings=sink,
            bus=bus,
            authenticator=FileToken(lambda: load_api_token(token_file)),
            hosts=settings.hosts,
            origins=settings.origins,
            limits=settings.limits,
            feed_credentials=SealedFeedAccess(storage.database, pairs),
            switches=storage.dead_man,
        )
    )
    stack.push_async_callback(app.close)
    storage.on_change(app.storage_changed)
    return app


async def _keep_keys(upkeep: SealingKeyUpkeep) -> None:
    """Seal feed credentials anew after a rotation, again and again; a failure is tried again."""
    while True:
        try:
            done = await upkeep.run()
            if done != Upkeep():
                log.warning("feed credentials sealed anew", count=done.resealed)
        except (PerpDexError, SealingError) as error:
            log.warning("feed credentials not sealed anew", reason=str(error))
        await asyncio.sleep(KEYS_EVERY_S)


def _key_trouble(error: SealingError) -> None:
    log.error("a key file cannot be read again; what was read before is used", reason=str(error))


def _endpoint(host: str, port: int) -> str:
    # What listens everywhere is reached on this machine by its loopback address.
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared
    return f"ws://[{reachable}]:{port}" if ":" in reachable else f"ws://{reachable}:{port}"


def main() -> int:
    """Run the process; 0 after a drain, 2 when it was configured wrongly."""
    # A thread that reads the database may hold the interpreter for so long, and every client waits.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    settings = StreamingSettings.load_or_exit()
    configure_logging(service="streaming", log_format=settings.log_format, level=settings.log_level)
    protect_memory()
    log.info("open files", most=raise_open_files())
    # What was imported stays for good: to look for garbage in it, as many new connections make the
    # collector do, holds all clients up for a tenth of a second each time.
    gc.collect()
    gc.freeze()
    try:
        asyncio.run(run(settings))
    except (PerpDexError, SealingError, OSError) as error:
        log.error("streaming cannot start", error=str(error), kind=type(error).__name__)
        return EXIT_CONFIGURATION
    return 0


if __name__ == "__main__":
    code = main()
    # Temporal's native runtime can abort the interpreter at exit after all is done.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
