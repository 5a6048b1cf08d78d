"""Trigger orders of one market, found by the mark price that fires them.

Holds orders; what happens when one fires is decided elsewhere.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from decimal import Decimal

from venues.simulation.records import Order


class TriggerIndex:
    """Trigger orders sorted by how soon a moving price reaches them."""

    def __init__(self) -> None:
        # Keys are (price, id), for falling prices (-price, id): the next to fire is at the front.
        self._above: list[tuple[Decimal, int]] = []
        self._below: list[tuple[Decimal, int]] = []
        self._orders: dict[int, Order] = {}

    def add(self, order: Order) -> None:
        """Wait for the order's trigger price."""
        keys, key = self._place(order)
        insort(keys, key)
        self._orders[order.venue_order_id] = order

    def remove(self, order: Order) -> None:
        """Stop waiting for the order's trigger price."""
        keys, key = self._place(order)
        del keys[bisect_left(keys, key)]
        del self._orders[order.venue_order_id]

    def next_fired(self, mark_price: Decimal) -> Order | None:
        """Return the order that `mark_price` fires first, or None."""
        if self._above and self._above[0][0] <= mark_price:
            return self._orders[self._above[0][1]]
        if self._below and -self._below[0][0] >= mark_price:
            return self._orders[self._below[0][1]]
        return None

    def _place(self, order: Order) -> tuple[list[tuple[Decimal, int]], tuple[Decimal, int]]:
        trigger = order.trigger
        if trigger is None:
            raise ValueError(f"order {order.venue_order_id}: expected a trigger order, found none")
        if trigger.fires_above:
            return self._above, (trigger.price, order.venue_order_id)
        return self._below, (-trigger.price, order.venue_order_id)
