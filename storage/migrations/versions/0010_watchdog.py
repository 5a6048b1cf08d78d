"""Our own dead man's switch: who keeps one, and the signs of life that it is judged by.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the table."""
    op.add_column("dead_man_switches", sa.Column("kept_by", sa.Text(), nullable=True))
    op.create_table(
        "signs_of_life",
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("part", "scope", name=op.f("signs_of_life_pkey")),
    )


def downgrade() -> None:
    """Take them back."""
    op.drop_table("signs_of_life")
    op.drop_column("dead_man_switches", "kept_by")
