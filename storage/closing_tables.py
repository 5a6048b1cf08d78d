"""The tables of closes and bracket orders."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Table, Text

from storage.columns import UtcTime
from storage.tables import metadata

# One row for each close that was asked for, kept for ever. `plan` is what was asked, `body` how far
# it is; one that joined another has that one's id in `joined_id` and says nothing more.
closes = Table(
    "closes",
    metadata,
    Column("close_id", Text(), primary_key=True),
    Column("owner", Text(), nullable=False),
    Column("account_id", ForeignKey("accounts.account_id"), nullable=False),
    Column("symbol", Text(), nullable=False),
    Column("joined_id", Text()),
    Column("status", Text(), nullable=False),
    Column("ended", Boolean(), nullable=False),
    Column("created_at", UtcTime(), nullable=False),
    Column("updated_at", UtcTime(), nullable=False),
    Column("plan", Text(), nullable=False),
    Column("body", Text(), nullable=False),
)
Index("closes_owner_idx", closes.c.owner, closes.c.created_at, closes.c.close_id)

# One row for each bracket: an entry order with the exits that protect what fills of it.
brackets = Table(
    "brackets",
    metadata,
    Column("bracket_id", Text(), primary_key=True),
    Column("owner", Text(), nullable=False),
    Column("account_id", ForeignKey("accounts.account_id"), nullable=False),
    Column("symbol", Text(), nullable=False),
    Column("status", Text(), nullable=False),
    Column("ended", Boolean(), nullable=False),
    Column("created_at", UtcTime(), nullable=False),
    Column("updated_at", UtcTime(), nullable=False),
    Column("body", Text(), nullable=False),
)
Index("brackets_owner_idx", brackets.c.owner, brackets.c.created_at, brackets.c.bracket_id)
