"""An order as it is shown outside: the same field names and spellings as the REST answer.

Numbers are strings without exponent, times RFC 3339 in UTC. Knows no socket and no storage.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from domain.numbers import plain
from domain.orders import Order
from domain.timeline import TimelineEvent


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """One order; `client_order_id`, `venue_order_id` and `revision` are the newest revision's."""

    order_id: str
    client_order_id: str | None
    venue_order_id: str | None
    account_id: str
    venue: str
    symbol: str
    side: str
    order_type: str
    time_in_force: str
    quantity: str
    filled_quantity: str
    remaining_quantity: str
    average_price: str | None
    price: str | None
    status: str
    outcome: str
    reason: str | None
    created_at: str
    updated_at: str
    revision: int | None


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """What made the order change; `text` is for people."""

    kind: str
    text: str
    at: str


def order_view(order: Order) -> OrderView:
    """Return `order` as it is shown outside."""
    return OrderView(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        account_id=order.account_id,
        venue=order.venue,
        symbol=order.symbol,
        side=order.side.value,
        order_type=order.order_type.value,
        time_in_force=order.time_in_force.value,
        quantity=plain(order.quantity),
        filled_quantity=plain(order.filled_quantity),
        remaining_quantity=plain(order.remaining_quantity),
        average_price=_optional(order.average_price),
        price=_optional(order.price),
        status=order.status.value,
        outcome=order.outcome,
        reason=order.reason,
        created_at=rfc3339(order.created_at),
        updated_at=rfc3339(order.updated_at or order.created_at),
        revision=order.current.number if order.current else None,
    )


def event_view(event: TimelineEvent) -> EventView:
    """Return a timeline event as it is shown outside."""
    return EventView(kind=event.kind.value, text=event.text, at=rfc3339(event.at))


def rfc3339(at: datetime) -> str:
    """Return an aware time in UTC, such as `2026-01-01T12:00:00.123000Z`."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _optional(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
