"""The worker: composition root of workflows and activities, and the only holder of trading keys.

Serves the task queue of each venue it is given, and that of what spans venues. Decides nothing
itself; what it is made of is in `serving`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import structlog
from prometheus_client.registry import Collector
from temporalio.client import Client
from temporalio.worker import Worker

from activities.lanes import LaneKeeper
from bus.connection import Bus
from bus.nudges import NudgePublisher
from bus.served_venues import ServedVenuesOnBus
from bus.session_states import SessionStatesOnBus
from domain.accounts import Network
from domain.errors import InvalidInput, PerpDexError, VenueUnavailable
from domain.feed_credentials import TradingSecrets
from process.death import protect_memory
from process.heartbeat import Heartbeat
from process.logging import configure_logging
from process.metrics import serving_metrics
from process.signals import stop_event
from sealing.choosing import open_keepers
from sealing.errors import SealingError
from sealing.key_ring import KEY_RING_NAME, LiveKeyRing
from sealing.keys import LiveKeyPairs, Recipient
from serving.chores import again, chores
from serving.dead_man import DeadManMeter, stand_in
from serving.emergency import emergency_main
from serving.heard_feeds import HeardFeeds
from serving.key_upkeep import KeyUpkeep
from serving.lanes import RENEW_EVERY_S, claim_lanes, lane_keeper
from serving.metrics import SessionMeter, VenueMeter
from serving.queues import core_worker, reconcile_sweep, venue_worker
from serving.reserve import Reserve
from serving.session_news import say_sessions
from serving.settings import EXIT_CONFIGURATION, Parts, WorkerSettings
from serving.venue_news import SAY_EVERY_S, say_venues
from storage.opening import Storage, open_storage
from venues.field_watch import FieldWatch
from venues.started import Connectors
from workflows.client import connect
from workflows.reconciliation_client import SWEEP_EVERY_S

log = structlog.get_logger()


async def run(settings: WorkerSettings, parts: Parts | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        StorageError: the database is missing or of another revision.
    """
    parts = parts or Parts()
    stop = stop_event()
    async with AsyncExitStack() as stack:
        heartbeat = await stack.enter_async_context(Heartbeat.from_environment())
        home = settings.perp_dex_home.expanduser()
        secrets = home / "secrets"
        keepers = await asyncio.to_thread(open_keepers, settings, secrets)
        log.info("keys kept", keeper=keepers.chosen.where(), passed_over=keepers.passed_over)
        ring = await stack.enter_async_context(
            await asyncio.to_thread(LiveKeyRing, secrets / KEY_RING_NAME, keepers, _key_trouble)
        )
        pairs = await stack.enter_async_context(
            await asyncio.to_thread(LiveKeyPairs, secrets, Recipient.WORKER, keepers, _key_trouble)
        )
        storage = await open_storage(settings.database_url, home)
        stack.push_async_callback(storage.close)
        upkeep = KeyUpkeep.of(settings, storage, secrets, keepers, ring, pairs)
        await upkeep.check()
        reserve = Reserve.beside(storage, storage.access(pairs), home, parts.checkpoints)
        await reserve.start()
        stack.push_async_callback(reserve.stop)
        bus = await _bus(settings, storage)
        stack.push_async_callback(bus.close)
        nudges = await stack.enter_async_context(NudgePublisher(bus))
        storage.on_change(nudges.nudge)
        heard = HeardFeeds(storage.orders, SessionStatesOnBus(bus))
        venues = frozenset(name.strip() for name in settings.worker_venues.split(","))
        fields, switches = FieldWatch(venues), DeadManMeter()
        fields.install()
        connectors = Connectors(venues, TradingSecrets(reserve.access), feed=heard)
        stack.push_async_callback(connectors.close)
        client = await connect(
            settings.temporal_address,
            settings.temporal_namespace,
            ring,
            refused=lambda reason: log.error("payload refused", reason=reason),
            lazy=False,
        )
        lanes = lane_keeper(storage, reserve.access, connectors, parts)
        stack.push_async_callback(lanes.release)
        workers = [
            *_venue_workers(settings, client, venues, reserve, connectors, parts, lanes),
            core_worker(settings, client, storage=storage, parts=parts),
        ]
        reconciles = reconcile_sweep(settings, client, storage, venues)
        # Before anything can be sent: what was not watched is compared with its venue first.
        await reconciles.say_seen()
        await _warm(settings, connectors, venues)
        await claim_lanes(lanes, storage, reserve.access, connectors)
        for worker in workers:
            await stack.enter_async_context(worker)
        substitute = stand_in(reserve, connectors, parts, switches)
        again_and_again = (
            *chores(settings, client, storage, connectors, reserve.access, substitute),
            again("reconcile", SWEEP_EVERY_S, reconciles.run),
            *_news(connectors, storage, bus),
            heard.run(bus, nudges.sender),
            again("lanes", RENEW_EVERY_S, lanes.renew),
            *reserve.chores(),
            *upkeep.chores(client),
            fields.run(),
        )
        metrics = _serving_metrics(settings, parts, connectors, fields, switches)
        await _until_stopped(stop, heartbeat, again_and_again, metrics)


def _venue_workers(
    settings: WorkerSettings,
    client: Client,
    venues: Iterable[str],
    reserve: Reserve,
    connectors: Connectors,
    parts: Parts,
    lanes: LaneKeeper,
) -> Iterable[Worker]:
    """Return the workers of the venues' task queues, not yet running."""
    return [
        venue_worker(
            settings,
            client,
            venue,
            storage=reserve.storage,
            access=reserve.access,
            connectors=connectors,
            parts=parts,
            emergency=reserve.emergency,
            lanes=lanes,
        )
        for venue in venues
    ]


def _news(
    connectors: Connectors, storage: Storage, bus: Bus
) -> tuple[Coroutine[Any, Any, None], ...]:
    """Return what tells the other processes of this one's venues and sessions."""
    venues, sessions = ServedVenuesOnBus(bus), SessionStatesOnBus(bus)
    return (
        again("venues", SAY_EVERY_S, lambda: say_venues(connectors, venues)),
        again(
            "sessions", SAY_EVERY_S, lambda: say_sessions(connectors, storage.accounts, sessions)
        ),
    )


def _serving_metrics(
    settings: WorkerSettings, parts: Parts, connectors: Connectors, *more: Collector
) -> AbstractAsyncContextManager[str]:
    venues = (VenueMeter(connectors.circuits), SessionMeter(connectors))
    meters = [parts.meter, *venues, *more]
    return serving_metrics(meters, settings.metrics_host, settings.metrics_port)


async def _bus(settings: WorkerSettings, storage: Storage) -> Bus:
    """Return the bus of the installation that the database belongs to."""
    group = await storage.installation()
    return Bus(settings.redis_url, ca_file=settings.redis_ca_file, group=group)


async def _until_stopped(
    stop: asyncio.Event,
    heartbeat: Heartbeat,
    chores: Iterable[Coroutine[Any, Any, None]],
    metrics: AbstractAsyncContextManager[str],
) -> None:
    """Do the chores, and answer who scrapes, until the process is asked to stop."""
    async with metrics as url, asyncio.TaskGroup() as group:
        tasks = [group.create_task(chore) for chore in chores]
        heartbeat.ready()
        log.info("worker ready", metrics=url)
        await stop.wait()
        heartbeat.draining()
        log.info("worker drains")
        for task in tasks:
            task.cancel()


def _key_trouble(error: SealingError) -> None:
    log.error("a key file cannot be read again; what was read before is used", reason=str(error))


async def _warm(settings: WorkerSettings, connectors: Connectors, venues: frozenset[str]) -> None:
    """Start the connectors that must be warm before the worker is ready."""
    networks = [Network(name.strip()) for name in settings.worker_networks.split(",")]
    for venue in venues:
        for network in networks:
            try:
                await connectors.connector(venue, network)
            except VenueUnavailable as error:
                log.warning("venue not warm", venue=venue, network=network, reason=str(error))
            except InvalidInput as error:
                # A venue that is served and not reachable on this network has no accounts there.
                if error.field != "network":
                    raise
                log.warning("venue not set up", venue=venue, network=network, reason=str(error))


def main() -> int:
    """Run the process; 0 after a stop as asked, 2 when it is configured wrongly."""
    if sys.argv[1:2] == ["emergency"]:
        return emergency_main(sys.argv[2:])
    settings = WorkerSettings.load_or_exit()
    configure_logging(service="worker", log_format=settings.log_format, level=settings.log_level)
    protect_memory()
    return run_to_exit(settings)


def run_to_exit(settings: WorkerSettings, parts: Parts | None = None) -> int:
    """Run the worker and return its exit code; a cause that prevents it is logged in words."""
    try:
        asyncio.run(run(settings, parts))
    except (PerpDexError, SealingError, OSError) as error:
        log.critical("worker cannot start", reason=str(error))
        return EXIT_CONFIGURATION
    return 0


if __name__ == "__main__":
    code = main()
    # The SDK's native runtime can abort the interpreter at exit after all is done.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
