"""An exchange in memory for the model of brackets: orders, one position, and what our store knows.

Each of our orders has a workflow that may be terminated while the order lives on, and a record in
the store that may lag behind the exchange. Reduce-only orders never turn the position.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from domain.brackets import OrderNews
from domain.orders import OrderStatus

ZERO = Decimal(0)


@dataclass
class VenueOrder:
    """An order of ours: on its way, at the exchange, or ended; `heard` is what the store has."""

    order_id: str
    quantity: Decimal
    kind: str
    joint: bool = False
    sleeps: bool = False
    status: OrderStatus = OrderStatus.PENDING
    filled: Decimal = ZERO
    is_driven: bool = True
    is_late: bool = False
    is_priced: bool = True
    cancel_wished: bool = False
    absent: int | None = None
    heard: OrderNews | None = None

    @property
    def is_entry(self) -> bool:
        return self.kind == "ENTRY"

    @property
    def lives(self) -> bool:
        """Whether it rests at the exchange."""
        return self.status in (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)

    @property
    def is_on_its_way(self) -> bool:
        return self.status is OrderStatus.PENDING

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.filled

    def end(self, status: OrderStatus) -> None:
        self.status = status

    def news(self) -> OrderNews | None:
        """Return what the exchange would say of it; None: it has never been there."""
        if self.is_on_its_way and self.absent is None:
            return None
        refused = self.status in (OrderStatus.REJECTED, OrderStatus.DENIED)
        unsent = self.status is OrderStatus.EXPIRED or self.absent is not None
        return OrderNews(
            order_id=self.order_id,
            status=self.status,
            outcome="rejected" if refused else "not_sent" if unsent else "accepted",
            filled_quantity=self.filled,
            average_price=Decimal(100) if self.filled and self.is_priced else None,
            absent=self.absent,
        )


@dataclass
class Venue:
    """The exchange's own truth. `held` is on the entry's side, below zero on the other."""

    orders: dict[str, VenueOrder] = field(default_factory=dict)
    held: Decimal = ZERO

    def add(self, order: VenueOrder) -> None:
        self.orders[order.order_id] = order

    def living(self, *kinds: str) -> list[VenueOrder]:
        return [o for o in self.orders.values() if o.lives and (not kinds or o.kind in kinds)]

    @property
    def exits(self) -> list[VenueOrder]:
        return [order for order in self.orders.values() if not order.is_entry]

    @property
    def entry(self) -> VenueOrder | None:
        return next((order for order in self.orders.values() if order.is_entry), None)

    @property
    def entered(self) -> Decimal:
        return ZERO if self.entry is None else self.entry.filled

    @property
    def exited(self) -> Decimal:
        return sum((order.filled for order in self.exits), ZERO)

    @property
    def open_quantity(self) -> Decimal:
        return self.entered - self.exited

    def arrive(self, order: VenueOrder, *, takes: bool) -> None:
        """Take an order, or refuse it; a market order trades at once."""
        if not takes or (order.kind == "CLOSE" and self.held <= 0):
            order.end(OrderStatus.REJECTED)
            return
        order.status = OrderStatus.ACCEPTED
        if order.kind == "CLOSE":
            self.trade(order, order.quantity)
            if order.lives:
                order.end(OrderStatus.CANCELED)

    def trade(self, order: VenueOrder, quantity: Decimal) -> None:
        """Fill an order, as far as it may: an exit no further than the position goes."""
        quantity = min(quantity, order.remaining)
        if order.is_entry:
            self.held += quantity
        else:
            quantity = min(quantity, max(self.held, ZERO))
            self.held -= quantity
        order.filled += quantity
        if order.remaining == 0:
            order.end(OrderStatus.FILLED)
        elif order.filled:
            order.status = OrderStatus.PARTIALLY_FILLED
        self._move_joint_exits(order)

    def _move_joint_exits(self, order: VenueOrder) -> None:
        """Wake exits of the entry's request with its last fill; end the other with one's fill."""
        joint = [each for each in self.exits if each.joint and each.lives and each is not order]
        for each in joint:
            if order.is_entry and order.status is OrderStatus.FILLED:
                each.sleeps = False
            elif order.joint and order.filled:
                each.end(OrderStatus.CANCELED)

    def end(self, order: VenueOrder) -> None:
        """Cancel an order; sleeping exits go with the entry."""
        order.end(OrderStatus.CANCELED)
        if order.is_entry:
            for each in self.exits:
                if each.sleeps and each.lives:
                    each.end(OrderStatus.CANCELED)
