"""The worst price that a market order may trade at, from the book's middle. Pure.

Venues take it as the order's limit. Knows no venue and no wire.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from domain.errors import InvalidInput, VenueRefused
from domain.instruments import Instrument, OrderSide
from domain.market_data import OrderBook

_UNIT: Final = 10_000
"""Basis points of the whole."""


def bound_of_book(
    instrument: Instrument, book: OrderBook, side: OrderSide, slippage_bps: int
) -> Decimal:
    """Return the worst valid price within `slippage_bps` of a book's middle.

    With one side empty the best price of the side that would be hit is taken instead.

    Raises:
        InvalidInput: as `bound_price`.
        VenueRefused: there is nothing to trade with.
    """
    opposite = book.asks if side is OrderSide.BUY else book.bids
    if not opposite:
        raise VenueRefused(
            f"{instrument.venue} has no liquidity to {side} {instrument.symbol} against"
        )
    return bound_price(instrument, side, book.mid_price or opposite[0].price, slippage_bps)


def bound_price(
    instrument: Instrument, side: OrderSide, reference: Decimal, slippage_bps: int
) -> Decimal:
    """Return the worst valid price within `slippage_bps` of `reference`.

    Raises:
        InvalidInput: the slippage is not between 0 and 100 %, or leaves no valid price.
    """
    if not 0 <= slippage_bps < _UNIT:
        raise InvalidInput(
            "max_slippage_bps", f"expected 0 to 9999 basis points, found {slippage_bps}"
        )
    share = Decimal(slippage_bps) / _UNIT
    factor = 1 + share if side is OrderSide.BUY else 1 - share
    price = instrument.safe_price(side, reference * factor)
    if price <= 0:
        raise InvalidInput(
            "max_slippage_bps", f"expected a bound above zero for {instrument.symbol}, found none"
        )
    return price
