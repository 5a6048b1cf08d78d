"""The newest prices of one market, put together from what its venue says in several ways.

Each part has its own time, and a part that has grown old is left out rather than shown beside a new
one. Knows no feed and no cache.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Self

from domain.accounts import Network
from domain.market_data import OrderBook, Ticker
from domain.positions import AccountBooks, MarkPrice

FRESH = timedelta(seconds=3)
"""A price older than this is asked for anew where somebody can be asked."""

PART_LASTS = timedelta(seconds=10)
"""A part this much older than the newest one says nothing of the same moment any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestPrice:
    """What is known of one market. `received_time` is when its newest part came from the venue.

    `event_time` is the venue's clock where it says it; `source` tells how the newest part came
    ("stream", "poll"). `mark_received_time` is when the mark came, which may be a little earlier.
    None where the venue does not say.
    """

    venue: str
    network: Network
    symbol: str
    mark_price: Decimal | None = None
    index_price: Decimal | None = None
    mid_price: Decimal | None = None
    best_bid: Decimal | None = None
    best_ask: Decimal | None = None
    event_time: datetime | None = None
    received_time: datetime
    mark_received_time: datetime | None = None
    source: str

    def age_s(self, now: datetime) -> float:
        """Return how long ago it was received, in seconds; never below zero."""
        return max((now - self.received_time).total_seconds(), 0.0)

    @property
    def is_whole(self) -> bool:
        """Whether it has both what a ticker says and what a book says."""
        return self.mark_price is not None and (
            self.best_bid is not None or self.best_ask is not None
        )

    def is_fresh(self, now: datetime) -> bool:
        """Tell whether it may be shown without asking again."""
        return now - self.received_time <= FRESH


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceParts:
    """The newest ticker and the newest best levels of one market; immutable."""

    ticker: Ticker | None = None
    book: OrderBook | None = None
    source: str = ""

    def with_ticker(self, ticker: Ticker, source: str) -> Self:
        """Return the parts with another ticker; an older one than known changes nothing."""
        if self.ticker is not None and ticker.received_time < self.ticker.received_time:
            return self
        return replace(self, ticker=ticker, source=source)

    def with_book(self, book: OrderBook, source: str) -> Self:
        """Return the parts with other best levels; older ones than known change nothing."""
        if self.book is not None and book.received_time < self.book.received_time:
            return self
        return replace(self, book=book, source=source)

    def price(self, venue: str, network: Network, symbol: str) -> LatestPrice | None:
        """Return what is known now, or None while nothing is."""
        ticker, book = self.ticker, self.book
        times = [part.received_time for part in (ticker, book) if part is not None]
        if not times:
            return None
        newest = max(times)
        if ticker is not None and newest - ticker.received_time > PART_LASTS:
            ticker = None
        if book is not None and newest - book.received_time > PART_LASTS:
            book = None
        mid_price = None if book is None else book.mid_price
        return LatestPrice(
            venue=venue,
            network=network,
            symbol=symbol,
            mark_price=None if ticker is None else ticker.mark_price,
            index_price=None if ticker is None else ticker.index_price,
            mid_price=mid_price if mid_price is not None or ticker is None else ticker.mid_price,
            best_bid=book.bids[0].price if book is not None and book.bids else None,
            best_ask=book.asks[0].price if book is not None and book.asks else None,
            event_time=None if book is None else book.event_time,
            received_time=newest,
            mark_received_time=None if ticker is None else ticker.received_time,
            source=self.source,
        )


def with_newer_marks(books: AccountBooks, prices: Iterable[LatestPrice]) -> AccountBooks:
    """Return an account's books with the marks among `prices` that are newer than their own.

    For showing what positions are worth; what is triggered by a mark asks the venue.
    """
    marks = dict(books.marks)
    place = (books.account.venue, books.account.network)
    for price in prices:
        at = price.mark_received_time
        if (price.venue, price.network) != place or price.mark_price is None or at is None:
            continue
        known = marks.get(price.symbol)
        if known is None or known.seen_at < at:
            marks[price.symbol] = MarkPrice(price=price.mark_price, seen_at=at)
    return replace(books, marks=marks)
