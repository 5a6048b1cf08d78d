"""The workers of the task queues: which workflows and activities each serves, and with what."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker

from activities.access import CommandParts
from activities.account_reading import AccountReading
from activities.accounts import AccountActivities
from activities.brackets import BracketActivities
from activities.closing import CloseActivities
from activities.credentials import CredentialActivities
from activities.emergency_halt import EmergencyHalt
from activities.emergency_journal import CredentialSource, EmergencyCommands, JournalIntake
from activities.guarding import GuardActivities
from activities.halting import AccountHaltActivities, KillSwitchActivities
from activities.joint_placing import JointActivities
from activities.lanes import Lanes, NoLanes
from activities.leverage import LeverageActivities
from activities.orders import OrderActivities
from activities.reconciliation_contracts import ReconcileParts
from activities.reconciling import ReconcileActivities
from activities.splitting import SplitActivities
from activities.terms import TermsReading
from serving.settings import Parts, WorkerSettings, now
from serving.whole_tasks import WholeTaskRunner
from storage.feed_credentials import SqlFeedCredentials
from storage.opening import Storage
from venues.started import Connectors
from workflows.account import VerifyAccountWorkflow
from workflows.account_halt import AccountHaltWorkflow
from workflows.account_read import ReadAccountWorkflow
from workflows.bracket import BracketWorkflow
from workflows.client import OrderWorkflows
from workflows.close import CloseWorkflow
from workflows.guard import GuardWorkflow
from workflows.ids import core_queue, venue_queue
from workflows.kill_switch import KillSwitchWorkflow
from workflows.leverage import SetLeverageWorkflow
from workflows.order import OrderWorkflow
from workflows.reconcile import ReconcileWorkflow
from workflows.reconciliation_client import ReconcileSweep, ReconcileWorkflows
from workflows.rotation import RotateCredentialWorkflow
from workflows.split import SplitWorkflow
from workflows.terms import ReadTermsWorkflow

DRAIN = timedelta(seconds=8)
STICKY_TIMEOUT = timedelta(seconds=1)
MAX_CACHED_WORKFLOWS = 2000
VENUE_WORKFLOWS = (
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
    ReadTermsWorkflow,
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
    lanes: Lanes | None = None,
) -> Worker:
    """Return the worker of a venue's task queue, not yet running."""
    injected = CommandParts(
        ledger=parts.ledger(storage.ledger),
        orders=storage.orders,
        access=access,
        connectors=connectors,
        checkpoints=parts.checkpoints,
        now=now,
        lanes=lanes or NoLanes(),
        blocks=storage.halts,
    )
    orders = OrderActivities(injected, emergency)
    resolution = parts.resolution(injected)
    halting = AccountHaltActivities(
        injected,
        orders,
        storage.closes,
        without_database=None if emergency is None else EmergencyHalt(injected, orders),
        last_access=None if emergency is None else emergency.access,
    )
    reconciling = ReconcileActivities(injected, _reconcile_parts(storage, client, emergency))
    return Worker(
        client,
        task_queue=venue_queue(venue),
        workflows=VENUE_WORKFLOWS,
        activities=[
            orders.place,
            orders.cancel,
            orders.close,
            orders.adopt,
            orders.settle,
            orders.note_request,
            orders.apply_operator_verdict,
            resolution.resolve,
            *_account_activities(settings, storage, access, connectors),
            *_position_activities(storage, injected),
            halting.look,
            halting.cancel_directly,
            reconciling.begin,
            reconciling.look,
            reconciling.finish,
        ],
        workflow_runner=WholeTaskRunner(),
        interceptors=(parts.meter,),
        max_cached_workflows=MAX_CACHED_WORKFLOWS,
        max_concurrent_workflow_task_polls=settings.worker_task_pollers,
        max_concurrent_activities=settings.worker_concurrency,
        max_concurrent_local_activities=settings.worker_concurrency,
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        graceful_shutdown_timeout=DRAIN,
    )


def _position_activities(
    storage: Storage, injected: CommandParts
) -> tuple[Callable[..., Any], ...]:
    """Return the activities that look after positions: closes, brackets, conditions."""
    closing = CloseActivities(injected, storage.closes)
    brackets = BracketActivities(injected, storage.brackets)
    guarding = GuardActivities(injected, storage.conditions)
    return (
        closing.look,
        closing.keep,
        brackets.look,
        brackets.keep,
        JointActivities(injected).place,
        guarding.look,
        guarding.keep,
    )


def _account_activities(
    settings: WorkerSettings, storage: Storage, access: CredentialSource, connectors: Connectors
) -> tuple[Callable[..., Any], ...]:
    """Return the activities that concern an account and none of its orders."""
    feeds = SqlFeedCredentials(storage.database, settings.perp_dex_home.expanduser() / "secrets")
    accounts = AccountActivities(
        accounts=storage.accounts,
        access=access,
        connectors=connectors,
        feeds=feeds,
        rights=connectors.rights,
    )
    credentials = CredentialActivities(
        accounts=storage.accounts,
        rotation=storage.rotation,
        candidates=access,
        connectors=connectors,
        feeds=feeds,
        rights=connectors.rights,
    )
    leverage = LeverageActivities(
        access=access,
        connectors=connectors,
        nonces=storage.signer_nonces,
        risk=storage.risk,
        now=now,
    )
    reading = AccountReading(
        accounts=storage.accounts,
        positions=storage.positions,
        connectors=connectors,
        now=now,
    )
    terms = TermsReading(accounts=storage.accounts, connectors=connectors, now=now)
    return (
        accounts.verify,
        reading.read,
        terms.read,
        credentials.check,
        leverage.ask,
        leverage.look,
    )


def _reconcile_parts(
    storage: Storage, client: Client, emergency: EmergencyCommands | None
) -> ReconcileParts:
    journal = None if emergency is None else emergency.journal
    return ReconcileParts(
        accounts=storage.accounts,
        records=storage.reconciliations,
        reads=storage.reconciliation_ledger,
        net_positions=storage.net_positions,
        audit=storage.audit,
        memory=OrderWorkflows(client),
        journal=None
        if journal is None
        else JournalIntake(journal=journal, ledger=storage.ledger, now=now),
    )


def reconcile_sweep(
    settings: WorkerSettings, client: Client, storage: Storage, venues: frozenset[str]
) -> ReconcileSweep:
    """Return what keeps a reconciliation running for every account."""
    workflows = ReconcileWorkflows(client, every_s=settings.worker_reconcile_every_s)
    return ReconcileSweep(storage.accounts, storage.reconciliations, workflows, venues)


def core_worker(
    settings: WorkerSettings,
    client: Client,
    *,
    storage: Storage,
    parts: Parts | None = None,
) -> Worker:
    """Return the worker of the queue of whatever spans venues, not yet running; it has no keys."""
    kill_switches = KillSwitchActivities(storage.kill_switches)
    parts = parts or Parts()
    splitting = SplitActivities(splits=storage.splits, now=now, checkpoints=parts.checkpoints)
    return Worker(
        client,
        task_queue=core_queue(),
        workflows=[KillSwitchWorkflow, SplitWorkflow],
        activities=[kill_switches.keep, splitting.keep, splitting.look],
        workflow_runner=WholeTaskRunner(),
        interceptors=(parts.meter,),
        max_concurrent_workflow_task_polls=2,
        max_concurrent_activities=settings.worker_concurrency,
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        graceful_shutdown_timeout=DRAIN,
    )
