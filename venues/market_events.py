"""What a public feed carries, and what it tells: books, trades, prices, candles. Knows no venue.

`venues.connector` has these too, beside the Protocol of the feed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from domain.market_data import Candle, OrderBook, Ticker, Trade
from venues.capabilities import MarketChannelKind


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketChannel:
    """One public channel of one market; `interval` for candles only."""

    kind: MarketChannelKind
    symbol: str
    interval: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BookSeen:
    """A book snapshot, or with `is_top` only the best level of each side."""

    kind: Literal["book"] = "book"
    book: OrderBook
    is_top: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TradesSeen:
    """Public trades, oldest first; `is_backlog` for those from before the subscription.

    With a `symbol` there may be none: the venue confirmed that it tells every trade from now on, so
    that its silence says that nobody trades.
    """

    kind: Literal["trades"] = "trades"
    trades: tuple[Trade, ...]
    is_backlog: bool
    symbol: str = ""

    @property
    def market(self) -> str:
        """The symbol of the market; empty where neither trades nor the venue name one."""
        return self.trades[0].symbol if self.trades else self.symbol


@dataclass(frozen=True, slots=True, kw_only=True)
class TickerSeen:
    """Present prices and rates of one market."""

    kind: Literal["ticker"] = "ticker"
    ticker: Ticker


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleSeen:
    """The present state of one candle."""

    kind: Literal["candle"] = "candle"
    candle: Candle
