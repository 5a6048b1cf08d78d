"""What closes and brackets need in the schema.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and columns."""
    op.create_table(
        "closes",
        sa.Column("close_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("joined_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("closes_account_id_fkey")
        ),
        sa.PrimaryKeyConstraint("close_id", name=op.f("closes_pkey")),
    )
    op.create_index("closes_owner_idx", "closes", ["owner", "created_at", "close_id"], unique=False)
    op.create_table(
        "brackets",
        sa.Column("bracket_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("brackets_account_id_fkey")
        ),
        sa.PrimaryKeyConstraint("bracket_id", name=op.f("brackets_pkey")),
    )
    op.create_index(
        "brackets_owner_idx", "brackets", ["owner", "created_at", "bracket_id"], unique=False
    )
    op.create_table(
        "conditions",
        sa.Column("condition_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("watched_by", sa.Text(), nullable=True),
        sa.Column("watched_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("watched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("extreme", sa.Text(), nullable=True),
        sa.Column("extreme_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("conditions_account_id_fkey")
        ),
        sa.PrimaryKeyConstraint("condition_id", name=op.f("conditions_pkey")),
    )
    op.create_index(
        "conditions_owner_idx",
        "conditions",
        ["owner", "created_at", "condition_id"],
        unique=False,
    )
    op.create_index("conditions_ended_idx", "conditions", ["ended", "status"], unique=False)


def downgrade() -> None:
    """Take them back."""
    op.drop_index("conditions_ended_idx", table_name="conditions")
    op.drop_index("conditions_owner_idx", table_name="conditions")
    op.drop_table("conditions")
    op.drop_index("brackets_owner_idx", table_name="brackets")
    op.drop_table("brackets")
    op.drop_index("closes_owner_idx", table_name="closes")
    op.drop_table("closes")
