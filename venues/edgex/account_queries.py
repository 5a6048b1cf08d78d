"""Every question about an account at EdgeX, with its paging. Raises; never answers with a default.

All are signed with the account's API key: the venue tells nobody else.

Source: edgeX gitbook api/private-api/**; edgex-python-sdk 2.0.1 `order`, `account`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal
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
from venues.connector import OrderLookup, VenueOrder
from venues.edgex import translate, wire
from venues.edgex.catalog import Catalog
from venues.edgex.credential import ApiKey
from venues.edgex.rest import Answer, Rest
from venues.edgex.times import to_ms
from venues.transport import Clock

_ACTIVE_PAGE: Final = "200"
_HISTORY_PAGE: Final = "100"
#: How many of the newest ended orders a listing tells, and a look-up by client id goes through.
_HISTORY_MAX: Final = 1000
_LOOK_BACK: Final = 200

T = TypeVar("T")
#: Gives the present markets. Raises VenueUnavailable, VenueRefused.
ReadCatalog = Callable[[], Awaitable[Catalog]]


class AccountQueries:
    """Questions about accounts of one network."""

    def __init__(
        self,
        rest: Rest,
        catalog: ReadCatalog,
        clock: Clock,
        *,
        on_account: Callable[[Account, wire.AccountRow], None] = lambda account, row: None,
    ) -> None:
        """`on_account` is told of each account that was read, for what limits it has."""
        self._on_account = on_account
        self._rest = rest
        self._catalog = catalog
        self._clock = clock

    async def asset(self, account: Account, api: ApiKey) -> wire.AccountAsset:
        """Return the account as the venue tells it whole."""
        return (await self._asset(account, api)).data

    async def _asset(self, account: Account, api: ApiKey) -> Answer[wire.AccountAsset]:
        answer = await self._rest.answer(
            "/private/account/getAccountAsset",
            wire.AccountAsset,
            {"accountId": account.address},
            api=api,
        )
        _check_account(account, answer.data.account.id, "an account")
        self._on_account(account, answer.data.account)
        return answer

    async def find_order(
        self,
        account: Account,
        api: ApiKey,
        *,
        client_order_id: str | None,
        venue_order_id: str | None,
    ) -> OrderLookup:
        """Look one order up; one that the venue does not (yet) show is None.

        Whether the look-up by id knows ended orders is not documented: what it does not know is
        looked for in the history afterwards, because an order leaves the one for the other.
        """
        if venue_order_id is not None:
            _check_digits(venue_order_id)
            found = await self._named(account, api, "getOrderById", orderIdList=venue_order_id)
            if found is None:
                rows = await self._history(account, api, 1, filterOrderIdList=venue_order_id)
                found = next((row for row in rows if row.venue_order_id == venue_order_id), None)
            return OrderLookup(order=found)
        if client_order_id is None:
            raise InvalidInput("client_order_id", "expected one of both order ids, found neither")
        found = await self._named(
            account, api, "getOrderByClientOrderId", clientOrderIdList=client_order_id
        )
        if found is None:
            rows = await self._history(account, api, _LOOK_BACK)
            found = next((row for row in rows if row.client_order_id == client_order_id), None)
        return OrderLookup(order=found)

    async def open_orders(self, account: Account, api: ApiKey) -> tuple[VenueOrder, ...]:
        """Return what rests or waits."""
        rows = await self._rest.pages(
            "/private/order/getActiveOrderPage",
            wire.OrderRow,
            {"accountId": account.address, "size": _ACTIVE_PAGE},
            api=api,
        )
        return await self._orders(account, rows)

    async def order_history(self, account: Account, api: ApiKey) -> tuple[VenueOrder, ...]:
        """Return the last orders the venue remembers, newest first."""
        return await self._history(account, api, _HISTORY_MAX)

    async def fills(self, account: Account, api: ApiKey, since: datetime) -> tuple[Fill, ...]:
        """Return every single fill since a time, oldest first; undone ones are left out."""
        rows = await self._rest.pages(
            "/private/order/getHistoryOrderFillTransactionPage",
            wire.FillRow,
            {
                "accountId": account.address,
                "size": _HISTORY_PAGE,
                "filterStartCreatedTimeInclusive": str(to_ms(since)),
            },
            api=api,
        )
        symbol_of = (await self._catalog()).symbol_of
        by_id = {row.id: row for row in rows}
        for row in by_id.values():
            _check_account(account, row.account_id, "fills")
        found = _read(
            lambda: [translate.fill(account.account_id, row, symbol_of) for row in by_id.values()]
        )
        fills = [fill for fill in found if fill is not None and fill.event_time >= since]
        return tuple(sorted(fills, key=lambda fill: (fill.event_time, fill.trade_id)))

    async def summary(self, account: Account, api: ApiKey) -> AccountSummary:
        """Return balances, margin and positions; prices are asked for where they are not told."""
        answer = await self._asset(account, api)
        asset = answer.data
        catalog = await self._catalog()
        prices = {}
        for contract_id in _read(lambda: translate.held_contracts(asset)):
            prices[contract_id] = await self._oracle_price(contract_id)
        at = answer.at or self._clock()
        return _read(lambda: translate.account_summary(account, asset, catalog, prices, at=at))

    async def _oracle_price(self, contract_id: str) -> Decimal:
        rows = await self._rest.ask(
            "/public/quote/getTicker", list[wire.TickerRow], {"contractId": contract_id}
        )
        told = next((row for row in rows if row.contract_id == contract_id), None)
        if told is None:
            raise VenueUnavailable(f"expected edgex's ticker of {contract_id}, found none")
        return _read(lambda: wire.number(told.oracle_price or told.mark_price, "oraclePrice"))

    async def leverage(self, account: Account, api: ApiKey, symbol: str) -> LeverageSetting:
        """Return an account's leverage in one market."""
        asset = await self.asset(account, api)
        contract = (await self._catalog()).find(symbol)
        return _read(lambda: translate.leverage(asset.account, contract))

    async def fee_rates(self, account: Account, api: ApiKey) -> FeeRates:
        """Return the account's present rates."""
        asset = await self.asset(account, api)
        catalog = await self._catalog()
        return _read(lambda: translate.fee_rates(asset.account, catalog))

    async def funding_payments(
        self, account: Account, api: ApiKey, since: datetime
    ) -> tuple[FundingPayment, ...]:
        """Return funding paid and received, oldest first."""
        rows = await self._rest.pages(
            "/private/account/getCollateralTransactionPage",
            wire.CollateralTransaction,
            {
                "accountId": account.address,
                "size": _HISTORY_PAGE,
                "filterTypeList": translate.FUNDING,
                "filterStartCreatedTimeInclusive": str(to_ms(since)),
            },
            api=api,
        )
        symbol_of = (await self._catalog()).symbol_of
        found = _read(
            lambda: [translate.funding_payment(account.account_id, row, symbol_of) for row in rows]
        )
        payments = [payment for payment in found if payment is not None]
        return tuple(sorted(payments, key=lambda payment: payment.event_time))

    async def _named(
        self, account: Account, api: ApiKey, question: str, **ids: str
    ) -> VenueOrder | None:
        rows = await self._rest.ask(
            f"/private/order/{question}",
            list[wire.OrderRow] | None,  # type: ignore[arg-type]
            {"accountId": account.address, **ids},
            api=api,
        )
        found: list[wire.OrderRow] = rows or []
        wanted = set(ids.values())
        orders = await self._orders(account, found)
        for order in orders:
            if order.venue_order_id in wanted or order.client_order_id in wanted:
                return order
        return None

    async def _history(
        self, account: Account, api: ApiKey, rows_max: int, **filters: str
    ) -> tuple[VenueOrder, ...]:
        rows = await self._rest.pages(
            "/private/order/getHistoryOrderPage",
            wire.OrderRow,
            {"accountId": account.address, "size": _HISTORY_PAGE, **filters},
            api=api,
            rows_max=rows_max,
        )
        return await self._orders(account, rows)

    async def _orders(self, account: Account, rows: list[wire.OrderRow]) -> tuple[VenueOrder, ...]:
        for row in rows:
            _check_account(account, row.account_id, "orders")
        symbol_of = (await self._catalog()).symbol_of
        found = _read(lambda: [translate.order(row, symbol_of) for row in rows])
        return tuple(order for order in found if order is not None)


def _check_account(account: Account, found: str, what: str) -> None:
    if found and found != account.address:
        raise VenueUnavailable(f"expected {what} of {account.address}, edgex answered another's")


def _check_digits(venue_order_id: str) -> None:
    if not (venue_order_id.isascii() and venue_order_id.isdigit() and len(venue_order_id) <= 20):
        raise InvalidInput("venue_order_id", f"expected a number, found {venue_order_id[:64]!r}")


def _read(reader: Callable[[], T]) -> T:
    """Translate, turning a payload that makes no sense into a query's error."""
    try:
        return reader()
    except wire.WireError as error:
        raise VenueUnavailable(f"edgex's answer cannot be read: {error}") from None
