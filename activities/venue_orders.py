"""Our record of an order that a venue lists; made, and labelled EXTERNAL, where there is none."""

from __future__ import annotations

from datetime import datetime

from domain.accounts import Account
from domain.external_orders import external_order
from domain.orders import Order
from domain.ports import OrderStore
from domain.timeline import EventKind, TimelineEvent
from venues.connector import VenueOrder


async def known_order(
    orders: OrderStore, account: Account, seen: VenueOrder, now: datetime
) -> Order:
    """Return our record of an order at the venue, made now if we have none.

    Raises:
        Unavailable: the database does not answer.
    """
    match = await orders.match(
        account.account_id,
        client_order_id=seen.client_order_id,
        venue_order_id=seen.venue_order_id,
    )
    if match is not None:
        order = await orders.get(match[0])
        if order is not None:
            return order
    order = external_order(account, seen, now)
    event = TimelineEvent(
        order_id=order.order_id,
        kind=EventKind.FINDING,
        text=f"seen at {account.venue}, not placed by us",
        at=now,
    )
    return await orders.add(order, event)
