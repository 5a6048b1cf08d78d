"""Placing, cancelling and replacing orders: the checks of admission and what follows from them.

Runs inside one action of the exchange. Refusals are values: the venue's simulator spells them.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from venues.simulation import margin
from venues.simulation.lifecycle import announce, end
from venues.simulation.matching import work
from venues.simulation.records import (
    ZERO,
    Order,
    OrderStatus,
    Reason,
    Side,
    TimeInForce,
    Trigger,
)
from venues.simulation.switches import Switches
from venues.simulation.tables import Tables

#: Open orders: 1,000, and one more for each 5 million traded, 5,000 at most.
_OPEN_ORDERS: Final = 1_000
_OPEN_ORDERS_MAX: Final = 5_000
_VOLUME_PER_OPEN_ORDER: Final = 5_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerRequest:
    """The trigger part of an order request."""

    price: Decimal
    is_market: bool
    is_take_profit: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """What an account asks for. With `is_position_tpsl`, quantity 0 means the whole position."""

    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    client_order_id: str | None = None
    trigger: TriggerRequest | None = None
    is_position_tpsl: bool = False
    is_market: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an order was not taken; with the best prices where the book was the reason."""

    reason: Reason
    bid: Decimal | None = None
    ask: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The order as it was after its arrival; refused ones have an order too, for the history."""

    order: Order
    refusal: Refusal | None = None


def place(tables: Tables, switches: Switches, account: str, request: OrderRequest) -> Placement:
    """Check an order and let it trade, rest or wait for its trigger."""
    order = _new_order(tables, account, request)
    refusal = _refusal(tables, switches, order, is_child=False)
    if refusal is not None:
        return _refuse(tables, order, refusal)
    if order.reduce_only and order.trigger is None:
        closable = tables.closable(account, order.symbol, order.side)
        order.remaining = min(order.remaining, closable)
    _admit(tables, order)
    if order.trigger is not None:
        _wait_for_trigger(tables, order)
        return Placement(order=order)
    work(tables, order)
    if order.status is OrderStatus.REJECTED and order.reason is not None:
        return Placement(order=order, refusal=Refusal(reason=order.reason))
    return Placement(order=order)


def place_tree(
    tables: Tables, switches: Switches, account: str, requests: list[OrderRequest]
) -> list[Placement]:
    """Place a parent and the trigger orders that hang on it.

    A refused parent refuses its children for the same reason (how the venue words theirs is not
    known). The children are entered before the parent trades, so that its fill finds them.
    """
    parent = _new_order(tables, account, requests[0])
    refusal = _refusal(tables, switches, parent, is_child=False)
    if refusal is not None:
        return [_refuse(tables, parent, refusal)] * len(requests)
    if parent.reduce_only:
        closable = tables.closable(account, parent.symbol, parent.side)
        parent.remaining = min(parent.remaining, closable)
    _admit(tables, parent)
    placements: list[Placement] = []
    children: list[int] = []
    for request in requests[1:]:
        child = _new_order(tables, account, request)
        refusal = _refusal(tables, switches, child, is_child=True)
        if refusal is not None:
            placements.append(_refuse(tables, child, refusal))
            continue
        child.parent = parent.venue_order_id
        child.status = OrderStatus.WAITING
        _admit(tables, child)
        announce(tables, child)
        children.append(child.venue_order_id)
        placements.append(Placement(order=child))
    parent.children = tuple(children)
    work(tables, parent)
    if parent.status is OrderStatus.REJECTED and parent.reason is not None:
        failed = Placement(order=parent, refusal=Refusal(reason=parent.reason))
        return [failed] * len(requests)
    return [Placement(order=parent), *placements]


def cancel(tables: Tables, order: Order, reason: Reason = Reason.USER) -> bool:
    """Cancel an order; False when it is not live any more."""
    if not order.status.is_live:
        return False
    end(tables, order, OrderStatus.CANCELED, reason)
    return True


def replace(
    tables: Tables,
    switches: Switches,
    old: Order | None,
    request: OrderRequest,
    account: str,
    *,
    always_place: bool,
) -> Placement | None:
    """Cancel and place in one step; None when there is nothing to cancel and nothing was placed.

    Without `always_place` the new order becomes post-only: it may not take liquidity. A new
    order of bad form leaves the old one alone; one that fails only against the book or for margin
    finds the old one already gone.
    """
    is_live = old is not None and old.status.is_live
    if not is_live and not always_place:
        return None
    if not always_place:
        request = _post_only(request)
    probe = _new_order(tables, account, request)
    malformed = _form_refusal(tables, probe)
    if malformed is not None:
        return _refuse(tables, probe, Refusal(reason=malformed))
    if old is not None and is_live:
        end(tables, old, OrderStatus.CANCELED, Reason.REPLACED)
    return place(tables, switches, account, request)


def find_order(
    tables: Tables, switches: Switches, account: str, reference: int | str
) -> Order | None:
    """Look an order up by venue id or client id (the newest that has it), as an outsider may.

    Orders that ended are forgotten by count, new ones are not visible before the look-up lag.
    """
    if isinstance(reference, int):
        order = tables.orders.get(reference)
    else:
        ids = tables.by_client_id.get((account, reference))
        order = tables.orders[ids[-1]] if ids else None
    if order is None or order.account != account:
        return None
    if tables.now_ms - order.created_ms < switches.lookup_lag_ms:
        return None
    oldest = tables.order_count[account] - switches.order_retention
    return order if order.status.is_live or order.number >= oldest else None


def live_order(tables: Tables, account: str, reference: int | str) -> Order | None:
    """Return the live order with that venue id, or the newest live one with that client id."""
    if isinstance(reference, int):
        return tables.live_orders.get(account, {}).get(reference)
    for order_id in reversed(tables.by_client_id.get((account, reference), [])):
        if tables.orders[order_id].status.is_live:
            return tables.orders[order_id]
    return None


def _post_only(request: OrderRequest) -> OrderRequest:
    return OrderRequest(
        symbol=request.symbol,
        side=request.side,
        price=request.price,
        quantity=request.quantity,
        time_in_force=TimeInForce.ALO,
        reduce_only=request.reduce_only,
        client_order_id=request.client_order_id,
    )


def _new_order(tables: Tables, account: str, request: OrderRequest) -> Order:
    trigger = None
    if request.trigger is not None:
        asked = request.trigger
        # A take-profit sell and a stop buy fire when the price rises, the other two when it falls.
        fires_above = asked.is_take_profit == (request.side is Side.SELL)
        trigger = Trigger(
            price=asked.price,
            fires_above=fires_above,
            is_market=asked.is_market,
            is_take_profit=asked.is_take_profit,
        )
    quantity = request.quantity
    if request.is_position_tpsl and not quantity:
        quantity = tables.closable(account, request.symbol, request.side)
    return Order(
        venue_order_id=tables.take_order_id(),
        account=account,
        symbol=request.symbol,
        side=request.side,
        price=request.price,
        quantity=quantity,
        remaining=quantity,
        created_ms=tables.now_ms,
        updated_ms=tables.now_ms,
        number=tables.order_count.get(account, 0),
        time_in_force=request.time_in_force,
        client_order_id=request.client_order_id,
        reduce_only=request.reduce_only,
        trigger=trigger,
        is_position_tpsl=request.is_position_tpsl,
        is_market=request.is_market,
    )


def _admit(tables: Tables, order: Order) -> None:
    tables.add_order(order)
    tables.touch(order)


def _refuse(tables: Tables, order: Order, refusal: Refusal) -> Placement:
    order.status = OrderStatus.REJECTED
    order.reason = refusal.reason
    tables.add_order(order)
    announce(tables, order)
    return Placement(order=order, refusal=refusal)


def _wait_for_trigger(tables: Tables, order: Order) -> None:
    order.status = OrderStatus.UNTRIGGERED
    tables.triggers[order.symbol].add(order)
    announce(tables, order)


def _refusal(tables: Tables, switches: Switches, order: Order, *, is_child: bool) -> Refusal | None:
    reason = (
        _form_refusal(tables, order)
        or _size_refusal(tables, order)
        or _account_refusal(tables, switches, order, is_child=is_child)
    )
    if reason is not None:
        return Refusal(reason=reason)
    if order.trigger is None and order.time_in_force is TimeInForce.ALO:
        book = tables.books[order.symbol]
        if book.side(order.side.opposite).crosses(order.price):
            bid, ask = book.bids.best_price(), book.asks.best_price()
            return Refusal(reason=Reason.POST_ONLY_CROSS, bid=bid, ask=ask)
    if order.trigger is None and not order.reduce_only and not _has_margin(tables, order):
        return Refusal(reason=Reason.MARGIN)
    return None


def _form_refusal(tables: Tables, order: Order) -> Reason | None:
    instrument = tables.instruments[order.symbol]
    if instrument.delisted:
        return Reason.UNKNOWN_MARKET
    if not order.quantity:
        return Reason.ZERO_QUANTITY
    if not instrument.is_valid_quantity(order.quantity):
        return Reason.INVALID_QUANTITY
    if order.price <= 0 or (order.trigger is not None and order.trigger.price <= 0):
        return Reason.INVALID_PRICE
    if not instrument.is_valid_price(order.price):
        return Reason.TICK
    if order.trigger is not None and not instrument.is_valid_price(order.trigger.price):
        return Reason.TICK
    return None


def _size_refusal(tables: Tables, order: Order) -> Reason | None:
    least = tables.instruments[order.symbol].min_notional
    if order.quantity * order.price >= least or order.is_position_tpsl:
        return None
    closable = tables.closable(order.account, order.symbol, order.side)
    closes_all = order.reduce_only and ZERO < closable <= order.quantity
    return None if closes_all else Reason.MIN_NOTIONAL


def _account_refusal(
    tables: Tables, switches: Switches, order: Order, *, is_child: bool
) -> Reason | None:
    reduces = is_child or tables.closable(order.account, order.symbol, order.side) > 0
    if order.reduce_only and not reduces:
        return Reason.REDUCE_ONLY
    if order.trigger is not None:
        mark = margin.mark_price(tables, order.symbol)
        price = order.trigger.price
        if price <= mark if order.trigger.fires_above else price >= mark:
            return Reason.BAD_TRIGGER
    client_order_id = order.client_order_id
    if (
        switches.refuse_duplicate_client_ids
        and client_order_id is not None
        and live_order(tables, order.account, client_order_id) is not None
    ):
        return Reason.DUPLICATE_CLIENT_ID
    if switches.open_order_limit and _has_too_many(tables, order):
        return Reason.TOO_MANY_ORDERS
    return None


def _has_too_many(tables: Tables, order: Order) -> bool:
    count = len(tables.live_orders.get(order.account, {}))
    volume = tables.accounts[order.account].volume
    limit = min(_OPEN_ORDERS_MAX, _OPEN_ORDERS + int(volume / _VOLUME_PER_OPEN_ORDER))
    restricted = order.reduce_only or order.trigger is not None
    return count >= (_OPEN_ORDERS if restricted else limit)


def _has_margin(tables: Tables, order: Order) -> bool:
    opened = order.remaining - tables.closable(order.account, order.symbol, order.side)
    if opened <= 0:
        return True
    price = order.price
    if order.time_in_force is TimeInForce.IOC:
        price = margin.mark_price(tables, order.symbol)
    leverage = tables.position(order.account, order.symbol).leverage
    return margin.available_margin(tables, order.account) >= opened * price / leverage
