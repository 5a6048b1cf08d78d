"""The tables of routing: choices fixed before anything was sent, and split orders."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Table, Text

from storage.columns import UtcTime
from storage.tables import metadata

# One row for each order that was given no account, kept for ever: where it goes, and why. The first
# row of an order is the choice; whoever chooses besides takes it over.
routes = Table(
    "routes",
    metadata,
    Column("order_id", Text(), primary_key=True),
    Column("owner", Text(), nullable=False),
    Column("made_at", UtcTime(), nullable=False),
    Column("body", Text(), nullable=False),
)

# One row for each order that is split over accounts: what was asked, and how far it is.
splits = Table(
    "splits",
    metadata,
    Column("split_id", Text(), primary_key=True),
    Column("owner", Text(), nullable=False),
    Column("symbol", Text(), nullable=False),
    Column("status", Text(), nullable=False),
    Column("ended", Boolean(), nullable=False),
    Column("created_at", UtcTime(), nullable=False),
    Column("updated_at", UtcTime(), nullable=False),
    Column("body", Text(), nullable=False),
)
Index("splits_owner_idx", splits.c.owner, splits.c.created_at, splits.c.split_id)
