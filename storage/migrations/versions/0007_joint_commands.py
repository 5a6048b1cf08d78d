"""What commands need that leave in another command's message.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("commands", sa.Column("carried_by", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take it back."""
    op.drop_column("commands", "carried_by")
