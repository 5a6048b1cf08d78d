"""Whether all fills of an ended order are booked: then its workflow ends, and a close goes on.

Knows no SQL and no Temporal.
"""

from __future__ import annotations

from datetime import timedelta

from activities.access import CommandParts
from domain.orders import Order, Verdict

FILL_OVERLAP = timedelta(minutes=1)


async def with_all_fills(parts: CommandParts, order: Order) -> tuple[Order, str]:
    """Book what the venue lists of an ended order's fills and we lack; return what is kept then.

    The text says what is still missing, and is empty when nothing is. The venue is asked only when
    the booked fills do not add up to its cumulative quantity, or when it may not have told that.

    Raises:
        VenueUnavailable, VenueRefused: the venue does not say.
        NotFound: the account has no credential any more.
    """
    booked = await parts.orders.fill_total(order.order_id)
    if booked.quantity < order.filled_quantity or _may_hide_fills(order):
        access = await parts.access.open(order.account_id)
        connector = await parts.connectors.connector(order.venue, access.account.network)
        since = order.created_at - FILL_OVERLAP
        await parts.orders.book(await connector.fills(access.account, since=since))
        order = await parts.orders.get(order.order_id) or order
        booked = await parts.orders.fill_total(order.order_id)
    if not order.is_terminal:
        return order, "the order lives again"
    if booked.quantity < order.filled_quantity:
        return order, f"booked {booked.quantity} of {order.filled_quantity}"
    return order, ""


def _may_hide_fills(order: Order) -> bool:
    """Tell whether the order may have filled more than was reported.

    A venue shrinks a reduce-only order to the position, so that what remained of it at its end says
    nothing of its fills: only the fills themselves do.
    """
    filled_up = order.verdict is Verdict.FILLED
    return order.reduce_only and order.outcome == "accepted" and not filled_up
