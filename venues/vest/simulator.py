"""The simulated Vest: the routes of its v2 API over an exchange of ours, wire-faithful and local.

It imports nothing of the connector but the published names in `wire`: it reads, verifies and
writes with code of its own, so that a mistake of ours does not cancel out. `simulator(...)` is
what `venues.simulation` calls.

Routes below `/v2`: questions by GET, requests by POST; the socket at `/ws-api`. Not there: exits
(TP/SL legs), LP, transfers and withdrawals. `SIM_VEST_REQUESTS` is how many requests a minute an
address is told to have; `SIM_VEST_QUIRKS` names, comma-separated, how the venue is where nobody
knows it (`fok_cancels`, `takes_any_cancel`, `detail_envelope`, `errors_with_200`, `binary_frames`).
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import format_datetime
from typing import Final

from aiohttp import web

from venues.simulation.commands import ConnectionDropped
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultPlan
from venues.simulation.instruments import Instrument
from venues.simulation.ownership import open_account
from venues.simulation.records import Order
from venues.simulation.routes import cut, garbled, query_fault, venue_application
from venues.simulation.socket import ClientSocket
from venues.simulation.venue import lettered
from venues.vest import wire
from venues.vest.simulator_accounts import Accounts, far_expiry
from venues.vest.simulator_business import Quirks, Refused
from venues.vest.simulator_exchange import (
    RATE_LIMITED,
    UNAUTHORIZED,
    Reply,
    SignedRequests,
    success,
)
from venues.vest.simulator_feeds import Feeds
from venues.vest.simulator_queries import Queries
from venues.vest.simulator_signature import fresh_key
from venues.vest.simulator_socket import Conversation
from venues.vest.simulator_views import order_number, status_word

REQUESTS_VARIABLE: Final = "SIM_VEST_REQUESTS"
QUIRKS_VARIABLE: Final = "SIM_VEST_QUIRKS"
_REQUESTS: Final = 6_000
_MINUTE_MS: Final = 60_000
_LISTEN_KEY: Final = "/account/listenKey"


def _market(symbol: str, price: str, *, price_decimals: int, lot: int, leverage: int) -> Instrument:
    """Describe a market whose tick is the same at every price; there is no least value."""
    return Instrument(
        symbol=symbol,
        size_decimals=lot,
        price_decimals=price_decimals,
        significant_figures=30,
        max_leverage=leverage,
        start_price=Decimal(price),
        min_notional=Decimal(0),
    )


INSTRUMENTS: Final = (
    _market("BTC-PERP", "65000", price_decimals=2, lot=4, leverage=50),
    _market("ETH-PERP", "2500", price_decimals=2, lot=3, leverage=50),
    _market("SOL-PERP", "150", price_decimals=3, lot=2, leverage=20),
    _market("kBONK-PERP", "0.02", price_decimals=6, lot=0, leverage=10),
    _market("NDX-USD-PERP", "25000", price_decimals=0, lot=4, leverage=25),
)


class VestSimulator:
    """The venue's wire over one exchange; `quirks` may be changed while it runs."""

    def __init__(
        self,
        exchange: Exchange,
        faults: FaultPlan,
        *,
        requests: int = _REQUESTS,
        quirks: Quirks | None = None,
    ) -> None:
        self._exchange = exchange
        self._faults = faults
        self._limit = requests
        self._asked: dict[str, deque[int]] = {}
        self.quirks = quirks or Quirks()
        self._accounts = Accounts(exchange)
        self._requests = SignedRequests(exchange, faults, self._accounts, self.quirks)
        self._feeds = Feeds(exchange, faults, self.quirks)
        self._queries = Queries(exchange, self.quirks)
        self.application = venue_application(exchange, faults, self._feeds)
        self._add_routes(self.application.router)

    def _add_routes(self, router: web.UrlDispatcher) -> None:
        for path in self._queries.public:
            router.add_get(wire.PREFIX + path, self._serve_public)
        for path in self._queries.private:
            router.add_get(wire.PREFIX + path, self._serve_private)
        for path in ("/orders", "/orders/cancel", "/account/leverage"):
            router.add_post(wire.PREFIX + path, self._serve_request)
        for method in ("POST", "PUT", "DELETE"):
            router.add_route(method, wire.PREFIX + _LISTEN_KEY, self._serve_listen_key)
        router.add_post(wire.PREFIX + "/register", self._serve_registration)
        router.add_get("/ws-api", self._serve_socket)

    # For the server that runs this.

    def venue_symbol(self, symbol: str) -> str:
        """Return the venue's name for our symbol, mostly the same; `BTC` is `BTC-PERP`."""
        return lettered(symbol if symbol.endswith("-PERP") else f"{symbol}-PERP")

    def order_reference(self, text: str) -> int | str:
        """Return an order id for one of the venue's, a nonce for digits. Raises `ValueError`."""
        if text.startswith("0x") and order_number(text):
            return order_number(text)
        return str(int(text))

    def order_status(self, order: Order) -> str:
        """Return the venue's word for the order's state."""
        return status_word(order, fok_cancels=self.quirks.fok_cancels)

    async def open_account(self, balance: Decimal, name: str) -> dict[str, str]:
        """Fund a fresh account and register a fresh signing key for it; return all keys."""
        (address, primary_key), (signing, signing_key) = fresh_key(), fresh_key()
        exchange = self._exchange
        expiry_ms = far_expiry(exchange.now_ms())
        with exchange.action("open_account") as receipt:
            open_account(exchange.tables, address, balance, name=name)
            api_key = self._accounts.register(address, signing, expiry_ms)
        await exchange.durable(receipt)
        credential = {
            "signingKey": signing_key,
            "apiKey": api_key,
            "accGroup": self._accounts.group_of(address),
            "expiryTime": expiry_ms,
        }
        return {
            "address": address,
            "signing_address": signing,
            "private_key": json.dumps(credential, separators=(",", ":")),
            "primary_private_key": primary_key,
        }

    async def close_sockets(self) -> None:
        """Cut every socket."""
        self._feeds.kill_all()

    # Routes.

    async def _serve_public(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix(wire.PREFIX)
        refusal = self._refused(request)
        if refusal is not None:
            return self._response(request, refusal)
        if not self._accounts.has_group(_group(request)):
            error = self._requests.error(1146, "INVALID_ACCOUNT_GROUP")
            return self._response(request, error)
        return await self._answered(
            request, path, lambda: self._queries.public[path](request.query)
        )

    async def _serve_private(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix(wire.PREFIX)
        account = self._known(request)
        if isinstance(account, Reply):
            return self._response(request, account)
        return await self._answered(
            request, path, lambda: self._queries.private[path](request.query, account)
        )

    async def _serve_request(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        account = self._known(request)
        if isinstance(account, Reply):
            return self._response(request, account)
        act = {
            "/orders": self._requests.place,
            "/orders/cancel": self._requests.cancel,
            "/account/leverage": self._requests.leverage,
        }[request.path.removeprefix(wire.PREFIX)]
        try:
            return self._response(request, await act(body, account))
        except ConnectionDropped:
            return cut(request)

    async def _serve_listen_key(self, request: web.Request) -> web.StreamResponse:
        account = self._known(request)
        if isinstance(account, Reply):
            return self._response(request, account)
        if request.method == "DELETE":
            self._accounts.end_listening(account)
            return self._response(request, success({}))
        return self._response(request, success({"listenKey": self._accounts.listen(account)}))

    async def _serve_registration(self, request: web.Request) -> web.StreamResponse:
        return self._response(request, await self._requests.register(await request.read()))

    async def _serve_socket(self, request: web.Request) -> web.StreamResponse:
        socket: ClientSocket[str, None] = ClientSocket(
            request, self._faults, is_binary=lambda: self.quirks.binary_frames
        )
        client = Conversation(request, socket, accounts=self._accounts, feeds=self._feeds)
        return await client.serve()

    async def _answered(
        self, request: web.Request, path: str, answer: Callable[[], object]
    ) -> web.StreamResponse:
        names = ("info", path)
        fault = await query_fault(
            request, self._faults, names, lambda status: self._failed(request, status)
        )
        if fault is not None:
            return fault
        try:
            reply = success(answer())
        except Refused as refused:
            reply = self._requests.error(refused.code, refused.text)
        body = garbled(reply.body, self._faults, names)
        return self._response(request, Reply(status=reply.status, body=body))

    def _failed(self, request: web.Request, status: int) -> web.Response:
        if status == RATE_LIMITED:
            limited = self._requests.error(status, "Rate limited", status=status)
            return self._response(request, limited)
        return web.Response(status=status, text="Internal Server Error")

    # Who asks.

    def _known(self, request: web.Request) -> str | Reply:
        """Return the account that a request is of, or the refusal."""
        refusal = self._refused(request)
        if refusal is not None:
            return refusal
        account = self._accounts.registered(request.headers.get(wire.KEY_HEADER, ""))
        if account is None:
            return self._requests.error(1002, "UNAUTHORIZED", status=UNAUTHORIZED)
        if _group(request) != self._accounts.group_of(account):
            return self._requests.error(1146, "INVALID_ACCOUNT_GROUP")
        return account

    def _refused(self, request: web.Request) -> Reply | None:
        """Count a request; the refusal where it is one too many, and that is held to."""
        if self._left(request) <= 0 and self._exchange.switches.ip_limit:
            return self._requests.error(429, "Rate limited", status=429)
        self._asked[request.remote or ""].append(self._exchange.now_ms())
        return None

    def _left(self, request: web.Request) -> int:
        window = self._asked.setdefault(request.remote or "", deque())
        oldest = self._exchange.now_ms() - _MINUTE_MS
        while window and window[0] <= oldest:
            window.popleft()
        return self._limit - len(window)

    def _response(self, request: web.Request, reply: Reply) -> web.Response:
        now = datetime.fromtimestamp(self._exchange.now_ms() // 1000, UTC)
        return web.Response(
            status=reply.status,
            body=reply.body,
            content_type="application/json",
            headers={
                "Date": format_datetime(now, usegmt=True),
                "x-ratelimit-limit": str(self._limit),
                "x-ratelimit-remaining": str(max(self._left(request), 0)),
            },
        )


def simulator(
    exchange: Exchange, faults: FaultPlan, environment: Mapping[str, str]
) -> VestSimulator:
    """Build the venue's wire over an exchange.

    Raises `ValueError` for a number of requests or a quirk that is none.
    """
    told = environment.get(REQUESTS_VARIABLE) or str(_REQUESTS)
    if not told.isdigit() or not 1 <= int(told) <= 1_000_000:
        raise ValueError(f"{REQUESTS_VARIABLE}: expected 1 to 1000000; found {told!r}")
    known = [field.name for field in fields(Quirks)]
    named = [name for name in environment.get(QUIRKS_VARIABLE, "").split(",") if name]
    for name in named:
        if name not in known:
            raise ValueError(
                f"{QUIRKS_VARIABLE}: expected some of {', '.join(known)}; found {name!r}"
            )
    quirks = Quirks(**dict.fromkeys(named, True))
    return VestSimulator(exchange, faults, requests=int(told), quirks=quirks)


def _group(request: web.Request) -> int:
    """Return the group that a request is routed to, -1 where it names none."""
    text = request.headers.get(wire.ROUTING_HEADER, "").removeprefix("restserver")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else -1
