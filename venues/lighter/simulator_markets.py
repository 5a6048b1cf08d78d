"""The markets of the simulated venue, by its own numbers. Data."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from venues.simulation.instruments import Instrument


def _market(
    symbol: str, price: str, *, tick: int, lot: int, leverage: int, delisted: bool = False
) -> Instrument:
    """Describe a market whose tick is the same at every price; both steps in decimals."""
    return Instrument(
        symbol=symbol,
        size_decimals=lot,
        price_decimals=tick,
        significant_figures=30,
        max_leverage=leverage,
        start_price=Decimal(price),
        delisted=delisted,
    )


INSTRUMENTS: Final = (
    _market("ETH", "2500", tick=2, lot=4, leverage=50),
    _market("BTC", "65000", tick=1, lot=5, leverage=50),
    _market("SOL", "150", tick=3, lot=3, leverage=25),
    _market("DOGE", "0.2", tick=6, lot=0, leverage=10),
    _market("MKR", "1500", tick=2, lot=4, leverage=10, delisted=True),
    _market("1000PEPE", "0.01", tick=6, lot=0, leverage=10),
    _market("SPX", "6000", tick=0, lot=4, leverage=20),
)
#: The venue's numbers: listed in this order, one left out.
MARKET_IDS: Final = {"ETH": 0, "BTC": 1, "SOL": 2, "DOGE": 3, "MKR": 5, "1000PEPE": 4, "SPX": 6}
SYMBOLS: Final = {number: symbol for symbol, number in MARKET_IDS.items()}
#: Orders' own numbers begin where client order indexes end.
FIRST_ORDER_INDEX: Final = 1 << 48
#: Whoever stands behind the quotes of the house.
HOUSE_ACCOUNT: Final = 281_474_976_710_654


def quantity_of(market: Instrument, lots: int) -> Decimal:
    """Return the quantity that so many lots are."""
    return Decimal(lots).scaleb(-market.size_decimals)


def price_of(market: Instrument, ticks: int) -> Decimal:
    """Return the price that so many ticks are."""
    return Decimal(ticks).scaleb(-market.price_decimals)
