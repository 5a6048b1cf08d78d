"""The tables of net positions and risk limits."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, PrimaryKeyConstraint, Table, Text

from storage.columns import RowNumber, UtcTime
from storage.tables import metadata

# The signed position of an account in a market as our own orders and fills make it. Written under
# the account's lock, in the transaction that writes those.
net_positions = Table(
    "net_positions",
    metadata,
    Column("account_id", ForeignKey("accounts.account_id"), nullable=False),
    Column("symbol", Text(), nullable=False),
    Column("quantity", Text(), nullable=False),
    Column("last_price", Text()),
    Column("updated_at", UtcTime(), nullable=False),
    PrimaryKeyConstraint("account_id", "symbol"),
)

# Each time the venue's word replaced our count, and why.
position_corrections = Table(
    "position_corrections",
    metadata,
    Column("correction_id", RowNumber, primary_key=True, autoincrement=True),
    Column("account_id", ForeignKey("accounts.account_id"), nullable=False),
    Column("symbol", Text(), nullable=False),
    Column("quantity_before", Text(), nullable=False),
    Column("quantity_after", Text(), nullable=False),
    Column("evidence", Text(), nullable=False),
    Column("corrected_at", UtcTime(), nullable=False),
    sqlite_autoincrement=True,
)
Index(
    "position_corrections_account_idx",
    position_corrections.c.account_id,
    position_corrections.c.symbol,
)
