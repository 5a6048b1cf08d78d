"""The tables of kill switches and dead man's switches."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from storage.columns import RowNumber, UtcTime
from storage.tables import metadata

# One row for each use of the kill switch, kept for ever; a scope has at most one that runs.
kill_switches = Table(
    "kill_switches",
    metadata,
    Column("kill_switch_id", Text(), primary_key=True),
    Column("scope", Text(), nullable=False),
    Column("requested_at", UtcTime(), nullable=False),
    Column("updated_at", UtcTime(), nullable=False),
    Column("ended", Boolean(), nullable=False),
    Column("body", Text(), nullable=False),
)
_RUNNING = text("NOT ended")
Index(
    "kill_switches_running_key",
    kill_switches.c.scope,
    unique=True,
    sqlite_where=_RUNNING,
    postgresql_where=_RUNNING,
)
Index("kill_switches_requested_idx", kill_switches.c.requested_at)

# The accounts whose owner wants the venue to cancel everything when we fall silent. `armed_until`
# is the last time the venue confirmed; `renew_at` is when the next renewal is due.
dead_man_switches = Table(
    "dead_man_switches",
    metadata,
    Column("account_id", ForeignKey("accounts.account_id"), primary_key=True),
    Column("after_s", Integer()),
    Column("state", Text(), nullable=False),
    Column("armed_until", UtcTime()),
    Column("renew_at", UtcTime()),
    Column("reason", Text(), nullable=False),
    Column("set_by", Text(), nullable=False),
    Column("set_at", UtcTime(), nullable=False),
    Column("updated_at", UtcTime(), nullable=False),
    # Who carries it out: the venue, or our watchdog. Null while no worker has looked.
    Column("kept_by", Text()),
)

# When a part of ours said last that it works, for all or for one account. One row each.
signs_of_life = Table(
    "signs_of_life",
    metadata,
    Column("part", Text(), primary_key=True),
    Column("scope", Text(), primary_key=True),
    Column("seen_at", UtcTime(), nullable=False),
)

dead_man_triggers = Table(
    "dead_man_triggers",
    metadata,
    Column("trigger_id", RowNumber, primary_key=True, autoincrement=True),
    Column("account_id", ForeignKey("accounts.account_id"), nullable=False),
    Column("due_at", UtcTime(), nullable=False),
    UniqueConstraint("account_id", "due_at"),
    sqlite_autoincrement=True,
)
