"""The activities of `CloseWorkflow`: read the truth about a position, and keep how far a close is.

They place nothing: closing orders are workflows of their own. Knows no venue and no SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from temporalio import activity

from activities.access import CommandParts
from activities.close_contracts import CloseKeepTask, CloseKept, CloseLookTask
from activities.settling import with_all_fills
from domain.accounts import Account, AccountSummary, Position, PositionSide
from domain.close_store import CloseStore
from domain.closing import OrderSeen, Sight
from domain.orders import Order, Origin
from venues.connector import Connector


class CloseActivities:
    """What a close reads and writes."""

    def __init__(self, parts: CommandParts, closes: CloseStore) -> None:
        self._parts = parts
        self._orders = parts.orders
        self._access = parts.access
        self._connectors = parts.connectors
        self._closes = closes
        self._now = parts.now

    @activity.defn(name="look_at_position")
    async def look(self, task: CloseLookTask) -> Sight:
        """Read the venue's position and open orders, then what our own orders have filled.

        In this order: fills that come between the two readings make us ask for less, never more;
        and an order that ends meanwhile is read as live, or with all that it has filled.

        Raises:
            VenueUnavailable, VenueRefused: the venue does not say.
            NotFound: the account has no credential any more.
        """
        plan = task.plan
        account = (await self._access.open(plan.account_id)).account
        connector = await self._connectors.connector(plan.venue, account.network)
        instrument = await connector.instrument(plan.symbol)
        summary = await connector.account_summary(account)
        position = find_position(summary, plan.symbol)
        at_venue = await self._closing_at_venue(connector, account, plan.symbol)
        stored = await self._closes.live_orders(plan.account_id, plan.symbol)
        own = await self._closes.orders(plan.close_id, task.orders)
        orders, unsettled = await self._settled(own, task.follows)
        bid, ask = await _best(connector, plan.symbol) if task.needs_book else (None, None)
        return Sight(
            at=self._now(),
            instrument=instrument,
            side=PositionSide.FLAT if position is None else position.side,
            quantity=Decimal(0) if position is None else position.quantity,
            mark_price=_mark(position),
            bid=bid,
            ask=ask,
            filled=filled_by(orders),
            orders=len(orders),
            live=tuple(dict.fromkeys([*at_venue, *(o.order_id for o in stored), *unsettled])),
            newest=_seen(orders),
            closes_below_minimum=connector.capabilities.closes_below_minimum,
        )

    async def _closing_at_venue(
        self, connector: Connector, account: Account, symbol: str
    ) -> list[str]:
        """Return our closing orders of a symbol that the venue lists as open."""
        found: list[str] = []
        for seen in await connector.open_orders(account):
            if seen.symbol != symbol or not seen.reduce_only:
                continue
            match = await self._orders.match(
                account.account_id,
                client_order_id=seen.client_order_id,
                venue_order_id=seen.venue_order_id,
            )
            order = None if match is None else await self._orders.get(match[0])
            if order is not None and is_closing(order):
                found.append(order.order_id)
        return found

    async def _settled(
        self, orders: Sequence[Order], follows: str | None
    ) -> tuple[list[Order], list[str]]:
        """Return our own orders, and the ids of those that have not ended with all their fills.

        The workflow of the one that is followed may not have come to its own end: the venue's word
        that it was canceled may say nothing of what it had filled.
        """
        known: list[Order] = []
        unsettled: list[str] = []
        for order in orders:
            missing = "" if order.is_terminal else "it lives"
            if order.order_id == follows and not missing:
                order, missing = await with_all_fills(self._parts, order)
            known.append(order)
            if missing:
                unsettled.append(order.order_id)
        return known, unsettled

    @activity.defn(name="keep_close")
    async def keep(self, task: CloseKeepTask) -> CloseKept:
        """Write how far a close is; return what is kept, and what its orders have filled."""
        kept = await self._closes.keep(task.state)
        orders = await self._closes.orders(kept.plan.close_id, kept.orders)
        return CloseKept(state=kept, filled=filled_by(orders))


def find_position(summary: AccountSummary, symbol: str) -> Position | None:
    """Return the account's position in a market, or None when there is none."""
    found = next((p for p in summary.positions if p.symbol == symbol), None)
    return None if found is None or not found.quantity else found


def filled_by(orders: Sequence[Order]) -> Decimal:
    """Return what orders have filled together."""
    return sum((order.filled_quantity for order in orders), Decimal(0))


def is_closing(order: Order) -> bool:
    """Tell whether an order was given by a close (or by the kill switch's)."""
    return order.origin in (Origin.CLOSE, Origin.KILL_SWITCH) and order.parent_id is not None


def _seen(orders: Sequence[Order]) -> OrderSeen | None:
    if not orders:
        return None
    newest = orders[-1]
    return OrderSeen(
        order_id=newest.order_id,
        status=newest.status,
        filled_quantity=newest.filled_quantity,
        reason=newest.reason,
    )


async def _best(connector: Connector, symbol: str) -> tuple[Decimal | None, Decimal | None]:
    book = await connector.order_book(symbol, depth=1)
    return (
        book.bids[0].price if book.bids else None,
        book.asks[0].price if book.asks else None,
    )


def _mark(position: Position | None) -> Decimal | None:
    """Return the mark price that the position is valued at."""
    if position is None or not position.quantity:
        return None
    return position.notional / position.quantity
