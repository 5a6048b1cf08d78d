"""The questions that the simulated venue answers by GET, unsigned.

Source: docs.pacifica.fi api/rest-api.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from venues.pacifica import simulator_views as views
from venues.simulation import margin
from venues.simulation.candles import INTERVALS_MS
from venues.simulation.exchange import Exchange
from venues.simulation.records import Order
from venues.simulation.tables import Tables

Json = dict[str, Any]
Query = Mapping[str, str]

_LIMIT: Final = 100
_LIMIT_MAX: Final = 4_000
_FILLS_SPAN_MS: Final = 30 * 86_400_000
BOOK_DEPTH: Final = 10
_AGGREGATIONS: Final = ("1", "10", "100", "1000", "10000")


class BadQuery(ValueError):
    """The question makes no sense (HTTP 400)."""


class NothingThere(LookupError):
    """There is no such thing (HTTP 404)."""


class Sequence(Protocol):
    """Where the exchange-wide counter of events stands."""

    @property
    def last(self) -> int:
        """The number of the newest event."""
        ...


class Answer:
    """What an answer consists of: its data, and what stands beside it."""

    __slots__ = ("data", "more")

    def __init__(self, data: Any, **more: Any) -> None:
        self.data = data
        self.more = more


class Queries:
    """Questions over one exchange."""

    def __init__(self, exchange: Exchange, sequence: Sequence) -> None:
        self._exchange = exchange
        self._sequence = sequence
        self.paths: dict[str, Callable[[Query], Answer]] = {
            "/info": self._markets,
            "/info/prices": self._prices,
            "/info/fees": self._fees,
            "/orders": self._open_orders,
            "/orders/history": self._order_history,
            "/orders/history_by_id": self._order_by_id,
            "/trades/history": self._fills,
            "/trades": self._trades,
            "/positions": self._positions,
            "/account": self._account,
            "/account/settings": self._settings,
            "/funding/history": self._funding,
            "/funding_rate/history": self._funding_rates,
            "/book": self._book,
            "/kline": self._candles,
        }

    @property
    def _tables(self) -> Tables:
        return self._exchange.tables

    # Markets.

    def _markets(self, query: Query) -> Answer:
        return Answer(
            [
                views.market_row(self._tables, instrument)
                for instrument in self._tables.instruments.values()
                if not instrument.delisted
            ]
        )

    def _prices(self, query: Query) -> Answer:
        return Answer(price_rows(self._exchange))

    def _fees(self, query: Query) -> Answer:
        row = {"level": 0, "maker_fee_rate": "0.00015", "taker_fee_rate": "0.00045"}
        return Answer([row])

    def _book(self, query: Query) -> Answer:
        return Answer(book_view(self._exchange, self._symbol(query)))

    def _trades(self, query: Query) -> Answer:
        trades = list(self._tables.trades.get(self._symbol(query), ()))
        return Answer([views.public_trade(trade) for trade in reversed(trades)])

    def _candles(self, query: Query) -> Answer:
        symbol, interval = self._symbol(query), query.get("interval", "")
        if interval not in INTERVALS_MS:
            raise BadQuery(f"unknown interval {interval!r}")
        start, end = _integer(query, "start_time"), _integer(query, "end_time")
        found = self._tables.candles.between(
            symbol, interval, start or 0, self._exchange.now_ms() if end is None else end
        )
        return Answer(
            [views.candle_row(symbol, interval, one) for one in found if one.count][:_LIMIT_MAX]
        )

    def _funding_rates(self, query: Query) -> Answer:
        rates = self._tables.funding_rates.get(self._symbol(query), [])
        rows = [
            {
                "oracle_price": "0",
                "bid_impact_price": "0",
                "ask_impact_price": "0",
                "funding_rate": views.number(rate.rate),
                "next_funding_rate": views.number(rate.rate),
                "created_at": rate.time_ms,
            }
            for rate in reversed(rates)
        ]
        return _page(rows, query)

    # Accounts.

    def _open_orders(self, query: Query) -> Answer:
        live = self._tables.live_orders.get(self._account_of(query), {}).values()
        rows = [views.open_order(order) for order in live if self._is_visible(order)]
        return Answer(rows, last_order_id=self._sequence.last)

    def _order_history(self, query: Query) -> Answer:
        account = self._account_of(query)
        oldest = self._tables.order_count.get(account, 0) - (
            self._exchange.switches.order_retention
        )
        rows = [
            views.past_order(order)
            for order in reversed(self._tables.orders_of.get(account, ()))
            if self._is_visible(order) and order.number >= oldest
        ]
        return _page(rows, query)

    def _order_by_id(self, query: Query) -> Answer:
        order_id = _integer(query, "order_id")
        order = self._tables.orders.get(order_id) if order_id is not None else None
        if order is None or order.is_house or not self._is_visible(order):
            raise NothingThere(f"Order history not found for order ID: {order_id}")
        return Answer(views.order_events(order))

    def _is_visible(self, order: Order) -> bool:
        lag_ms = self._exchange.switches.lookup_lag_ms
        return views.is_visible(order, self._exchange.now_ms(), lag_ms)

    def _fills(self, query: Query) -> Answer:
        start, end = _integer(query, "start_time"), _integer(query, "end_time")
        if start is not None and end is not None and end - start > _FILLS_SPAN_MS:
            raise BadQuery("time range must be at most 30 days")
        symbol = query.get("symbol")
        rows = [
            views.fill_row(fill)
            for fill in reversed(self._tables.fills_of.get(self._account_of(query), []))
            if symbol in (None, fill.symbol)
            and (start is None or fill.time_ms >= start)
            and (end is None or fill.time_ms <= end)
        ]
        return _page(rows, query)

    def _positions(self, query: Query) -> Answer:
        rows = position_rows(self._exchange, self._account_of(query))
        return Answer(rows, last_order_id=self._sequence.last)

    def _account(self, query: Query) -> Answer:
        account = self._account_of(query)
        if account not in self._tables.accounts:
            raise NothingThere(f"Account not found: {account}")
        return Answer(views.account_row(self._tables, account, self._exchange.now_ms()))

    def _settings(self, query: Query) -> Answer:
        """List markets that are not on their defaults: cross, and the greatest leverage."""
        rows = [
            {
                "symbol": symbol,
                "isolated": row.is_isolated,
                "leverage": row.leverage,
                "created_at": 0,
                "updated_at": 0,
            }
            for symbol, row in self._tables.positions.get(self._account_of(query), {}).items()
            if row.is_isolated or row.leverage != self._tables.instruments[symbol].max_leverage
        ]
        return Answer({"auto_lend_disabled": True, "margin_settings": rows, "spot_settings": []})

    def _funding(self, query: Query) -> Answer:
        payments = self._tables.funding_payments.get(self._account_of(query), [])
        rows = [views.funding_row(payment, number) for number, payment in enumerate(payments, 1)]
        return _page(rows[::-1], query)

    def _account_of(self, query: Query) -> str:
        account = query.get("account")
        if not account:
            raise BadQuery("missing field `account`")
        return account

    def _symbol(self, query: Query) -> str:
        symbol = query.get("symbol", "")
        if query.get("agg_level", "1") not in _AGGREGATIONS:
            raise BadQuery("invalid agg_level")
        if symbol not in self._tables.instruments:
            raise BadQuery(f"Book not found: {symbol}")
        return symbol


def price_rows(exchange: Exchange) -> list[Json]:
    """Return every market's prices."""
    now_ms, tables = exchange.now_ms(), exchange.tables
    return [
        views.price_row(tables, symbol, now_ms)
        for symbol, instrument in tables.instruments.items()
        if not instrument.delisted
    ]


def book_view(exchange: Exchange, symbol: str) -> Json:
    """Return a book as a whole."""
    book = exchange.tables.books[symbol]
    return {
        "s": symbol,
        "l": [views.levels(book.bids, BOOK_DEPTH), views.levels(book.asks, BOOK_DEPTH)],
        "t": exchange.now_ms(),
    }


def position_rows(exchange: Exchange, account: str) -> list[Json]:
    """Return an account's positions."""
    tables = exchange.tables
    return [
        views.position_row(tables, row, exchange.now_ms())
        for row in margin.held_positions(tables, account)
    ]


def _page(rows: list[Json], query: Query) -> Answer:
    """Cut a page out of rows, newest first; the cursor is where the next one begins."""
    limit = _integer(query, "limit")
    limit = _LIMIT if limit is None else limit
    if not 1 <= limit <= _LIMIT_MAX:
        raise BadQuery(f"limit must be between 1 and {_LIMIT_MAX}")
    start = _integer(query, "cursor") or 0
    end = start + limit
    has_more = end < len(rows)
    cursor = str(end) if has_more else None
    return Answer(rows[start:end], next_cursor=cursor, has_more=has_more)


def _integer(query: Query, name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadQuery(f"{name}: invalid digit found in string")
    return int(text)
