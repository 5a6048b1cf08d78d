"""The questions that the simulated venue answers by GET: public ones, and those of an account.

Source: api.docs.extended.exchange, public and private REST API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, overload

from venues.extended import simulator_views as views
from venues.extended.simulator_accounts import account_id_of, api_keys_of, stark_key_of
from venues.extended.simulator_facts import OrderFacts
from venues.simulation import margin
from venues.simulation.exchange import Exchange
from venues.simulation.instruments import Instrument
from venues.simulation.records import Account, Order
from venues.simulation.tables import Tables

Json = dict[str, Any]

_LIMIT: Final = 50
_LIMIT_MAX: Final = 10_000
_BOOK_DEPTH: Final = 1_000


class Query(Protocol):
    """What stands behind the question mark; a name may stand there several times."""

    @overload
    def get(self, key: str) -> str | None: ...
    @overload
    def get(self, key: str, default: str) -> str: ...
    def get(self, key: str, default: str | None = None) -> str | None:
        """Return the first value of a name."""
        ...

    def getall(self, key: str, default: list[str]) -> list[str]:
        """Return every value of a name."""
        ...


class BadQuery(ValueError):
    """The question makes no sense (HTTP 400)."""


class NothingThere(LookupError):
    """There is no such thing (HTTP 404)."""


class Answer:
    """What an answer consists of: its data, and where the next page begins."""

    __slots__ = ("data", "pagination")

    def __init__(self, data: Any, pagination: Json | None = None) -> None:
        self.data = data
        self.pagination = pagination


class Queries:
    """Questions over one exchange; paths below `/api/v1`, with what stands in braces as names."""

    def __init__(self, exchange: Exchange, facts: OrderFacts) -> None:
        self._exchange = exchange
        self._facts = facts
        self.public: dict[str, Callable[[Query, Json], Answer]] = {
            "/info/markets": self._markets,
            "/info/markets/{market}/stats": self._stats,
            "/info/markets/{market}/orderbook": self._book,
            "/info/markets/{market}/trades": self._trades,
            "/info/candles/{market}/{kind}": self._candles,
            "/info/{market}/funding": self._funding_rates,
        }
        self.private: dict[str, Callable[[Query, Json, Account], Answer]] = {
            "/user/account/info": self._info,
            "/user/balance": self._balance,
            "/user/positions": self._positions,
            "/user/orders": self._open_orders,
            "/user/orders/history": self._history,
            "/user/orders/external/{external_id}": self._by_external_id,
            "/user/orders/{order_id:[0-9]+}": self._by_id,
            "/user/trades": self._fills,
            "/user/funding/history": self._funding,
            "/user/leverage": self._leverage,
            "/user/fees": self._fees,
        }

    @property
    def _tables(self) -> Tables:
        return self._exchange.tables

    # Markets.

    def _markets(self, query: Query, names: Json) -> Answer:
        wanted = set(query.getall("market", []))
        unknown = wanted - self._tables.instruments.keys()
        if unknown:
            raise BadQuery(f"Market not found: {sorted(unknown)[0]}")
        now_ms = self._exchange.now_ms()
        return Answer(
            [
                views.market_row(self._tables, instrument, now_ms)
                for instrument in self._tables.instruments.values()
                if not wanted or instrument.symbol in wanted
            ]
        )

    def _stats(self, query: Query, names: Json) -> Answer:
        instrument = self._instrument(names["market"])
        return Answer(views.market_stats(self._tables, instrument, self._exchange.now_ms()))

    def _book(self, query: Query, names: Json) -> Answer:
        instrument = self._instrument(names["market"])
        book = self._tables.books[instrument.symbol]
        sides = {
            name: [
                {"qty": views.number(level.quantity), "price": views.number(level.price)}
                for level in ladder.levels(_BOOK_DEPTH)
            ]
            for name, ladder in (("bid", book.bids), ("ask", book.asks))
        }
        return Answer({"market": instrument.symbol, **sides})

    def _trades(self, query: Query, names: Json) -> Answer:
        instrument = self._instrument(names["market"])
        trades = list(self._tables.trades.get(instrument.symbol, ()))[-50:]
        return Answer([views.trade_row(trade) for trade in reversed(trades)])

    def _candles(self, query: Query, names: Json) -> Answer:
        instrument = self._instrument(names["market"])
        interval = views.INTERVALS.get(query.get("interval", ""))
        if interval is None or names["kind"] not in ("trades", "mark-prices", "index-prices"):
            raise BadQuery("Unsupported interval")
        end = _integer(query, "endTime")
        found = self._tables.candles.between(
            instrument.symbol, interval, 0, self._exchange.now_ms() if end is None else end
        )
        newest = list(found)[::-1][: _limit(query)]
        return Answer([views.candle_row(candle) for candle in newest])

    def _funding_rates(self, query: Query, names: Json) -> Answer:
        instrument = self._instrument(names["market"])
        start, end = _integer(query, "startTime"), _integer(query, "endTime")
        if start is None or end is None:
            raise BadQuery("startTime and endTime are required")
        rows = [
            views.funding_rate_row(rate)
            for rate in reversed(self._tables.funding_rates.get(instrument.symbol, []))
            if start <= rate.time_ms <= end
        ]
        return _page(rows, query)

    # Accounts.

    def _info(self, query: Query, names: Json, account: Account) -> Answer:
        vault = account.address
        return Answer(
            {
                "accountId": account_id_of(vault),
                "description": account.name or "Main account",
                "accountIndex": 0,
                "status": "ACTIVE",
                "l2Key": stark_key_of(self._tables, vault),
                "l2Vault": vault,
                "bridgeStarknetAddress": "0x0",
                "apiKeys": api_keys_of(self._tables, vault),
            }
        )

    def _balance(self, query: Query, names: Json, account: Account) -> Answer:
        held = any(margin.held_positions(self._tables, account.address))
        if not account.cash and not held:
            raise NothingThere("Balance not found")
        return Answer(views.balance_row(self._tables, account.address, self._exchange.now_ms()))

    def _positions(self, query: Query, names: Json, account: Account) -> Answer:
        wanted = set(query.getall("market", []))
        now_ms = self._exchange.now_ms()
        number = account_id_of(account.address)
        return Answer(
            [
                views.position_row(self._tables, row, number, now_ms)
                for row in margin.held_positions(self._tables, account.address)
                if not wanted or row.symbol in wanted
            ]
        )

    def _open_orders(self, query: Query, names: Json, account: Account) -> Answer:
        wanted = set(query.getall("market", []))
        live = self._tables.live_orders.get(account.address, {}).values()
        found = (order for order in live if not wanted or order.symbol in wanted)
        return Answer(self._rows(account, found))

    def _history(self, query: Query, names: Json, account: Account) -> Answer:
        """Return ended orders, newest first; those beyond the exchange's memory are gone."""
        ids = {int(one) for one in query.getall("id", []) if one.isdigit()}
        external = set(query.getall("externalId", []))
        wanted = set(query.getall("market", []))
        oldest = self._tables.order_count.get(account.address, 0) - (
            self._exchange.switches.order_retention
        )
        found = [
            order
            for order in reversed(self._tables.orders_of.get(account.address, ()))
            if not order.status.is_live
            and order.number >= oldest
            and (not ids or order.venue_order_id in ids)
            and (not external or order.client_order_id in external)
            and (not wanted or order.symbol in wanted)
        ]
        return _page(self._rows(account, found), query)

    def _by_external_id(self, query: Query, names: Json, account: Account) -> Answer:
        ids = self._tables.by_client_id.get((account.address, names["external_id"]), [])
        return Answer(self._rows(account, [self._tables.orders[one] for one in ids[::-1]]))

    def _by_id(self, query: Query, names: Json, account: Account) -> Answer:
        order = self._tables.orders.get(int(names["order_id"]))
        rows = self._rows(account, [order]) if order and order.account == account.address else []
        if not rows:
            raise NothingThere("Order not found")
        return Answer(rows[0])

    def _rows(self, account: Account, orders: Iterable[Order]) -> list[Json]:
        now_ms, lag_ms = self._exchange.now_ms(), self._exchange.switches.lookup_lag_ms
        number = account_id_of(account.address)
        return [
            views.order_row(order, self._facts, number)
            for order in orders
            if views.is_visible(order, now_ms, lag_ms)
        ]

    def _fills(self, query: Query, names: Json, account: Account) -> Answer:
        wanted = set(query.getall("market", []))
        number = account_id_of(account.address)
        rows = [
            views.fill_row(fill, number, on_feed=False)
            for fill in reversed(self._tables.fills_of.get(account.address, []))
            if not wanted or fill.symbol in wanted
        ]
        return _page(rows, query)

    def _funding(self, query: Query, names: Json, account: Account) -> Answer:
        start = _integer(query, "startTime") or 0
        number, tables = account_id_of(account.address), self._tables
        rows = [
            views.funding_row(one, index, number, tables.markets[one.symbol].oracle_price)
            for index, one in enumerate(tables.funding_payments.get(account.address, []), 1)
            if one.time_ms >= start
        ]
        return _page(rows[::-1], query)

    def _leverage(self, query: Query, names: Json, account: Account) -> Answer:
        rows = [
            {
                "market": instrument.symbol,
                "leverage": str(self._tables.position(account.address, instrument.symbol).leverage),
            }
            for instrument in self._asked_for(query)
        ]
        return Answer(rows)

    def _fees(self, query: Query, names: Json, account: Account) -> Answer:
        return Answer([views.fee_row(one.symbol) for one in self._asked_for(query)])

    def _asked_for(self, query: Query) -> list[Instrument]:
        wanted = query.getall("market", [])
        if wanted:
            return [self._instrument(one) for one in wanted]
        return list(self._tables.instruments.values())

    def _instrument(self, symbol: str) -> Instrument:
        instrument = self._tables.instruments.get(symbol)
        if instrument is None:
            raise BadQuery(f"Market not found: {symbol}")
        return instrument


def _page(rows: list[Json], query: Query) -> Answer:
    """Cut a page out of rows, newest first; the cursor is how many have been read."""
    start, limit = _integer(query, "cursor") or 0, _limit(query)
    page = rows[start : start + limit]
    pagination: Json = {"count": len(page)}
    if start + limit < len(rows):
        pagination["cursor"] = start + limit
    return Answer(page, pagination)


def _limit(query: Query) -> int:
    limit = _integer(query, "limit")
    limit = _LIMIT if limit is None else limit
    if not 1 <= limit <= _LIMIT_MAX:
        raise BadQuery(f"limit must be between 1 and {_LIMIT_MAX}")
    return limit


def _integer(query: Query, name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadQuery(f"Invalid {name}")
    return int(text)
