"""What happens when a mark price is reached: trigger orders fire, accounts are liquidated.

Runs at the end of every action that moved a market.
"""

from __future__ import annotations

from decimal import Decimal

from venues.simulation import margin
from venues.simulation.lifecycle import announce, end
from venues.simulation.matching import take, work
from venues.simulation.records import (
    ZERO,
    Order,
    OrderStatus,
    Position,
    Reason,
    Side,
    TimeInForce,
)
from venues.simulation.settlement import Liquidation
from venues.simulation.tables import Tables


def fire_triggers(tables: Tables, symbol: str) -> None:
    """Send every order whose trigger price the mark price has reached to the book."""
    index, mark = tables.triggers[symbol], tables.markets[symbol].mark_price
    while (order := index.next_fired(mark)) is not None:
        index.remove(order)
        order.triggered = True
        order.status = OrderStatus.OPEN
        order.updated_ms = tables.now_ms
        announce(tables, order)
        _send_fired(tables, order)


def _send_fired(tables: Tables, order: Order) -> None:
    if order.trigger is not None and order.trigger.is_market:
        order.time_in_force = TimeInForce.IOC
        order.is_market = True
    if order.reduce_only:
        closable = tables.closable(order.account, order.symbol, order.side)
        if not closable:
            end(tables, order, OrderStatus.CANCELED, Reason.REDUCE_ONLY)
            return
        order.remaining = closable if order.is_position_tpsl else min(order.remaining, closable)
    else:
        opened = order.remaining - tables.closable(order.account, order.symbol, order.side)
        leverage = tables.position(order.account, order.symbol).leverage
        needed = max(ZERO, opened) * order.price / leverage
        if margin.available_margin(tables, order.account) < needed:
            end(tables, order, OrderStatus.CANCELED, Reason.MARGIN)
            return
    work(tables, order)


def liquidate(tables: Tables, symbol: str) -> None:
    """Close out every account that holds `symbol` and whose margin no longer suffices."""
    for position in tuple(tables.holders.get(symbol, {}).values()):
        if position.is_isolated:
            used = margin.margin_used(tables, position)
            rate = tables.instruments[symbol].maintenance_rate()
            if used < margin.notional(tables, position) * rate:
                _cancel_all(tables, position.account, symbol)
                _close_out(tables, position)
        elif _is_under_water(tables, position.account):
            _cancel_all(tables, position.account, None)
            rows = [
                row
                for row in margin.held_positions(tables, position.account)
                if not row.is_isolated
            ]
            for row in rows:
                _close_out(tables, row)
            _write_off(tables, position.account)


def _is_under_water(tables: Tables, account: str) -> bool:
    value = margin.cross_summary(tables, account).account_value
    return value < margin.cross_maintenance(tables, account)


def _cancel_all(tables: Tables, account: str, symbol: str | None) -> None:
    for order in tuple(tables.live_orders.get(account, {}).values()):
        if order.status.is_live and symbol in (None, order.symbol):
            end(tables, order, OrderStatus.CANCELED, Reason.LIQUIDATED)


def _close_out(tables: Tables, position: Position) -> None:
    """Sell the position into the book at whatever price it gives."""
    mark = tables.markets[position.symbol].mark_price
    side = Side.SELL if position.quantity > 0 else Side.BUY
    instrument = tables.instruments[position.symbol]
    price = instrument.price_above(mark * 2) if side is Side.BUY else Decimal("0.000001")
    order = Order(
        venue_order_id=tables.take_order_id(),
        account=position.account,
        symbol=position.symbol,
        side=side,
        price=price,
        quantity=abs(position.quantity),
        remaining=abs(position.quantity),
        created_ms=tables.now_ms,
        updated_ms=tables.now_ms,
        number=tables.order_count.get(position.account, 0),
        time_in_force=TimeInForce.IOC,
        reduce_only=True,
        is_market=True,
        reason=Reason.LIQUIDATED,
    )
    tables.add_order(order)
    tables.touch(order)
    take(tables, order, liquidation=Liquidation(account=position.account, mark_price=mark))
    ended = OrderStatus.CANCELED if order.remaining else OrderStatus.FILLED
    end(tables, order, ended, Reason.LIQUIDATED)


def _write_off(tables: Tables, account: str) -> None:
    """Let the exchange bear what a liquidation left owing."""
    row = tables.accounts[account]
    if row.cash < 0 and not any(margin.held_positions(tables, account)):
        row.cash = ZERO
        tables.touch(row)
