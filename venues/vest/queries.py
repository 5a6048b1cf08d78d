"""Every question we ask Vest, with its paging. Raises; never answers with a default.

An account is told only to who has its API key; markets are told to everybody.

Source: the official v2 API page.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, TypeVar

from domain.accounts import Account, AccountSummary, FeeRates, LeverageSetting
from domain.errors import InvalidInput, NotFound, VenueRefused, VenueUnavailable
from domain.feed_credentials import FeedCredentialSource
from domain.fills import Fill
from domain.instruments import Instrument
from domain.market_data import Candle, FundingRate, OrderBook, Ticker, Trade
from venues.connector import VenueOrder
from venues.transport import Clock
from venues.vest import translate, wire
from venues.vest.credential import Reader
from venues.vest.credential import reader as reader_of
from venues.vest.rest import BUDGET_WAIT_MAX_S, Page, Rest
from venues.vest.translate import INTERVALS, VENUE, at_ms, to_ms

_PAGE: Final = 1000
_PAGES_MAX: Final = 100
#: Orders are listed by when they were posted. Of one that rested longer than this its fills are
#: found by looking it up, not by asking for fills.
_RESTED_MAX: Final = timedelta(days=7)
_BOOK_DEPTH_MAX: Final = 100
#: How long an opened API key is used before it is opened again.
_KEPT_S: Final = 60.0
_ONE_SECOND: Final = timedelta(seconds=1)
_OPEN: Final = ("NEW", "PARTIALLY_FILLED")

W = TypeVar("W")
V = TypeVar("V")


class Readers:
    """Who asks about an account: opened from what this process may open, anew each minute.

    The key may have been registered again, or the account removed.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._source: FeedCredentialSource | None = None
        self._known: dict[tuple[str, str], tuple[Reader, float]] = {}

    def use(self, source: FeedCredentialSource) -> None:
        """Take secrets from `source`."""
        self._source = source
        self._known.clear()

    async def of(self, account: Account) -> Reader:
        """Return who asks about an account.

        Raises:
            VenueRefused: nothing is kept that may ask.
        """
        name, now = (account.account_id, account.signer), self._monotonic()
        reader, opened_at = self._known.get(name, (None, 0.0))
        if reader is None or now - opened_at >= _KEPT_S:
            reader = await self._opened(account)
            self._known[name] = (reader, now)
        return reader

    def forget(self, account: Account) -> None:
        """Open it anew the next time: the venue does not take it any more."""
        self._known.pop((account.account_id, account.signer), None)

    async def _opened(self, account: Account) -> Reader:
        try:
            secret = await self._source.open(account) if self._source is not None else None
        except NotFound as error:
            raise VenueRefused(f"{VENUE} tells of an account only to its key: {error}") from None
        if secret is None:
            raise VenueRefused(
                f"{VENUE} tells of an account only to its key, and none of {account.label!r} is "
                "kept here; add the account again"
            )
        return reader_of(secret)


class Queries:
    """Questions about accounts and markets of one network."""

    def __init__(self, rest: Rest, readers: Readers, clock: Clock) -> None:
        self._rest = rest
        self._readers = readers
        self._clock = clock
        self._isolated: frozenset[str] = frozenset()

    async def instruments(self) -> tuple[Instrument, ...]:
        """Return every perpetual market."""
        page = await self._rest.get("/exchangeInfo", wire.ExchangeInfo)
        self._isolated = translate.isolated(page.data.symbols)
        return _read(translate.instruments, page.data.symbols)

    def is_isolated(self, market: Instrument) -> bool:
        """Tell whether positions of a market are isolated, as the markets were read last."""
        return market.venue_symbol in self._isolated

    # Orders.

    async def find_order(
        self,
        account: Account,
        *,
        nonce: str | None = None,
        venue_order_id: str | None = None,
    ) -> VenueOrder | None:
        """Look one order up; one that the venue does not (yet) show is None."""
        reader = await self._readers.of(account)
        row = await self.order_row(reader, nonce=nonce, venue_order_id=venue_order_id)
        return translate.order_row(row) if row is not None else None

    async def order_row(
        self,
        reader: Reader,
        *,
        nonce: str | None = None,
        venue_order_id: str | None = None,
        wait_max_s: float = BUDGET_WAIT_MAX_S,
    ) -> wire.OrderRow | None:
        """Look one order up as who has the account's key: by the venue's id, else by its nonce."""
        if venue_order_id is None and (nonce is None or not nonce.isdigit()):
            raise InvalidInput("client_order_id", "expected one of both order ids, found neither")
        page = await self._rest.get(
            "/orders",
            list[wire.OrderRow],
            reader,
            wait_max_s=wait_max_s,
            time=self._now_ms(),
            id=venue_order_id,
            nonce=nonce if venue_order_id is None else None,
        )
        rows = [
            row
            for row in page.data
            if (row.id == venue_order_id if venue_order_id is not None else str(row.nonce) == nonce)
        ]
        return max(rows, key=lambda row: row.post_time, default=None)

    async def open_orders(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return what rests: an order leaves the first of the two lists for the second."""
        reader = await self._readers.of(account)
        rows: dict[str, wire.OrderRow] = {}
        for status in _OPEN:
            found = await self._orders(reader, status=status)
            rows.update((row.id, row) for row in found)
        return tuple(translate.order_row(row) for row in rows.values() if row.status in _OPEN)

    async def order_history(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return the last ended orders the venue remembers, newest first."""
        reader = await self._readers.of(account)
        page = await self._rest.get(
            "/orders", list[wire.OrderRow], reader, time=self._now_ms(), limit=_PAGE
        )
        rows = sorted(page.data, key=lambda row: (row.post_time, row.nonce), reverse=True)
        return tuple(translate.order_row(row) for row in rows if row.status not in _OPEN)

    async def fills(self, account: Account, since: datetime) -> tuple[Fill, ...]:
        """Return what orders filled since a time, oldest first, one derived fill for each order.

        The venue lists no fills: each stands for all that its order had filled.
        """
        reader = await self._readers.of(account)
        rows = await self._orders(reader, start_ms=max(to_ms(since - _RESTED_MAX), 0))
        since_ms = to_ms(since)
        fills = (translate.fill_in(account.account_id, row) for row in rows)
        wanted = [fill for fill in fills if fill is not None and to_ms(fill.event_time) >= since_ms]
        return tuple(sorted(wanted, key=lambda fill: (fill.event_time, fill.venue_order_id)))

    async def _orders(
        self, reader: Reader, *, status: str | None = None, start_ms: int | None = None
    ) -> list[wire.OrderRow]:
        """Read pages of orders, newest first, to their end."""
        rows: dict[str, wire.OrderRow] = {}
        end_ms: int | None = None
        for _ in range(_PAGES_MAX):
            page = await self._rest.get(
                "/orders",
                list[wire.OrderRow],
                reader,
                further=bool(rows),
                time=self._now_ms(),
                limit=_PAGE,
                status=status,
                startTime=start_ms,
                endTime=end_ms,
            )
            known = len(rows)
            rows.update((row.id, row) for row in page.data)
            if len(page.data) < _PAGE or len(rows) == known:
                return list(rows.values())
            end_ms = min(row.post_time for row in page.data)
        raise VenueUnavailable(
            f"expected orders to end within {_PAGES_MAX} pages of {_PAGE}; ask for a later time"
        )

    # Accounts.

    async def account_row(self, reader: Reader) -> Page[wire.AccountRow]:
        """Return an account as it is told to who has its key."""
        return await self._rest.get("/account", wire.AccountRow, reader, time=self._now_ms())

    async def venue_time(self, account: Account) -> datetime:
        """Return the venue's clock: the time of its answer, held to the second the answer says.

        Should `time` be ours sent back, it is not ahead of the venue by more than that second.

        Raises:
            VenueUnavailable: as every question, or the answer has no Date.
        """
        page = await self.account_row(await self._readers.of(account))
        if page.date is None:
            raise VenueUnavailable("expected a Date with vest's answer, found none")
        return min(at_ms(page.data.time), page.date + _ONE_SECOND)

    async def account_summary(self, account: Account) -> AccountSummary:
        """Return balances, margin and positions."""
        page = await self.account_row(await self._readers.of(account))
        return _read(lambda row: translate.account_summary(account, row, self._isolated), page.data)

    async def leverage_of(self, account: Account, market: Instrument) -> LeverageSetting:
        """Return an account's leverage in one market."""
        page = await self.account_row(await self._readers.of(account))
        return translate.leverage_setting(page.data, market, self._isolated)

    async def fee_rates(self) -> FeeRates:
        """Return the highest rates of all markets: an account's own are not told."""
        page = await self._rest.get("/exchangeInfo", wire.ExchangeInfo)
        return _read(translate.fee_rates, page.data.symbols)

    # Markets.

    async def order_book(self, symbol: str, depth: int) -> OrderBook:
        """Return the book, at most 100 levels a side."""
        if depth < 1:
            raise InvalidInput("depth", f"expected 1 to {_BOOK_DEPTH_MAX}, found {depth}")
        page = await self._rest.get(
            "/depth", wire.Depth, symbol=symbol, limit=min(depth, _BOOK_DEPTH_MAX)
        )
        now = self._clock()
        return translate.order_book(
            symbol, page.data, levels=depth, event_time=page.date or now, received_time=now
        )

    async def recent_trades(self, symbol: str, limit: int) -> tuple[Trade, ...]:
        """Return public trades, newest first."""
        page = await self._rest.get(
            "/trades", list[wire.TradeRow], symbol=symbol, limit=max(1, min(limit, _PAGE))
        )
        received = self._clock()
        newest = sorted(page.data, key=lambda row: row.time, reverse=True)[:limit]
        return tuple(translate.trade(symbol, row, received_time=received) for row in newest)

    async def candles(
        self, symbol: str, interval: str, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        """Return candles, oldest first, at most 1000.

        The venue has been seen to ignore the times it is asked for, so they are held to here.
        """
        if interval not in INTERVALS:
            raise InvalidInput(
                "interval", f"expected one of {', '.join(INTERVALS)}, found {interval[:16]!r}"
            )
        page = await self._rest.get(
            "/klines",
            list[wire.Kline],
            symbol=symbol,
            interval=interval,
            startTime=to_ms(start),
            endTime=to_ms(end),
            limit=_PAGE,
        )
        rows = [
            row
            for row in page.data
            if to_ms(start) < row.close_time and row.open_time <= to_ms(end)
        ]
        return tuple(
            translate.candle(symbol, interval, row)
            for row in sorted(rows, key=lambda row: row.open_time)
        )

    async def tickers(self) -> tuple[Ticker, ...]:
        """Return prices and rates of every perpetual market."""
        page = await self._rest.get("/ticker/latest", wire.Tickers)
        days = await self._rest.get("/ticker/24hr", wire.Days)
        volumes = {row.symbol: row.quote_volume for row in days.data.tickers}
        received = self._clock()
        return tuple(
            translate.ticker(row, volume=volumes.get(row.symbol), received_time=received)
            for row in page.data.tickers
        )

    async def funding_rates(self, symbol: str, since: datetime) -> tuple[FundingRate, ...]:
        """Return past funding rates, oldest first."""
        rows: dict[int, wire.FundingRateRow] = {}
        end_ms: int | None = None
        for _ in range(_PAGES_MAX):
            page = await self._rest.get(
                "/funding/history",
                list[wire.FundingRateRow],
                further=bool(rows),
                symbol=symbol,
                startTime=to_ms(since),
                endTime=end_ms,
                limit=_PAGE,
            )
            known = len(rows)
            rows.update((row.time, row) for row in page.data if row.time >= to_ms(since))
            if len(page.data) < _PAGE or len(rows) == known:
                break
            end_ms = min(row.time for row in page.data)
        return tuple(translate.funding_rate(rows[time]) for time in sorted(rows))

    def _now_ms(self) -> int:
        return to_ms(self._clock())


def _read(reader: Callable[[W], V], payload: W) -> V:
    """Translate, turning a payload that makes no sense into a query's error."""
    try:
        return reader(payload)
    except wire.WireError as error:
        raise VenueUnavailable(f"vest's answer cannot be read: {error}") from None
