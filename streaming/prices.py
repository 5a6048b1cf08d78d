"""The newest prices of markets: taken from feeds, asked of the venue where none is fresh, shared.

What is learned is written where API and workers read it. Nothing is triggered by these prices, so
that a price from a poll is as good as one from a feed. Knows no socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from bus.latest_prices import LatestPriceWriter
from bus.market_requests import BookRequest, PriceRequest
from domain.accounts import Network
from domain.errors import InvalidInput
from domain.identifiers import check_symbol
from domain.latest_prices import LatestPrice, PriceParts
from domain.market_data import Ticker
from streaming.books import Books
from streaming.connectors import Connectors
from venues.connector import BookSeen, MarketEvent, TickerSeen

#: What is younger than this is answered without asking the venue.
CURRENT: Final = timedelta(seconds=1)
#: A ticker that is younger tells the present funding.
TICKER_CURRENT: Final = timedelta(seconds=10)
KNOWN_MAX: Final = 5_000
POLL: Final = "poll"

_Place = tuple[str, Network]
_Market = tuple[str, Network, str]


class Prices:
    """Knows the newest prices of this process and has them written."""

    def __init__(
        self,
        connectors: Connectors,
        books: Books,
        writer: LatestPriceWriter,
        *,
        writes: Callable[[_Place], bool] = lambda place: True,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._connectors = connectors
        self._books = books
        self._writer = writer
        self._writes = writes
        self._now = now
        self._parts: dict[_Market, PriceParts] = {}
        self._asking: dict[_Place, asyncio.Task[None]] = {}

    def take(self, place: _Place, event: MarketEvent, source: str) -> None:
        """Take what a feed says; quick, and never raises."""
        match event:
            case TickerSeen():
                market = (*place, event.ticker.symbol)
                self._keep(market, self._known(market).with_ticker(event.ticker, source))
            case BookSeen():
                market = (*place, event.book.symbol)
                self._keep(market, self._known(market).with_book(event.book, source))

    async def price(self, request: PriceRequest) -> LatestPrice:
        """Return a market's present prices.

        Raises:
            InvalidInput: no such venue, network or market.
            Unavailable, VenueRefused: the venue's answer.
        """
        market = (request.venue, request.network, check_symbol(request.symbol))
        parts = self._known(market)
        asking: list[Awaitable[None]] = []
        if parts.ticker is None or not self._is_current(parts.ticker.received_time):
            asking.append(self._ask((market[0], market[1])))
        if parts.book is None or not self._is_current(parts.book.received_time):
            asking.append(self._ask_top(request, market))
        await asyncio.gather(*asking)
        found = self._known(market).price(*market)
        if found is None or found.mark_price is None:
            raise InvalidInput("symbol", f"expected a market with prices, found {market[2]!r}")
        return found

    async def ticker(self, venue: str, network: Network, symbol: str) -> Ticker | None:
        """Return a market's ticker, asked of the venue unless one came lately; None: it has none.

        Raises:
            InvalidInput: no such venue or network.
            Unavailable, VenueRefused: the venue's answer.
        """
        market = (venue, network, symbol)
        known = self._known(market).ticker
        if known is None or self._now() - known.received_time > TICKER_CURRENT:
            await self._ask((venue, network))
        return self._known(market).ticker

    async def close(self) -> None:
        """Stop asking."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _ask_top(self, request: PriceRequest, market: _Market) -> None:
        top = BookRequest(
            request_id=request.request_id,
            venue=market[0],
            network=market[1],
            symbol=market[2],
            depth=1,
            until_ms=request.until_ms,
        )
        book = await self._books.book(top)
        self._keep(market, self._known(market).with_book(book, POLL))

    async def _ask(self, place: _Place) -> None:
        """Have the tickers of a venue read, once however many wait for them."""
        task = self._asking.get(place)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._read(place))
            self._asking[place] = task
            task.add_done_callback(lambda done: self._answered(place, done))
        await asyncio.shield(task)

    async def _read(self, place: _Place) -> None:
        connector = await self._connectors.of(*place)
        for ticker in await connector.tickers():
            if _has_price(ticker):
                market = (*place, ticker.symbol)
                self._keep(market, self._known(market).with_ticker(ticker, POLL))

    def _answered(self, place: _Place, task: asyncio.Task[None]) -> None:
        self._asking.pop(place, None)
        if not task.cancelled():
            # Also when nobody waits any more, the error counts as seen.
            task.exception()

    def _known(self, market: _Market) -> PriceParts:
        return self._parts.get(market, PriceParts())

    def _keep(self, market: _Market, parts: PriceParts) -> None:
        if market not in self._parts and len(self._parts) >= KNOWN_MAX:
            self._parts.clear()
        self._parts[market] = parts
        price = parts.price(*market)
        # What another process follows is written by that one.
        if price is not None and self._writes((market[0], market[1])):
            self._writer.note(price)

    def _is_current(self, received_time: datetime) -> bool:
        return self._now() - received_time <= CURRENT


def _has_price(ticker: Ticker) -> bool:
    return ticker.mark_price is not None or ticker.mid_price is not None
