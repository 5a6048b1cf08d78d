"""Where orders go that were given no account, and orders that are split over several.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "routes",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", name=op.f("routes_pkey")),
    )
    op.create_table(
        "splits",
        sa.Column("split_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("split_id", name=op.f("splits_pkey")),
    )
    op.create_index("splits_owner_idx", "splits", ["owner", "created_at", "split_id"], unique=False)


def downgrade() -> None:
    """Take them back."""
    op.drop_index("splits_owner_idx", table_name="splits")
    op.drop_table("splits")
    op.drop_table("routes")
