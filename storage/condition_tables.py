"""The table of conditional closes."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, Table, Text

from storage.columns import UtcTime
from storage.tables import metadata

# One row for each conditional close, kept for ever. `body` is written by its guard; the watcher
# writes `watched_*`, and both the trailing extreme, which only ever gets better in one version.
conditions = Table(
    "conditions",
    metadata,
    Column("condition_id", Text(), primary_key=True),
    Column("owner", Text(), nullable=False),
    Column("account_id", ForeignKey("accounts.account_id"), nullable=False),
    Column("symbol", Text(), nullable=False),
    Column("status", Text(), nullable=False),
    Column("ended", Boolean(), nullable=False),
    Column("version", Integer(), nullable=False),
    Column("created_at", UtcTime(), nullable=False),
    Column("updated_at", UtcTime(), nullable=False),
    Column("watched_by", Text()),
    Column("watched_since", UtcTime()),
    Column("watched_at", UtcTime()),
    Column("extreme", Text()),
    Column("extreme_at", UtcTime()),
    Column("body", Text(), nullable=False),
)
Index(
    "conditions_owner_idx",
    conditions.c.owner,
    conditions.c.created_at,
    conditions.c.condition_id,
)
Index("conditions_ended_idx", conditions.c.ended, conditions.c.status)
