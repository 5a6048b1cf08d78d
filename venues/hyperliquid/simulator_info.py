"""`POST /info` of the simulated venue: every query, answered from the exchange's tables.

Reads are public. An unknown address is not an error, it has nothing. Unknown keys are ignored.
https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/info-endpoint
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

from venues.hyperliquid import simulator_views as views
from venues.hyperliquid.simulator_actions import WrongShape, normal_address, normal_client_id
from venues.hyperliquid.simulator_limits import Limits
from venues.hyperliquid.simulator_schedule import fee_schedule
from venues.simulation import margin
from venues.simulation.candles import CANDLES_MAX, INTERVALS_MS
from venues.simulation.exchange import Exchange
from venues.simulation.ownership import agents_of, is_valid
from venues.simulation.records import Fill
from venues.simulation.trading import find_order

Json = dict[str, Any]

FILLS_MAX: Final = 2_000
_ROWS_MAX: Final = 500
_BOOK_DEPTH: Final = 20
_SIGNIFICANT_FIGURES: Final = (None, 2, 3, 4, 5)


class BadQuery(Exception):
    """The query fails inside the venue (HTTP 500 `null`)."""


class InfoEndpoint:
    """Answers queries."""

    def __init__(self, exchange: Exchange, limits: Limits) -> None:
        self._exchange = exchange
        self._limits = limits
        self._handlers: dict[str, Callable[[Json], Any]] = {
            "meta": self._meta,
            "metaAndAssetCtxs": self._meta_and_contexts,
            "spotMeta": self._spot_meta,
            "spotMetaAndAssetCtxs": lambda body: [self._spot_meta(body), []],
            "perpDexs": lambda body: [None],
            "allMids": lambda body: all_mids(exchange),
            "l2Book": self._book,
            "recentTrades": self._recent_trades,
            "candleSnapshot": self._candles,
            "fundingHistory": self._funding_history,
            "predictedFundings": self._predicted_fundings,
            "openOrders": self._open_orders,
            "frontendOpenOrders": self._frontend_open_orders,
            "orderStatus": self._order_status,
            "historicalOrders": self._historical_orders,
            "userFills": self._user_fills,
            "userFillsByTime": self._user_fills_by_time,
            "clearinghouseState": self._clearinghouse_state,
            "spotClearinghouseState": self._spot_clearinghouse_state,
            "userAbstraction": self._user_abstraction,
            "userFunding": self._user_funding,
            "userNonFundingLedgerUpdates": self._ledger_updates,
            "userFees": lambda body: fee_schedule(),
            "userRateLimit": self._user_rate_limit,
            "extraAgents": self._extra_agents,
            "userRole": self._user_role,
            "subAccounts": self._sub_accounts,
            "activeAssetData": self._active_asset_data,
            "exchangeStatus": self._exchange_status,
        }

    def answer(self, body: Any) -> Any:
        """Answer one query. Raises `WrongShape` for an unknown and `BadQuery` for a failing one."""
        name = body.get("type") if isinstance(body, dict) else None
        handler = self._handlers.get(name) if isinstance(name, str) else None
        if handler is None:
            raise WrongShape(f"type: expected a known query, found {name!r}")
        # Block time: reads see the exchange's present, not that of the last action.
        self._exchange.tables.now_ms = self._exchange.now_ms()
        return handler(body)

    # Markets.

    def _meta(self, body: Json) -> Json:
        del body
        instruments = self._exchange.tables.instruments.values()
        universe: list[Json] = []
        tables: dict[int, Json] = {}
        for one in instruments:
            entry: Json = {
                "szDecimals": one.size_decimals,
                "name": one.symbol,
                "maxLeverage": one.max_leverage,
                # Ids below 50 stand for a single tier of that leverage.
                "marginTableId": one.max_leverage,
            }
            if one.delisted:
                entry["isDelisted"] = True
            universe.append(entry)
            tables[one.max_leverage] = {
                "description": "",
                "marginTiers": [{"lowerBound": "0.0", "maxLeverage": one.max_leverage}],
            }
        margin_tables = [[key, tables[key]] for key in sorted(tables)]
        return {"universe": universe, "marginTables": margin_tables, "collateralToken": 0}

    def _meta_and_contexts(self, body: Json) -> list[Any]:
        tables = self._exchange.tables
        return [
            self._meta(body),
            [views.asset_context(tables, symbol) for symbol in tables.instruments],
        ]

    def _spot_meta(self, body: Json) -> Json:
        del body
        token = {
            "name": "USDC",
            "szDecimals": 8,
            "weiDecimals": 8,
            "index": 0,
            "tokenId": "0x6d1e7cde53ba9467b783cb7c530ce054",
            "isCanonical": True,
            "evmContract": None,
            "fullName": None,
            "deployerTradingFeeShare": "0.0",
        }
        return {"universe": [], "tokens": [token]}

    def _book(self, body: Json) -> Json | None:
        symbol = body.get("coin")
        figures = body.get("nSigFigs")
        if figures not in _SIGNIFICANT_FIGURES:
            raise BadQuery(f"nSigFigs {figures!r}")
        if symbol not in self._exchange.tables.instruments:
            return None
        return book_view(self._exchange, symbol, _BOOK_DEPTH, figures)

    def _recent_trades(self, body: Json) -> list[Json]:
        rows = self._exchange.tables.trades.get(self._symbol(body), ())
        return [views.trade_row(one) for one in reversed(rows)]

    def _candles(self, body: Json) -> list[Json]:
        request = body.get("req")
        if not isinstance(request, dict):
            raise WrongShape("req: expected an object")
        symbol, interval = self._symbol(request), request.get("interval")
        if interval not in INTERVALS_MS:
            raise WrongShape(f"interval: expected one of {', '.join(INTERVALS_MS)}")
        start_ms = _time(request, "startTime", 0)
        end_ms = _time(request, "endTime", self._exchange.now_ms())
        rows = self._exchange.tables.candles.between(symbol, interval, start_ms, end_ms)
        return [views.candle_row(symbol, interval, one) for one in rows[-CANDLES_MAX:]]

    def _funding_history(self, body: Json) -> list[Json]:
        rows = self._exchange.tables.funding_rates.get(self._symbol(body), [])
        return [
            {
                "coin": one.symbol,
                "fundingRate": views.number(one.rate),
                "premium": views.rounded(one.premium, 10),
                "time": one.time_ms,
            }
            for one in self._within(body, rows)[:_ROWS_MAX]
        ]

    def _predicted_fundings(self, body: Json) -> list[Any]:
        del body
        hour_ms = 3_600_000
        following = (self._exchange.now_ms() // hour_ms + 1) * hour_ms
        return [
            [
                market.symbol,
                [
                    [
                        "HlPerp",
                        {
                            "fundingRate": views.number(market.funding_rate),
                            "nextFundingTime": following,
                            "fundingIntervalHours": 1,
                        },
                    ]
                ],
            ]
            for market in self._exchange.tables.markets.values()
        ]

    # Orders and fills.

    def _open_orders(self, body: Json) -> list[Json]:
        return open_orders(self._exchange, _user(body), full=False)

    def _frontend_open_orders(self, body: Json) -> list[Json]:
        return open_orders(self._exchange, _user(body), full=True)

    def _order_status(self, body: Json) -> Json:
        reference = body.get("oid")
        if isinstance(reference, str):
            reference = normal_client_id(reference)
        elif not isinstance(reference, int) or isinstance(reference, bool):
            raise WrongShape("oid: expected a number or a cloid")
        tables, user = self._exchange.tables, _user(body)
        order = find_order(tables, self._exchange.switches, user, reference)
        if order is None:
            return {"status": "unknownOid"}
        return {"status": "order", "order": views.order_with_status(tables, order)}

    def _historical_orders(self, body: Json) -> list[Json]:
        tables = self._exchange.tables
        rows = tables.orders_of.get(_user(body), ())
        kept = self._exchange.switches.order_retention
        newest = list(reversed(rows))[:kept]
        return [views.order_with_status(tables, order) for order in newest]

    def _user_fills(self, body: Json) -> list[Json]:
        rows = self._exchange.tables.fills_of.get(_user(body), [])
        newest = rows[: -FILLS_MAX - 1 : -1]
        return fill_rows(newest, aggregate=bool(body.get("aggregateByTime")))

    def _user_fills_by_time(self, body: Json) -> list[Json]:
        rows = self._exchange.tables.fills_of.get(_user(body), [])
        found = self._within(body, rows)[:FILLS_MAX]
        return fill_rows(found, aggregate=bool(body.get("aggregateByTime")))

    # Accounts.

    def _clearinghouse_state(self, body: Json) -> Json:
        now_ms = self._exchange.now_ms()
        return views.clearinghouse_state(self._exchange.tables, _user(body), now_ms)

    def _spot_clearinghouse_state(self, body: Json) -> Json:
        return spot_state(self._exchange, _user(body))

    def _user_abstraction(self, body: Json) -> str:
        account = self._exchange.tables.accounts.get(_user(body))
        return account.mode if account else "default"

    def _user_funding(self, body: Json) -> list[Json]:
        rows = self._exchange.tables.funding_payments.get(_user(body), [])
        return [
            {
                "time": one.time_ms,
                "hash": one.action_hash,
                "delta": {
                    "type": "funding",
                    "coin": one.symbol,
                    "usdc": views.number(one.amount),
                    "szi": views.number(one.quantity),
                    "fundingRate": views.number(one.rate),
                    "nSamples": None,
                },
            }
            for one in self._within(body, rows)[:_ROWS_MAX]
        ]

    def _ledger_updates(self, body: Json) -> list[Json]:
        rows = self._exchange.tables.transfers.get(_user(body), [])
        return [
            {
                "time": one.time_ms,
                "hash": one.action_hash,
                "delta": {"type": one.kind, "usdc": views.number(one.amount)},
            }
            for one in self._within(body, rows)[:_ROWS_MAX]
        ]

    def _user_rate_limit(self, body: Json) -> Json:
        account = self._exchange.tables.accounts.get(_user(body))
        used, cap, volume = 0, 10_000, Decimal(0)
        if account is not None:
            used, cap = account.requests_used, self._limits.requests_cap(account)
            volume = account.volume
        return {
            "cumVlm": views.number(volume),
            "nRequestsUsed": used,
            "nRequestsCap": cap,
            "nRequestsSurplus": 0 if account is None else account.requests_bought,
        }

    def _extra_agents(self, body: Json) -> list[Json]:
        return [
            {"name": one.name, "address": one.address, "validUntil": one.valid_until_ms}
            for one in agents_of(self._exchange.tables, _user(body))
            if one.name
        ]

    def _user_role(self, body: Json) -> Json:
        tables, user = self._exchange.tables, _user(body)
        account = tables.accounts.get(user)
        if account is not None and account.master is not None:
            return {"role": "subAccount", "data": {"master": account.master}}
        if account is not None:
            return {"role": "user"}
        agent = tables.agents.get(user)
        if agent is not None and is_valid(tables, agent):
            return {"role": "agent", "data": {"user": agent.account}}
        return {"role": "missing"}

    def _sub_accounts(self, body: Json) -> list[Json] | None:
        tables, user = self._exchange.tables, _user(body)
        subs = [one for one in tables.accounts.values() if one.master == user]
        now_ms = self._exchange.now_ms()
        return [
            {
                "name": one.name,
                "subAccountUser": one.address,
                "master": user,
                "clearinghouseState": views.clearinghouse_state(tables, one.address, now_ms),
                "spotState": spot_state(self._exchange, one.address),
            }
            for one in subs
        ] or None

    def _active_asset_data(self, body: Json) -> Json:
        return views.active_asset_data(self._exchange.tables, _user(body), self._symbol(body))

    def _exchange_status(self, body: Json) -> Json:
        del body
        # The venue's shape is not recorded.
        return {"time": self._exchange.now_ms(), "specialStatuses": None}

    # What several queries share.

    def _symbol(self, body: Json) -> str:
        symbol = body.get("coin")
        if symbol not in self._exchange.tables.instruments:
            raise BadQuery(f"coin {symbol!r}")
        return str(symbol)

    def _within(self, body: Json, rows: Sequence[Any]) -> list[Any]:
        start_ms = _time(body, "startTime", 0)
        end_ms = _time(body, "endTime", self._exchange.now_ms())
        return [one for one in rows if start_ms <= one.time_ms <= end_ms]


def all_mids(exchange: Exchange) -> dict[str, str]:
    """Return the mid price of every market that has one."""
    mids = {symbol: book.mid_price() for symbol, book in exchange.tables.books.items()}
    return {symbol: views.number(mid) for symbol, mid in mids.items() if mid is not None}


def book_view(
    exchange: Exchange, symbol: str, depth: int, significant_figures: int | None = None
) -> Json:
    """Write a market's book."""
    book = exchange.tables.books[symbol]
    levels = [
        views.book_levels(ladder, depth, significant_figures) for ladder in (book.bids, book.asks)
    ]
    return {"coin": symbol, "time": exchange.now_ms(), "levels": levels}


def open_orders(exchange: Exchange, user: str, *, full: bool) -> list[Json]:
    """Write the account's live orders, newest first."""
    tables = exchange.tables
    live = reversed(tables.live_orders.get(user, {}).values())
    if full:
        return [views.full_order(tables, order) for order in live]
    return [views.basic_order(order) for order in live]


def fill_rows(fills: list[Fill], *, aggregate: bool) -> list[Json]:
    """Write executions, one by one or joined."""
    return views.aggregated(fills) if aggregate else [views.fill_row(one) for one in fills]


def spot_state(exchange: Exchange, user: str) -> Json:
    """Write spot balances: what was put aside, in a unified account all of the collateral."""
    account = exchange.tables.accounts.get(user)
    if account is None:
        return {"balances": []}
    total, hold = account.spot_cash, Decimal(0)
    if account.mode in views.UNIFIED_MODES:
        held = margin.full_summary(exchange.tables, user)
        total, hold = total + held.account_value, held.margin_used
    if not total:
        return {"balances": []}
    balance = {
        "coin": "USDC",
        "token": 0,
        "total": views.rounded(total, 6),
        "hold": views.rounded(hold, 6),
        "entryNtl": "0.0",
    }
    return {"balances": [balance]}


def _user(body: Json) -> str:
    user = body.get("user")
    if not isinstance(user, str):
        raise WrongShape("user: expected an address")
    return normal_address(user)


def _time(body: Json, name: str, default: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool):
        raise WrongShape(f"{name}: expected milliseconds")
    return value
