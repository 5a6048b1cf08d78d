"""The markets of a simulated exchange and their precision rules, as data.

Knows nothing of orders, accounts or any venue's spelling of a market.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal

import msgspec

#: An integer price is valid whatever its number of significant figures.
_ONE = Decimal(1)


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One perpetual market.

    A quantity is a multiple of 10^-`size_decimals`. A price has at most `significant_figures`
    significant figures and `price_decimals` decimals; an integer price is always valid.
    `start_price` is where the house quotes until a price is set. `min_notional` is the least an
    order may be worth, in dollars: 10 on Hyperliquid and Pacifica.
    https://hyperliquid.gitbook.io/hyperliquid-docs/trading/contract-specifications
    """

    symbol: str
    size_decimals: int
    price_decimals: int
    max_leverage: int
    start_price: Decimal
    significant_figures: int = 5
    min_notional: Decimal = Decimal(10)
    delisted: bool = False

    def tick_size(self, price: Decimal) -> Decimal:
        """Return the distance between valid prices around `price`."""
        exponent = max(price.adjusted() - self.significant_figures + 1, -self.price_decimals)
        return _ONE.scaleb(min(exponent, 0))

    def is_valid_price(self, price: Decimal) -> bool:
        """Tell whether the venue takes this price."""
        return price > 0 and price % self.tick_size(price) == 0

    def is_valid_quantity(self, quantity: Decimal) -> bool:
        """Tell whether the venue takes this quantity."""
        return quantity >= 0 and quantity % _ONE.scaleb(-self.size_decimals) == 0

    def price_below(self, price: Decimal) -> Decimal:
        """Round down to a valid price."""
        return price.quantize(self.tick_size(price), rounding=ROUND_FLOOR)

    def price_above(self, price: Decimal) -> Decimal:
        """Round up to a valid price."""
        return price.quantize(self.tick_size(price), rounding=ROUND_CEILING)

    def quantity_below(self, quantity: Decimal) -> Decimal:
        """Round down to a valid quantity."""
        return quantity.quantize(_ONE.scaleb(-self.size_decimals), rounding=ROUND_DOWN)

    def maintenance_rate(self) -> Decimal:
        """Return maintenance margin as a share of notional: half the initial one at most leverage.

        https://hyperliquid.gitbook.io/hyperliquid-docs/trading/margining
        """
        return _ONE / (2 * self.max_leverage)


def _perpetual(
    symbol: str, size_decimals: int, max_leverage: int, price: str, *, delisted: bool = False
) -> Instrument:
    return Instrument(
        symbol=symbol,
        size_decimals=size_decimals,
        price_decimals=6 - size_decimals,
        max_leverage=max_leverage,
        start_price=Decimal(price),
        delisted=delisted,
    )


def default_instruments() -> tuple[Instrument, ...]:
    """Return the markets of a fresh exchange, a delisted one in between as on real venues."""
    return (
        _perpetual("BTC", 5, 40, "65000"),
        _perpetual("ETH", 4, 25, "2500"),
        _perpetual("ATOM", 2, 5, "6.5"),
        _perpetual("MATIC", 1, 20, "0.38", delisted=True),
        _perpetual("DYDX", 1, 5, "0.65"),
        _perpetual("SOL", 2, 20, "150"),
        _perpetual("AVAX", 2, 10, "25"),
        _perpetual("DOGE", 0, 10, "0.2"),
        _perpetual("kPEPE", 0, 10, "0.01"),
        _perpetual("HYPE", 2, 10, "40"),
    )
