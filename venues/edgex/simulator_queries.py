"""The questions that the simulated venue answers by GET: public ones, and those of an account.

A query is decoded before it is sorted and signed for. Look-ups by id know live orders only, so
that an order which ended has to be looked for in the history: whether the venue's do is unknown.

Source: edgeX gitbook api/public-api/**, api/private-api/**.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from venues.edgex import simulator_views as views
from venues.edgex.simulator_markets import CONTRACT_IDS, SYMBOLS, metadata, name_of
from venues.edgex.simulator_quotes import depth_levels, kline_row, ticker_row
from venues.simulation import margin
from venues.simulation.candles import Candle
from venues.simulation.exchange import Exchange
from venues.simulation.records import Order
from venues.simulation.tables import Tables

Json = dict[str, Any]
Query = Mapping[str, str]

#: The venue's candles, and those of the exchange that they are put together from.
KLINES: Final = {
    "MINUTE_1": "1m",
    "MINUTE_5": "5m",
    "MINUTE_15": "15m",
    "MINUTE_30": "30m",
    "HOUR_1": "1h",
    "HOUR_2": "2h",
    "HOUR_4": "4h",
    "HOUR_6": "2h",
    "HOUR_8": "8h",
    "HOUR_12": "12h",
    "DAY_1": "1d",
    "WEEK_1": "1w",
    "MONTH_1": "1d",
}
_SIX_HOURS_MS: Final = 6 * 3_600_000


class BadQuery(ValueError):
    """The question makes no sense; `code` is the venue's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Queries:
    """Questions over one exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.public: dict[str, Callable[[Query], Any]] = {
            "/public/meta/getServerTime": self._time,
            "/public/meta/getMetaData": lambda query: metadata(self._tables),
            "/public/quote/getTicker": self._ticker,
            "/public/quote/getDepth": self._depth,
            "/public/quote/getKline": self._klines,
            "/public/funding/getLatestFundingRate": self._latest_rates,
            "/public/funding/getFundingRatePage": self._rates,
        }
        self.private: dict[str, Callable[[Query, str], Any]] = {
            "/private/order/getOrderById": self._orders_by_id,
            "/private/order/getOrderByClientOrderId": self._orders_by_client_id,
            "/private/order/getActiveOrderPage": self._active,
            "/private/order/getHistoryOrderPage": self._history,
            "/private/order/getHistoryOrderFillTransactionPage": self._fills,
            "/private/account/getAccountAsset": self._asset,
            "/private/account/getAccountById": self._account,
            "/private/account/getPositionByContractId": self._positions,
            "/private/account/getCollateralTransactionPage": self._collateral,
        }

    @property
    def _tables(self) -> Tables:
        return self._exchange.tables

    # Public.

    def _time(self, query: Query) -> Json:
        return {"timeMillis": str(self._exchange.now_ms())}

    def _ticker(self, query: Query) -> list[Json]:
        if not query.get("contractId"):
            return []
        return [ticker_row(self._exchange, _symbol(query["contractId"]))]

    def _depth(self, query: Query) -> list[Json]:
        level, symbol = query.get("level", ""), _symbol(query.get("contractId", ""))
        if level not in ("15", "200"):
            raise BadQuery("GATEWAY_PARAM_INVALID", f"invalid level : {level}")
        bids, asks = depth_levels(self._exchange, symbol, int(level))
        return [
            {
                "startVersion": "1",
                "endVersion": "2",
                "level": int(level),
                "contractId": query["contractId"],
                "contractName": name_of(symbol),
                "asks": asks,
                "bids": bids,
                "depthType": "SNAPSHOT",
            }
        ]

    def _klines(self, query: Query) -> Json:
        symbol, kind = _symbol(query.get("contractId", "")), query.get("klineType", "")
        if kind not in KLINES or query.get("priceType") != "LAST_PRICE":
            raise BadQuery("GATEWAY_PARAM_INVALID", f"invalid klineType : {kind}")
        begin = _integer(query, "filterBeginKlineTimeInclusive") or 0
        end = _integer(query, "filterEndKlineTimeExclusive")
        last = self._exchange.now_ms() if end is None else end - 1
        found = self._tables.candles.between(symbol, KLINES[kind], begin, last)
        merged = (one for one in merged_candles(kind, found) if one.start_ms >= begin)
        rows = [kline_row(symbol, kind, one) for one in merged if one.count]
        return _page(rows[::-1], query, size_max=1000)

    def _latest_rates(self, query: Query) -> list[Json]:
        names = [one for one in query.get("contractId", "").split(",") if one]
        return [self._rate_row(_symbol(one)) for one in names]

    def _rate_row(self, symbol: str) -> Json:
        market, now_ms = self._tables.markets[symbol], self._exchange.now_ms()
        hour = 3_600_000
        return {
            "contractId": CONTRACT_IDS[symbol],
            "fundingTime": str(now_ms - now_ms % hour),
            "fundingTimestamp": str(now_ms),
            "oraclePrice": views.number(market.oracle_price),
            "indexPrice": views.number(market.oracle_price),
            "fundingRate": views.number(market.funding_rate),
            "isSettlement": False,
            "fundingRateIntervalMin": "60",
        }

    def _rates(self, query: Query) -> Json:
        symbol = _symbol(query.get("contractId", ""))
        begin = _integer(query, "filterBeginTimeInclusive") or 0
        rows = [
            {
                **self._rate_row(symbol),
                "fundingTime": str(rate.time_ms),
                "fundingTimestamp": str(rate.time_ms),
                "fundingRate": views.number(rate.rate),
                "isSettlement": True,
            }
            for rate in reversed(self._tables.funding_rates.get(symbol, []))
            if rate.time_ms >= begin
        ]
        return _page(rows, query, size_max=100)

    # Orders.

    def _orders_by_id(self, query: Query, account: str) -> list[Json]:
        wanted = query.get("orderIdList", "").split(",")
        return [views.order_row(order) for order in self._live(account)
                if str(order.venue_order_id) in wanted]  # fmt: skip

    def _orders_by_client_id(self, query: Query, account: str) -> list[Json]:
        wanted = query.get("clientOrderIdList", "").split(",")
        return [views.order_row(order) for order in self._live(account)
                if order.client_order_id in wanted]  # fmt: skip

    def _live(self, account: str) -> list[Order]:
        live = self._tables.live_orders.get(account, {}).values()
        return [order for order in live if self._is_visible(order)]

    def _active(self, query: Query, account: str) -> Json:
        contracts = _names(query, "filterContractIdList")
        types, statuses = _names(query, "filterTypeList"), _names(query, "filterStatusList")
        rows = [views.order_row(order) for order in reversed(self._live(account))]
        fitting = [
            row
            for row in rows
            if (not contracts or row["contractId"] in contracts)
            and (not types or row["type"] in types)
            and (not statuses or row["status"] in statuses)
        ]
        return _page(fitting, query, size_max=200)

    def _history(self, query: Query, account: str) -> Json:
        wanted = _names(query, "filterOrderIdList")
        oldest = self._tables.order_count.get(account, 0) - self._exchange.switches.order_retention
        rows = [
            views.order_row(order)
            for order in reversed(self._tables.orders_of.get(account, ()))
            if not order.status.is_live
            and order.number >= oldest
            and self._is_visible(order)
            and (not wanted or str(order.venue_order_id) in wanted)
        ]
        return _page(rows, query, size_max=100)

    def _is_visible(self, order: Order) -> bool:
        lag_ms = self._exchange.switches.lookup_lag_ms
        return views.is_visible(order, self._exchange.now_ms(), lag_ms)

    def _fills(self, query: Query, account: str) -> Json:
        begin = _integer(query, "filterStartCreatedTimeInclusive") or 0
        end = _integer(query, "filterEndCreatedTimeExclusive")
        wanted = _names(query, "filterOrderIdList")
        rows = [
            views.fill_row(fill)
            for fill in reversed(self._tables.fills_of.get(account, []))
            if fill.time_ms >= begin
            and (end is None or fill.time_ms < end)
            and (not wanted or str(fill.venue_order_id) in wanted)
        ]
        return _page(rows, query, size_max=100)

    # Accounts.

    def _asset(self, query: Query, account: str) -> Json:
        return views.account_asset(self._tables, account, self._exchange.now_ms())

    def _account(self, query: Query, account: str) -> Json:
        return views.account_row(self._tables, account, self._exchange.now_ms())

    def _positions(self, query: Query, account: str) -> list[Json]:
        wanted = _names(query, "contractIdList")
        held = margin.held_positions(self._tables, account)
        rows = [views.position_row(row, self._exchange.now_ms()) for row in held]
        return [row for row in rows if row["contractId"] in wanted]

    def _collateral(self, query: Query, account: str) -> Json:
        begin = _integer(query, "filterStartCreatedTimeInclusive") or 0
        types = _names(query, "filterTypeList")
        payments = self._tables.funding_payments.get(account, [])
        rows = [
            views.funding_row(payment, sequence)
            for sequence, payment in reversed(list(enumerate(payments, 1)))
            if payment.time_ms >= begin
        ]
        fitting = rows if not types or "POSITION_FUNDING" in types else []
        return _page(fitting, query, size_max=100)


def merged_candles(kind: str, candles: Iterable[Candle]) -> list[Candle]:
    """Put candles of an exchange that has none of that length together, oldest first."""
    if kind not in ("HOUR_6", "MONTH_1"):
        return list(candles)
    found: dict[int, Candle] = {}
    for one in candles:
        start = _start_of(kind, one.start_ms)
        whole = found.get(start)
        if whole is None:
            found[start] = Candle(start, one.open, one.high, one.low, one.close, one.volume,
                                  one.count)  # fmt: skip
            continue
        whole.high, whole.low = max(whole.high, one.high), min(whole.low, one.low)
        whole.close = one.close
        whole.volume += one.volume
        whole.count += one.count
    return list(found.values())


def _start_of(kind: str, time_ms: int) -> int:
    if kind == "HOUR_6":
        return time_ms - time_ms % _SIX_HOURS_MS
    time = datetime.fromtimestamp(time_ms / 1000, UTC)
    month = time.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return int(month.timestamp()) * 1000


def _symbol(contract_id: str) -> str:
    symbol = SYMBOLS.get(contract_id)
    if symbol is None:
        raise BadQuery("GATEWAY_INVALID_CONTRACT_ID", f"invalid contractId : {contract_id}")
    return symbol


def _names(query: Query, name: str) -> list[str]:
    return [one for one in query.get(name, "").split(",") if one]


def _page(rows: list[Json], query: Query, *, size_max: int) -> Json:
    """Cut a page out of rows, newest first; the offset is where the next one begins."""
    size = _integer(query, "size")
    size = size_max if size is None else size
    if not 1 <= size <= size_max:
        raise BadQuery("INVALID_GET_PAGE_SIZE", f"invalid size : {size}")
    start = _integer(query, "offsetData") or 0
    end = start + size
    return {
        "dataList": rows[start:end],
        "nextPageOffsetData": str(end) if end < len(rows) else "",
    }


def _integer(query: Query, name: str) -> int | None:
    text = query.get(name)
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadQuery("GATEWAY_PARAM_INVALID", f"invalid {name} : {text}")
    return int(text)
