"""How an order ends, and what its end means for its relatives and for what rests beside it.

Take-profit and stop-loss orders may hang on a parent: they wait for its complete fill, go when it
goes, and the fill of one ends the other. Matching and checks are elsewhere.
"""

from __future__ import annotations

import msgspec

from venues.simulation.events import OrderChanged
from venues.simulation.records import ZERO, Order, OrderStatus, Reason
from venues.simulation.tables import Tables


def announce(tables: Tables, order: Order) -> None:
    """Have the order logged and tell listeners how it stands now."""
    if not order.is_house:
        tables.touch(order)
        copy = msgspec.structs.replace(order)
        tables.emit(OrderChanged(order=copy, time_ms=tables.now_ms))


def is_in_book(order: Order) -> bool:
    """Tell whether the order rests in the book (not: is being matched, or waits elsewhere)."""
    return order.status is OrderStatus.OPEN and order.priority > 0 and order.remaining > 0


def end(tables: Tables, order: Order, status: OrderStatus, reason: Reason | None = None) -> None:
    """Give a live order, wherever it waits, its last status; then see to its relatives."""
    if is_in_book(order):
        tables.books[order.symbol].side(order.side).remove(order)
        tables.moved(order.symbol)
    elif order.status is OrderStatus.UNTRIGGERED:
        tables.triggers[order.symbol].remove(order)
    order.status = status
    order.reason = reason
    order.updated_ms = tables.now_ms
    tables.end_order(order)
    announce(tables, order)
    if order.children:
        _see_to_children(tables, order)
    if order.parent is not None and order.filled:
        _cancel_siblings(tables, order)


def _see_to_children(tables: Tables, parent: Order) -> None:
    """Activate the children of a filled parent; cancel those of one that ended otherwise.

    A parent cut for lack of margin after a partial fill counts as filled, a canceled one does not.
    https://hyperliquid.gitbook.io/hyperliquid-docs/trading/take-profit-and-stop-loss-orders-tp-sl
    """
    cut = parent.reason is Reason.MARGIN and parent.filled > ZERO
    activated = parent.status is OrderStatus.FILLED or cut
    for child_id in parent.children:
        child = tables.orders[child_id]
        if child.status is not OrderStatus.WAITING:
            continue
        if activated:
            child.status = OrderStatus.UNTRIGGERED
            child.updated_ms = tables.now_ms
            tables.triggers[child.symbol].add(child)
            announce(tables, child)
        else:
            end(tables, child, OrderStatus.CANCELED, Reason.PARENT_ENDED)


def _cancel_siblings(tables: Tables, order: Order) -> None:
    parent = tables.orders[order.parent] if order.parent is not None else None
    for sibling_id in parent.children if parent else ():
        sibling = tables.orders[sibling_id]
        if sibling is not order and sibling.status.is_live:
            end(tables, sibling, OrderStatus.CANCELED, Reason.SIBLING_FILLED)


def _has_filled_sibling(tables: Tables, order: Order) -> bool:
    parent = tables.orders[order.parent] if order.parent is not None else None
    siblings = parent.children if parent else ()
    return any(tables.orders[one].filled for one in siblings if one != order.venue_order_id)


def cut_reduce_only(tables: Tables, account: str, symbol: str) -> None:
    """Cut what rests reduce-only to the position; cancel it where nothing is left to reduce."""
    for order in tuple(tables.reduce_only.get((account, symbol), {}).values()):
        is_being_matched = order.status is OrderStatus.OPEN and not is_in_book(order)
        if order.status is OrderStatus.WAITING or is_being_matched or not order.status.is_live:
            continue
        closable = tables.closable(account, symbol, order.side)
        if not closable:
            reason = Reason.REDUCE_ONLY
            if _has_filled_sibling(tables, order):
                reason = Reason.SIBLING_FILLED
            end(tables, order, OrderStatus.CANCELED, reason)
        elif is_in_book(order) and order.remaining > closable:
            ladder = tables.books[symbol].side(order.side)
            ladder.reduce(order, order.remaining - closable)
            order.updated_ms = tables.now_ms
            announce(tables, order)
