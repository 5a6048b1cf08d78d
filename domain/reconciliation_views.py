"""What a reconciliation compares: the venue's view of an account, and our ledger's.

Plain data. The venue's view is read first, the ledger's second.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from domain.fills import Fill
from domain.instruments import OrderSide
from domain.orders import Order, Verdict

_HEX_DIGITS = 32


def order_id_in(client_order_id: str | None) -> str | None:
    """Return the order id that a client order id of revision 0 spells, or None.

    Those are the id's 16 bytes (`domain.identifiers.client_order_bytes`); somebody else's may look
    the same, so that it proves nothing by itself.
    """
    digits = (client_order_id or "").removeprefix("0x").replace("-", "")
    if len(digits) != _HEX_DIGITS:
        return None
    try:
        return str(uuid.UUID(digits))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedOrder:
    """An order as the venue lists it, open or ended; fits `domain.external_orders.SeenOrder`."""

    client_order_id: str | None
    venue_order_id: str
    symbol: str
    side: OrderSide
    quantity: Decimal
    price: Decimal | None
    verdict: Verdict
    filled_quantity: Decimal | None
    average_price: Decimal | None = None
    reason: str | None = None
    reduce_only: bool = False
    trigger_price: Decimal | None = None
    created_at: datetime | None = None
    event_time: datetime | None = None
    is_open: bool = False

    @property
    def newest_time(self) -> datetime | None:
        """When it last changed, as far as the venue says."""
        return self.event_time or self.created_at


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueView:
    """What the venue said. `read_at` is our clock before the first question, `venue_time` its own.

    `positions` are signed quantities; markets that are flat may be absent. Orders that ended before
    `horizon` are none of our business: the account was not known here then.
    """

    read_at: datetime
    venue_time: datetime
    visibility_delay: timedelta
    horizon: datetime
    orders: tuple[ListedOrder, ...]
    fills: tuple[Fill, ...]
    positions: Mapping[str, Decimal]

    def is_settled(self, at: datetime | None) -> bool:
        """Tell whether what happened at a time is older than the visibility delay."""
        return at is not None and at <= self.venue_time - self.visibility_delay


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderName:
    """One revision of one order of ours."""

    order_id: str
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerView:
    """What our ledger said, read after the venue.

    `orders` are the live ones and those that the names lead to; `by_client_id` and `by_venue_id`
    name the revisions known under the venue's ids. `lost` are venue order ids that something we
    kept (a command, a timeline) says are ours although no row of the order is left. `unbooked` are
    the venue's fills that are not booked, `unmatched` booked ones that belong to no order.
    `undecided` are symbols, and `undecided_orders` orders, with a command whose bytes may be out.
    """

    orders: Mapping[str, Order]
    by_client_id: Mapping[str, OrderName]
    by_venue_id: Mapping[str, OrderName]
    unbooked: tuple[Fill, ...] = ()
    unmatched: tuple[Fill, ...] = ()
    lost: Mapping[str, str] = field(default_factory=dict)
    undecided: frozenset[str] = frozenset()
    undecided_orders: frozenset[str] = frozenset()
    net_positions: Mapping[str, Decimal] = field(default_factory=dict)

    def match(self, client_order_id: str | None, venue_order_id: str) -> OrderName | None:
        """Return the revision that bears the client order id, or else the venue's id, or None."""
        found = None if client_order_id is None else self.by_client_id.get(client_order_id)
        return found or self.by_venue_id.get(venue_order_id)
