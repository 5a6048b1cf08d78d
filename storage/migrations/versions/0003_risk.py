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
    op.create_table(
        "risk_limits",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=True),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("scope", name=op.f("risk_limits_pkey")),
    )
    op.create_table(
        "mark_prices",
        sa.Column("venue", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("price", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("day_price", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("venue", "network", "symbol", name=op.f("mark_prices_pkey")),
    )
    op.create_table(
        "account_equities",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("equity", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("account_equities_account_id_fkey")
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("account_equities_pkey")),
    )
    op.add_column("orders", sa.Column("open_quantity", sa.Text(), nullable=True))
    op.add_column("orders", sa.Column("open_price", sa.Text(), nullable=True))
    op.create_index(
        "orders_account_live_idx",
        "orders",
        ["account_id", "ended", "symbol", "open_quantity", "open_price"],
        unique=False,
        sqlite_where=sa.text("NOT ended"),
        postgresql_where=sa.text("NOT ended"),
    )
    op.create_index(
        "commands_new_orders_idx",
        "commands",
        ["inserted_at", "account_id"],
        unique=False,
        sqlite_where=sa.text("command = 'place' AND revision = 0"),
        postgresql_where=sa.text("command = 'place' AND revision = 0"),
    )
    op.create_index("fills_account_idx", "fills", ["account_id", "fill_id"], unique=False)
    op.execute("INSERT INTO risk_limits (scope, version, body) VALUES ('*', 0, '{}')")
    op.execute("INSERT INTO risk_limits (scope, version, body) VALUES ('total', 0, '{}')")
    _count_positions()
    _open_orders()
    _add_halt_tables()


def downgrade() -> None:
    """Take them back."""
    op.drop_table("dead_man_triggers")
    op.drop_table("dead_man_switches")
    op.drop_index("kill_switches_requested_idx", table_name="kill_switches")
    op.drop_index(
        "kill_switches_running_key",
        table_name="kill_switches",
        sqlite_where=sa.text("NOT ended"),
        postgresql_where=sa.text("NOT ended"),
    )
    op.drop_table("kill_switches")
    op.drop_index("fills_account_idx", table_name="fills")
    op.drop_index(
        "commands_new_orders_idx",
        table_name="commands",
        sqlite_where=sa.text("command = 'place' AND revision = 0"),
        postgresql_where=sa.text("command = 'place' AND revision = 0"),
    )
    op.drop_index(
        "orders_account_live_idx",
        table_name="orders",
        sqlite_where=sa.text("NOT ended"),
        postgresql_where=sa.text("NOT ended"),
    )
    op.drop_column("orders", "open_price")
    op.drop_column("orders", "open_quantity")
    op.drop_table("account_equities")
    op.drop_table("mark_prices")
    op.drop_table("risk_limits")
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


def _open_orders() -> None:
    """Note what each live order may still add to a position, and at which price at most."""
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT order_id, body FROM orders WHERE NOT ended")).all()
    for order_id, body in rows:
        order = json.loads(body)
        if order.get("reduce_only"):
            continue
        venue_orders = order.get("revisions", ())
        filled = sum((Decimal(r.get("filled_quantity", "0")) for r in venue_orders), Decimal(0))
        left = EXACT.subtract(Decimal(order["quantity"]), filled)
        if left <= 0:
            continue
        named = [order.get("price"), order.get("trigger_price")]
        named += [r.get("price") for r in venue_orders[-1:]]
        prices = [Decimal(price) for price in named if price is not None]
        connection.execute(
            sa.text(
                "UPDATE orders SET open_quantity = :quantity, open_price = :price "
                "WHERE order_id = :order_id"
            ),
            {
                "order_id": order_id,
                "quantity": format(left if order["side"] == "BUY" else -left, "f"),
                "price": format(max(prices), "f") if prices else None,
            },
        )


def _add_halt_tables() -> None:
    """Add the tables of kill switches and dead man's switches."""
    op.create_table(
        "kill_switches",
        sa.Column("kill_switch_id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kill_switch_id", name=op.f("kill_switches_pkey")),
    )
    op.create_index(
        "kill_switches_running_key",
        "kill_switches",
        ["scope"],
        unique=True,
        sqlite_where=sa.text("NOT ended"),
        postgresql_where=sa.text("NOT ended"),
    )
    op.create_index("kill_switches_requested_idx", "kill_switches", ["requested_at"], unique=False)
    op.create_table(
        "dead_man_switches",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("after_s", sa.Integer(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("armed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("renew_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("dead_man_switches_account_id_fkey")
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("dead_man_switches_pkey")),
    )
    op.create_table(
        "dead_man_triggers",
        sa.Column("trigger_id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name=op.f("dead_man_triggers_account_id_fkey")
        ),
        sa.PrimaryKeyConstraint("trigger_id", name=op.f("dead_man_triggers_pkey")),
        sa.UniqueConstraint(
            "account_id", "due_at", name=op.f("dead_man_triggers_account_id_due_at_key")
        ),
        sqlite_autoincrement=True,
    )
