"""The worker: composition root of workflows and activities, and the only holder of trading keys.

Serves the task queue of each venue it is given; sweeps orphans, keeps markets, seals the audit.
Decides nothing itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from pydantic import Field
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities import emergency_command
from activities.access import Checkpoints, CommandParts, NoCheckpoints
from activities.account_reading import AccountReading
from activities.accounts import AccountActivities
from activities.brackets import BracketActivities
from activities.closing import CloseActivities
from activities.credentials import CredentialActivities, ExpiryWatch
from activities.emergency_command import AwayDatabase, EmergencyWish
from activities.emergency_halt import EmergencyHalt
from activities.emergency_journal import (
    CachedAccess,
    CredentialSource,
    EmergencyCommands,
    absorb_journal,
)
from activities.guarding import GuardActivities
from activities.halting import AccountHaltActivities, KillSwitchActivities
from activities.leverage import LeverageActivities
from activities.mark_prices import MarkPrices
from activities.orders import OrderActivities
from activities.reconciliation_contracts import ReconcileParts
from activities.reconciling import ReconcileActivities
from activities.resolution import ResolutionActivities
from activities.risk_readings import RiskReadings
from bus.connection import Bus
from bus.nudges import NudgePublisher
from domain.accounts import Network
from domain.errors import NotFound, PerpDexError, VenueUnavailable
from domain.ports import IntentLedger, TradingAccessSource
from process.death import protect_memory
from process.heartbeat import Heartbeat
from process.logging import configure_logging
from process.settings import ProcessSettings
from process.signals import stop_event
from sealing.errors import SealingError
from sealing.key_ring import ensure_key_ring
from sealing.keys import Recipient, ensure_key_pair, load_private_key
from sealing.passphrase import load_passphrase
from storage.emergency_kit import EmergencyKit, OpenedKit
from storage.journal import FileCommandJournal
from storage.ledger_mark import LedgerGuard, LedgerMark
from storage.opening import Storage, open_storage
from storage.shared_nonces import FileSharedNonces
from venues.started import Connectors
from workflows.account import VerifyAccountWorkflow
from workflows.account_halt import AccountHaltWorkflow
from workflows.account_read import ReadAccountWorkflow
from workflows.bracket import BracketWorkflow
from workflows.client import OrderWorkflows, connect
from workflows.close import CloseWorkflow
from workflows.closing_sweep import ClosingSweep
from workflows.guard import GuardWorkflow
from workflows.halt_client import HaltSweep, KillSwitchWorkflows
from workflows.ids import core_queue, venue_queue
from workflows.kill_switch import KillSwitchWorkflow
from workflows.leverage import SetLeverageWorkflow
from workflows.order import OrderWorkflow
from workflows.orphans import OrphanSweep
from workflows.payloads import PayloadKeys
from workflows.reconcile import ReconcileWorkflow
from workflows.reconciliation_client import SWEEP_EVERY_S, ReconcileSweep, ReconcileWorkflows
from workflows.rotation import RotateCredentialWorkflow

log = structlog.get_logger()

MARKETS_EVERY_S = 600.0
CLOCK_EVERY_S = 60.0
EXPIRY_EVERY_S = 6 * 3600.0
CREDENTIALS_EVERY_S = 3600.0
SEAL_EVERY_S = 5.0
RISK_EVERY_S = 15.0
HALT_SWEEP_EVERY_S = 3.0
ABSORB_EVERY_S = 1.0
MARK_EVERY_S = 1.0
OPEN_ACCESS_EVERY_S = 60.0
DRAIN = timedelta(seconds=8)
OPEN_STORAGE_WITHIN_S = 10.0
STICKY_TIMEOUT = timedelta(seconds=1)
MAX_CACHED_WORKFLOWS = 2000
CHORE_RETRY_S = 5.0
CHORE_JITTER = 0.1
EXIT_CONFIGURATION = 2


class WorkerSettings(ProcessSettings):
    """Settings of the worker process."""

    perp_dex_home: Path = Field(Path("~/.perp-dex"), description="Where all state is kept.")
    database_url: str = Field("", description="SQL database; empty: SQLite in PERP_DEX_HOME.")
    temporal_address: str = Field("127.0.0.1:7233", description="Temporal's host and port.")
    temporal_namespace: str = Field("default", description="Temporal's namespace.")
    redis_url: str = Field("redis://127.0.0.1:6390/0", description="Valkey or Redis.")
    key_passphrase_file: Path | None = Field(
        None,
        validation_alias="PERP_DEX_KEY_PASSPHRASE_FILE",
        description="File with the passphrase of the key files; unset: a machine key.",
    )
    worker_venues: str = Field("hyperliquid", description="Venues to serve, comma-separated.")
    worker_networks: str = Field(
        "paper", description="Networks whose connectors are warmed before the worker is ready."
    )
    worker_task_pollers: int = Field(5, ge=1, le=40, description="Workflow-task pollers.")
    worker_concurrency: int = Field(100, ge=1, description="Activities at once.")
    worker_sweep_every_s: float = Field(
        60.0, ge=1, description="How often orders that no workflow manages are looked for."
    )
    worker_reconcile_every_s: float = Field(300.0, ge=10, description="How often to reconcile.")
    log_level: str = Field("INFO", description="Least severe level logged.")
    log_format: str = Field("console", description="console or json.")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What `run` composes; tests replace single parts to prove that they are needed."""

    checkpoints: Checkpoints = field(default_factory=NoCheckpoints)
    ledger: Callable[[IntentLedger], IntentLedger] = lambda ledger: ledger
    resolution: type[ResolutionActivities] = ResolutionActivities


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """What the worker keeps beside the database, for when that is away or comes back shorter."""

    storage: Storage
    access: CachedAccess
    journal: FileCommandJournal
    emergency: EmergencyCommands
    guard: LedgerGuard
    kit: EmergencyKit

    @classmethod
    def beside(
        cls, storage: Storage, source: CredentialSource, home: Path, checkpoints: Checkpoints
    ) -> Reserve:
        """Return the reserve whose files are in `home`."""
        journal = FileCommandJournal(home / "journal")
        access, mark = CachedAccess(source), LedgerMark(home)
        return cls(
            storage=storage,
            access=access,
            journal=journal,
            emergency=EmergencyCommands(
                journal=journal,
                access=access,
                nonces=FileSharedNonces(home / "journal"),
                checkpoints=checkpoints,
                now=_now,
            ),
            kit=EmergencyKit(home),
            guard=LedgerGuard(mark, storage.ledger, storage.halts, storage.reconciliations),
        )

    async def start(self) -> None:
        """Halt if the ledger is shorter than it was; absorb what was journaled; open credentials.

        Raises:
            Unavailable: the database does not answer.
            CorruptState: the ledger's mark cannot be read.
        """
        shortfall = await self.guard.check()
        if shortfall is not None:
            log.critical("new exposure is halted", reason=str(shortfall))
        try:
            await self._absorb()
        except PerpDexError as error:
            # The chore tries again; live orders are not left alone for it.
            log.critical("journal not absorbed", reason=str(error))
        await self._open_access()

    async def stop(self) -> None:
        """Absorb and mark once more, if the database answers."""
        with contextlib.suppress(PerpDexError):
            await self._absorb()
            await self.guard.check()

    def chores(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """Return what is to be done again and again."""
        return (
            _chore("journal", ABSORB_EVERY_S, self._absorb),
            _chore("ledger mark", MARK_EVERY_S, self._check),
            _chore("access", OPEN_ACCESS_EVERY_S, self._open_access),
        )

    async def _absorb(self) -> None:
        absorbed = await absorb_journal(self.journal, self.storage.ledger, _now())
        if absorbed:
            log.warning("journal absorbed", entries=absorbed)

    async def _check(self) -> None:
        shortfall = await self.guard.check()
        if shortfall is not None and shortfall.newly_halted:
            log.critical("new exposure is halted", reason=str(shortfall))

    async def _open_access(self) -> None:
        accounts = await self.storage.accounts.all_active()
        self.access.keep_only(accounts)
        for account in accounts:
            try:
                await self.access.open(account.account_id)
            except (NotFound, SealingError) as error:
                log.warning(
                    "credential not opened", account_id=account.account_id, reason=str(error)
                )
        await self.kit.pack(self.storage.database)


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
        passphrase = load_passphrase(secrets, settings.key_passphrase_file)
        ring = ensure_key_ring(secrets / "payload-keys", passphrase)
        ensure_key_pair(secrets, Recipient.WORKER, passphrase)
        key = load_private_key(secrets, Recipient.WORKER, passphrase)
        storage = await open_storage(settings.database_url, home)
        stack.push_async_callback(storage.close)
        reserve = Reserve.beside(storage, storage.access(key), home, parts.checkpoints)
        await reserve.start()
        stack.push_async_callback(reserve.stop)
        bus = Bus(settings.redis_url)
        stack.push_async_callback(bus.close)
        nudges = await stack.enter_async_context(NudgePublisher(bus))
        storage.on_change(nudges.nudge)
        venues = frozenset(name.strip() for name in settings.worker_venues.split(","))
        connectors = Connectors(venues)
        stack.push_async_callback(connectors.close)
        client = await connect(
            settings.temporal_address,
            settings.temporal_namespace,
            PayloadKeys(ring.current, ring.keys),
            refused=lambda reason: log.error("payload refused", reason=reason),
            lazy=False,
        )
        workers = [
            venue_worker(
                settings,
                client,
                venue,
                storage=storage,
                access=reserve.access,
                connectors=connectors,
                parts=parts,
                emergency=reserve.emergency,
            )
            for venue in venues
        ]
        workers.append(core_worker(settings, client, storage=storage))
        reconciles = _reconcile_sweep(settings, client, storage, venues)
        # Before anything can be sent: what was not watched is compared with its venue first.
        await reconciles.say_seen()
        await _warm(settings, connectors, venues)
        for worker in workers:
            await stack.enter_async_context(worker)
        chores = (
            *_chores(settings, client, storage, connectors, reserve.access),
            _chore("reconcile", SWEEP_EVERY_S, reconciles.run),
            *reserve.chores(),
        )
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(chore) for chore in chores]
            heartbeat.ready()
            log.info("worker ready", venues=sorted(venues))
            await stop.wait()
            heartbeat.draining()
            log.info("worker drains")
            for task in tasks:
                task.cancel()


def _chores(
    settings: WorkerSettings,
    client: Client,
    storage: Storage,
    connectors: Connectors,
    access: TradingAccessSource,
) -> tuple[Coroutine[Any, Any, None], ...]:
    """Return what is to be done again and again beside serving."""
    sweep = _sweeper(storage, OrderWorkflows(client))
    closes = ClosingSweep.over(client, storage.closes, storage.brackets, _now)
    return (
        _chore("sweep", settings.worker_sweep_every_s, sweep),
        _chore("closes", settings.worker_sweep_every_s, closes.run),
        _chore("halts", HALT_SWEEP_EVERY_S, _halt_sweeper(storage, client)),
        _chore("markets", MARKETS_EVERY_S, lambda: _save_markets(storage, connectors)),
        _chore("clock", CLOCK_EVERY_S, lambda: _measure(storage, connectors)),
        _chore("audit", SEAL_EVERY_S, storage.audit.seal),
        _chore("risk", RISK_EVERY_S, _risk_readings(storage, connectors).read),
        _chore("expiry", EXPIRY_EVERY_S, _expiry_watch(storage, connectors, access).run),
        _chore("credentials", CREDENTIALS_EVERY_S, storage.accounts.destroy_unneeded_credentials),
    )


def _expiry_watch(
    storage: Storage, connectors: Connectors, access: TradingAccessSource
) -> ExpiryWatch:
    return ExpiryWatch(
        accounts=storage.accounts,
        access=access,
        connectors=connectors,
        audit=storage.audit,
        now=_now,
    )


def venue_worker(
    settings: WorkerSettings,
    client: Client,
    venue: str,
    *,
    storage: Storage,
    access: CredentialSource,
    connectors: Connectors,
    parts: Parts,
    emergency: EmergencyCommands | None = None,
) -> Worker:
    """Return the worker of a venue's task queue, not yet running."""
    injected = CommandParts(
        ledger=parts.ledger(storage.ledger),
        orders=storage.orders,
        access=access,
        connectors=connectors,
        checkpoints=parts.checkpoints,
        now=_now,
    )
    orders = OrderActivities(injected, emergency)
    resolution = parts.resolution(injected)
    closing = CloseActivities(injected, storage.closes)
    brackets = BracketActivities(injected, storage.brackets)
    guarding = GuardActivities(injected, storage.conditions)
    halting = AccountHaltActivities(
        injected,
        orders,
        storage.closes,
        without_database=None if emergency is None else EmergencyHalt(injected, orders),
        last_access=None if emergency is None else emergency.access,
    )
    accounts = AccountActivities(accounts=storage.accounts, access=access, connectors=connectors)
    credentials = CredentialActivities(
        accounts=storage.accounts,
        rotation=storage.rotation,
        candidates=access,
        connectors=connectors,
    )
    leverage = LeverageActivities(
        access=access,
        connectors=connectors,
        nonces=storage.signer_nonces,
        risk=storage.risk,
        now=_now,
    )
    reading = AccountReading(
        accounts=storage.accounts,
        positions=storage.positions,
        connectors=connectors,
        now=_now,
    )
    reconciling = ReconcileActivities(injected, _reconcile_parts(storage, client))
    return Worker(
        client,
        task_queue=venue_queue(venue),
        workflows=[
            OrderWorkflow,
            VerifyAccountWorkflow,
            ReadAccountWorkflow,
            RotateCredentialWorkflow,
            SetLeverageWorkflow,
            CloseWorkflow,
            BracketWorkflow,
            GuardWorkflow,
            AccountHaltWorkflow,
            ReconcileWorkflow,
        ],
        activities=[
            orders.place,
            orders.cancel,
            orders.close,
            orders.adopt,
            orders.settle,
            orders.note_request,
            orders.apply_operator_verdict,
            resolution.resolve,
            accounts.verify,
            reading.read,
            credentials.check,
            leverage.ask,
            leverage.look,
            closing.look,
            closing.keep,
            brackets.look,
            brackets.keep,
            guarding.look,
            guarding.keep,
            halting.look,
            halting.cancel_directly,
            reconciling.begin,
            reconciling.look,
            reconciling.finish,
        ],
        # The import contracts keep workflows deterministic; the sandbox would re-import their
        # modules for each order. A test loads every workflow in the sandbox.
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_cached_workflows=MAX_CACHED_WORKFLOWS,
        max_concurrent_workflow_task_polls=settings.worker_task_pollers,
        max_concurrent_activities=settings.worker_concurrency,
        max_concurrent_local_activities=settings.worker_concurrency,
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        graceful_shutdown_timeout=DRAIN,
    )


def _reconcile_parts(storage: Storage, client: Client) -> ReconcileParts:
    return ReconcileParts(
        accounts=storage.accounts,
        records=storage.reconciliations,
        reads=storage.reconciliation_ledger,
        net_positions=storage.net_positions,
        audit=storage.audit,
        memory=OrderWorkflows(client),
    )


def _reconcile_sweep(
    settings: WorkerSettings, client: Client, storage: Storage, venues: frozenset[str]
) -> ReconcileSweep:
    workflows = ReconcileWorkflows(client, every_s=settings.worker_reconcile_every_s)
    return ReconcileSweep(storage.accounts, storage.reconciliations, workflows, venues)


def core_worker(settings: WorkerSettings, client: Client, *, storage: Storage) -> Worker:
    """Return the worker of the queue of whatever spans venues, not yet running; it has no keys."""
    kill_switches = KillSwitchActivities(storage.kill_switches)
    return Worker(
        client,
        task_queue=core_queue(),
        workflows=[KillSwitchWorkflow],
        activities=[kill_switches.keep],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_concurrent_workflow_task_polls=2,
        max_concurrent_activities=settings.worker_concurrency,
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        graceful_shutdown_timeout=DRAIN,
    )


async def _warm(settings: WorkerSettings, connectors: Connectors, venues: frozenset[str]) -> None:
    """Start the connectors that must be warm before the worker is ready."""
    networks = [Network(name.strip()) for name in settings.worker_networks.split(",")]
    for venue in venues:
        for network in networks:
            try:
                await connectors.connector(venue, network)
            except VenueUnavailable as error:
                log.warning("venue not warm", venue=venue, network=network, reason=str(error))


async def _chore(name: str, every_s: float, work: Callable[[], Awaitable[Any]]) -> None:
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
            pause = min(every_s, CHORE_RETRY_S)
        await asyncio.sleep(pause * (1 + CHORE_JITTER * random.random()))


def _sweeper(
    storage: Storage, workflows: OrderWorkflows
) -> Callable[[], Coroutine[Any, Any, None]]:
    sweep = OrphanSweep(storage.ledger, storage.orders, workflows, _now)

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
        marks=MarkPrices(_now),
        now=_now,
    )


async def _save_markets(storage: Storage, connectors: Connectors) -> None:
    for connector in connectors.started():
        instruments = await connector.instruments(refresh=True)
        await storage.markets.save(connector.network, instruments, seen_at=_now())


async def _measure(storage: Storage, connectors: Connectors) -> None:
    await connectors.measure_clock(await storage.accounts.all_active())


async def run_emergency(settings: WorkerSettings, wish: EmergencyWish) -> int:
    """Stop what an operator names, without Temporal; see `activities.emergency_command`."""
    async with AsyncExitStack() as stack:
        home = settings.perp_dex_home.expanduser()
        secrets = home / "secrets"
        passphrase = load_passphrase(secrets, settings.key_passphrase_file)
        key = load_private_key(secrets, Recipient.WORKER, passphrase)
        storage = await _storage_unless_away(settings, home)
        if storage is None:
            opened = OpenedKit.from_entries(EmergencyKit(home).entries(), key)
        else:
            stack.push_async_callback(storage.close)
            accounts = await storage.accounts.all_active()
            access = storage.access(key)
            opened = OpenedKit(tuple([await access.open(each.account_id) for each in accounts]))
        connectors = Connectors(frozenset(each.account.venue for each in opened.opened))
        stack.push_async_callback(connectors.close)
        parts = CommandParts(
            ledger=AwayDatabase() if storage is None else storage.ledger,
            orders=AwayDatabase() if storage is None else storage.orders,
            access=opened,
            connectors=connectors,
            checkpoints=NoCheckpoints(),
            now=_now,
        )
        commands = EmergencyCommands(
            journal=FileCommandJournal(home / "journal"),
            access=opened,
            nonces=FileSharedNonces(home / "journal"),
            checkpoints=parts.checkpoints,
            now=_now,
        )
        halt = EmergencyHalt(parts, OrderActivities(parts, commands))
        halting = None if storage is None else storage.halts
        return await emergency_command.run(wish, halt, opened.opened, halting)


async def _storage_unless_away(settings: WorkerSettings, home: Path) -> Storage | None:
    try:
        async with asyncio.timeout(OPEN_STORAGE_WITHIN_S):
            return await open_storage(settings.database_url, home)
    except (PerpDexError, TimeoutError, OSError) as error:
        emergency_command.say(f"the database cannot be used ({error}); going on without it")
        return None


def emergency_main(arguments: list[str]) -> int:
    """Run `python -m worker emergency …` and return its exit code."""
    wish = emergency_command.parse(arguments)
    settings = WorkerSettings.load_or_exit()
    configure_logging(service="emergency", log_format=settings.log_format, level="WARNING")
    protect_memory()
    try:
        return asyncio.run(run_emergency(settings, wish))
    except (PerpDexError, SealingError, OSError) as error:
        emergency_command.say(f"cannot start: {error}")
        return EXIT_CONFIGURATION
    except KeyboardInterrupt:
        emergency_command.say("interrupted; what was sent is sent")
        return emergency_command.EXIT_STILL_OPEN


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
