"""The table of account groups: who is a member of what."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, PrimaryKeyConstraint, Table, Text

from storage.tables import metadata

account_group_members = Table(
    "account_group_members",
    metadata,
    Column("owner", ForeignKey("principals.principal_id"), nullable=False),
    Column("name", Text(), nullable=False),
    Column("account_id", ForeignKey("accounts.account_id"), nullable=False),
    PrimaryKeyConstraint("owner", "name", "account_id"),
)
Index("account_group_members_account_idx", account_group_members.c.account_id)
