"""What accounts need in the schema.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and columns."""
    op.create_table(
        "account_group_members",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner"], ["principals.principal_id"], name=op.f("account_group_members_owner_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.account_id"],
            name=op.f("account_group_members_account_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "owner", "name", "account_id", name=op.f("account_group_members_pkey")
        ),
    )
    for name, kind in (
        ("master_address", sa.Text()),
        ("power", sa.Text()),
        ("credential_expires_at", sa.DateTime(timezone=True)),
    ):
        op.add_column("accounts", sa.Column(name, kind, nullable=True))
    op.create_table(
        "credential_candidates",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("trading", sa.LargeBinary(), nullable=False),
        sa.Column("feed", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.account_id"],
            name=op.f("credential_candidates_account_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("credential_candidates_pkey")),
    )
    op.create_table(
        "key_versions",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("key_versions_pkey")),
    )
    op.create_table(
        "destroyed_keys",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("destroyed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name=op.f("destroyed_keys_pkey")),
    )
    op.create_index(
        "account_group_members_account_idx", "account_group_members", ["account_id"], unique=False
    )


def downgrade() -> None:
    """Take them back."""
    op.drop_table("destroyed_keys")
    op.drop_table("key_versions")
    op.drop_table("credential_candidates")
    with op.batch_alter_table("accounts") as batch:
        for name in ("credential_expires_at", "power", "master_address"):
            batch.drop_column(name)
    op.drop_index("account_group_members_account_idx", table_name="account_group_members")
    op.drop_table("account_group_members")
