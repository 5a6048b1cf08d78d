"""The worker's settings, and the parts that tests replace. Knows no database and no venue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field

from activities.access import Checkpoints, NoCheckpoints
from activities.resolution import ResolutionActivities
from domain.ports import IntentLedger
from process.key_settings import PrivateKeySettings
from serving.metrics import ActivityMeter
from venues import folders

EXIT_CONFIGURATION = 2


class WorkerSettings(PrivateKeySettings):
    """Settings of the worker process."""

    perp_dex_home: Path = Field(Path("~/.perp-dex"), description="Where all state is kept.")
    database_url: str = Field("", description="SQL database; empty: SQLite in PERP_DEX_HOME.")
    temporal_address: str = Field("127.0.0.1:7233", description="Temporal's host and port.")
    temporal_namespace: str = Field("default", description="Temporal's namespace.")
    redis_url: str = Field(
        "redis://127.0.0.1:6390/0",
        repr=False,
        description="Valkey or Redis; rediss:// for TLS, user and password in it.",
    )
    redis_ca_file: Path | None = Field(
        None,
        description="PEM file with what signed the certificate of a rediss:// REDIS_URL; unset: "
        "this machine's authorities.",
    )
    worker_venues: str = Field(
        ",".join(folders.names()),
        description="Venues to serve, comma-separated.",
    )
    worker_networks: str = Field(
        "paper", description="Networks whose connectors are warmed before the worker is ready."
    )
    worker_task_pollers: int = Field(5, ge=1, le=40, description="Workflow-task pollers.")
    worker_concurrency: int = Field(100, ge=1, description="Activities at once.")
    worker_sweep_every_s: float = Field(
        60.0, ge=1, description="How often orders that no workflow manages are looked for."
    )
    worker_reconcile_every_s: float = Field(300.0, ge=10, description="How often to reconcile.")
    metrics_host: str = Field(
        "127.0.0.1", description="Address that answers Prometheus at /metrics, to anybody."
    )
    metrics_port: int = Field(
        8703,
        ge=0,
        le=65_535,
        description="Port of /metrics, 0: any free one; of one that is taken another is used.",
    )
    log_level: str = Field("INFO", description="Least severe level logged.")
    log_format: str = Field("console", description="console or json.")


def now() -> datetime:
    """Return our clock, aware UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the worker composes; tests replace single parts to prove that they are needed."""

    checkpoints: Checkpoints = field(default_factory=NoCheckpoints)
    ledger: Callable[[IntentLedger], IntentLedger] = lambda ledger: ledger
    resolution: type[ResolutionActivities] = ResolutionActivities
    meter: ActivityMeter = field(default_factory=ActivityMeter)
