"""Tables of what is known of positions: the venue's word, sums of fills, funding payments."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from storage.columns import RowNumber, UtcTime
from storage.tables import metadata

account_summaries = Table(
    "account_summaries",
    metadata,
    Column("account_id", ForeignKey("accounts.account_id"), primary_key=True),
    Column("body", Text(), nullable=False),
    Column("event_time", UtcTime(), nullable=False),
    Column("seen_at", UtcTime(), nullable=False),
    Column("source", Text(), nullable=False),
)

# What the booked fills of a market add up to, moved in the transaction that books them.
market_pnl = Table(
    "market_pnl",
    metadata,
    Column("account_id", ForeignKey("accounts.account_id"), nullable=False),
    Column("symbol", Text(), nullable=False),
    Column("body", Text(), nullable=False),
    PrimaryKeyConstraint("account_id", "symbol"),
)

funding_payments = Table(
    "funding_payments",
    metadata,
    Column("payment_id", RowNumber, primary_key=True, autoincrement=True),
    Column("account_id", ForeignKey("accounts.account_id"), nullable=False),
    Column("symbol", Text(), nullable=False),
    Column("time_ms", BigInteger(), nullable=False),
    Column("amount", Text(), nullable=False),
    Column("rate", Text(), nullable=False),
    Column("position_quantity", Text(), nullable=False),
    Column("event_time", UtcTime(), nullable=False),
    UniqueConstraint("account_id", "symbol", "time_ms", name="funding_payments_key"),
    sqlite_autoincrement=True,
)
Index("funding_payments_time_idx", funding_payments.c.account_id, funding_payments.c.event_time)
