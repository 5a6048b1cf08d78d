"""Every question we ask Hyperliquid, with its paging. Raises; never answers with a default.

Source: docs api/info-endpoint, api/info-endpoint/perpetuals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Protocol, TypeVar

from domain.account_terms import AccountRoom
from domain.accounts import (
    Account,
    AccountSummary,
    FeeRates,
    FundingPayment,
    LeverageSetting,
)
from domain.errors import InvalidInput, VenueRefused, VenueUnavailable
from domain.fills import Fill, total
from domain.instruments import Instrument
from domain.market_data import Candle, FundingRate, OrderBook, Ticker, Trade
from domain.orders import Verdict
from venues.connector import OrderLookup, VenueOrder
from venues.hyperliquid import translate, wire
from venues.hyperliquid.proofs import CAPABILITIES, PROOFS
from venues.hyperliquid.rest import Rest
from venues.hyperliquid.translate import at_ms, coin_of, to_ms
from venues.transport import Clock

_FILLS_PAGE: Final = 2000
_FUNDING_PAGE: Final = 500
_PAGES_MAX: Final = 200
_BOOK_DEPTH_MAX: Final = 20
#: An account that nobody has a key of, and that never traded.
_NOBODY: Final = "0x" + "0" * 39 + "1"
#: How many orders may rest (docs api/rate-limits-and-user-limits): so many, one more for so much
#: volume in USDC, and never more than so many.
OPEN_ORDERS_LEAST: Final = 1000
VOLUME_PER_ORDER: Final = 5_000_000
OPEN_ORDERS_MOST: Final = 5000
INTERVALS: Final = CAPABILITIES.candle_intervals


class _Timed(Protocol):
    @property
    def time(self) -> int: ...


R = TypeVar("R", bound=_Timed)
W = TypeVar("W")
V = TypeVar("V")


class Queries:
    """Questions about accounts and markets of one network."""

    def __init__(self, rest: Rest, clock: Clock) -> None:
        self._rest = rest
        self._clock = clock

    async def instruments(self) -> tuple[Instrument, ...]:
        """Return every market, delisted ones included, with the fees of who has no discount."""
        meta, fees = await asyncio.gather(
            self._rest.info({"type": "meta", "dex": ""}, wire.Meta), self._public_fees()
        )
        return translate.instruments(meta, fees)

    async def _public_fees(self) -> FeeRates | None:
        """Return what an account that never traded pays; None while the venue does not say."""
        try:
            return await self._fees(_NOBODY)
        except (VenueUnavailable, VenueRefused):
            return None

    async def find_order(
        self, account: Account, client_order_id: str | None, venue_order_id: str | None
    ) -> OrderLookup:
        """Look one order up; an order that the venue forgot or has not indexed shows as None.

        For a reduce-only order that met the book the fills are read too, because only they tell
        how much of it was left after the venue had cut it to the position.
        """
        name: int | str
        if venue_order_id is not None:
            if not venue_order_id.isdigit():
                raise InvalidInput("venue_order_id", f"expected a number, found {venue_order_id!r}")
            name = int(venue_order_id)
        elif client_order_id is not None:
            name = client_order_id
        else:
            raise InvalidInput("client_order_id", "expected one of both order ids, found neither")
        body = {"type": "orderStatus", "user": account.address.lower(), "oid": name}
        reply = await self._rest.info(body, wire.OrderStatusReply)
        if reply.status == "unknownOid":
            return OrderLookup(order=None)
        if reply.status != "order" or reply.order is None:
            raise VenueUnavailable(f"hyperliquid's orderStatus answered {reply.status!r}")
        order = _read(lambda entry: translate.order_entry(entry), reply.order)
        if order is not None and order.reduce_only and reply.order.status == "filled":
            order = await self._with_fills(account, order)
        return OrderLookup(order=order)

    async def _with_fills(self, account: Account, order: VenueOrder) -> VenueOrder:
        """Complete a reduce-only order that met the book by its fills.

        Less than was asked means that the venue had cut the order; but only once every fill can
        be seen, until then nothing is concluded.
        """
        fills = await self.fills(account, order.created_at or at_ms(0))
        own = total(fill for fill in fills if fill.venue_order_id == order.venue_order_id)
        completed = replace(
            order, filled_quantity=own.quantity or None, average_price=own.average_price
        )
        if own.quantity >= order.quantity:
            return replace(completed, verdict=Verdict.FILLED)
        ended_at = order.event_time or self._clock()
        if (self._clock() - ended_at).total_seconds() < PROOFS.visibility_delay_s:
            return completed
        return replace(
            completed,
            verdict=Verdict.CANCELED,
            filled_quantity=own.quantity,
            reason="the venue cut the reduce-only order to the position",
        )

    async def venue_time(self, account: Account) -> datetime:
        """Return the venue's clock."""
        return at_ms((await self._state(account)).time)

    async def open_orders(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return what rests or waits, children of parents included."""
        body = {"type": "frontendOpenOrders", "user": account.address.lower(), "dex": ""}
        rows = await self._rest.info(body, list[wire.OrderRow])
        return _read(translate.open_orders, rows)

    async def order_history(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return the last orders the venue remembers (about 2000), newest first.

        An order can show several times, once for each of its statuses.
        """
        body = {"type": "historicalOrders", "user": account.address.lower()}
        rows = await self._rest.info(body, list[wire.OrderEntry])
        orders = _read(lambda entries: [translate.order_entry(entry) for entry in entries], rows)
        return tuple(order for order in orders if order is not None)

    async def fills(self, account: Account, since: datetime) -> tuple[Fill, ...]:
        """Return every single fill since a time, oldest first; never the aggregated form."""
        rows = await self._paged(
            {
                "type": "userFillsByTime",
                "user": account.address.lower(),
                "endTime": None,
                "aggregateByTime": False,
            },
            list[wire.FillRow],
            since_ms=to_ms(since),
            page_size=_FILLS_PAGE,
            key=lambda row: (row.oid, row.tid, row.time, row.coin),
        )
        fills = _read(
            lambda found: [translate.fill(account.account_id, row) for row in found], rows
        )
        return tuple(fill for fill in fills if fill is not None)

    async def account_summary(self, account: Account) -> AccountSummary:
        """Return balances, margin and positions."""
        return translate.account_summary(account, await self._state(account))

    async def leverage(self, account: Account, symbol: str) -> LeverageSetting:
        """Return leverage and margin mode of one market, whether or not there is a position."""
        body = {
            "type": "activeAssetData",
            "user": account.address.lower(),
            "coin": coin_of(symbol),
        }
        found = await self._rest.info(body, wire.ActiveAsset)
        return translate.leverage_setting(found)

    async def fee_rates(self, account: Account) -> FeeRates:
        """Return the account's present rates."""
        return await self._fees(account.address.lower())

    async def _fees(self, address: str) -> FeeRates:
        body = {"type": "userFees", "user": address}
        fees = await self._rest.info(body, wire.UserFees)
        return FeeRates(maker=fees.userAddRate, taker=fees.userCrossRate)

    async def rate_limit(self, account: Account) -> wire.UserRateLimit:
        """Return how many actions the venue still takes from the account."""
        body = {"type": "userRateLimit", "user": account.address.lower()}
        return await self._rest.info(body, wire.UserRateLimit)

    async def account_room(self, account: Account) -> AccountRoom:
        """Return how many orders may rest, and how many of the account's actions are left."""
        limit = await self.rate_limit(account)
        more = int(limit.cumVlm // VOLUME_PER_ORDER)
        return AccountRoom(
            open_orders_max=min(OPEN_ORDERS_LEAST + more, OPEN_ORDERS_MOST),
            requests_left=Decimal(limit.nRequestsCap - limit.nRequestsUsed),
            requests_of=Decimal(limit.nRequestsCap),
        )

    async def funding_payments(
        self, account: Account, since: datetime
    ) -> tuple[FundingPayment, ...]:
        """Return funding paid and received, oldest first."""
        rows = await self._paged(
            {"type": "userFunding", "user": account.address.lower(), "endTime": None},
            list[wire.FundingRow],
            since_ms=to_ms(since),
            page_size=_FUNDING_PAGE,
            key=lambda row: (row.time, row.delta.coin),
        )
        return tuple(translate.funding_payment(account.account_id, row) for row in rows)

    async def order_book(self, symbol: str, depth: int) -> OrderBook:
        """Return the book, at most 20 levels a side."""
        if depth < 1:
            raise InvalidInput("depth", f"expected 1 to {_BOOK_DEPTH_MAX}, found {depth}")
        body = {"type": "l2Book", "coin": coin_of(symbol)}
        book = await self._rest.info(body, wire.Book)
        return translate.order_book(book, depth=depth, received_time=self._clock())

    async def recent_trades(self, symbol: str, limit: int) -> tuple[Trade, ...]:
        """Return public trades, newest first."""
        body = {"type": "recentTrades", "coin": coin_of(symbol)}
        rows = await self._rest.info(body, list[wire.PublicTrade])
        received = self._clock()
        newest = sorted(rows, key=lambda row: row.time, reverse=True)[:limit]
        return _read(
            lambda found: tuple(translate.trade(row, received_time=received) for row in found),
            newest,
        )

    async def candles(
        self, symbol: str, interval: str, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        """Return candles, oldest first; the newest 5000 of an interval can be reached."""
        if interval not in INTERVALS:
            raise InvalidInput(
                "interval", f"expected one of {', '.join(INTERVALS)}, found {interval[:16]!r}"
            )
        request = {
            "coin": coin_of(symbol),
            "interval": interval,
            "startTime": to_ms(start),
            "endTime": to_ms(end),
        }
        rows = await self._rest.info({"type": "candleSnapshot", "req": request}, list[wire.Kline])
        return tuple(translate.candle(row) for row in sorted(rows, key=lambda row: row.t))

    async def tickers(self) -> tuple[Ticker, ...]:
        """Return prices and rates of every market that is open."""
        meta, contexts = await self._rest.info(
            {"type": "metaAndAssetCtxs"}, tuple[wire.Meta, list[wire.AssetContext]]
        )
        if len(meta.universe) != len(contexts):
            raise VenueUnavailable(
                f"expected {len(meta.universe)} asset contexts, found {len(contexts)}"
            )
        received = self._clock()
        return tuple(
            translate.ticker(market.name, context, received_time=received)
            for market, context in zip(meta.universe, contexts, strict=True)
            if not market.isDelisted
        )

    async def funding_rates(self, symbol: str, since: datetime) -> tuple[FundingRate, ...]:
        """Return past funding rates, oldest first."""
        rows = await self._paged(
            {"type": "fundingHistory", "coin": coin_of(symbol), "endTime": None},
            list[wire.FundingEntry],
            since_ms=to_ms(since),
            page_size=_FUNDING_PAGE,
            key=lambda row: row.time,
        )
        return tuple(translate.funding_rate(row) for row in rows)

    async def _state(self, account: Account) -> wire.ClearinghouseState:
        body = {"type": "clearinghouseState", "user": account.address.lower(), "dex": ""}
        return await self._rest.info(body, wire.ClearinghouseState)

    async def _paged(
        self,
        body: dict[str, Any],
        kind: type[list[R]],
        *,
        since_ms: int,
        page_size: int,
        key: Callable[[R], object],
    ) -> list[R]:
        """Read pages by time; the window is inclusive, so the seam's rows come twice."""
        start_ms = max(since_ms, 0)
        rows: dict[object, R] = {}
        for _ in range(_PAGES_MAX):
            asked = {**body, "startTime": start_ms}
            page = await self._rest.info(asked, kind, further=bool(rows))
            known = len(rows)
            rows.update((key(row), row) for row in page)
            if len(page) < page_size:
                break
            newest = max(row.time for row in page)
            # A page of one single millisecond would be read for ever.
            start_ms = newest if newest > start_ms or len(rows) > known else start_ms + 1
        else:
            raise VenueUnavailable(
                f"expected {body['type']} to end within {_PAGES_MAX} pages of {page_size}; "
                "ask for a later time"
            )
        return sorted(rows.values(), key=lambda row: row.time)


def _read(reader: Callable[[W], V], payload: W) -> V:
    """Translate, turning a payload that makes no sense into a query's error."""
    try:
        return reader(payload)
    except wire.WireError as error:
        raise VenueUnavailable(f"hyperliquid's answer cannot be read: {error}") from None
