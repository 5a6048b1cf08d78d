"""Fills as rows and back. Knows no transaction."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import Row

from domain.fills import Fill, LiquiditySide
from domain.instruments import OrderSide
from storage.tables import fills


def fill_values(fill: Fill) -> dict[str, Any]:
    """Return a fill as the values of its row."""
    return {
        "venue": fill.venue,
        "account_id": fill.account_id,
        "venue_order_id": fill.venue_order_id,
        "trade_id": fill.trade_id,
        "time_ms": fill.key[-1],
        "symbol": fill.symbol,
        "client_order_id": fill.client_order_id,
        "side": fill.side.value,
        "price": str(fill.price),
        "quantity": str(fill.quantity),
        "fee": str(fill.fee),
        "fee_currency": fill.fee_currency,
        "liquidity_side": fill.liquidity_side.value,
        "event_time": fill.event_time,
        "realized_pnl": None if fill.realized_pnl is None else str(fill.realized_pnl),
        "is_liquidation": fill.is_liquidation,
        "order_id": fill.order_id,
        "revision": fill.revision,
    }


def read_fill(row: Row[Any]) -> Fill:
    """Return the fill that a row of `FILL_COLUMNS` holds."""
    return Fill(
        account_id=row.account_id,
        venue=row.venue,
        symbol=row.symbol,
        trade_id=row.trade_id,
        venue_order_id=row.venue_order_id,
        client_order_id=row.client_order_id,
        side=OrderSide(row.side),
        price=Decimal(row.price),
        quantity=Decimal(row.quantity),
        fee=Decimal(row.fee),
        fee_currency=row.fee_currency,
        liquidity_side=LiquiditySide(row.liquidity_side),
        event_time=row.event_time,
        realized_pnl=None if row.realized_pnl is None else Decimal(row.realized_pnl),
        is_liquidation=row.is_liquidation,
        order_id=row.order_id,
        revision=row.revision,
    )


FILL_COLUMNS = tuple(column for column in fills.c if column.name not in ("fill_id", "time_ms"))
