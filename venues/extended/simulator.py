"""The simulated Extended: its routes over an exchange of ours, wire-faithful and local.

It imports nothing of the connector: it reads, verifies and writes with code of its own, so that a
mistake of ours does not cancel out. `simulator(...)` is what `venues.simulation` calls.

Routes below `/api/v1`; streams below `/stream.extended.exchange/v1` and `…/v2/rpc`. Not there:
onboarding, transfers and withdrawals, spot, requests for quote, builders, the account by v2.
`SIM_EXTENDED_REQUESTS` is how many requests a minute an address may make where `ip_limit` is on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import format_datetime
from functools import partial
from typing import Any, Final

from aiohttp import web

from venues.extended.simulator_accounts import open_funded, vault_of_api_key
from venues.extended.simulator_business import Business
from venues.extended.simulator_exchange import (
    NO_KEY,
    TOO_MANY,
    Commands,
    Reply,
    ok,
    refusal,
)
from venues.extended.simulator_facts import OrderFacts
from venues.extended.simulator_feeds import Feeds, Topic
from venues.extended.simulator_queries import Answer, BadQuery, NothingThere, Queries
from venues.extended.simulator_socket import RpcSocket, StreamSocket, stream_topic
from venues.extended.simulator_views import status_word
from venues.simulation.commands import ConnectionDropped
from venues.simulation.events import Event, Filled
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultPlan
from venues.simulation.instruments import Instrument
from venues.simulation.lifecycle import end
from venues.simulation.records import Order, OrderStatus, Reason
from venues.simulation.routes import cut, garbled, query_fault, venue_application

REQUESTS_VARIABLE: Final = "SIM_EXTENDED_REQUESTS"
_REQUESTS: Final = 1_000
_PREFIX: Final = "/api/v1"
_STREAM: Final = "/stream.extended.exchange"
_MINUTE_MS: Final = 60_000
#: The venue numbers orders above what a double can count.
_FIRST_ORDER_ID: Final = 2_100_000_000_000_000_000


def _market(asset: str, price: str, *, tick: int, lot: int, leverage: int) -> Instrument:
    """Describe a market whose tick is the same at every price; both sizes in decimals."""
    return Instrument(
        symbol=f"{asset}-USD",
        size_decimals=lot,
        price_decimals=tick,
        significant_figures=30,
        max_leverage=leverage,
        start_price=Decimal(price),
        min_notional=Decimal(0),
    )


INSTRUMENTS: Final = (
    _market("BTC", "65000", tick=0, lot=5, leverage=50),
    _market("ETH", "2500", tick=1, lot=4, leverage=50),
    _market("SOL", "150", tick=2, lot=2, leverage=20),
    _market("HYPE", "40", tick=3, lot=2, leverage=10),
    _market("1000PEPE", "0.01", tick=6, lot=0, leverage=10),
)


class ExtendedSimulator:
    """The venue's wire over one exchange."""

    def __init__(
        self, exchange: Exchange, faults: FaultPlan, *, requests_per_minute: int = _REQUESTS
    ) -> None:
        self._exchange = exchange
        self._faults = faults
        self._per_minute = requests_per_minute
        self._asked: dict[str, deque[int]] = {}
        tables = exchange.tables
        tables.next_order_id = max(tables.next_order_id, _FIRST_ORDER_ID)
        self._facts = OrderFacts(exchange)
        self._business = Business(exchange, self._facts)
        self._commands = Commands(exchange, faults, self._business)
        self._queries = Queries(exchange, self._facts)
        self._feeds = Feeds(exchange, faults, self._facts)
        self._filled: set[int] = set()
        exchange.listeners.append(self._heard)
        self.application = venue_application(exchange, faults, self)
        self.application.middlewares.append(self._entrance)
        self._add_routes()

    def _add_routes(self) -> None:
        router = self.application.router
        for path, ask in self._queries.public.items():
            router.add_get(_PREFIX + path, partial(self._serve_public, path, ask))
        for path, ask_own in self._queries.private.items():
            router.add_get(_PREFIX + path, partial(self._serve_private, path, ask_own))
        router.add_post(f"{_PREFIX}/user/order", self._place)
        router.add_delete(f"{_PREFIX}/user/order", self._cancel_by_external_id)
        router.add_delete(_PREFIX + r"/user/order/{order_id:\d+}", self._cancel_by_id)
        router.add_post(f"{_PREFIX}/user/order/massCancel", self._mass_cancel)
        router.add_post(f"{_PREFIX}/user/deadmanswitch", self._cancel_all_after)
        router.add_patch(f"{_PREFIX}/user/leverage", self._set_leverage)
        router.add_get(f"{_STREAM}/v1/account", self._serve_account)
        router.add_get(_STREAM + r"/v1/{kind}/{market}", self._serve_stream)
        router.add_get(_STREAM + r"/v1/prices/{price}/{market}", self._serve_prices)
        router.add_get(_STREAM + r"/v1/{kind}/{market}/{price}", self._serve_stream)
        router.add_get(f"{_STREAM}/v2/rpc", self._serve_rpc)

    # For the server that runs this.

    def venue_symbol(self, symbol: str) -> str:
        """Return the venue's name for our symbol (`BTC-PERP`) or its own (`BTC-USD`)."""
        if symbol.endswith("-PERP"):
            return symbol.removesuffix("-PERP").replace("/", "_") + "-USD"
        return symbol

    def order_reference(self, text: str) -> int | str:
        """Return an order id for the venue's own numbers, an external id for anything else."""
        is_id = text.isascii() and text.isdigit() and int(text) in self._exchange.tables.orders
        return int(text) if is_id else text

    def order_status(self, order: Order) -> str:
        """Return the venue's word for the order's state."""
        return status_word(order)

    async def open_account(self, balance: Decimal, name: str) -> dict[str, str]:
        """Fund a fresh vault with fresh keys; return what their owner has to know."""
        return await open_funded(self._exchange, balance, name)

    async def close_sockets(self) -> None:
        """Cut every socket."""
        self._feeds.kill_all()

    # Commands.

    async def _place(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        return await self._commanded(request, self._commands.place(body, _api_key(request)))

    async def _cancel_by_id(self, request: web.Request) -> web.StreamResponse:
        reference = int(request.match_info["order_id"])
        return await self._commanded(request, self._commands.cancel(reference, _api_key(request)))

    async def _cancel_by_external_id(self, request: web.Request) -> web.StreamResponse:
        reference = request.query.get("externalId", "")
        return await self._commanded(request, self._commands.cancel(reference, _api_key(request)))

    async def _mass_cancel(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        return await self._commanded(request, self._commands.mass_cancel(body, _api_key(request)))

    async def _cancel_all_after(self, request: web.Request) -> web.StreamResponse:
        countdown = request.query.get("countdownTime")
        return await self._commanded(
            request, self._commands.cancel_all_after(countdown, _api_key(request))
        )

    async def _set_leverage(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        return await self._commanded(request, self._commands.set_leverage(body, _api_key(request)))

    async def _commanded(
        self, request: web.Request, answer: Awaitable[Reply]
    ) -> web.StreamResponse:
        try:
            return self._response(await answer)
        except ConnectionDropped:
            return cut(request)

    # Questions.

    async def _serve_public(
        self, path: str, ask: Callable[..., Answer], request: web.Request
    ) -> web.StreamResponse:
        return await self._asked_for(request, path, partial(ask, request.query))

    async def _serve_private(
        self, path: str, ask: Callable[..., Answer], request: web.Request
    ) -> web.StreamResponse:
        tables = self._exchange.tables
        vault = vault_of_api_key(tables, _api_key(request))
        if vault is None:
            return self._response(NO_KEY)

        def answer(names: Mapping[str, str]) -> Answer:
            return ask(request.query, names, tables.accounts[vault])

        return await self._asked_for(request, path, answer)

    async def _asked_for(
        self, request: web.Request, path: str, ask: Callable[[Mapping[str, str]], Answer]
    ) -> web.StreamResponse:
        names = ("info", path)
        fault = await query_fault(request, self._faults, names, self._failed)
        if fault is not None:
            return fault
        try:
            answer = ask(request.match_info)
        except BadQuery as error:
            return self._response(refusal(400, 1133, str(error)))
        except NothingThere as error:
            return self._response(refusal(404, "NOT_FOUND", str(error)))
        reply = ok(answer.data, answer.pagination)
        body = garbled(reply.body, self._faults, names)
        return self._response(Reply(status=reply.status, body=body))

    def _failed(self, status: int) -> web.Response:
        too_many = status == TOO_MANY.status
        return self._response(TOO_MANY if too_many else refusal(status, 1006, "Unhandled error"))

    # Streams.

    async def _serve_account(self, request: web.Request) -> web.StreamResponse:
        vault = vault_of_api_key(self._exchange.tables, _api_key(request))
        if vault is None:
            return self._response(NO_KEY)
        return await self._stream(request, Topic("account", vault))

    async def _serve_prices(self, request: web.Request) -> web.StreamResponse:
        names = request.match_info
        topic = stream_topic(self._exchange, "prices", names["market"], {}, names["price"])
        return await self._stream(request, topic)

    async def _serve_stream(self, request: web.Request) -> web.StreamResponse:
        names, query = request.match_info, dict(request.query)
        topic = stream_topic(
            self._exchange, names["kind"], names["market"], query, names.get("price")
        )
        return await self._stream(request, topic)

    async def _stream(self, request: web.Request, topic: Topic | None) -> web.StreamResponse:
        socket = StreamSocket(request, self._exchange, self._faults, self._feeds, topic)
        return await socket.serve()

    async def _serve_rpc(self, request: web.Request) -> web.StreamResponse:
        return await RpcSocket(request, self._exchange, self._faults, self._feeds).serve()

    # At the door.

    @web.middleware
    async def _entrance(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        if not request.headers.get("User-Agent"):
            return web.Response(status=403, text="Forbidden")
        if self._is_one_too_many(request.remote or ""):
            return self._response(TOO_MANY)
        return await handler(request)

    def _is_one_too_many(self, remote: str) -> bool:
        if not self._exchange.switches.ip_limit:
            return False
        now_ms, asked = self._exchange.now_ms(), self._asked.setdefault(remote, deque())
        while asked and asked[0] <= now_ms - _MINUTE_MS:
            asked.popleft()
        if len(asked) >= self._per_minute:
            return True
        asked.append(now_ms)
        return False

    def _response(self, reply: Reply) -> web.Response:
        at = datetime.fromtimestamp(self._exchange.now_ms() // 1000, UTC)
        return web.Response(
            status=reply.status,
            body=reply.body,
            content_type=reply.content_type,
            headers={"Date": format_datetime(at, usegmt=True)},
        )

    # Time.

    def _heard(self, events: Any) -> None:
        heard: list[Event] = list(events)
        self._filled |= {one.fill.venue_order_id for one in heard if isinstance(one, Filled)}

    def pass_time(self) -> None:
        """End what has come to its end, and send what is due; called a few times a second."""
        if self._exchange.failure is None:
            self._settle()
        self._feeds.pass_time()

    def kill_all(self) -> None:
        """Cut every socket."""
        self._feeds.kill_all()

    def _settle(self) -> None:
        """End what has come to its end, and copies of what the contract would fill no further."""
        exchange, filled = self._exchange, self._filled
        ended = self._business.expired(exchange.now_ms())
        self._filled = set()
        copied = [
            order
            for order in (exchange.tables.orders.get(one) for one in filled)
            if order is not None and self._facts.copies_of(order)
        ]
        if not ended and not copied:
            return
        with exchange.action("settle"):
            for order in ended:
                end(exchange.tables, order, OrderStatus.CANCELED, Reason.EXPIRED)
            for order in copied:
                self._business.settle_copies(order)


def simulator(
    exchange: Exchange, faults: FaultPlan, environment: Mapping[str, str]
) -> ExtendedSimulator:
    """Build the venue's wire over an exchange.

    Raises `ValueError` for a number of requests that is none.
    """
    told = environment.get(REQUESTS_VARIABLE) or str(_REQUESTS)
    if not told.isdigit() or not 1 <= int(told) <= 1_000_000:
        raise ValueError(f"{REQUESTS_VARIABLE}: expected 1 to 1000000; found {told!r}")
    return ExtendedSimulator(exchange, faults, requests_per_minute=int(told))


def _api_key(request: web.Request) -> str | None:
    return request.headers.get("X-Api-Key")
