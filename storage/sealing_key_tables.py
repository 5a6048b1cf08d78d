"""The tables of sealing keys: the newest version of each key file, and which keys are gone."""

from __future__ import annotations

from sqlalchemy import Column, Integer, Table, Text

from storage.columns import UtcTime
from storage.tables import metadata

key_versions = Table(
    "key_versions",
    metadata,
    Column("name", Text(), primary_key=True),
    Column("version", Integer(), nullable=False),
    Column("seen_at", UtcTime(), nullable=False),
)

destroyed_keys = Table(
    "destroyed_keys",
    metadata,
    Column("key_id", Text(), primary_key=True),
    Column("name", Text(), nullable=False),
    Column("destroyed_at", UtcTime(), nullable=False),
)
"""Keys that no row needs and none may be sealed for any more."""
