"""The table of credentials that have not proven themselves yet."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, LargeBinary, Table

from storage.columns import UtcTime
from storage.tables import metadata

credential_candidates = Table(
    "credential_candidates",
    metadata,
    Column("account_id", ForeignKey("accounts.account_id"), primary_key=True),
    Column("trading", LargeBinary(), nullable=False),
    Column("feed", LargeBinary()),
    Column("created_at", UtcTime(), nullable=False),
)
