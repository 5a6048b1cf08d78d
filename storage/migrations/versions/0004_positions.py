"""What positions need in the schema.

Sums of a market's fills are made when next it fills.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "account_summaries",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("event_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("account_summaries_account_id_fkey")
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("account_summaries_pkey")),
    )
    op.create_table(
        "market_pnl",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("market_pnl_account_id_fkey")
        ),
        sa.PrimaryKeyConstraint("account_id", "symbol", name=op.f("market_pnl_pkey")),
    )
    op.create_table(
        "funding_payments",
        sa.Column("payment_id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.Text(), nullable=False),
        sa.Column("rate", sa.Text(), nullable=False),
        sa.Column("position_quantity", sa.Text(), nullable=False),
        sa.Column("event_time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("funding_payments_account_id_fkey")
        ),
        sa.PrimaryKeyConstraint("payment_id", name=op.f("funding_payments_pkey")),
        sa.UniqueConstraint(
            "account_id", "symbol", "time_ms", name=op.f("funding_payments_key")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "funding_payments_time_idx", "funding_payments", ["account_id", "event_time"], unique=False
    )


def downgrade() -> None:
    """Take them back."""
    op.drop_index("funding_payments_time_idx", table_name="funding_payments")
    op.drop_table("funding_payments")
    op.drop_table("market_pnl")
    op.drop_table("account_summaries")
