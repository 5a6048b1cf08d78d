"""Claims on idempotency keys: one row for each key, whatever kind of intent it names.

What there is already has its keys: each order, split order, bracket, close and conditional close
that was asked for with one holds it.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Where keys were used: table, id, time, kind, document and in it the path to the fingerprint. Of a
# key that is in several the first one counts: a split order before its choice, a bracket before
# its entry.
_USED = (
    ("splits", "split_id", "created_at", "split order", "body", "plan.fingerprint"),
    ("brackets", "bracket_id", "created_at", "bracket", "body", "plan.entry.fingerprint"),
    ("closes", "close_id", "created_at", "close", "plan", "fingerprint"),
    ("conditions", "condition_id", "created_at", "conditional close", "body", "plan.fingerprint"),
    ("routes", "order_id", "made_at", "order", "body", "fingerprint"),
    ("orders", "order_id", "created_at", "order", "body", "fingerprint"),
)


def upgrade() -> None:
    """Add the table, and fill it with the keys that were used."""
    op.create_table(
        "key_claims",
        sa.Column("intent_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("intent_id", name=op.f("key_claims_pkey")),
    )
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for table, key, at, kind, document, path in _USED:
        fingerprint = _member(document, path, is_sqlite)
        # Orders that something else gave have keys of their own making.
        given = _member(document, "origin", is_sqlite)
        where = f"coalesce({given}, 'USER') = 'USER'" if table == "orders" else "true"
        op.execute(
            "INSERT INTO key_claims (intent_id, kind, fingerprint, claimed_at) "
            f"SELECT {key}, '{kind}', coalesce({fingerprint}, ''), {at} "  # noqa: S608 - ours
            f"FROM {table} WHERE {where} ON CONFLICT DO NOTHING"
        )


def _member(document: str, path: str, is_sqlite: bool) -> str:
    """Return the expression of a member of a stored document."""
    if is_sqlite:
        return f"json_extract({document}, '$.{path}')"
    return f"({document}::json #>> '{{{path.replace('.', ',')}}}')"


def downgrade() -> None:
    """Take it back."""
    op.drop_table("key_claims")
