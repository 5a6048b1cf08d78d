"""The client: one method per thing the API does, typed results, typed errors, safe retries."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar
from urllib.parse import quote

import msgspec

from domain.numbers import plain
from perp_dex_client.accounts import AccountsApi, GroupsApi
from perp_dex_client.brackets import BracketsApi
from perp_dex_client.closing import ClosesApi
from perp_dex_client.conditions import ConditionsApi
from perp_dex_client.dead_man import DeadManApi
from perp_dex_client.errors import ServiceBusy, Unreachable, UnreadableAnswer
from perp_dex_client.halts import HaltsApi
from perp_dex_client.markets import MarketsApi
from perp_dex_client.models import (
    Account,
    Batch,
    Book,
    DryRun,
    Endpoints,
    History,
    Market,
    Order,
    OrderPage,
    Ticker,
    Ticket,
)
from perp_dex_client.orders import OrderRequest
from perp_dex_client.positions import PositionsApi
from perp_dex_client.reconciliation import ReconciliationsApi
from perp_dex_client.risk import RiskApi
from perp_dex_client.routing import Routing
from perp_dex_client.splits import SplitsApi
from perp_dex_client.trading_setup import TradingSetupApi
from perp_dex_client.transport import Transport
from perp_dex_client.venues import VenuesApi

WaitFor = Literal["decided", "fill", "terminal"]
T = TypeVar("T")

_LONG_POLL_S: Final = 20
_PAUSE_S: Final = 0.5
_MARGIN_S: Final = 10.0


class PerpDexClient:
    """The API at `base_url`, as the holder of `token`.

    Commands carry an idempotency key and are repeated for `retry_within_s` while the API is away;
    the same key never acts twice. Use as `async with`.
    """

    def __init__(self, base_url: str, token: str, *, retry_within_s: float = 10.0) -> None:
        self._transport = Transport(base_url, token, retry_within_s=retry_within_s)
        #: Accounts with what belongs to them, and their groups.
        self.account_details = AccountsApi(self._transport)
        self.groups = GroupsApi(self._transport)
        #: Positions, profit and balances.
        self.positions = PositionsApi(self._transport)
        #: Entries with a target and a stop.
        self.brackets = BracketsApi(self._transport)
        #: Orders split over several accounts.
        self.splits = SplitsApi(self._transport)
        #: Credentials and leverage.
        self.setup = TradingSetupApi(self._transport)
        #: Closing positions.
        self.closes = ClosesApi(self._transport)
        #: Conditions that close positions.
        self.conditions = ConditionsApi(self._transport)
        self.halts = HaltsApi(self._transport)
        self.dead_man = DeadManApi(self._transport)
        self.risk = RiskApi(self._transport)
        #: Comparisons of accounts with their venues.
        self.reconciliations = ReconciliationsApi(self._transport)
        #: Markets over all venues: pages, trades, funding, candles.
        self.market_data = MarketsApi(self._transport)
        #: What venues can do, and what proves a command there.
        self.venues = VenuesApi(self._transport)

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._transport.__aexit__(kind, error, traceback)

    async def place(self, wanted: OrderRequest, *, wait_s: float = 5.0) -> Order:
        """Place an order and wait at most `wait_s` for it to be decided.

        An order that is not decided is returned too (`is_decided` False): follow it by its id.

        Raises:
            OrderRefused: refused with proof; nothing is open.
            InvalidRequest: the input cannot be taken.
            OutcomeUnknown, Unreachable: repeat with the same `wanted.key`, never with another.
        """
        answer = await self._transport.call(
            "POST",
            "/api/v1/orders",
            body=wanted.body(),
            headers={"Idempotency-Key": f'"{wanted.key}"', "Prefer": f"wait={wait_s:.0f}"},
            repeatable=True,
            answer_within_s=wait_s + _MARGIN_S,
        )
        return _as(answer.document, Order)

    async def place_batch(self, wanted: Sequence[OrderRequest], *, wait_s: float = 5.0) -> Batch:
        """Place up to 50 orders; each is answered for itself, refusals too."""
        orders = [{**each.body(), "client_key": each.key} for each in wanted]
        answer = await self._transport.call(
            "POST",
            "/api/v1/orders/batch",
            body={"orders": orders},
            headers={"Prefer": f"wait={wait_s:.0f}"},
            repeatable=True,
            answer_within_s=wait_s + _MARGIN_S,
        )
        return _as(answer.document, Batch)

    async def dry_run(self, wanted: OrderRequest, *, split: bool = False) -> DryRun:
        """Return what the order, or split order, would be at the market; nothing is sent."""
        answer = await self._transport.call(
            "POST",
            "/api/v1/orders",
            body={**wanted.body(), "dry_run": True} | ({"split": True} if split else {}),
            repeatable=True,
        )
        return _as(answer.document, DryRun)

    async def cancel(self, order_id: str, *, key: str | None = None, wait_s: float = 5.0) -> Order:
        """Cancel an order; while its end is not known the order is returned as it is.

        Raises:
            StateConflict: it had ended already.
        """
        answer = await self._transport.call(
            "DELETE",
            f"/api/v1/orders/{_part(order_id)}",
            headers=_command_headers(key, wait_s),
            repeatable=True,
            answer_within_s=wait_s + _MARGIN_S,
        )
        return _as(answer.document, Order)

    async def modify(
        self,
        order_id: str,
        *,
        price: Decimal | None = None,
        quantity: Decimal | None = None,
        key: str | None = None,
        wait_s: float = 5.0,
    ) -> Order:
        """Change an order's price or total quantity.

        Not known in time whether it is done, `change_pending` says so: it is begun within the
        order's own time to be placed, or refused, and the history tells which.

        Raises:
            OrderRefused: the change was refused.
            StateConflict: the order had ended already.
        """
        wanted = {"price": price, "quantity": quantity}
        answer = await self._transport.call(
            "PATCH",
            f"/api/v1/orders/{_part(order_id)}",
            body={name: plain(value) for name, value in wanted.items() if value is not None},
            headers=_command_headers(key, wait_s),
            repeatable=True,
            answer_within_s=wait_s + _MARGIN_S,
        )
        is_pending = answer.status == HTTPStatus.ACCEPTED
        return msgspec.structs.replace(_as(answer.document, Order), change_pending=is_pending)

    async def resolve(
        self,
        order_id: str,
        verdict: Literal["absent", "accepted"],
        reason: str,
        *,
        key: str | None = None,
    ) -> Order:
        """Give an operator's word on an order whose outcome cannot be found out."""
        answer = await self._transport.call(
            "POST",
            f"/api/v1/orders/{_part(order_id)}/resolve",
            body={"verdict": verdict, "reason": reason},
            headers=_command_headers(key, None),
            repeatable=True,
            answer_within_s=20.0,
        )
        return _as(answer.document, Order)

    async def order(self, order_id: str, *, live: bool = False) -> Order:
        """Return an order; `live` asks its running workflow (`source` says who answered)."""
        return _as(
            (
                await self._transport.call(
                    "GET",
                    f"/api/v1/orders/{_part(order_id)}",
                    query={"live": "true"} if live else None,
                    repeatable=True,
                )
            ).document,
            Order,
        )

    async def wait(self, order_id: str, wait_for: WaitFor, *, timeout_s: float) -> Order:
        """Return the order once it is decided, filled a first time or ended, or as it is then.

        Goes on through restarts of the API until the time is over.

        Raises:
            Unreachable, ServiceBusy: the API did not answer at the end either.
            UnknownObject: there is no such order.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            remaining_s = max(deadline - time.monotonic(), 0.0)
            poll_s = min(_LONG_POLL_S, int(remaining_s + 0.999))
            try:
                order = await self._long_poll(order_id, wait_for, poll_s)
            except (Unreachable, ServiceBusy, UnreadableAnswer):
                if time.monotonic() >= deadline:
                    raise
                await asyncio.sleep(_PAUSE_S)
                continue
            if _has_reached(order, wait_for) or time.monotonic() >= deadline:
                return order

    async def _long_poll(self, order_id: str, wait_for: WaitFor, poll_s: int) -> Order:
        answer = await self._transport.call(
            "GET",
            f"/api/v1/orders/{_part(order_id)}",
            query={"wait_for": wait_for, "timeout": str(poll_s)},
            repeatable=False,
            answer_within_s=poll_s + _MARGIN_S,
        )
        return _as(answer.document, Order)

    async def orders(
        self,
        *,
        status: str = "all",
        account: str | None = None,
        group: str | None = None,
        venue: str | None = None,
        symbol: str | None = None,
        created_from: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> OrderPage:
        """Return a page of orders, newest first; `status` is all, open, closed or statuses."""
        wanted = {
            "status": status,
            "account": account,
            "group": group,
            "venue": venue,
            "symbol": symbol,
            "created_from": None if created_from is None else created_from.isoformat(),
            "limit": str(limit),
            "cursor": cursor,
        }
        return await self._get("/api/v1/orders", OrderPage, wanted)

    async def all_orders(
        self, *, at_most: int, status: str = "all", **wanted: Any
    ) -> AsyncIterator[Order]:
        """Yield orders, newest first, over as many pages as it takes."""
        cursor: str | None = None
        left = at_most
        while left > 0:
            page = await self.orders(status=status, limit=min(left, 200), cursor=cursor, **wanted)
            for order in page.orders:
                yield order
            left -= len(page.orders)
            cursor = page.next_cursor
            if cursor is None or not page.orders:
                return

    async def history(self, order_id: str) -> History:
        """Return an order with its timeline, fills and the address of its workflow."""
        return await self._get(f"/api/v1/orders/{_part(order_id)}/history", History)

    async def routing(self, order_id: str) -> Routing:
        """Return why an order, or a split order, went where it went.

        Raises:
            UnknownObject: its account was named, or there is no such order.
        """
        return await self._get(f"/api/v1/orders/{_part(order_id)}/routing", Routing)

    async def accounts(self) -> tuple[Account, ...]:
        """Return all accounts, oldest first."""
        found = await self._get("/api/v1/accounts", dict[str, tuple[Account, ...]])
        return found["accounts"]

    async def account(self, account: str) -> Account:
        """Return an account by id or label."""
        return await self._get(f"/api/v1/accounts/{_part(account)}", Account)

    async def add_account(
        self,
        *,
        venue: str,
        label: str,
        network: str,
        address: str,
        private_key: str,
        wait_s: float = 10.0,
    ) -> Account:
        """Register an account; the key is sealed by the API and never shown again.

        Raises:
            OrderRefused: the worker refuses the credential; it is destroyed.
            StateConflict: there is an account of that label or address.
        """
        answer = await self._transport.call(
            "POST",
            "/api/v1/accounts",
            body={
                "venue": venue,
                "label": label,
                "network": network,
                "address": address,
                "credential": {"private_key": private_key},
            },
            headers={"Prefer": f"wait={wait_s:.0f}"},
            repeatable=False,
            answer_within_s=wait_s + _MARGIN_S,
        )
        return _as(answer.document, Account)

    async def markets(
        self, *, venue: str | None = None, network: str | None = None, symbol: str | None = None
    ) -> tuple[Market, ...]:
        """Return the markets of a venue, or of all, by symbol and then venue."""
        found = self.market_data.all(venue=venue, network=network, symbol=symbol)
        return tuple([market async for market in found])

    async def market(
        self, symbol: str, *, venue: str | None = None, network: str | None = None
    ) -> Market:
        """Return one market."""
        wanted = {"venue": venue, "network": network}
        return await self._get(f"/api/v1/markets/{_part(symbol)}", Market, wanted)

    async def order_book(
        self,
        symbol: str,
        *,
        depth: int = 20,
        venue: str | None = None,
        network: str | None = None,
    ) -> Book:
        """Return a market's present book.

        Raises:
            ServiceBusy: nobody who follows the venue answers.
        """
        wanted = {"venue": venue, "network": network, "depth": str(depth)}
        return await self._get(f"/api/v1/markets/{_part(symbol)}/orderbook", Book, wanted)

    async def ticker(
        self, symbol: str, *, venue: str | None = None, network: str | None = None
    ) -> Ticker:
        """Return a market's present prices.

        Raises:
            ServiceBusy: nobody who follows the venue answers.
        """
        wanted = {"venue": venue, "network": network}
        return await self._get(f"/api/v1/markets/{_part(symbol)}/ticker", Ticker, wanted)

    async def endpoints(self) -> Endpoints:
        """Return where the parts of the installation are reached."""
        return await self._get("/api/v1/endpoints", Endpoints)

    async def operator_ticket(self) -> Ticket:
        """Return a one-time ticket for the operator's interface."""
        answer = await self._transport.call("POST", "/api/v1/operator/tickets", repeatable=True)
        return _as(answer.document, Ticket)

    async def _get(
        self, path: str, kind: type[T], wanted: dict[str, str | None] | None = None
    ) -> T:
        query = {name: text for name, text in (wanted or {}).items() if text is not None}
        answer = await self._transport.call("GET", path, query=query, repeatable=True)
        return _as(answer.document, kind)


def _command_headers(key: str | None, wait_s: float | None) -> dict[str, str]:
    headers = {"Idempotency-Key": f'"{key or uuid.uuid4()}"'}
    if wait_s is not None:
        headers["Prefer"] = f"wait={wait_s:.0f}"
    return headers


def _has_reached(order: Order, wait_for: WaitFor) -> bool:
    if order.is_terminal:
        return True
    if wait_for == "decided":
        return order.is_decided
    return wait_for == "fill" and order.filled_quantity > 0


def _part(text: str) -> str:
    return quote(text, safe="")


def _as(document: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise UnreadableAnswer(
            f"expected an answer of the API this client knows: {error}"
        ) from None
