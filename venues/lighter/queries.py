"""Every question we ask Lighter, with its paging. Raises; never answers with a default.

Money and positions of an account are public; its orders, trades and funding are told to a token.

Source: lighter-sdk 1.1.8 `api/*.py`; docs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final, TypeVar

from domain.accounts import Account, AccountSummary, FeeRates, FundingPayment, LeverageSetting
from domain.candle_intervals import interval_length
from domain.errors import InvalidInput, VenueRefused, VenueUnavailable
from domain.fills import Fill
from domain.instruments import Instrument
from domain.market_data import Candle, FundingRate, OrderBook, Ticker, Trade
from venues.connector import OrderLookup, VenueOrder
from venues.lighter import translate, wire
from venues.lighter.actions import client_index_of, order_index_of
from venues.lighter.credential import account_index_of
from venues.lighter.limits import Purpose
from venues.lighter.proofs import INTERVALS
from venues.lighter.rest import NotAuthorized, Rest
from venues.lighter.tokens import Tokens
from venues.lighter.translate import VENUE, MarketNames, at, to_ms
from venues.transport import Clock

_LOOK_UP: Final = "/accountOrders"
_PAGE: Final = 100
_PAGES_MAX: Final = 100
#: So many pages of ended orders a look-up by the venue's id goes through.
_LOOK_BACK_PAGES: Final = 3
_BOOK_ORDERS_MAX: Final = 250
_TRADES_MAX: Final = 100
_CANDLES_MAX: Final = 500
_LISTED_MIN: Final = 1_000
_RATES_GOOD_FOR: Final = timedelta(minutes=1)

R = TypeVar("R")
T = TypeVar("T", bound=Any)
V = TypeVar("V")


class Queries:
    """Questions about accounts and markets of one network; `names` knows the markets."""

    def __init__(
        self, rest: Rest, tokens: Tokens, clock: Clock, names: Callable[[], MarketNames]
    ) -> None:
        self._rest = rest
        self._tokens = tokens
        self._clock = clock
        self._names = names
        self._rates: dict[int, Decimal] = {}
        self._rates_read_at: datetime | None = None

    # Markets.

    async def instruments(self) -> tuple[Instrument, ...]:
        """Return every perpetual market."""
        found = await self._rest.get("/orderBookDetails", wire.Markets, filter="perp")
        return _read(translate.instruments, found.order_book_details)

    async def tickers(self) -> tuple[Ticker, ...]:
        """Return prices of every market that is open."""
        found = await self._rest.get("/orderBookDetails", wire.Markets, filter="perp")
        received, names = self._clock(), self._names()
        rates = await self._present_rates()
        return tuple(
            translate.ticker_row(row, rates.get(row.market_id), received_time=received)
            for row in found.order_book_details
            if row.status == "active" and names.symbol(row.market_id) is not None
        )

    async def _present_rates(self) -> dict[int, Decimal]:
        """Return by market what funding is now, as it was up to a minute ago; none if not told."""
        now = self._clock()
        if self._rates_read_at is None or now - self._rates_read_at >= _RATES_GOOD_FOR:
            try:
                found = await self._rest.get("/funding-rates", wire.PresentRates)
            except (VenueRefused, VenueUnavailable):
                return {}
            self._rates = translate.present_rates(found.funding_rates)
            self._rates_read_at = now
        return self._rates

    async def order_book(self, market: Instrument, depth: int) -> OrderBook:
        """Return the book, summed up from at most 250 orders a side."""
        if depth < 1:
            raise InvalidInput("depth", f"expected 1 or more, found {depth}")
        found = await self._rest.get(
            "/orderBookOrders",
            wire.BookOrders,
            market_id=market.asset_index,
            limit=_BOOK_ORDERS_MAX,
        )
        received = self._clock()
        return translate.order_book(
            market.symbol,
            translate.summed_levels(found.bids, depth),
            translate.summed_levels(found.asks, depth),
            event_time=received,
            received_time=received,
        )

    async def recent_trades(self, market: Instrument, limit: int) -> tuple[Trade, ...]:
        """Return public trades, newest first, at most 100."""
        found = await self._rest.get(
            "/recentTrades",
            wire.Trades,
            market_id=market.asset_index,
            limit=max(min(limit, _TRADES_MAX), 1),
        )
        received = self._clock()
        trades = [
            _read(partial(translate.trade, market.symbol, received_time=received), row)
            for row in found.trades
        ]
        trades.sort(key=lambda trade: trade.event_time, reverse=True)
        return tuple(trades[:limit])

    async def candles(
        self, market: Instrument, interval: str, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        """Return candles that begin from `start` up to `end`, oldest first, at most 500."""
        if interval not in INTERVALS:
            raise InvalidInput(
                "interval", f"expected one of {', '.join(INTERVALS)}, found {interval[:16]!r}"
            )
        count = int((end - start) / interval_length(interval)) + 2
        found = await self._rest.get(
            "/candles",
            wire.Candles,
            market_id=market.asset_index,
            resolution=interval,
            start_timestamp=to_ms(start),
            end_timestamp=to_ms(end),
            count_back=max(min(count, _CANDLES_MAX), 1),
        )
        read = (_read(partial(translate.candle, market.symbol, interval), row) for row in found.c)
        candles = [one for one in read if one is not None and start <= one.open_time < end]
        return tuple(sorted(candles, key=lambda one: one.open_time))

    async def funding_rates(self, market: Instrument, since: datetime) -> tuple[FundingRate, ...]:
        """Return past funding rates since a time, oldest first."""
        now = self._clock() + timedelta(hours=1)
        found = await self._rest.get(
            "/fundings",
            wire.Fundings,
            market_id=market.asset_index,
            resolution="1h",
            start_timestamp=to_ms(since),
            end_timestamp=to_ms(now),
            count_back=_LISTED_MIN,
        )
        rates = [
            _read(partial(translate.funding_rate, market.symbol), row) for row in found.fundings
        ]
        wanted = [rate for rate in rates if rate.event_time >= since]
        return tuple(sorted(wanted, key=lambda rate: rate.event_time))

    # Orders and fills.

    async def find_order(
        self,
        account: Account,
        client_order_id: str | None,
        venue_order_id: str | None,
        *,
        purpose: Purpose = Purpose.QUERY,
    ) -> OrderLookup:
        """Look one order up; one that the venue does not (yet) show is None.

        By client order id there is a question; by the venue's id the lists are gone through.
        """
        if venue_order_id is None:
            if client_order_id is None:
                raise InvalidInput("client_order_id", "expected one of both ids, found neither")
            return OrderLookup(order=await self._by_client_id(account, client_order_id, purpose))
        wanted = order_index_of(venue_order_id)
        for row in await self._active(account):
            if row.order_index == wanted:
                return OrderLookup(order=self._order(row))
        rows = await self._inactive(
            account, pages_max=_LOOK_BACK_PAGES, until=lambda row: row.order_index == wanted
        )
        found = next((row for row in rows if row.order_index == wanted), None)
        return OrderLookup(order=None if found is None else self._order(found))

    def looks_left(self, purpose: Purpose) -> int:
        """Return how many questions about an order's state the budget has to spare now."""
        return self._rest.spare(_LOOK_UP, purpose)

    def look_in_s(self, purpose: Purpose) -> float:
        """Return in how many seconds it has one, 0 for now."""
        return self._rest.wait_s(_LOOK_UP, purpose)

    async def _by_client_id(
        self, account: Account, client_order_id: str, purpose: Purpose
    ) -> VenueOrder | None:
        index = client_index_of(client_order_id)
        found = await self._private(
            account, _LOOK_UP, wire.Orders, client_order_indexes=index, purpose=purpose
        )
        rows = [row for row in found.orders if row.client_order_index == index]
        # Of several the one that lives, else the newest.
        rows.sort(key=lambda row: (_is_live(row), row.order_index), reverse=True)
        return self._order(rows[0]) if rows else None

    async def open_orders(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return what rests or waits."""
        return self._orders(await self._active(account))

    async def order_history(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return what the venue still lists of ended orders, newest first."""
        rows = await self._inactive(account, pages_max=_PAGES_MAX)
        rows.sort(key=lambda row: row.created_at or row.timestamp, reverse=True)
        return self._orders(rows)

    async def fills(self, account: Account, since: datetime) -> tuple[Fill, ...]:
        """Return every single fill since a time, oldest first."""
        index, since_ms = account_index_of(account.address), to_ms(since)
        rows: dict[tuple[int, int], wire.TradeRow] = {}
        cursor: str | None = None
        for _ in range(_PAGES_MAX):
            found = await self._private(
                account,
                "/trades",
                wire.Trades,
                further=cursor is not None,
                sort_by="timestamp",
                sort_dir="desc",
                limit=_PAGE,
                cursor=cursor,
            )
            rows.update(((row.trade_id, row.timestamp), row) for row in found.trades)
            cursor = found.next_cursor or None
            is_enough = any(_ms(row.timestamp) < since_ms for row in found.trades)
            if cursor is None or is_enough or not found.trades:
                break
        else:
            raise VenueUnavailable(
                f"expected {VENUE}'s trades to end within {_PAGES_MAX} pages of {_PAGE}; ask for "
                "a later time"
            )
        wanted = [row for row in rows.values() if _ms(row.timestamp) >= since_ms]
        wanted.sort(key=lambda row: (row.timestamp, row.trade_id))
        names = self._names()
        found_fills = _read(
            lambda listed: [
                translate.fill(account.account_id, index, row, names) for row in listed
            ],
            wanted,
        )
        return tuple(fill for fill in found_fills if fill is not None)

    # Money.

    async def account(self, account: Account) -> wire.AccountRow:
        """Return an account's row. Raises VenueRefused where the venue knows none of the index."""
        index = account_index_of(account.address)
        found = await self._rest.get("/account", wire.Accounts, by="index", value=index)
        row = next((one for one in found.accounts if one.index == index), None)
        if row is None:
            raise VenueRefused(f"{VENUE} knows no account {index} on {account.network}")
        return row

    async def account_summary(self, account: Account) -> AccountSummary:
        """Return balances, margin and positions, by the venue's clock, which is another answer."""
        row, now = await asyncio.gather(self.account(account), self._rest.venue_time())
        names = self._names()
        return _read(
            lambda read: translate.account_summary(account, read, names, event_time=now), row
        )

    async def leverage_of(self, account: Account, market: Instrument) -> LeverageSetting:
        """Return leverage and margin mode of one market."""
        row = await self.account(account)
        names = self._names()
        found = _read(
            lambda read: translate.leverage_settings(read, names, [market]), row.positions
        )
        return found[market.symbol]

    async def limits(self, account: Account, token: str | None = None) -> wire.Limits:
        """Return an account's tier and fees, by a given token or its own."""
        index = account_index_of(account.address)
        if token is None:
            found = await self._private(account, "/accountLimits", wire.Limits)
        else:
            found = await self._rest.get(
                "/accountLimits", wire.Limits, token=token, account_index=index
            )
        self._rest.learn_tier(found.user_tier)
        return found

    async def fee_rates(self, account: Account) -> FeeRates:
        """Return the account's present rates."""
        return _read(translate.fee_rates, await self.limits(account))

    async def funding_payments(
        self, account: Account, since: datetime
    ) -> tuple[FundingPayment, ...]:
        """Return funding paid and received since a time, oldest first."""
        rows: dict[int, wire.PositionFundingRow] = {}
        cursor: str | None = None
        for _ in range(_PAGES_MAX):
            found = await self._private(
                account,
                "/positionFunding",
                wire.PositionFundings,
                further=cursor is not None,
                limit=_PAGE,
                cursor=cursor,
            )
            rows.update((row.funding_id, row) for row in found.position_fundings)
            cursor = found.next_cursor or None
            is_enough = any(_read(at, row.timestamp) < since for row in found.position_fundings)
            if cursor is None or is_enough or not found.position_fundings:
                break
        else:
            raise VenueUnavailable(f"expected {VENUE}'s funding to end; ask for a later time")
        names = self._names()
        payments = [
            _read(lambda one: translate.funding_payment(account.account_id, one, names), row)
            for row in rows.values()
        ]
        wanted = [one for one in payments if one is not None and one.event_time >= since]
        return tuple(sorted(wanted, key=lambda one: one.event_time))

    # Transactions.

    async def next_nonce(
        self, account_index: int, key_index: int, *, purpose: Purpose = Purpose.COMMAND
    ) -> int:
        """Return the nonce that the venue expects next of a key."""
        found = await self._rest.get(
            "/nextNonce",
            wire.NextNonce,
            purpose=purpose,
            account_index=account_index,
            api_key_index=key_index,
        )
        return found.nonce

    async def is_executed(self, tx_hash: str, *, purpose: Purpose = Purpose.COMMAND) -> bool:
        """Tell whether a transaction has been through the sequencer, whatever it did there."""
        try:
            found = await self._rest.get("/tx", wire.Tx, purpose=purpose, by="hash", value=tx_hash)
        except VenueRefused:
            return False
        return found.status != _PENDING

    # How it is asked.

    async def _active(self, account: Account) -> list[wire.OrderRow]:
        found = await self._private(account, "/accountActiveOrders", wire.Orders)
        return list(found.orders)

    async def _inactive(
        self,
        account: Account,
        *,
        pages_max: int,
        until: Callable[[wire.OrderRow], bool] = lambda row: False,
    ) -> list[wire.OrderRow]:
        rows: list[wire.OrderRow] = []
        cursor: str | None = None
        for _ in range(pages_max):
            found = await self._private(
                account,
                "/accountInactiveOrders",
                wire.Orders,
                further=bool(rows),
                limit=_PAGE,
                cursor=cursor,
            )
            rows += found.orders
            cursor = found.next_cursor or None
            if cursor is None or not found.orders or any(until(row) for row in found.orders):
                break
        return rows

    async def _private(self, account: Account, path: str, kind: type[T], **parameters: Any) -> T:
        """Ask with the account's token; with a fresh one where the venue takes the old no more."""
        index = account_index_of(account.address)
        for attempt in range(2):
            token = await self._tokens.of(account)
            try:
                return await self._rest.get(
                    path, kind, token=token, account_index=index, **parameters
                )
            except NotAuthorized:
                self._tokens.forget(account)
                if attempt:
                    raise
        raise AssertionError("unreachable")

    def _order(self, row: wire.OrderRow) -> VenueOrder | None:
        names = self._names()
        return _read(lambda read: translate.order(read, names), row)

    def _orders(self, rows: list[wire.OrderRow]) -> tuple[VenueOrder, ...]:
        found = (self._order(row) for row in rows)
        return tuple(order for order in found if order is not None)


_PENDING: Final = 1
_LIVE: Final = frozenset({"in-progress", "pending", "open"})


def _is_live(row: wire.OrderRow) -> bool:
    return row.status in _LIVE


def _ms(time: int) -> int:
    return to_ms(_read(at, time))


def _read(reader: Callable[[R], V], payload: R) -> V:
    """Translate, turning a payload that makes no sense into a query's error."""
    try:
        return reader(payload)
    except wire.WireError as error:
        raise VenueUnavailable(f"{VENUE}'s answer cannot be read: {error}") from None
