"""Every question we ask about markets; nobody needs a key for them. Raises as `queries` does.

Source: api.docs.extended.exchange, public REST API.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from domain.candle_intervals import interval_length
from domain.errors import InvalidInput, VenueUnavailable
from domain.instruments import Instrument
from domain.market_data import Candle, FundingRate, OrderBook, Ticker, Trade
from venues.extended import translate, wire
from venues.extended.actions import Listing
from venues.extended.rest import Rest
from venues.extended.translate import is_tradable, name_of, to_ms, venue_interval
from venues.transport import Clock

_BUSIEST_MARKET: Final = "BTC-USD"
_PAGE: Final = 1_000
_PAGES_MAX: Final = 100
#: How far the venue's clock may be ahead of ours where we ask for "until now".
_AHEAD: Final = timedelta(minutes=1)


class MarketQueries:
    """Questions about markets of one network; remembers how each is signed for."""

    def __init__(self, rest: Rest, clock: Clock) -> None:
        self._rest = rest
        self._clock = clock
        self._listings: dict[str, Listing] = {}

    def listing(self, symbol: str) -> Listing:
        """Return how a market that was read is signed for.

        Raises:
            InvalidInput: there is none of that symbol.
        """
        found = self._listings.get(symbol)
        if found is None:
            raise InvalidInput("symbol", f"expected a market of extended, found {symbol[:64]!r}")
        return found

    async def instruments(self) -> tuple[Instrument, ...]:
        """Return every perpetual market."""
        rows = await self._markets()
        self._listings = {
            translate.symbol_of(row.name): Listing(
                l2=row.l2Config, position_value_max=row.tradingConfig.maxPositionValue
            )
            for row in rows
        }
        return translate.instruments(rows)

    async def _markets(self) -> list[wire.MarketRow]:
        page = await self._rest.get("/info/markets", list[msgspec.Raw])
        try:
            heads = [(wire.decode(bytes(raw), wire.MarketHead), raw) for raw in page.data]
            found = [
                wire.decode(bytes(raw), wire.MarketRow) for head, raw in heads if is_tradable(head)
            ]
        except wire.WireError as error:
            raise VenueUnavailable(f"extended's markets cannot be read: {error}") from None
        if not found:
            raise VenueUnavailable("expected extended's markets, found none")
        return found

    async def venue_time(self) -> datetime:
        """Return the venue's clock: the time in an answer's header, rounded down to the second."""
        page = await self._rest.get(f"/info/markets/{_BUSIEST_MARKET}/stats", wire.MarketStats)
        if page.told_at is None:
            raise VenueUnavailable("expected a time in the header of extended's answer, found none")
        return page.told_at

    async def order_book(self, symbol: str, depth: int) -> OrderBook:
        """Return the book; it has no time of its own but that of the answer."""
        if depth < 1:
            raise InvalidInput("depth", f"expected 1 or more, found {depth}")
        page = await self._rest.get(f"/info/markets/{name_of(symbol)}/orderbook", wire.BookRow)
        received = self._clock()
        return translate.order_book(
            page.data, depth=depth, event_time=page.told_at or received, received_time=received
        )

    async def recent_trades(self, symbol: str, limit: int) -> tuple[Trade, ...]:
        """Return public trades, newest first."""
        path = f"/info/markets/{name_of(symbol)}/trades"
        page = await self._rest.get(path, list[wire.PublicTrade])
        received = self._clock()
        newest = sorted(page.data, key=lambda row: (row.T, row.i), reverse=True)[:limit]
        try:
            return tuple(translate.trade(row, received_time=received) for row in newest)
        except wire.WireError as error:
            raise VenueUnavailable(f"extended's {path} cannot be read: {error}") from None

    async def candles(
        self, symbol: str, interval: str, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        """Return candles that begin from `start` up to `end`, oldest first."""
        spelled, length = venue_interval(interval), interval_length(interval)
        start_ms, end_ms = to_ms(start), to_ms(end)
        found: dict[int, wire.CandleRow] = {}
        before_ms = end_ms
        for _ in range(_PAGES_MAX):
            page = await self._rest.get(
                f"/info/candles/{name_of(symbol)}/trades",
                list[wire.CandleRow],
                further=bool(found),
                interval=spelled,
                limit=_PAGE,
                endTime=before_ms,
            )
            fresh = [row for row in page.data if row.T not in found]
            found.update((row.T, row) for row in fresh)
            oldest_ms = min((row.T for row in fresh), default=start_ms)
            if not fresh or oldest_ms <= start_ms or len(page.data) < _PAGE:
                break
            before_ms = oldest_ms - int(length.total_seconds() * 1000)
        else:
            raise VenueUnavailable(
                f"expected candles to end within {_PAGES_MAX} pages of {_PAGE}; ask for fewer"
            )
        wanted = sorted(row for row in found if start_ms <= row <= end_ms)
        return tuple(translate.candle(symbol, interval, found[row]) for row in wanted)

    async def tickers(self) -> tuple[Ticker, ...]:
        """Return prices and rates of every perpetual market that is traded."""
        received = self._clock()
        return tuple(
            translate.ticker(row, received_time=received)
            for row in await self._markets()
            if row.active and row.status != "DELISTED"
        )

    async def funding_rates(self, symbol: str, since: datetime) -> tuple[FundingRate, ...]:
        """Return past funding rates, oldest first."""
        path = f"/info/{name_of(symbol)}/funding"
        rows: dict[int, wire.FundingRateRow] = {}
        cursor: str | None = None
        for _ in range(_PAGES_MAX):
            page = await self._rest.get(
                path,
                list[wire.FundingRateRow],
                further=bool(rows),
                startTime=to_ms(since),
                endTime=to_ms(self._clock() + _AHEAD),
                limit=_PAGE,
                cursor=cursor,
            )
            rows.update((row.T, row) for row in page.data)
            if page.cursor in (None, cursor) or not page.data:
                break
            cursor = page.cursor
        wanted = sorted(time for time in rows if time >= to_ms(since))
        return tuple(translate.funding_rate(symbol, rows[time]) for time in wanted)
