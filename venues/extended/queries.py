"""Every question we ask about an account, with its paging. Raises; never answers with a default.

Each needs the account's API key. What concerns markets is in `market_queries`.

Source: api.docs.extended.exchange, private REST API.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeVar
from urllib.parse import quote

from domain.accounts import (
    Account,
    AccountSummary,
    FeeRates,
    FundingPayment,
    LeverageSetting,
    MarginMode,
)
from domain.errors import InvalidInput, VenueUnavailable
from domain.fills import Fill
from venues.connector import OrderLookup, VenueOrder
from venues.extended import translate, wire
from venues.extended.actions import order_number
from venues.extended.api_keys import ApiKeys
from venues.extended.rest import KeyRefused, NothingThere, Page, Parameter, Rest
from venues.extended.translate import is_ours, name_of, to_ms
from venues.transport import Clock

_PAGE: Final = 1_000
_PAGES_MAX: Final = 100
_FEE_MARKET: Final = "BTC-USD"

R = TypeVar("R")
W = TypeVar("W")
V = TypeVar("V")


class Queries:
    """Questions about accounts of one network."""

    def __init__(self, rest: Rest, keys: ApiKeys, clock: Clock) -> None:
        self._rest = rest
        self._keys = keys
        self._clock = clock

    async def find_order(
        self, account: Account, client_order_id: str | None, venue_order_id: str | None
    ) -> OrderLookup:
        """Look one order up; one that the venue does not (yet) show is None.

        Whether ended orders are found by their ids is not documented, so the history is asked too.
        """
        if venue_order_id is not None:
            number = order_number(venue_order_id)
            try:
                page = await self._ask(account, f"/user/orders/{number}", wire.OrderRow)
            except NothingThere:
                return await self._in_history(account, number=number)
            return self._looked_up([page.data], page.told_at)
        if client_order_id is None:
            raise InvalidInput("client_order_id", "expected one of both order ids, found neither")
        found = await self.by_external_id(account, client_order_id)
        if found.order is not None:
            return found
        return await self._in_history(account, external_id=client_order_id)

    async def by_external_id(self, account: Account, client_order_id: str) -> OrderLookup:
        """Look an order up by its external id alone, once."""
        api_key = await self._keys.of(account)
        return await self.by_external_id_with(api_key, client_order_id)

    async def by_external_id_with(self, api_key: str, client_order_id: str) -> OrderLookup:
        """Look an order up by its external id, by a key that is at hand."""
        # Orders from elsewhere may have any text for a name.
        path = f"/user/orders/external/{quote(client_order_id, safe='')}"
        try:
            page = await self._rest.get(path, list[wire.OrderRow], api_key=api_key)
        except NothingThere:
            return OrderLookup(order=None)
        rows = [row for row in page.data if row.externalId == client_order_id]
        return self._looked_up(rows, page.told_at)

    async def by_id_with(self, api_key: str, venue_order_id: int) -> OrderLookup:
        """Look an order up by the venue's id, by a key that is at hand."""
        try:
            page = await self._rest.get(
                f"/user/orders/{venue_order_id}", wire.OrderRow, api_key=api_key
            )
        except NothingThere:
            return OrderLookup(order=None)
        return self._looked_up([page.data], page.told_at)

    async def _in_history(
        self, account: Account, *, number: int | None = None, external_id: str | None = None
    ) -> OrderLookup:
        page = await self._ask(
            account,
            "/user/orders/history",
            list[wire.OrderRow],
            id=number,
            externalId=external_id,
            limit=10,
        )
        wanted = [row for row in page.data if row.id == number or row.externalId == external_id]
        return self._looked_up(wanted, page.told_at)

    def _looked_up(self, rows: list[wire.OrderRow], told_at: datetime | None) -> OrderLookup:
        """Return one order of several of one name: one that lives before one that ended."""
        orders = _orders(rows)
        best = min(orders, key=lambda one: (one.verdict.is_terminal, _negated(one)), default=None)
        return OrderLookup(order=best, venue_time=told_at)

    async def open_orders(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return what rests or waits."""
        rows = await self._pages(account, "/user/orders", list[wire.OrderRow])
        return _orders(rows)

    async def order_history(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return the last ended orders that the venue remembers, newest first."""
        page = await self._ask(account, "/user/orders/history", list[wire.OrderRow], limit=_PAGE)
        return _orders(sorted(page.data, key=lambda row: row.createdTime, reverse=True))

    async def fills(self, account: Account, since: datetime) -> tuple[Fill, ...]:
        """Return every single fill since a time, oldest first."""
        since_ms = to_ms(since)
        rows = await self._pages(
            account,
            "/user/trades",
            list[wire.FillRow],
            until=lambda row: row.createdTime < since_ms,
            limit=_PAGE,
        )
        wanted = {row.id: row for row in rows if row.createdTime >= since_ms}
        ordered = sorted(wanted.values(), key=lambda row: (row.createdTime, row.id))
        return _read(
            lambda listed: tuple(
                fill
                for fill in (translate.fill(account.account_id, row) for row in listed)
                if fill is not None
            ),
            ordered,
        )

    async def whose_key(self, api_key: str) -> wire.AccountInfo:
        """Return whose API key it is. Raises KeyRefused for nobody's."""
        page = await self._rest.get("/user/account/info", wire.AccountInfo, api_key=api_key)
        return page.data

    async def account_summary(self, account: Account) -> AccountSummary:
        """Return balances, margin and positions; an account without any money has no balance."""
        positions = await self._ask(account, "/user/positions", list[wire.PositionRow])
        try:
            balance = await self._ask(account, "/user/balance", wire.BalanceRow)
        except NothingThere:
            if positions.data:
                raise VenueUnavailable("extended tells positions and no balance") from None
            return translate.empty_account(account, positions.told_at or self._clock())
        return _read(
            lambda held: translate.account_summary(account, balance.data, held), positions.data
        )

    async def leverage_of(self, account: Account, symbol: str) -> LeverageSetting:
        """Return an account's leverage in one market; margin is always cross."""
        name = name_of(symbol)
        page = await self._ask(account, "/user/leverage", list[wire.LeverageRow], market=name)
        for row in page.data:
            if row.market == name:
                return LeverageSetting(
                    symbol=symbol, leverage=int(row.leverage), mode=MarginMode.CROSS
                )
        raise VenueUnavailable(f"extended does not tell the leverage of {symbol}")

    async def fee_rates(self, account: Account) -> FeeRates:
        """Return the account's present rates, which are the same in all markets."""
        page = await self._ask(account, "/user/fees", list[wire.FeeRow], market=_FEE_MARKET)
        for row in page.data:
            if row.market == _FEE_MARKET:
                return FeeRates(maker=row.makerFeeRate, taker=row.takerFeeRate)
        raise VenueUnavailable("extended does not tell the account's fees")

    async def funding_payments(
        self, account: Account, since: datetime
    ) -> tuple[FundingPayment, ...]:
        """Return funding paid and received, oldest first."""
        since_ms = to_ms(since)
        rows = await self._pages(
            account,
            "/user/funding/history",
            list[wire.FundingRow],
            until=lambda row: row.paidTime < since_ms,
            limit=_PAGE,
            startTime=since_ms,
            fromTime=since_ms,
        )
        wanted = [row for row in rows if row.paidTime >= since_ms and is_ours(row.market)]
        wanted.sort(key=lambda row: row.paidTime)
        return _read(
            lambda listed: tuple(
                translate.funding_payment(account.account_id, row) for row in listed
            ),
            wanted,
        )

    async def _ask(
        self,
        account: Account,
        path: str,
        kind: type[V],
        *,
        further: bool = False,
        **parameters: Parameter,
    ) -> Page[V]:
        api_key = await self._keys.of(account)
        try:
            return await self._rest.get(
                path,
                kind,
                api_key=api_key,
                further=further,
                **parameters,
            )
        except KeyRefused:
            self._keys.forget(account)
            raise

    async def _pages(
        self,
        account: Account,
        path: str,
        kind: type[list[R]],
        *,
        until: Callable[[R], bool] | None = None,
        **parameters: Parameter,
    ) -> list[R]:
        """Read pages, newest first, to their end or to one that lies before what is wanted.

        That pages go from new to old is documented of orders; a page all of whose rows are too old
        is taken for the last one.
        """
        rows: list[R] = []
        cursor: str | None = None
        for _ in range(_PAGES_MAX):
            page = await self._ask(
                account, path, kind, further=bool(rows), cursor=cursor, **parameters
            )
            rows += page.data
            is_enough = until is not None and all(until(row) for row in page.data)
            if page.cursor in (None, cursor) or not page.data or is_enough:
                return rows
            cursor = page.cursor
        raise VenueUnavailable(
            f"expected {path} to end within {_PAGES_MAX} pages of {_PAGE}; ask for a later time"
        )


def _negated(order: VenueOrder) -> int:
    return -int(order.venue_order_id)


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
        raise VenueUnavailable(f"extended's answer cannot be read: {error}") from None
