"""Net positions, and what risk limits need in the schema.

Net positions are counted from what is stored already.

Revision ID: 0003
Revises: 0002
"""

import json
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Context, Decimal

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
EXACT = Context(prec=200)


def upgrade() -> None:
    """Add the tables and columns, and count what has filled."""
    op.create_table(
        "net_positions",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Text(), nullable=False),
        sa.Column("last_price", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("net_positions_account_id_fkey")
        ),
        sa.PrimaryKeyConstraint("account_id", "symbol", name=op.f("net_positions_pkey")),
    )
    op.create_table(
        "position_corrections",
        sa.Column("correction_id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("quantity_before", sa.Text(), nullable=False),
        sa.Column("quantity_after", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("corrected_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.account_id"],
            name=op.f("position_corrections_account_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("correction_id", name=op.f("position_corrections_pkey")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "position_corrections_account_idx",
        "position_corrections",
        ["account_id", "symbol"],
        unique=False,
    )
    _count_positions()


def downgrade() -> None:
    """Take them back."""
    op.drop_index("position_corrections_account_idx", table_name="position_corrections")
    op.drop_table("position_corrections")
    op.drop_table("net_positions")


def _count_positions() -> None:
    """Make of every order's filled quantity, and of fills without order, a net position."""
    connection = op.get_bind()
    held: dict[tuple[str, str], Decimal] = defaultdict(Decimal)

    def count(account_id: str, symbol: str, side: str, quantity: str) -> None:
        change = Decimal(quantity) if side == "BUY" else -Decimal(quantity)
        key = (account_id, symbol)
        held[key] = EXACT.add(held[key], change)

    for account_id, symbol, body in connection.execute(
        sa.text("SELECT account_id, symbol, body FROM orders")
    ):
        order = json.loads(body)
        for venue_order in order.get("revisions", ()):
            count(account_id, symbol, order["side"], venue_order.get("filled_quantity", "0"))
    for fill in connection.execute(
        sa.text("SELECT account_id, symbol, side, quantity FROM fills WHERE order_id IS NULL")
    ):
        count(*fill)
    table = sa.table(
        "net_positions",
        sa.column("account_id", sa.Text()),
        sa.column("symbol", sa.Text()),
        sa.column("quantity", sa.Text()),
        sa.column("updated_at", sa.DateTime(timezone=True)),
    )
    now = datetime.now(UTC)
    if connection.dialect.name == "sqlite":
        now = now.replace(tzinfo=None)
    rows = [
        {"account_id": account_id, "symbol": symbol, "quantity": str(quantity), "updated_at": now}
        for (account_id, symbol), quantity in held.items()
        if quantity
    ]
    if rows:
        connection.execute(sa.insert(table), rows)
