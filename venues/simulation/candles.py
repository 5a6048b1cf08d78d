"""Candles of every interval, built from trades and from changes of the mark price.

A change of price without a trade counts as a point of no volume, so that an extreme that a mark
price reached can be read back. Knows prices and times only.
"""

from __future__ import annotations

from collections import OrderedDict
from decimal import Decimal
from typing import Final

import msgspec

from venues.simulation.records import ZERO, Trade

CANDLES_MAX: Final = 5_000
MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 60 * MINUTE_MS
_DAY_MS: Final = 24 * _HOUR_MS

#: Lengths in milliseconds; a month is counted as 30 days.
INTERVALS_MS: Final[dict[str, int]] = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": _HOUR_MS,
    "2h": 2 * _HOUR_MS,
    "4h": 4 * _HOUR_MS,
    "8h": 8 * _HOUR_MS,
    "12h": 12 * _HOUR_MS,
    "1d": _DAY_MS,
    "3d": 3 * _DAY_MS,
    "1w": 7 * _DAY_MS,
    "1M": 30 * _DAY_MS,
}


class Candle(msgspec.Struct):
    """One candle; `start_ms` is its first millisecond."""

    start_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = ZERO
    count: int = 0


class CandleStore:
    """The newest candles of each market and interval."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str], OrderedDict[int, Candle]] = {}

    def trade(self, trade: Trade) -> None:
        """Count a trade."""
        self._add(trade.symbol, trade.price, trade.quantity, 1, trade.time_ms)

    def point(self, symbol: str, price: Decimal, time_ms: int) -> None:
        """Count a price at which nothing was traded."""
        self._add(symbol, price, ZERO, 0, time_ms)

    def between(self, symbol: str, interval: str, start_ms: int, end_ms: int) -> list[Candle]:
        """Return the candles that begin in a window, both ends included, oldest first."""
        length = INTERVALS_MS[interval]
        first = start_ms - start_ms % length
        series = self._series.get((symbol, interval), OrderedDict())
        return [one for one in series.values() if first <= one.start_ms <= end_ms]

    def latest(self, symbol: str, interval: str) -> Candle | None:
        """Return the newest candle."""
        series = self._series.get((symbol, interval))
        return next(reversed(series.values())) if series else None

    def _add(
        self, symbol: str, price: Decimal, quantity: Decimal, count: int, time_ms: int
    ) -> None:
        for interval, length in INTERVALS_MS.items():
            series: OrderedDict[int, Candle] = self._series.setdefault(
                (symbol, interval), OrderedDict()
            )
            start = time_ms - time_ms % length
            candle = series.get(start)
            if candle is None:
                candle = series[start] = Candle(start, price, price, price, price)
                if len(series) > CANDLES_MAX:
                    series.popitem(last=False)
            candle.high = max(candle.high, price)
            candle.low = min(candle.low, price)
            candle.close = price
            candle.volume += quantity
            candle.count += count
