"""Every question we ask Pacifica, with its paging. Raises; never answers with a default.

Nobody has to sign to ask: every account is public by its address.

Source: docs.pacifica.fi api/rest-api.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, TypeVar

from domain.accounts import (
    Account,
    AccountSummary,
    FeeRates,
    FundingPayment,
    LeverageSetting,
)
from domain.errors import InvalidInput, VenueUnavailable
from domain.fills import Fill
from domain.instruments import Instrument
from domain.market_data import Candle, FundingRate, OrderBook, Ticker, Trade
from venues.connector import OrderLookup, VenueOrder
from venues.pacifica import translate, wire
from venues.pacifica.rest import NothingThere, Rest
from venues.pacifica.translate import INTERVALS, at_ms, is_perpetual, name_of, to_ms
from venues.transport import Clock

_PAGE: Final = 1000
_PAGES_MAX: Final = 100
#: The newest ended orders that a look-up by client id goes through.
_LOOK_BACK: Final = 200
_FILLS_WINDOW: Final = timedelta(days=29)
_WINDOWS_MAX: Final = 40
_BOOK_DEPTH_MAX: Final = 10
_BUSIEST_MARKET: Final = "BTC"

R = TypeVar("R")
W = TypeVar("W")
V = TypeVar("V")


class Queries:
    """Questions about accounts and markets of one network."""

    def __init__(self, rest: Rest, clock: Clock) -> None:
        self._rest = rest
        self._clock = clock

    async def instruments(self) -> tuple[Instrument, ...]:
        """Return every perpetual market."""
        return translate.instruments((await self._rest.get("/info", list[wire.MarketRow])).data)

    async def find_order(
        self, account: Account, client_order_id: str | None, venue_order_id: str | None
    ) -> OrderLookup:
        """Look one order up; one that the venue does not (yet) show is None.

        By client id there is no question of its own: open orders are read, then, because an order
        leaves the one list for the other, the newest ended ones.
        """
        if venue_order_id is not None:
            return OrderLookup(order=await self.order_by_id(venue_order_id))
        if client_order_id is None:
            raise InvalidInput("client_order_id", "expected one of both order ids, found neither")
        for order in await self.open_orders(account):
            if order.client_order_id == client_order_id:
                return OrderLookup(order=order)
        for order in await self._ended(account, _LOOK_BACK):
            if order.client_order_id == client_order_id:
                return OrderLookup(order=order)
        return OrderLookup(order=None)

    async def order_by_id(self, venue_order_id: str) -> VenueOrder | None:
        """Return an order as its newest event tells it; None where the venue knows no event."""
        if not (venue_order_id.isascii() and venue_order_id.isdigit()):
            raise InvalidInput(
                "venue_order_id", f"expected a number, found {venue_order_id[:64]!r}"
            )
        try:
            page = await self._rest.get(
                "/orders/history_by_id", list[wire.OrderRow], order_id=venue_order_id
            )
        except NothingThere:
            return None
        return _read(translate.order_events, page.data)

    async def venue_time(self) -> datetime:
        """Return the venue's clock: the newest time in its prices and in its busiest book.

        Both are of the past, so what is told is never ahead of the venue's clock; of the two the
        newer one is nearer to it.
        """
        prices, book = await asyncio.gather(
            self._prices(),
            self._rest.get("/book", wire.Book, symbol=_BUSIEST_MARKET, agg_level=1),
        )
        return at_ms(max(book.data.t, *(row.timestamp for row in prices.values())))

    async def open_orders(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return what rests or waits."""
        page = await self._rest.get("/orders", list[wire.OrderRow], account=account.address)
        return _orders(page.data)

    async def order_history(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return the last orders the venue remembers, newest first."""
        return await self._ended(account, _PAGE)

    async def _ended(self, account: Account, limit: int) -> tuple[VenueOrder, ...]:
        page = await self._rest.get(
            "/orders/history", list[wire.OrderRow], account=account.address, limit=limit
        )
        return _orders(sorted(page.data, key=lambda row: row.created_at, reverse=True))

    async def fills(self, account: Account, since: datetime) -> tuple[Fill, ...]:
        """Return every single fill since a time, oldest first; a question spans 30 days at most."""
        rows: dict[tuple[int, int], wire.FillRow] = {}
        start, now = since, self._clock() + timedelta(minutes=1)
        for _ in range(_WINDOWS_MAX):
            end = min(start + _FILLS_WINDOW, now)
            found = await self._pages(
                "/trades/history",
                list[wire.FillRow],
                account=account.address,
                start_time=to_ms(start),
                end_time=to_ms(end),
            )
            rows.update(((row.history_id, row.order_id), row) for row in found)
            if end >= now:
                break
            start = end
        else:
            raise VenueUnavailable(
                f"expected fills since less than {_WINDOWS_MAX * _FILLS_WINDOW.days} days ago; "
                "ask for a later time"
            )
        ordered = sorted(rows.values(), key=lambda row: (row.created_at, row.history_id))
        return _read(
            lambda listed: tuple(
                fill
                for fill in (translate.fill(account.account_id, row) for row in listed)
                if fill is not None
            ),
            ordered,
        )

    async def has_account(self, account: Account) -> bool:
        """Tell whether the venue knows the account."""
        try:
            await self._account(account)
        except NothingThere:
            return False
        return True

    async def account_summary(
        self, account: Account, markets: tuple[Instrument, ...]
    ) -> AccountSummary:
        """Return balances, margin and positions, which take four questions."""
        row, positions, prices, settings = await asyncio.gather(
            self._account(account),
            self._rest.get("/positions", list[wire.PositionRow], account=account.address),
            self._prices(),
            self.leverage_settings(account, markets),
        )
        return _read(
            lambda held: translate.account_summary(account, row, held, prices, settings),
            positions.data,
        )

    async def leverage_settings(
        self, account: Account, markets: tuple[Instrument, ...]
    ) -> dict[str, LeverageSetting]:
        """Return leverage and margin mode of every market by symbol."""
        page = await self._rest.get(
            "/account/settings",
            wire.Settings | list[wire.SettingRow],  # type: ignore[arg-type]
            account=account.address,
        )
        found: wire.Settings | list[wire.SettingRow] = page.data
        rows = found if isinstance(found, list) else found.margin_settings
        return translate.leverage_settings(rows, markets)

    async def fee_rates(self, account: Account) -> FeeRates:
        """Return the account's present rates."""
        row = await self._account(account)
        if row.maker_fee is None or row.taker_fee is None:
            raise VenueUnavailable("pacifica's /account does not tell the account's fees")
        return FeeRates(maker=row.maker_fee, taker=row.taker_fee)

    async def funding_payments(
        self, account: Account, since: datetime
    ) -> tuple[FundingPayment, ...]:
        """Return funding paid and received, oldest first."""
        since_ms = to_ms(since)
        rows = await self._pages(
            "/funding/history",
            list[wire.FundingRow],
            until=lambda row: row.created_at < since_ms,
            account=account.address,
        )
        wanted = [row for row in rows if row.created_at >= since_ms and is_perpetual(row.symbol)]
        wanted.sort(key=lambda row: row.created_at)
        return _read(
            lambda listed: tuple(
                translate.funding_payment(account.account_id, row) for row in listed
            ),
            wanted,
        )

    async def order_book(self, symbol: str, depth: int) -> OrderBook:
        """Return the book, at most 10 levels a side."""
        if depth < 1:
            raise InvalidInput("depth", f"expected 1 to {_BOOK_DEPTH_MAX}, found {depth}")
        page = await self._rest.get("/book", wire.Book, symbol=name_of(symbol), agg_level=1)
        return translate.order_book(page.data, depth=depth, received_time=self._clock())

    async def recent_trades(self, symbol: str, limit: int) -> tuple[Trade, ...]:
        """Return public trades, newest first."""
        page = await self._rest.get("/trades", list[wire.PublicTradeRow], symbol=name_of(symbol))
        received = self._clock()
        newest = sorted(page.data, key=lambda row: row.created_at, reverse=True)[:limit]
        return _read(
            lambda listed: tuple(
                translate.trade_row(symbol, row, received_time=received) for row in listed
            ),
            newest,
        )

    async def candles(
        self, symbol: str, interval: str, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        """Return candles, oldest first; at most 4000, intervals without a trade are missing."""
        if interval not in INTERVALS:
            raise InvalidInput(
                "interval", f"expected one of {', '.join(INTERVALS)}, found {interval[:16]!r}"
            )
        page = await self._rest.get(
            "/kline",
            list[wire.Kline],
            symbol=name_of(symbol),
            interval=interval,
            start_time=to_ms(start),
            end_time=to_ms(end),
        )
        return tuple(translate.candle(row) for row in sorted(page.data, key=lambda row: row.t))

    async def tickers(self) -> tuple[Ticker, ...]:
        """Return prices and rates of every perpetual market."""
        received = self._clock()
        return tuple(
            translate.ticker(row, received_time=received) for row in (await self._prices()).values()
        )

    async def funding_rates(self, symbol: str, since: datetime) -> tuple[FundingRate, ...]:
        """Return past funding rates, oldest first."""
        since_ms = to_ms(since)
        rows = await self._pages(
            "/funding_rate/history",
            list[wire.FundingRateRow],
            until=lambda row: row.created_at < since_ms,
            symbol=name_of(symbol),
        )
        wanted = sorted(
            (row for row in rows if row.created_at >= since_ms), key=lambda row: row.created_at
        )
        return tuple(translate.funding_rate(symbol, row) for row in wanted)

    async def _account(self, account: Account) -> wire.AccountRow:
        page = await self._rest.get(
            "/account",
            wire.AccountRow | list[wire.AccountRow],  # type: ignore[arg-type]
            account=account.address,
        )
        found: wire.AccountRow | list[wire.AccountRow] = page.data
        if not isinstance(found, list):
            return found
        if len(found) != 1:
            raise VenueUnavailable(f"expected one account of pacifica, found {len(found)}")
        return found[0]

    async def _prices(self) -> Mapping[str, wire.PriceRow]:
        page = await self._rest.get("/info/prices", list[wire.PriceRow])
        prices = {row.symbol: row for row in page.data if is_perpetual(row.symbol)}
        if not prices:
            raise VenueUnavailable("expected pacifica's prices, found none")
        return prices

    async def _pages(
        self,
        path: str,
        kind: type[list[R]],
        *,
        until: Callable[[R], bool] | None = None,
        **parameters: str | int | None,
    ) -> list[R]:
        """Read pages, newest first, to their end or to a row that is `until` enough."""
        rows: list[R] = []
        cursor: str | None = None
        for _ in range(_PAGES_MAX):
            page = await self._rest.get(
                path, kind, further=bool(rows), limit=_PAGE, cursor=cursor, **parameters
            )
            rows += page.data
            cursor = page.next_cursor
            is_enough = until is not None and any(until(row) for row in page.data)
            if cursor is None or not page.data or is_enough:
                return rows
        raise VenueUnavailable(
            f"expected {path} to end within {_PAGES_MAX} pages of {_PAGE}; ask for a later time"
        )


def _orders(rows: list[wire.OrderRow]) -> tuple[VenueOrder, ...]:
    return _read(
        lambda listed: tuple(
            order for order in (translate.order_row(row) for row in listed) if order is not None
        ),
        rows,
    )


def _read(reader: Callable[[W], V], payload: W) -> V:
    """Translate, turning a payload that makes no sense into a query's error."""
    try:
        return reader(payload)
    except wire.WireError as error:
        raise VenueUnavailable(f"pacifica's answer cannot be read: {error}") from None
