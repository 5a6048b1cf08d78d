"""Reading a venue's view of an account, with a heartbeat however long its pages take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from temporalio import activity

from domain.accounts import Account, AccountSummary, PositionSide
from domain.instruments import OrderSide
from domain.net_positions import signed
from domain.reconciliation_views import ListedOrder, VenueView
from venues.connector import Connector, VenueOrder

BEAT_EVERY_S = 3.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueReading:
    """The view, and the account's money without unrealised profit at `balance_at`."""

    view: VenueView
    balance: Decimal
    balance_at: datetime


async def beating(work: Awaitable[T], what: str) -> T:
    """Await `work` with a heartbeat now and every three seconds."""
    task = asyncio.ensure_future(work)
    try:
        while True:
            activity.heartbeat(what)
            done, _ = await asyncio.wait({task}, timeout=BEAT_EVERY_S)
            if done:
                return task.result()
    finally:
        task.cancel()


async def read_venue(
    connector: Connector,
    account: Account,
    *,
    since: datetime,
    horizon: datetime,
    read_at: datetime,
) -> VenueReading:
    """Read positions, open orders, history and the fills since a time, in this order.

    Raises:
        VenueUnavailable, VenueRefused: the venue does not say.
    """
    summary = await beating(connector.account_summary(account), "positions and balance")
    resting = await beating(connector.open_orders(account), "open orders")
    history = await beating(connector.order_history(account), "order history")
    fills = await beating(connector.fills(account, since=since), "fills")
    view = VenueView(
        read_at=read_at,
        venue_time=summary.event_time,
        visibility_delay=timedelta(seconds=connector.proofs.visibility_delay_s),
        horizon=horizon,
        orders=(
            *(listed_order(order, is_open=True) for order in resting),
            *(listed_order(order, is_open=False) for order in history),
        ),
        fills=fills,
        positions={
            position.symbol: signed(
                OrderSide.SELL if position.side is PositionSide.SHORT else OrderSide.BUY,
                position.quantity,
            )
            for position in summary.positions
        },
    )
    return VenueReading(view=view, balance=balance_of(summary), balance_at=summary.event_time)


def balance_of(summary: AccountSummary) -> Decimal:
    """Return an account's money without the unrealised profit of its positions."""
    return summary.equity - sum((p.unrealized_pnl for p in summary.positions), Decimal(0))


def listed_order(order: VenueOrder, *, is_open: bool) -> ListedOrder:
    """Return what the venue says of an order, in the domain's words."""
    return ListedOrder(
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
        price=order.price,
        verdict=order.verdict,
        filled_quantity=order.filled_quantity,
        average_price=order.average_price,
        reason=order.reason,
        reduce_only=order.reduce_only,
        trigger_price=order.trigger_price,
        created_at=order.created_at,
        event_time=order.event_time,
        is_open=is_open,
    )
