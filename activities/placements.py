"""A placement as a command to the venue: its bound where it has no price, and what forbids it now.

Knows no ledger and no Temporal.
"""

from __future__ import annotations

from decimal import Decimal

from activities.access import ConnectorSource
from domain.accounts import Network
from domain.commands import PlaceOrder
from domain.errors import RiskRefused
from domain.orders import Order
from venues.connector import Connector


async def placement(
    connectors: ConnectorSource,
    connector: Connector,
    network: Network,
    order: Order,
    *,
    quantity: Decimal,
    price: Decimal | None,
) -> PlaceOrder:
    """Return the command that places `quantity` of `order`, at `price` or within its slippage.

    Raises:
        RiskRefused: our clock is too far from the venue's to risk anything new, or the venue has
            stopped giving verdicts.
        InvalidInput: no such market, or no such slippage.
        VenueUnavailable, VenueRefused: the present price cannot be had.
    """
    if not order.reduce_only:
        refusal = connectors.clock_refusal(order.venue, network)
        refusal = refusal or connectors.opening_refusal(order.venue, network)
        if refusal is not None:
            raise RiskRefused(refusal)
    if price is None and order.trigger_price is not None:
        # Bounded from where it triggers: the present price may be far from there.
        instrument = await connector.instrument(order.symbol)
        price = instrument.worst_price(order.side, order.trigger_price, order.max_slippage_bps)
    elif price is None:
        price = await connector.price_bound(order.symbol, order.side, order.max_slippage_bps)
    return PlaceOrder(
        symbol=order.symbol,
        side=order.side,
        order_type=order.order_type,
        quantity=quantity,
        price=price,
        time_in_force=order.time_in_force,
        post_only=order.post_only,
        reduce_only=order.reduce_only,
        trigger_price=order.trigger_price,
        trigger_type=order.trigger_type,
        position_bound=order.position_bound,
    )
