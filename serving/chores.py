"""What the worker does again and again beside serving: sweeps, markets, clocks, audit, readings.

A chore that fails is said once and tried again; it stops nothing else.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog
from temporalio.client import Client

from activities.credentials import ExpiryWatch
from activities.feed_credentials import FeedRenewal
from activities.mark_prices import MarkPrices
from activities.risk_readings import RiskReadings
from domain.errors import PerpDexError
from domain.ports import MarketStore, TradingAccessSource
from serving.dead_man import TEMPORAL_EVERY_S, StandIn, TemporalSign, renewal
from serving.settings import WorkerSettings, now
from storage.feed_credentials import SqlFeedCredentials
from storage.opening import Storage
from venues.started import Connectors
from workflows.client import OrderWorkflows
from workflows.closing_sweep import ClosingSweep
from workflows.condition_client import ConditionSweep, ConditionWorkflows
from workflows.halt_client import HaltSweep, KillSwitchWorkflows
from workflows.orphans import OrphanSweep
from workflows.split_client import SplitSweep, SplitWorkflows

MARKETS_EVERY_S = 600.0
CLOCK_EVERY_S = 60.0
NEW_CLOCKS_EVERY_S = 5.0
EXPIRY_EVERY_S = 6 * 3600.0
CREDENTIALS_EVERY_S = 3600.0
FEEDS_EVERY_S = 1800.0
SEAL_EVERY_S = 5.0
RISK_EVERY_S = 15.0
HALT_SWEEP_EVERY_S = 3.0
DEAD_MAN_EVERY_S = 1.0
RETRY_S = 5.0
JITTER = 0.1

log = structlog.get_logger()


async def again(name: str, every_s: float, work: Callable[[], Awaitable[Any]]) -> None:
    """Do `work` now and again for ever; a failure is logged and tried again next time."""
    failing = False
    while True:
        pause = every_s
        try:
            await work()
            failing = False
        except PerpDexError as error:
            if not failing:
                log.warning("chore failed", chore=name, reason=str(error))
            failing = True
            pause = min(every_s, RETRY_S)
        await asyncio.sleep(pause * (1 + JITTER * random.random()))


def _sweeper(
    storage: Storage, workflows: OrderWorkflows
) -> Callable[[], Coroutine[Any, Any, None]]:
    sweep = OrphanSweep(storage.ledger, storage.orders, workflows, now)

    async def work() -> None:
        swept = await sweep.run()
        if swept.adopted or swept.reminded:
            log.warning("orphans swept", adopted=swept.adopted, reminded=swept.reminded)

    return work


def _halt_sweeper(storage: Storage, client: Client) -> Callable[[], Coroutine[Any, Any, None]]:
    sweep = HaltSweep(storage.kill_switches, KillSwitchWorkflows(client))

    async def work() -> None:
        for scope in await sweep.run():
            log.warning("kill switch started by the sweep", scope=scope.key)

    return work


def _risk_readings(storage: Storage, connectors: Connectors) -> RiskReadings:
    return RiskReadings(
        risk=storage.risk,
        accounts=storage.accounts,
        connectors=connectors,
        venues=connectors.venues,
        marks=MarkPrices(now),
        now=now,
    )


async def save_markets(markets: MarketStore, connectors: Connectors) -> None:
    """Write every connected venue's markets; one that does not answer keeps no other from it.

    Raises:
        VenueUnavailable, VenueRefused: of a venue that did not answer.
        Unavailable: the database does not.
    """
    failed: PerpDexError | None = None
    for connector in connectors.started():
        try:
            instruments = await connector.instruments(refresh=True)
            await markets.save(connector.network, instruments, seen_at=now())
        except PerpDexError as error:
            failed = failed or error
    if failed is not None:
        raise failed


async def _measure(storage: Storage, connectors: Connectors, *, only_new: bool = False) -> None:
    await connectors.measure_clock(await storage.accounts.all_active(), only_new=only_new)


def chores(
    settings: WorkerSettings,
    client: Client,
    storage: Storage,
    connectors: Connectors,
    access: TradingAccessSource,
    stand_in: StandIn,
) -> tuple[Coroutine[Any, Any, None], ...]:
    """Return what is to be done again and again beside serving."""
    temporal = TemporalSign(OrderWorkflows(client).healthy)
    sweep = _sweeper(storage, OrderWorkflows(client))
    closes = ClosingSweep.over(client, storage.closes, storage.brackets, now)
    splits = SplitSweep(storage.splits, SplitWorkflows(client), now)
    guards = ConditionSweep(storage.conditions, ConditionWorkflows(client), now)
    return (
        again("sweep", settings.worker_sweep_every_s, sweep),
        again("closes", settings.worker_sweep_every_s, closes.run),
        again("splits", settings.worker_sweep_every_s, splits.run),
        again("conditions", settings.worker_sweep_every_s, guards.run),
        again("halts", HALT_SWEEP_EVERY_S, _halt_sweeper(storage, client)),
        again("temporal", TEMPORAL_EVERY_S, temporal.look),
        again("dead man", DEAD_MAN_EVERY_S, renewal(storage, connectors, access, temporal).run),
        again("watchdog", DEAD_MAN_EVERY_S, stand_in.run),
        again("markets", MARKETS_EVERY_S, lambda: save_markets(storage.markets, connectors)),
        again("clock", CLOCK_EVERY_S, lambda: _measure(storage, connectors)),
        # The first account at a venue need not wait for its turn.
        again(
            "new clocks", NEW_CLOCKS_EVERY_S, lambda: _measure(storage, connectors, only_new=True)
        ),
        again("audit", SEAL_EVERY_S, storage.audit.seal),
        again("risk", RISK_EVERY_S, _risk_readings(storage, connectors).read),
        again("expiry", EXPIRY_EVERY_S, _expiry_watch(storage, connectors, access).run),
        again("feeds", FEEDS_EVERY_S, _feed_renewal(settings, storage, connectors, access).run),
        again("credentials", CREDENTIALS_EVERY_S, storage.accounts.destroy_unneeded_credentials),
    )


def _feed_renewal(
    settings: WorkerSettings, storage: Storage, connectors: Connectors, access: TradingAccessSource
) -> FeedRenewal:
    secrets = settings.perp_dex_home.expanduser() / "secrets"
    return FeedRenewal(
        accounts=storage.accounts,
        access=access,
        connectors=connectors,
        venues=connectors.venues,
        feeds=SqlFeedCredentials(storage.database, secrets),
    )


def _expiry_watch(
    storage: Storage, connectors: Connectors, access: TradingAccessSource
) -> ExpiryWatch:
    return ExpiryWatch(
        accounts=storage.accounts,
        access=access,
        connectors=connectors,
        audit=storage.audit,
        now=now,
        rights=connectors.rights,
    )
