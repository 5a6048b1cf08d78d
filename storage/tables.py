"""The tables. Their first version, and every change, is a migration; a test compares both.

Money is text (exact decimals), documents are JSON text, times are UTC.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from storage.columns import RowNumber, UtcTime

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

principals = Table(
    "principals",
    metadata,
    Column("principal_id", Text(), primary_key=True),
    Column("created_at", UtcTime(), nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("account_id", Text(), primary_key=True),
    Column("owner", ForeignKey("principals.principal_id"), nullable=False),
    Column("venue", Text(), nullable=False),
    Column("label", Text(), nullable=False),
    Column("network", Text(), nullable=False),
    Column("address", Text(), nullable=False),
    Column("signer", Text(), nullable=False),
    Column("state", Text(), nullable=False),
    Column("state_reason", Text()),
    Column("is_default", Boolean(), nullable=False),
    Column("created_at", UtcTime(), nullable=False),
    Column("master_address", Text()),
    Column("power", Text()),
    Column("credential_expires_at", UtcTime()),
    # Since when no new exposure is taken before the account is reconciled; NULL: it is.
    Column("reconcile_due", UtcTime()),
)
_IN_USE = text("state IN ('PENDING', 'ACTIVE')")
Index(
    "accounts_owner_label_key",
    accounts.c.owner,
    accounts.c.label,
    unique=True,
    sqlite_where=_IN_USE,
    postgresql_where=_IN_USE,
)
Index(
    "accounts_owner_address_key",
    accounts.c.owner,
    accounts.c.venue,
    accounts.c.network,
    accounts.c.address,
    unique=True,
    sqlite_where=_IN_USE,
    postgresql_where=_IN_USE,
)

# One row per account: the lock under which everything of the account is written, and the count
# of its changes. A gapless count in commit order needs such a lock in any case.
account_sequences = Table(
    "account_sequences",
    metadata,
    Column("account_id", ForeignKey("accounts.account_id"), primary_key=True),
    Column("last_sequence", BigInteger(), nullable=False),
)

credentials = Table(
    "credentials",
    metadata,
    Column("credential_id", RowNumber, primary_key=True, autoincrement=True),
    Column("account_id", ForeignKey("accounts.account_id"), nullable=False),
    Column("signer", Text(), nullable=False),
    Column("part", Text(), nullable=False),
    Column("sealed", LargeBinary(), nullable=False),
    Column("created_at", UtcTime(), nullable=False),
    Column("retired_at", UtcTime()),
    sqlite_autoincrement=True,
)
_CURRENT = text("retired_at IS NULL")
Index(
    "credentials_current_key",
    credentials.c.account_id,
    credentials.c.part,
    unique=True,
    sqlite_where=_CURRENT,
    postgresql_where=_CURRENT,
)

# Row '*' is the halt of everything; any other is an account's.
halts = Table(
    "halts",
    metadata,
    Column("scope", Text(), primary_key=True),
    Column("halted", Boolean(), nullable=False),
    Column("reason", Text(), nullable=False),
    Column("set_by", Text(), nullable=False),
    Column("set_at", UtcTime(), nullable=False),
)

blocked_symbols = Table(
    "blocked_symbols",
    metadata,
    Column("account_id", ForeignKey("accounts.account_id"), nullable=False),
    Column("symbol", Text(), nullable=False),
    Column("order_id", Text(), nullable=False),
    Column("reason", Text(), nullable=False),
    Column("blocked_at", UtcTime(), nullable=False),
    PrimaryKeyConstraint("account_id", "symbol", "order_id"),
)

signers = Table(
    "signers",
    metadata,
    Column("venue", Text(), nullable=False),
    Column("network", Text(), nullable=False),
    Column("signer", Text(), nullable=False),
    Column("lane", Text(), nullable=False),
    Column("last_nonce", BigInteger(), nullable=False),
    PrimaryKeyConstraint("venue", "network", "signer", "lane"),
)

lane_leases = Table(
    "lane_leases",
    metadata,
    Column("venue", Text(), nullable=False),
    Column("network", Text(), nullable=False),
    Column("signer", Text(), nullable=False),
    Column("lane", Text(), nullable=False),
    Column("owner", Text(), nullable=False),
    Column("epoch", BigInteger(), nullable=False),
    Column("expires_at", UtcTime(), nullable=False),
    PrimaryKeyConstraint("venue", "network", "signer", "lane"),
)

commands = Table(
    "commands",
    metadata,
    Column("position", RowNumber, primary_key=True, autoincrement=True),
    Column("order_id", Text(), nullable=False),
    Column("command", Text(), nullable=False),
    Column("revision", Integer(), nullable=False),
    Column("account_id", ForeignKey("accounts.account_id"), nullable=False),
    Column("venue", Text(), nullable=False),
    Column("network", Text(), nullable=False),
    Column("symbol", Text(), nullable=False),
    Column("signer", Text(), nullable=False),
    Column("lane", Text(), nullable=False),
    Column("target_revision", Integer(), nullable=False),
    Column("client_order_id", Text()),
    Column("nonce", BigInteger()),
    Column("admitted_until", UtcTime()),
    Column("message", Text()),
    Column("inserted_at", UtcTime(), nullable=False),
    Column("send_by", UtcTime(), nullable=False),
    Column("reserved_by", Text(), nullable=False),
    Column("outcome_kind", Text()),
    Column("outcome", Text()),
    Column("raw_answer", Text()),
    Column("decided_at", UtcTime()),
    # The order whose command of the same name has this one's message in its own.
    Column("carried_by", Text()),
    # What is sent of the message, where a signature is not the same each time.
    Column("signed", Text()),
    # Refused before anything was taken of it: another command of the lane may have its nonce.
    Column("nonce_returned", Boolean(), nullable=False, server_default=false()),
    UniqueConstraint("order_id", "command", "revision", name="commands_key"),
    sqlite_autoincrement=True,
)
# A noop has the nonce of the command that it burns, and what another carries has that one's.
_OWN_NONCE = text(
    "lane <> '' AND nonce IS NOT NULL AND command <> 'noop' AND carried_by IS NULL "
    "AND NOT nonce_returned"
)
Index(
    "commands_lane_nonce_idx",
    commands.c.venue,
    commands.c.network,
    commands.c.signer,
    commands.c.lane,
    commands.c.nonce,
    unique=True,
    sqlite_where=_OWN_NONCE,
    postgresql_where=_OWN_NONCE,
)
_UNDECIDED = text("decided_at IS NULL")
Index(
    "commands_undecided_idx",
    commands.c.inserted_at,
    sqlite_where=_UNDECIDED,
    postgresql_where=_UNDECIDED,
)

_NEW_ORDERS = text("command = 'place' AND revision = 0")
Index(
    "commands_new_orders_idx",
    commands.c.inserted_at,
    commands.c.account_id,
    sqlite_where=_NEW_ORDERS,
    postgresql_where=_NEW_ORDERS,
)

orders = Table(
    "orders",
    metadata,
    Column("order_id", Text(), primary_key=True),
    Column("owner", Text(), nullable=False),
    Column("account_id", ForeignKey("accounts.account_id"), nullable=False),
    Column("venue", Text(), nullable=False),
    Column("symbol", Text(), nullable=False),
    Column("status", Text(), nullable=False),
    Column("ended", Boolean(), nullable=False),
    Column("created_at", UtcTime(), nullable=False),
    Column("updated_at", UtcTime(), nullable=False),
    Column("body", Text(), nullable=False),
    # What the order may still add to a position, bought above zero; NULL where nothing.
    Column("open_quantity", Text()),
    Column("open_price", Text()),
)
Index("orders_page_idx", orders.c.owner, orders.c.created_at, orders.c.order_id)
_LIVE = text("NOT ended")
Index(
    "orders_live_idx",
    orders.c.created_at,
    sqlite_where=_LIVE,
    postgresql_where=_LIVE,
)
# All that risk limits ask of live orders, without their bodies.
Index(
    "orders_account_live_idx",
    orders.c.account_id,
    # Always false here; SQLite would fetch the row to see it.
    orders.c.ended,
    orders.c.symbol,
    orders.c.open_quantity,
    orders.c.open_price,
    sqlite_where=_LIVE,
    postgresql_where=_LIVE,
)

# Every client order id of an account, once for ever; a clash here is a collision.
client_order_ids = Table(
    "client_order_ids",
    metadata,
    Column("account_id", Text(), nullable=False),
    Column("client_order_id", Text(), nullable=False),
    Column("order_id", Text(), nullable=False),
    Column("revision", Integer(), nullable=False),
    PrimaryKeyConstraint("account_id", "client_order_id"),
)

# Every venue order id ever reported for a revision, so that old fills still find their order.
venue_order_ids = Table(
    "venue_order_ids",
    metadata,
    Column("account_id", Text(), nullable=False),
    Column("venue_order_id", Text(), nullable=False),
    Column("order_id", Text(), nullable=False),
    Column("revision", Integer(), nullable=False),
    PrimaryKeyConstraint("account_id", "venue_order_id"),
)

fills = Table(
    "fills",
    metadata,
    Column("fill_id", RowNumber, primary_key=True, autoincrement=True),
    Column("venue", Text(), nullable=False),
    Column("account_id", ForeignKey("accounts.account_id"), nullable=False),
    Column("venue_order_id", Text(), nullable=False),
    Column("trade_id", Text(), nullable=False),
    Column("time_ms", BigInteger(), nullable=False),
    Column("symbol", Text(), nullable=False),
    Column("client_order_id", Text()),
    Column("side", Text(), nullable=False),
    Column("price", Text(), nullable=False),
    Column("quantity", Text(), nullable=False),
    Column("fee", Text(), nullable=False),
    Column("fee_currency", Text(), nullable=False),
    Column("liquidity_side", Text(), nullable=False),
    Column("event_time", UtcTime(), nullable=False),
    Column("realized_pnl", Text()),
    Column("is_liquidation", Boolean(), nullable=False),
    Column("order_id", Text()),
    Column("revision", Integer()),
    UniqueConstraint(
        "venue", "account_id", "venue_order_id", "trade_id", "time_ms", name="fills_key"
    ),
    sqlite_autoincrement=True,
)
Index("fills_order_idx", fills.c.order_id, fills.c.revision)
Index("fills_account_time_idx", fills.c.account_id, fills.c.event_time)
Index("fills_account_idx", fills.c.account_id, fills.c.fill_id)
_UNMATCHED = text("order_id IS NULL")
Index(
    "fills_unmatched_venue_idx",
    fills.c.account_id,
    fills.c.venue_order_id,
    sqlite_where=_UNMATCHED,
    postgresql_where=_UNMATCHED,
)
Index(
    "fills_unmatched_client_idx",
    fills.c.account_id,
    fills.c.client_order_id,
    sqlite_where=_UNMATCHED,
    postgresql_where=_UNMATCHED,
)

# An order's timeline. An event that changed the order also carries the account's next sequence
# and the order as it was afterwards.
order_events = Table(
    "order_events",
    metadata,
    Column("event_id", RowNumber, primary_key=True, autoincrement=True),
    Column("order_id", Text(), nullable=False),
    Column("account_id", ForeignKey("accounts.account_id"), nullable=False),
    Column("sequence", BigInteger()),
    Column("kind", Text(), nullable=False),
    Column("text", Text(), nullable=False),
    Column("at", UtcTime(), nullable=False),
    Column("detail", Text()),
    Column("snapshot", Text()),
    UniqueConstraint("account_id", "sequence"),
    CheckConstraint("(sequence IS NULL) = (snapshot IS NULL)", name="snapshot"),
    sqlite_autoincrement=True,
)
Index("order_events_order_idx", order_events.c.order_id, order_events.c.event_id)

report_deliveries = Table(
    "report_deliveries",
    metadata,
    Column("delivery_id", RowNumber, primary_key=True, autoincrement=True),
    Column("order_id", Text(), nullable=False),
    Column("report", Text(), nullable=False),
    Column("created_at", UtcTime(), nullable=False),
    Column("attempts", Integer(), nullable=False),
    Column("delivered_at", UtcTime()),
    sqlite_autoincrement=True,
)
_UNDELIVERED = text("delivered_at IS NULL")
Index(
    "report_deliveries_undelivered_idx",
    report_deliveries.c.delivery_id,
    sqlite_where=_UNDELIVERED,
    postgresql_where=_UNDELIVERED,
)

instruments = Table(
    "instruments",
    metadata,
    Column("venue", Text(), nullable=False),
    Column("network", Text(), nullable=False),
    Column("symbol", Text(), nullable=False),
    Column("body", Text(), nullable=False),
    Column("seen_at", UtcTime(), nullable=False),
    PrimaryKeyConstraint("venue", "network", "symbol"),
)

audit = Table(
    "audit",
    metadata,
    Column("audit_id", RowNumber, primary_key=True, autoincrement=True),
    Column("principal_id", Text(), nullable=False),
    Column("action", Text(), nullable=False),
    Column("subject", Text(), nullable=False),
    Column("outcome", Text(), nullable=False),
    Column("at", UtcTime(), nullable=False),
    Column("request_id", Text()),
    Column("detail", Text()),
    Column("sequence", BigInteger()),
    Column("chain_hash", Text()),
    UniqueConstraint("sequence"),
    CheckConstraint("(sequence IS NULL) = (chain_hash IS NULL)", name="sealed"),
    sqlite_autoincrement=True,
)
_UNSEALED = text("sequence IS NULL")
Index(
    "audit_unsealed_idx",
    audit.c.audit_id,
    sqlite_where=_UNSEALED,
    postgresql_where=_UNSEALED,
)

# The end of the sealed chain (one row, number 1), so that a shortened chain is noticed.
audit_chain = Table(
    "audit_chain",
    metadata,
    Column("number", Integer(), primary_key=True, autoincrement=False),
    Column("last_sequence", BigInteger(), nullable=False),
    Column("last_hash", Text(), nullable=False),
    CheckConstraint("number = 1", name="single"),
)
