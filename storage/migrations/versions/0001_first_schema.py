"""The first schema, with the one principal of an embedded stack.

Revision ID: 0001
Revises: none
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "audit",
        sa.Column("audit_id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("sequence", sa.BigInteger(), nullable=True),
        sa.Column("chain_hash", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(sequence IS NULL) = (chain_hash IS NULL)", name=op.f("audit_sealed_check")
        ),
        sa.PrimaryKeyConstraint("audit_id", name=op.f("audit_pkey")),
        sa.UniqueConstraint("sequence", name=op.f("audit_sequence_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "audit_unsealed_idx",
        "audit",
        ["audit_id"],
        unique=False,
        sqlite_where=sa.text("sequence IS NULL"),
        postgresql_where=sa.text("sequence IS NULL"),
    )
    op.create_table(
        "audit_chain",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("last_hash", sa.Text(), nullable=False),
        sa.CheckConstraint("number = 1", name=op.f("audit_chain_single_check")),
        sa.PrimaryKeyConstraint("number", name=op.f("audit_chain_pkey")),
    )
    op.create_table(
        "client_order_ids",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "account_id", "client_order_id", name=op.f("client_order_ids_pkey")
        ),
    )
    op.create_table(
        "halts",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("halted", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("halts_pkey")),
    )
    op.create_table(
        "instruments",
        sa.Column("venue", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("venue", "network", "symbol", name=op.f("instruments_pkey")),
    )
    op.create_table(
        "principals",
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("principal_id", name=op.f("principals_pkey")),
    )
    op.create_table(
        "report_deliveries",
        sa.Column("delivery_id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("report_deliveries_pkey")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "report_deliveries_undelivered_idx",
        "report_deliveries",
        ["delivery_id"],
        unique=False,
        sqlite_where=sa.text("delivered_at IS NULL"),
        postgresql_where=sa.text("delivered_at IS NULL"),
    )
    op.create_table(
        "signers",
        sa.Column("venue", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("signer", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("last_nonce", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("venue", "network", "signer", "lane", name=op.f("signers_pkey")),
    )
    op.create_table(
        "venue_order_ids",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("venue_order_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "venue_order_id", name=op.f("venue_order_ids_pkey")),
    )
    op.create_table(
        "accounts",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("venue", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("signer", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner"], ["principals.principal_id"], name=op.f("accounts_owner_fkey")
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("accounts_pkey")),
    )
    op.create_index(
        "accounts_owner_address_key",
        "accounts",
        ["owner", "venue", "network", "address"],
        unique=True,
        sqlite_where=sa.text("state IN ('PENDING', 'ACTIVE')"),
        postgresql_where=sa.text("state IN ('PENDING', 'ACTIVE')"),
    )
    op.create_index(
        "accounts_owner_label_key",
        "accounts",
        ["owner", "label"],
        unique=True,
        sqlite_where=sa.text("state IN ('PENDING', 'ACTIVE')"),
        postgresql_where=sa.text("state IN ('PENDING', 'ACTIVE')"),
    )
    op.create_table(
        "account_sequences",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("account_sequences_account_id_fkey")
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("account_sequences_pkey")),
    )
    op.create_table(
        "blocked_symbols",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("blocked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("blocked_symbols_account_id_fkey")
        ),
        sa.PrimaryKeyConstraint(
            "account_id", "symbol", "order_id", name=op.f("blocked_symbols_pkey")
        ),
    )
    op.create_table(
        "commands",
        sa.Column("position", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("venue", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("signer", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("target_revision", sa.Integer(), nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=True),
        sa.Column("nonce", sa.BigInteger(), nullable=True),
        sa.Column("admitted_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("inserted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("send_by", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reserved_by", sa.Text(), nullable=False),
        sa.Column("outcome_kind", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("raw_answer", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("commands_account_id_fkey")
        ),
        sa.PrimaryKeyConstraint("position", name=op.f("commands_pkey")),
        sa.UniqueConstraint("order_id", "command", "revision", name="commands_key"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "commands_undecided_idx",
        "commands",
        ["inserted_at"],
        unique=False,
        sqlite_where=sa.text("decided_at IS NULL"),
        postgresql_where=sa.text("decided_at IS NULL"),
    )
    op.create_table(
        "credentials",
        sa.Column("credential_id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("signer", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("credentials_account_id_fkey")
        ),
        sa.PrimaryKeyConstraint("credential_id", name=op.f("credentials_pkey")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "credentials_current_key",
        "credentials",
        ["account_id", "part"],
        unique=True,
        sqlite_where=sa.text("retired_at IS NULL"),
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.create_table(
        "fills",
        sa.Column("fill_id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("venue", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("venue_order_id", sa.Text(), nullable=False),
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=True),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("price", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Text(), nullable=False),
        sa.Column("fee", sa.Text(), nullable=False),
        sa.Column("fee_currency", sa.Text(), nullable=False),
        sa.Column("liquidity_side", sa.Text(), nullable=False),
        sa.Column("event_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("realized_pnl", sa.Text(), nullable=True),
        sa.Column("is_liquidation", sa.Boolean(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("fills_account_id_fkey")
        ),
        sa.PrimaryKeyConstraint("fill_id", name=op.f("fills_pkey")),
        sa.UniqueConstraint(
            "venue", "account_id", "venue_order_id", "trade_id", "time_ms", name="fills_key"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("fills_account_time_idx", "fills", ["account_id", "event_time"], unique=False)
    op.create_index("fills_order_idx", "fills", ["order_id", "revision"], unique=False)
    op.create_index(
        "fills_unmatched_venue_idx",
        "fills",
        ["account_id", "venue_order_id"],
        unique=False,
        sqlite_where=sa.text("order_id IS NULL"),
        postgresql_where=sa.text("order_id IS NULL"),
    )
    op.create_index(
        "fills_unmatched_client_idx",
        "fills",
        ["account_id", "client_order_id"],
        unique=False,
        sqlite_where=sa.text("order_id IS NULL"),
        postgresql_where=sa.text("order_id IS NULL"),
    )
    op.create_table(
        "order_events",
        sa.Column("event_id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("snapshot", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(sequence IS NULL) = (snapshot IS NULL)", name=op.f("order_events_snapshot_check")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("order_events_account_id_fkey")
        ),
        sa.PrimaryKeyConstraint("event_id", name=op.f("order_events_pkey")),
        sa.UniqueConstraint(
            "account_id", "sequence", name=op.f("order_events_account_id_sequence_key")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "order_events_order_idx", "order_events", ["order_id", "event_id"], unique=False
    )
    op.create_table(
        "orders",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("venue", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("orders_account_id_fkey")
        ),
        sa.PrimaryKeyConstraint("order_id", name=op.f("orders_pkey")),
    )
    op.create_index(
        "orders_live_idx",
        "orders",
        ["created_at"],
        unique=False,
        sqlite_where=sa.text("NOT ended"),
        postgresql_where=sa.text("NOT ended"),
    )
    op.create_index("orders_page_idx", "orders", ["owner", "created_at", "order_id"], unique=False)
    first_rows()


def first_rows() -> None:
    """Write the rows that must always be there."""
    now = datetime.now(UTC)
    principals = sa.table(
        "principals",
        sa.column("principal_id", sa.Text()),
        sa.column("created_at", sa.DateTime(timezone=True)),
    )
    op.bulk_insert(principals, [{"principal_id": "local", "created_at": now}])
    halts = sa.table(
        "halts",
        sa.column("scope", sa.Text()),
        sa.column("halted", sa.Boolean()),
        sa.column("reason", sa.Text()),
        sa.column("set_by", sa.Text()),
        sa.column("set_at", sa.DateTime(timezone=True)),
    )
    first = {"scope": "*", "halted": False, "reason": "", "set_by": "migration", "set_at": now}
    op.bulk_insert(halts, [first])
    chain = sa.table(
        "audit_chain",
        sa.column("number", sa.Integer()),
        sa.column("last_sequence", sa.BigInteger()),
        sa.column("last_hash", sa.Text()),
    )
    op.bulk_insert(chain, [{"number": 1, "last_sequence": 0, "last_hash": "0" * 64}])


def downgrade() -> None:
    """Drop all tables."""
    op.drop_index("orders_page_idx", table_name="orders")
    op.drop_index(
        "orders_live_idx",
        table_name="orders",
        sqlite_where=sa.text("NOT ended"),
        postgresql_where=sa.text("NOT ended"),
    )
    op.drop_table("orders")
    op.drop_index("order_events_order_idx", table_name="order_events")
    op.drop_table("order_events")
    op.drop_index(
        "fills_unmatched_venue_idx",
        table_name="fills",
        sqlite_where=sa.text("order_id IS NULL"),
        postgresql_where=sa.text("order_id IS NULL"),
    )
    op.drop_index(
        "fills_unmatched_client_idx",
        table_name="fills",
        sqlite_where=sa.text("order_id IS NULL"),
        postgresql_where=sa.text("order_id IS NULL"),
    )
    op.drop_index("fills_order_idx", table_name="fills")
    op.drop_index("fills_account_time_idx", table_name="fills")
    op.drop_table("fills")
    op.drop_index(
        "credentials_current_key",
        table_name="credentials",
        sqlite_where=sa.text("retired_at IS NULL"),
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.drop_table("credentials")
    op.drop_index(
        "commands_undecided_idx",
        table_name="commands",
        sqlite_where=sa.text("decided_at IS NULL"),
        postgresql_where=sa.text("decided_at IS NULL"),
    )
    op.drop_table("commands")
    op.drop_table("blocked_symbols")
    op.drop_table("account_sequences")
    op.drop_index(
        "accounts_owner_label_key",
        table_name="accounts",
        sqlite_where=sa.text("state IN ('PENDING', 'ACTIVE')"),
        postgresql_where=sa.text("state IN ('PENDING', 'ACTIVE')"),
    )
    op.drop_index(
        "accounts_owner_address_key",
        table_name="accounts",
        sqlite_where=sa.text("state IN ('PENDING', 'ACTIVE')"),
        postgresql_where=sa.text("state IN ('PENDING', 'ACTIVE')"),
    )
    op.drop_table("accounts")
    op.drop_table("venue_order_ids")
    op.drop_table("signers")
    op.drop_index(
        "report_deliveries_undelivered_idx",
        table_name="report_deliveries",
        sqlite_where=sa.text("delivered_at IS NULL"),
        postgresql_where=sa.text("delivered_at IS NULL"),
    )
    op.drop_table("report_deliveries")
    op.drop_table("principals")
    op.drop_table("instruments")
    op.drop_table("halts")
    op.drop_table("client_order_ids")
    op.drop_table("audit_chain")
    op.drop_index(
        "audit_unsealed_idx",
        table_name="audit",
        sqlite_where=sa.text("sequence IS NULL"),
        postgresql_where=sa.text("sequence IS NULL"),
    )
    op.drop_table("audit")
