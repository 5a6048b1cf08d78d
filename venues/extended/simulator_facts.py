"""What the simulated venue keeps of its orders besides the exchange: ends, hashes, fees paid.

Kept in the exchange's settings, so that a restarted one knows them. As on chain, what was filled of
one signed message can never exceed its quantity, however many copies of it were taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from venues.simulation.events import Event, Filled
from venues.simulation.exchange import Exchange
from venues.simulation.records import ZERO, Order

_EXPIRY: Final = "expiry "
_HASH: Final = "hash "


class OrderFacts:
    """Facts about orders, by their ids."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._fees: dict[int, Decimal] = {}
        self._expiry: dict[int, int] = {}
        self._hash_of: dict[int, str] = {}
        self._by_hash: dict[str, list[int]] = {}
        for key, value in exchange.tables.settings.items():
            if key.startswith(_EXPIRY):
                self._expiry[int(key.removeprefix(_EXPIRY))] = value
            elif key.startswith(_HASH):
                order_id, digest = key.removeprefix(_HASH).split()
                self._know_hash(int(order_id), digest)
        for fill in exchange.tables.fills:
            self._count_fee(fill.venue_order_id, fill.fee)
        exchange.listeners.append(self._heard)

    def keep(self, order: Order, *, expiry_ms: int, digest: int | None) -> None:
        """Remember an order's end, and what was signed of it; inside an action."""
        order_id = order.venue_order_id
        self._expiry[order_id] = expiry_ms
        self._exchange.setting(f"{_EXPIRY}{order_id}", expiry_ms)
        if digest is not None:
            self._know_hash(order_id, f"{digest:x}")
            self._exchange.setting(f"{_HASH}{order_id} {digest:x}", 1)

    def expiry_ms(self, order: Order) -> int:
        """Return when an order ends."""
        return self._expiry.get(order.venue_order_id, 0)

    def fee_paid(self, order: Order) -> Decimal:
        """Return the fees of an order's executions."""
        return self._fees.get(order.venue_order_id, ZERO)

    def copies(self, digest: int) -> list[Order]:
        """Return the orders that were taken with that signed message."""
        tables = self._exchange.tables
        found = (tables.orders.get(one) for one in self._by_hash.get(f"{digest:x}", ()))
        return [order for order in found if order is not None]

    def copies_of(self, order: Order) -> list[Order]:
        """Return the other orders of the same signed message."""
        digest = self._hash_of.get(order.venue_order_id)
        if digest is None:
            return []
        return [one for one in self.copies(int(digest, 16)) if one is not order]

    def _know_hash(self, order_id: int, digest: str) -> None:
        self._hash_of[order_id] = digest
        ids = self._by_hash.setdefault(digest, [])
        if order_id not in ids:
            ids.append(order_id)

    def _heard(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, Filled):
                self._count_fee(event.fill.venue_order_id, event.fill.fee)

    def _count_fee(self, order_id: int, fee: Decimal) -> None:
        self._fees[order_id] = self._fees.get(order_id, ZERO) + fee
