"""The questions that the simulated venue answers by GET: markets to all, accounts to their keys.

Source: the official v2 API page.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final

from venues.simulation.candles import INTERVALS_MS
from venues.simulation.exchange import Exchange
from venues.simulation.records import Fill, Order
from venues.simulation.tables import Tables
from venues.vest import simulator_views as views
from venues.vest.simulator_business import Quirks, Refused

Json = dict[str, Any]
Query = Mapping[str, str]

_LIMIT_MAX: Final = 1_000
_DEPTH: Final = 20
_DEPTH_MAX: Final = 100


class Queries:
    """Questions over one exchange; those of `private` are about the account that asks."""

    def __init__(self, exchange: Exchange, quirks: Quirks) -> None:
        self._exchange = exchange
        self._quirks = quirks
        self.public: dict[str, Callable[[Query], Any]] = {
            "/exchangeInfo": self._markets,
            "/ticker/latest": self._tickers,
            "/ticker/24hr": self._days,
            "/depth": self._depth,
            "/trades": self._trades,
            "/klines": self._klines,
            "/funding/history": self._funding_rates,
        }
        self.private: dict[str, Callable[[Query, str], Any]] = {
            "/account": self._account,
            "/orders": self._orders,
        }

    @property
    def _tables(self) -> Tables:
        return self._exchange.tables

    # Markets.

    def _markets(self, query: Query) -> Any:
        return {
            "symbols": [
                views.market_row(self._tables.instruments[name]) for name in self._symbols(query)
            ],
            "exchange": {
                "lp": "100000.000000",
                "insurance": "10000000000.000000",
                "collateralDecimals": 6,
            },
        }

    def _tickers(self, query: Query) -> Any:
        rows = [views.ticker_row(self._tables, name) for name in self._symbols(query)]
        return {"tickers": rows}

    def _days(self, query: Query) -> Any:
        now_ms = self._exchange.now_ms()
        rows = [views.day_row(self._tables, name, now_ms) for name in self._symbols(query)]
        return {"tickers": rows}

    def _symbols(self, query: Query) -> list[str]:
        listed = [name for name, market in self._tables.instruments.items() if not market.delisted]
        wanted = query.get("symbols")
        if wanted is None:
            return listed
        names = wanted.split(",")
        if any(name not in listed for name in names):
            raise Refused(1121, "BAD_SYMBOL")
        return names

    def _depth(self, query: Query) -> Any:
        limit = _integer(query, "limit") or _DEPTH
        return book_view(self._exchange, self._symbol(query), min(limit, _DEPTH_MAX))

    def _trades(self, query: Query) -> Any:
        symbol = self._symbol(query)
        instrument = self._tables.instruments[symbol]
        trades = list(self._tables.trades.get(symbol, ()))[-_limit(query) :]
        return [views.public_trade(trade, instrument, in_socket=False) for trade in trades]

    def _klines(self, query: Query) -> Any:
        symbol, interval = self._symbol(query), query.get("interval", "")
        if interval not in INTERVALS_MS:
            raise Refused(1130, "INVALID_PARAMETER")
        instrument = self._tables.instruments[symbol]
        # The times asked for are ignored, as they have been seen to be.
        found = self._tables.candles.between(symbol, interval, 0, self._exchange.now_ms())
        return [
            views.kline(one, interval, instrument, in_socket=False)
            for one in found[-_limit(query) :]
        ]

    def _funding_rates(self, query: Query) -> Any:
        start, end = _integer(query, "startTime"), _integer(query, "endTime")
        rates = [
            rate
            for rate in self._tables.funding_rates.get(self._symbol(query), [])
            if (start is None or rate.time_ms >= start) and (end is None or rate.time_ms <= end)
        ]
        return [views.funding_rate_row(rate) for rate in rates[-_limit(query) :]]

    def _symbol(self, query: Query) -> str:
        symbol = query.get("symbol", "")
        if symbol not in self._tables.instruments:
            raise Refused(1121, "BAD_SYMBOL")
        return symbol

    # Accounts.

    def _account(self, query: Query, account: str) -> Any:
        _required_time(query)
        if account not in self._tables.accounts:
            raise Refused(1099, "ACCOUNT_NOT_FOUND")
        return views.account_row(self._tables, account, self._exchange.now_ms())

    def _orders(self, query: Query, account: str) -> Any:
        """List orders, newest first, by when they were posted."""
        _required_time(query)
        ids = {views.order_number(one) for one in query["id"].split(",")} if "id" in query else None
        nonce = _integer(query, "nonce")
        start, end = _integer(query, "startTime"), _integer(query, "endTime")
        fills = self._fills_of(account)
        rows: list[Json] = []
        limit = _limit(query)
        for order in self._known(account):
            is_wanted = (
                (ids is None or order.venue_order_id in ids)
                and (nonce is None or order.client_order_id == str(nonce))
                and query.get("symbol", order.symbol) == order.symbol
                and query.get("orderType", views.order_type(order)) == views.order_type(order)
                and (start is None or order.created_ms >= start)
                and (end is None or order.created_ms <= end)
            )
            if not is_wanted:
                continue
            row = self.row(order, fills[order.venue_order_id])
            if query.get("status", row["status"]) == row["status"]:
                rows.append(row)
            if len(rows) >= limit:
                break
        return rows

    def row(self, order: Order, fills: list[Fill]) -> Json:
        """Write one order."""
        return views.order_row(self._tables, order, fills, fok_cancels=self._quirks.fok_cancels)

    def _known(self, account: str) -> list[Order]:
        """Return an account's orders that are shown by now, newest first."""
        switches, now_ms = self._exchange.switches, self._exchange.now_ms()
        oldest = self._tables.order_count.get(account, 0) - switches.order_retention
        return [
            order
            for order in reversed(self._tables.orders_of.get(account, ()))
            if (order.status.is_live or order.number >= oldest)
            and now_ms - order.created_ms >= switches.lookup_lag_ms
        ]

    def _fills_of(self, account: str) -> dict[int, list[Fill]]:
        found: dict[int, list[Fill]] = defaultdict(list)
        for fill in self._tables.fills_of.get(account, ()):
            found[fill.venue_order_id].append(fill)
        return found


def book_view(exchange: Exchange, symbol: str, depth: int = _DEPTH) -> Json:
    """Return a book as a whole."""
    book, instrument = exchange.tables.books[symbol], exchange.tables.instruments[symbol]
    return {
        "bids": views.levels(book.bids, instrument, depth),
        "asks": views.levels(book.asks, instrument, depth),
    }


def _required_time(query: Query) -> None:
    if _integer(query, "time") is None:
        raise Refused(1130, "INVALID_PARAMETER")


def _limit(query: Query) -> int:
    limit = _integer(query, "limit")
    if limit is None:
        return _LIMIT_MAX
    if not 1 <= limit <= _LIMIT_MAX:
        raise Refused(1130, "INVALID_PARAMETER")
    return limit


def _integer(query: Query, name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Refused(1130, "INVALID_PARAMETER")
    return int(text)
