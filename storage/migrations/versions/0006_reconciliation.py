"""What reconciliation needs in the schema.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and columns."""
    op.create_table(
        "reconciliations",
        sa.Column("reconciliation_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("has_findings", sa.Boolean(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("reconciliations_account_id_fkey")
        ),
        sa.PrimaryKeyConstraint("reconciliation_id", name=op.f("reconciliations_pkey")),
    )
    op.create_index(
        "reconciliations_account_idx", "reconciliations", ["account_id", "started_at"], unique=False
    )
    op.create_table(
        "reconciliation_findings",
        sa.Column("reconciliation_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("look", sa.Integer(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["reconciliation_id"],
            ["reconciliations.reconciliation_id"],
            name=op.f("reconciliation_findings_reconciliation_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "reconciliation_id", "subject", name=op.f("reconciliation_findings_pkey")
        ),
    )
    op.create_table(
        "worker_sightings",
        sa.Column("venue", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("venue", name=op.f("worker_sightings_pkey")),
    )
    op.add_column("accounts", sa.Column("reconcile_due", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Take them back."""
    op.drop_column("accounts", "reconcile_due")
    op.drop_table("worker_sightings")
    op.drop_table("reconciliation_findings")
    op.drop_index("reconciliations_account_idx", table_name="reconciliations")
    op.drop_table("reconciliations")
