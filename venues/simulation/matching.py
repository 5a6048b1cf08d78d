"""Price-time matching: which resting orders an arriving one trades with, and what is left of it.

Checks of admission come before, the firing of triggers after; money is moved by settlement.
"""

from __future__ import annotations

from decimal import Decimal

from venues.simulation import margin
from venues.simulation.lifecycle import announce, cut_reduce_only, end
from venues.simulation.records import ZERO, Order, OrderStatus, Reason, TimeInForce
from venues.simulation.settlement import Liquidation, execute
from venues.simulation.tables import Tables


def work(tables: Tables, order: Order, *, liquidation: Liquidation | None = None) -> None:
    """Trade an admitted order against the book, then rest what is left or end it.

    An IOC that traded ends as filled even when some of it was dropped, one that did not is
    refused: so the venue reports them.
    """
    take(tables, order, liquidation=liquidation)
    if not order.remaining:
        end(tables, order, OrderStatus.FILLED)
    elif order.time_in_force is not TimeInForce.IOC:
        rest(tables, order)
    elif order.filled:
        end(tables, order, OrderStatus.FILLED)
    else:
        reason = Reason.NO_LIQUIDITY if order.is_market else Reason.NO_MATCH
        end(tables, order, OrderStatus.REJECTED, reason)


def rest(tables: Tables, order: Order) -> None:
    """Put the order in the book and reserve margin for the part that could open a position."""
    order.priority = tables.take_priority()
    if not order.reduce_only:
        opened = order.remaining - tables.closable(order.account, order.symbol, order.side)
        leverage = tables.position(order.account, order.symbol).leverage
        tables.hold_margin(order, max(ZERO, opened) * order.price / leverage)
    tables.books[order.symbol].side(order.side).add(order)
    tables.moved(order.symbol)
    announce(tables, order)


def take(tables: Tables, taker: Order, *, liquidation: Liquidation | None = None) -> None:
    """Trade with resting orders while prices cross and something is left.

    A reduce-only taker was cut to its position before, and both shrink alike.
    """
    ladder = tables.books[taker.symbol].side(taker.side.opposite)
    while taker.remaining and (level := ladder.crossing(taker.price)) is not None:
        maker = level.first()
        if maker.account == taker.account:
            end(tables, maker, OrderStatus.CANCELED, Reason.SELF_TRADE)
            continue
        quantity = min(taker.remaining, maker.remaining)
        if not maker_can_trade(tables, maker, quantity):
            end(tables, maker, OrderStatus.CANCELED, Reason.MARGIN)
            continue
        trade(tables, taker, maker, maker.price, quantity, liquidation=liquidation)


def trade(
    tables: Tables,
    taker: Order,
    maker: Order,
    price: Decimal,
    quantity: Decimal,
    *,
    liquidation: Liquidation | None = None,
) -> None:
    """Execute a quantity between two orders and bring the resting one up to date."""
    execute(
        tables,
        taker=taker,
        maker=maker,
        price=price,
        quantity=quantity,
        liquidation=liquidation,
    )
    if maker.held_margin:
        tables.hold_margin(
            maker, maker.held_margin * (maker.remaining - quantity) / maker.remaining
        )
    tables.books[maker.symbol].side(maker.side).reduce(maker, quantity)
    tables.moved(maker.symbol)
    if maker.is_house:
        tables.traded_with_house.add(maker.symbol)
    elif maker.remaining:
        announce(tables, maker)
    else:
        end(tables, maker, OrderStatus.FILLED)
    for order in (maker, taker):
        if not order.is_house:
            cut_reduce_only(tables, order.account, order.symbol)


def maker_can_trade(tables: Tables, maker: Order, quantity: Decimal) -> bool:
    """Tell whether a resting order's account still has the margin for this execution of it."""
    if maker.is_house or maker.reduce_only:
        return True
    opened = quantity - tables.closable(maker.account, maker.symbol, maker.side)
    if opened <= 0:
        return True
    leverage = tables.position(maker.account, maker.symbol).leverage
    free = margin.available_margin(tables, maker.account) + maker.held_margin
    return free >= opened * maker.price / leverage
