"""Market data: books, trades, candles, prices and rates, one schema for all venues.

Two clocks have two names: `event_time` is the venue's, `received_time` ours. Knows no venue.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from domain.instruments import OrderSide

_YEAR_S: Final = 365 * 24 * 3600
_RATE_STEP: Final = Decimal("0.000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class BookLevel:
    """One price level: total quantity at it, and how many orders make it where known."""

    price: Decimal
    quantity: Decimal
    order_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBook:
    """A book snapshot; bids descend, asks ascend."""

    venue: str
    symbol: str
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]
    event_time: datetime
    received_time: datetime

    @property
    def mid_price(self) -> Decimal | None:
        """The middle of best bid and ask, or None while one side is empty."""
        if not self.bids or not self.asks:
            return None
        return (self.bids[0].price + self.asks[0].price) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A public execution; `aggressor_side` is the taker's, None where the venue does not say."""

    venue: str
    symbol: str
    trade_id: str
    price: Decimal
    quantity: Decimal
    aggressor_side: OrderSide | None
    event_time: datetime
    received_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """One interval of trading, from `open_time` up to `close_time`."""

    venue: str
    symbol: str
    interval: str
    open_time: datetime
    close_time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticker:
    """A market's present prices and rates; None where the venue says nothing.

    `funding_rate` is per `funding_interval_s` seconds; `volume_24h` is in quote units.
    """

    venue: str
    symbol: str
    mark_price: Decimal | None
    index_price: Decimal | None
    mid_price: Decimal | None
    funding_rate: Decimal | None
    funding_interval_s: int
    open_interest: Decimal | None
    volume_24h: Decimal | None
    received_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingRate:
    """A funding rate that applied at `event_time`, per `interval_s` seconds."""

    venue: str
    symbol: str
    rate: Decimal
    interval_s: int
    event_time: datetime

    @property
    def annual_rate(self) -> Decimal:
        """The same rate over 365 days, not compounded, so that intervals can be compared."""
        return (self.rate * _YEAR_S / self.interval_s).quantize(_RATE_STEP)
