"""Orders that we did not place: how they are named and written down once they are seen.

Knows no venue; whoever sees one says what the venue said of it.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from domain.accounts import Account
from domain.instruments import OrderSide
from domain.orders import Order, OrderType, Origin, Revision, TimeInForce, Verdict

_NAMESPACE = uuid.UUID("0a4f1d0e-3f1b-5e0e-8a63-5f0d1f1c7b42")


class SeenOrder(Protocol):
    """What a venue says of an order; `venues.connector.VenueOrder` fits."""

    @property
    def client_order_id(self) -> str | None:
        """Its client order id, if it has one."""
        ...

    @property
    def venue_order_id(self) -> str:
        """The venue's id."""
        ...

    @property
    def symbol(self) -> str:
        """Our symbol."""
        ...

    @property
    def side(self) -> OrderSide:
        """Its side."""
        ...

    @property
    def quantity(self) -> Decimal:
        """What was asked."""
        ...

    @property
    def price(self) -> Decimal | None:
        """Its limit price, None for none."""
        ...

    @property
    def verdict(self) -> Verdict:
        """How it stands."""
        ...

    @property
    def filled_quantity(self) -> Decimal | None:
        """What has filled, None where that is not told."""
        ...

    @property
    def reduce_only(self) -> bool:
        """Whether it only reduces."""
        ...

    @property
    def trigger_price(self) -> Decimal | None:
        """What it waits for, None if it does not."""
        ...

    @property
    def created_at(self) -> datetime | None:
        """When it was placed, by the venue's clock."""
        ...


def external_order_id(account_id: str, venue_order_id: str) -> str:
    """Return the id we give an order of an account that somebody else placed (a UUIDv5)."""
    return str(uuid.uuid5(_NAMESPACE, f"{account_id}/{venue_order_id}"))


def external_order(account: Account, seen: SeenOrder, now: datetime) -> Order:
    """Return the order to be kept for what the venue showed, labelled EXTERNAL.

    Which kind of trigger it has is not always told; a stop is taken for it.
    """
    created = seen.created_at or now
    order_type = OrderType.LIMIT
    if seen.trigger_price is not None:
        order_type = OrderType.STOP_MARKET if seen.price is None else OrderType.STOP_LIMIT
    revision = Revision(
        number=0,
        client_order_id=seen.client_order_id or f"venue:{seen.venue_order_id}",
        quantity=seen.quantity,
        price=seen.price,
        venue_order_id=seen.venue_order_id,
        verdict=seen.verdict,
        filled_quantity=seen.filled_quantity or Decimal(0),
    )
    return Order(
        order_id=external_order_id(account.account_id, seen.venue_order_id),
        owner=account.owner,
        account_id=account.account_id,
        venue=account.venue,
        symbol=seen.symbol,
        side=seen.side,
        order_type=order_type,
        quantity=seen.quantity,
        time_in_force=TimeInForce.GTC,
        created_at=created,
        place_by=created + timedelta(seconds=1),
        price=seen.price,
        trigger_price=seen.trigger_price,
        reduce_only=seen.reduce_only,
        revisions=(revision,),
        origin=Origin.EXTERNAL,
    )
