"""Lanes: a lease for each, transactions signed ahead, and nonces that went back.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

from storage.columns import UtcTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_OWN_NONCE = sa.text(
    "lane <> '' AND nonce IS NOT NULL AND command <> 'noop' AND carried_by IS NULL "
    "AND NOT nonce_returned"
)


def upgrade() -> None:
    """Add table, columns and index."""
    op.create_table(
        "lane_leases",
        sa.Column("venue", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("signer", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint(
            "venue", "network", "signer", "lane", name=op.f("lane_leases_pkey")
        ),
    )
    op.add_column("commands", sa.Column("signed", sa.Text(), nullable=True))
    op.add_column(
        "commands",
        sa.Column("nonce_returned", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.create_index(
        "commands_lane_nonce_idx",
        "commands",
        ["venue", "network", "signer", "lane", "nonce"],
        unique=True,
        sqlite_where=_OWN_NONCE,
        postgresql_where=_OWN_NONCE,
    )


def downgrade() -> None:
    """Take them back."""
    op.drop_index("commands_lane_nonce_idx", table_name="commands")
    op.drop_column("commands", "nonce_returned")
    op.drop_column("commands", "signed")
    op.drop_table("lane_leases")
