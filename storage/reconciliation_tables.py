"""The tables of reconciliations, their findings, and when a worker was last seen."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from storage.columns import UtcTime
from storage.tables import metadata

reconciliations = Table(
    "reconciliations",
    metadata,
    Column("reconciliation_id", Text(), primary_key=True),
    Column("account_id", ForeignKey("accounts.account_id"), nullable=False),
    Column("status", Text(), nullable=False),
    Column("started_at", UtcTime(), nullable=False),
    Column("has_findings", Boolean(), nullable=False),
    Column("body", Text(), nullable=False),
)
Index("reconciliations_account_idx", reconciliations.c.account_id, reconciliations.c.started_at)

# One row for each subject of a reconciliation, as its latest look saw it.
reconciliation_findings = Table(
    "reconciliation_findings",
    metadata,
    Column("reconciliation_id", ForeignKey("reconciliations.reconciliation_id"), nullable=False),
    Column("subject", Text(), nullable=False),
    Column("kind", Text(), nullable=False),
    Column("state", Text(), nullable=False),
    Column("look", Integer(), nullable=False),
    Column("found_at", UtcTime(), nullable=False),
    Column("body", Text(), nullable=False),
    PrimaryKeyConstraint("reconciliation_id", "subject"),
)

# When a worker of a venue last said that it lives.
worker_sightings = Table(
    "worker_sightings",
    metadata,
    Column("venue", Text(), primary_key=True),
    Column("seen_at", UtcTime(), nullable=False),
)
