"""The exchange's own truth as JSON: the witness that tests compare everybody's story with.

Names are ours, ids and statuses the venue's, numbers strings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from venues.simulation import margin
from venues.simulation.records import Fill, Order, OrderStatus, Position
from venues.simulation.tables import Tables

Json = dict[str, Any]


def ledger(
    tables: Tables, order_status: Callable[[Order], str], account: str | None = None
) -> Json:
    """Write every order, fill, position and balance, or those of one account."""
    orders = [one for one in tables.orders.values() if account in (None, one.account)]
    fills = [one for one in tables.fills if account in (None, one.account)]
    positions = [
        row
        for owner in tables.accounts
        if account in (None, owner)
        for row in margin.held_positions(tables, owner)
    ]
    return {
        "orders": [_order(one, order_status(one)) for one in orders],
        "fills": [_fill(one) for one in fills],
        "positions": [_position(tables, one) for one in positions],
        "balances": balances(tables, account),
    }


def balances(tables: Tables, account: str | None) -> list[Json]:
    """Write what accounts are worth."""
    return [
        {
            "account": one.address,
            "name": one.name,
            "master": one.master,
            "cash": str(one.cash),
            "spot_cash": str(one.spot_cash),
            "account_value": str(margin.full_summary(tables, one.address).account_value),
            "withdrawable": str(margin.cross_summary(tables, one.address).withdrawable),
        }
        for one in tables.accounts.values()
        if account in (None, one.address)
    ]


def _order(order: Order, status: str) -> Json:
    trigger = order.trigger
    return {
        "client_order_id": order.client_order_id,
        "venue_order_id": str(order.venue_order_id),
        "account": order.account,
        "symbol": order.symbol,
        "side": order.side.value,
        "price": str(order.price),
        "trigger_price": str(trigger.price) if trigger else None,
        "quantity": str(order.quantity),
        "remaining_quantity": str(order.remaining),
        "filled_quantity": str(order.filled),
        "time_in_force": order.time_in_force.value,
        "reduce_only": order.reduce_only,
        "status": status,
        "reason": order.reason.value if order.reason else None,
        "is_live": order.status.is_live,
        "was_taken": order.status is not OrderStatus.REJECTED,
        "created_ms": order.created_ms,
        "updated_ms": order.updated_ms,
    }


def _fill(fill: Fill) -> Json:
    return {
        "trade_id": str(fill.trade_id),
        "client_order_id": fill.client_order_id,
        "venue_order_id": str(fill.venue_order_id),
        "account": fill.account,
        "symbol": fill.symbol,
        "side": fill.side.value,
        "quantity": str(fill.quantity),
        "price": str(fill.price),
        "fee": str(fill.fee),
        "closed_pnl": str(fill.closed_pnl),
        "is_taker": fill.is_taker,
        "time": fill.time_ms,
    }


def _position(tables: Tables, row: Position) -> Json:
    return {
        "account": row.account,
        "symbol": row.symbol,
        "quantity": str(row.quantity),
        "entry_price": str(row.entry_price),
        "unrealized_pnl": str(margin.unrealized_pnl(tables, row)),
        "leverage": row.leverage,
        "margin_mode": "isolated" if row.is_isolated else "cross",
    }
