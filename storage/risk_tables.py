"""The tables of net positions and risk limits."""

from __future__ import annotations

from sqlalchemy import Column, Date, ForeignKey, Index, Integer, PrimaryKeyConstraint, Table, Text

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

# Limits as JSON, '{}' for none. Row '*' is that of everything, any other an account's. Row 'total'
# holds none: it is the lock under which orders of all accounts are counted together.
risk_limits = Table(
    "risk_limits",
    metadata,
    Column("scope", Text(), primary_key=True),
    Column("version", Integer(), nullable=False),
    Column("body", Text(), nullable=False),
    Column("set_by", Text()),
    Column("set_at", UtcTime()),
)

# The last mark price of a market that somebody holds or asks for. `day_price` is what it was when
# the UTC day `day` began: the last one before it, or else the first one seen.
mark_prices = Table(
    "mark_prices",
    metadata,
    Column("venue", Text(), nullable=False),
    Column("network", Text(), nullable=False),
    Column("symbol", Text(), nullable=False),
    Column("price", Text(), nullable=False),
    Column("seen_at", UtcTime(), nullable=False),
    Column("day", Date(), nullable=False),
    Column("day_price", Text(), nullable=False),
    PrimaryKeyConstraint("venue", "network", "symbol"),
)

account_equities = Table(
    "account_equities",
    metadata,
    Column("account_id", ForeignKey("accounts.account_id"), primary_key=True),
    Column("equity", Text(), nullable=False),
    Column("seen_at", UtcTime(), nullable=False),
)
