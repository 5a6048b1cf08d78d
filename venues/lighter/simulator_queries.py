"""The questions that the simulated venue answers by GET; some want a token of the account.

Source: lighter-sdk 1.1.8 `api/*.py`; docs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from venues.lighter import simulator_views as views
from venues.lighter.simulator_markets import MARKET_IDS, SYMBOLS
from venues.lighter.simulator_sequencer import Sequencer
from venues.lighter.simulator_signature import (
    NotVerified,
    key_indexes,
    registered,
    verify_token,
)
from venues.simulation.exchange import Exchange
from venues.simulation.records import Order
from venues.simulation.tables import Tables

Json = dict[str, Any]
Query = Mapping[str, str]

_LIMIT_MAX: Final = 100
_BOOK_MAX: Final = 250
_CANDLES_MAX: Final = 500
_ALL_KEYS: Final = 255
_IDS_MAX: Final = 20
_INTERVALS: Final = ("1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d", "1w")


class BadQuery(ValueError):
    """The question makes no sense (HTTP 400)."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class NotAllowedToRead(Exception):
    """The token is missing, of another account, or not taken."""


class Queries:
    """Questions over one exchange."""

    def __init__(self, exchange: Exchange, sequencer: Sequencer, tier: str) -> None:
        self._exchange = exchange
        self._sequencer = sequencer
        self._tier = tier
        self.paths: dict[str, Callable[[Query], Json]] = {
            "/orderBooks": self._markets_in_short,
            "/orderBookDetails": self._markets,
            "/orderBookOrders": self._book,
            "/recentTrades": self._recent_trades,
            "/candles": self._candles,
            "/fundings": self._fundings,
            "/funding-rates": self._funding_rates,
            "/exchangeStats": self._exchange_stats,
            "/account": self._account,
            "/accountsByL1Address": self._accounts_of_owner,
            "/apikeys": self._keys,
            "/nextNonce": self._next_nonce,
            "/tx": self._transaction,
        }
        #: Those that are told to the account's token alone.
        self.private: dict[str, Callable[[Query], Json]] = {
            "/accountActiveOrders": self._active_orders,
            "/accountInactiveOrders": self._inactive_orders,
            "/accountOrders": self._orders_by_client_id,
            "/trades": self._trades,
            "/positionFunding": self._funding_payments,
            "/accountLimits": self._limits,
        }

    @property
    def _tables(self) -> Tables:
        return self._exchange.tables

    def answer(self, path: str, query: Query, token: str | None) -> Json:
        """Answer a question. Raises `BadQuery`, `NotAllowedToRead` and `KeyError`."""
        if path in self.paths:
            return {"code": 200, **self.paths[path](query)}
        ask = self.private[path]
        try:
            reads = verify_token(self._tables, token or "", self._exchange.now_ms())
        except NotVerified as error:
            raise NotAllowedToRead(str(error)) from None
        if reads != _integer(query, "account_index"):
            raise NotAllowedToRead("invalid auth: account index does not match")
        return {"code": 200, **ask(query)}

    # Markets.

    def _markets_in_short(self, query: Query) -> Json:
        rows = [views.market_row(self._tables, one) for one in self._tables.instruments.values()]
        names = ("symbol", "market_id", "market_type", "status", "taker_fee", "maker_fee",
                 "liquidation_fee", "min_base_amount", "min_quote_amount", "order_quote_limit",
                 "supported_size_decimals", "supported_price_decimals",
                 "supported_quote_decimals")  # fmt: skip
        return {"order_books": [{name: row[name] for name in names} for row in rows]}

    def _markets(self, query: Query) -> Json:
        number = _optional(query, "market_id")
        rows = [
            views.market_row(self._tables, market)
            for market in self._tables.instruments.values()
            if number in (None, MARKET_IDS[market.symbol])
        ]
        return {"order_book_details": rows, "spot_order_book_details": []}

    def _book(self, query: Query) -> Json:
        symbol = self._symbol(query)
        market, book = self._tables.instruments[symbol], self._tables.books[symbol]
        limit = _integer(query, "limit")
        if not 1 <= limit <= _BOOK_MAX:
            raise BadQuery(20001, "invalid limit")
        sides: dict[str, list[Json]] = {}
        for name, ladder in (("asks", book.asks), ("bids", book.bids)):
            rows: list[Json] = []
            for level in ladder.levels(limit):
                for order in (*level.orders.values(), *level.house.values()):
                    rows.append(
                        {
                            "order_index": max(order.venue_order_id, 0),
                            "order_id": str(max(order.venue_order_id, 0)),
                            "owner_account_index": views.account_number(order.account),
                            "initial_base_amount": views.size(market, order.quantity),
                            "remaining_base_amount": views.size(market, order.remaining),
                            "price": views.price(market, order.price),
                            "order_expiry": 0,
                            "transaction_time": 0,
                        }
                    )
            sides[name] = rows[:limit]
        return {
            "total_asks": len(sides["asks"]),
            "asks": sides["asks"],
            "total_bids": len(sides["bids"]),
            "bids": sides["bids"],
        }

    def _recent_trades(self, query: Query) -> Json:
        trades = list(self._tables.trades.get(self._symbol(query), ()))
        newest = trades[::-1][: min(_integer(query, "limit"), _LIMIT_MAX)]
        return {"trades": [views.trade_row(self._tables, trade) for trade in newest]}

    def _candles(self, query: Query) -> Json:
        symbol, interval = self._symbol(query), query.get("resolution", "")
        if interval not in _INTERVALS:
            raise BadQuery(22400, "invalid resolution")
        found = self._tables.candles.between(
            symbol, interval, _integer(query, "start_timestamp"), _integer(query, "end_timestamp")
        )
        rows = [views.candle_row(one) for one in found if one.count]
        count = min(_integer(query, "count_back"), _CANDLES_MAX)
        return {"r": interval, "c": rows[-count:]}

    def _fundings(self, query: Query) -> Json:
        start, end = _integer(query, "start_timestamp"), _integer(query, "end_timestamp")
        rates = self._tables.funding_rates.get(self._symbol(query), [])
        rows = [
            views.rate_row(rate) for rate in rates if start // 1000 * 1000 <= rate.time_ms <= end
        ]
        return {"resolution": query.get("resolution", "1h"), "fundings": rows}

    def _funding_rates(self, query: Query) -> Json:
        rows = [
            {
                "market_id": MARKET_IDS[symbol],
                "exchange": "lighter",
                "symbol": symbol,
                "rate": float(market.funding_rate * 8),
            }
            for symbol, market in self._tables.markets.items()
        ]
        return {"funding_rates": rows}

    def _exchange_stats(self, query: Query) -> Json:
        return {"total": len(self._tables.markets), "order_book_stats": []}

    # Accounts.

    def _account(self, query: Query) -> Json:
        by, value = query.get("by", ""), query.get("value", "")
        if by == "l1_address":
            found = [one for one in self._tables.accounts if views.l1_address(one) == value.lower()]
        elif by == "index":
            found = [value] if value in self._tables.accounts else []
        else:
            raise BadQuery(20001, "invalid param: by")
        if not found:
            raise BadQuery(21100, "account not found")
        rows = [views.account_row(self._tables, address) for address in found]
        return {"total": len(rows), "accounts": rows}

    def _accounts_of_owner(self, query: Query) -> Json:
        owner = query.get("l1_address", "").lower()
        found = [one for one in self._tables.accounts if views.l1_address(one) == owner]
        if not found:
            raise BadQuery(21100, "account not found")
        rows = [views.account_row(self._tables, address) for address in found]
        return {"l1_address": owner, "sub_accounts": rows}

    def _keys(self, query: Query) -> Json:
        account_index = _integer(query, "account_index")
        wanted = _optional(query, "api_key_index")
        indexes = key_indexes(self._tables, account_index)
        rows = [
            {
                "account_index": account_index,
                "api_key_index": index,
                "nonce": self._sequencer.next_nonce(account_index, index),
                "public_key": registered(self._tables, account_index, index),
                "transaction_time": 0,
            }
            for index in indexes
            if wanted in (None, _ALL_KEYS, index)
        ]
        if not rows:
            raise BadQuery(21109, "api key not found")
        return {"api_keys": rows}

    def _next_nonce(self, query: Query) -> Json:
        account_index, index = _integer(query, "account_index"), _integer(query, "api_key_index")
        return {"nonce": self._sequencer.next_nonce(account_index, index)}

    def _transaction(self, query: Query) -> Json:
        if query.get("by") != "hash":
            raise BadQuery(20001, "invalid param: by")
        tx_hash = query.get("value", "").lower().removeprefix("0x")
        found = self._sequencer.found(tx_hash)
        if found is None:
            raise BadQuery(21500, "transaction not found")
        return views.transaction_row(tx_hash, *found)

    def _limits(self, query: Query) -> Json:
        return {
            "max_llp_percentage": 25,
            "user_tier": self._tier,
            "can_create_public_pool": False,
            "current_maker_fee_tick": views.MAKER_TICKS,
            "current_taker_fee_tick": views.TAKER_TICKS,
        }

    # Orders.

    def _active_orders(self, query: Query) -> Json:
        number = _optional(query, "market_id")
        live = self._tables.live_orders.get(query["account_index"], {}).values()
        rows = [
            views.order_row(self._tables, order)
            for order in live
            if self._is_visible(order) and number in (None, _ALL_KEYS, MARKET_IDS[order.symbol])
        ]
        return {"orders": rows}

    def _inactive_orders(self, query: Query) -> Json:
        ended = [order for order in self._known(query) if not order.status.is_live]
        rows = [views.order_row(self._tables, order) for order in ended]
        return _page("orders", rows, query)

    def _orders_by_client_id(self, query: Query) -> Json:
        wanted = query.get("client_order_indexes", "").split(",")
        if not 0 < len(wanted) <= _IDS_MAX:
            raise BadQuery(20001, "invalid client_order_indexes")
        rows = [
            views.order_row(self._tables, order)
            for order in self._known(query)
            if order.client_order_id in wanted
        ]
        return {"orders": rows}

    def _known(self, query: Query) -> list[Order]:
        """Return an account's orders that are still listed, newest first."""
        account = query["account_index"]
        oldest = self._tables.order_count.get(account, 0) - self._exchange.switches.order_retention
        return [
            order
            for order in reversed(self._tables.orders_of.get(account, ()))
            if self._is_visible(order) and (order.status.is_live or order.number >= oldest)
        ]

    def _is_visible(self, order: Order) -> bool:
        lag_ms = self._exchange.switches.lookup_lag_ms
        return views.is_visible(order, self._exchange.now_ms(), lag_ms)

    def _trades(self, query: Query) -> Json:
        if query.get("sort_by") not in ("timestamp", "trade_id", "block_height"):
            raise BadQuery(20001, "invalid sort_by")
        fills = self._tables.fills_of.get(query["account_index"], [])
        rows = [views.fill_row(self._tables, fill) for fill in reversed(fills)]
        return _page("trades", rows, query)

    def _funding_payments(self, query: Query) -> Json:
        payments = self._tables.funding_payments.get(query["account_index"], [])
        rows = [views.funding_row(payment, number) for number, payment in enumerate(payments, 1)]
        return _page("position_fundings", rows[::-1], query)

    def _symbol(self, query: Query) -> str:
        symbol = SYMBOLS.get(_integer(query, "market_id"))
        if symbol is None or symbol not in self._tables.instruments:
            raise BadQuery(21602, "invalid market index")
        return symbol


def _page(name: str, rows: list[Json], query: Query) -> Json:
    """Cut a page out of rows, newest first; the cursor is where the next one begins."""
    limit = _integer(query, "limit")
    if not 1 <= limit <= _LIMIT_MAX:
        raise BadQuery(20001, "invalid limit")
    start = _optional(query, "cursor") or 0
    page: Json = {name: rows[start : start + limit]}
    if start + limit < len(rows):
        page["next_cursor"] = str(start + limit)
    return page


def _integer(query: Query, name: str) -> int:
    found = _optional(query, name)
    if found is None:
        raise BadQuery(20001, f"invalid param: {name}")
    return found


def _optional(query: Query, name: str) -> int | None:
    text = query.get(name)
    if text is None or text == "":
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadQuery(20001, f"invalid param: {name}")
    return int(text)
