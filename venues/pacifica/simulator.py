"""The simulated Pacifica: its routes over an exchange of ours, wire-faithful and local.

It imports nothing of the connector: it reads, verifies and writes with code of its own, so that a
mistake of ours does not cancel out. `simulator(...)` is what `venues.simulation` calls.

Routes below `/api/v1`: signed requests by POST, questions by GET; `GET /ws`. Not there: TWAP,
sub-accounts, transfers and withdrawals, API config keys, lists of allowed addresses.
`SIM_PACIFICA_CREDITS` is how many credits a minute an address is told to have.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from aiohttp import web

from venues.pacifica import simulator_exchange as answers
from venues.pacifica.simulator_bodies import OPERATIONS
from venues.pacifica.simulator_business import bind_agent
from venues.pacifica.simulator_credits import Credits, cost_of
from venues.pacifica.simulator_exchange import Reply, SignedRequests
from venues.pacifica.simulator_feeds import EventCounter, Feeds
from venues.pacifica.simulator_queries import BadQuery, NothingThere, Queries
from venues.pacifica.simulator_signature import fresh_key
from venues.pacifica.simulator_socket import Conversation
from venues.pacifica.simulator_views import status_word
from venues.simulation.commands import ConnectionDropped
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultPlan
from venues.simulation.instruments import Instrument
from venues.simulation.ownership import open_account
from venues.simulation.records import Order
from venues.simulation.routes import cut, garbled, query_fault, venue_application
from venues.simulation.socket import ClientSocket
from venues.simulation.venue import lettered

CREDITS_VARIABLE: Final = "SIM_PACIFICA_CREDITS"
#: What a middle fee tier has a minute; an address without a key has 100.
_CREDITS: Final = 6_000
_PREFIX: Final = "/api/v1"
_REFUSALS: Final = {429: "Rate limit exceeded", 500: "Internal server error"}


def _market(symbol: str, price: str, *, tick: int, lot: int, leverage: int) -> Instrument:
    """Describe a market whose tick is the same at every price; both sizes in decimals."""
    return Instrument(
        symbol=symbol,
        size_decimals=lot,
        price_decimals=tick,
        significant_figures=30,
        max_leverage=leverage,
        start_price=Decimal(price),
    )


INSTRUMENTS: Final = (
    _market("BTC", "65000", tick=0, lot=5, leverage=50),
    _market("ETH", "2500", tick=1, lot=4, leverage=50),
    _market("SOL", "150", tick=2, lot=2, leverage=20),
    _market("HYPE", "40", tick=3, lot=2, leverage=10),
    _market("kBONK", "0.02", tick=6, lot=0, leverage=10),
)


class PacificaSimulator:
    """The venue's wire over one exchange."""

    def __init__(self, exchange: Exchange, faults: FaultPlan, *, credits: int = _CREDITS) -> None:
        self._exchange = exchange
        self._faults = faults
        self._credits = Credits(exchange, credits)
        self._requests = SignedRequests(exchange, faults, self._credits)
        counter = EventCounter(exchange)
        self._feeds = Feeds(exchange, faults, counter)
        self._queries = Queries(exchange, counter)
        self.application = venue_application(exchange, faults, self._feeds)
        router = self.application.router
        for path in (*OPERATIONS, "/orders/batch"):
            router.add_post(_PREFIX + path, self._serve_request)
        for path in self._queries.paths:
            router.add_get(_PREFIX + path, self._serve_query)
        router.add_get("/ws", self._serve_socket)

    # For the server that runs this.

    def venue_symbol(self, symbol: str) -> str:
        """Return the venue's name for our symbol (`BTC-PERP`) or its own (`BTC`)."""
        return lettered(symbol.removesuffix("-PERP"))

    def order_reference(self, text: str) -> int | str:
        """Return an order id for digits, a client id for a UUID. Raises `ValueError` otherwise."""
        return int(text) if text.isdigit() else str(uuid.UUID(text))

    def order_status(self, order: Order) -> str:
        """Return the venue's word for the order's state."""
        return status_word(order)

    async def open_account(self, balance: Decimal, name: str) -> dict[str, str]:
        """Fund a fresh account and bind a fresh agent to it; return all keys."""
        (address, main_key), (agent_address, agent_key) = fresh_key(), fresh_key()
        exchange = self._exchange
        with exchange.action("open_account") as receipt:
            open_account(exchange.tables, address, balance, name=name)
            bind_agent(exchange.tables, address, agent_address)
        await exchange.durable(receipt)
        return {
            "address": address,
            "agent_address": agent_address,
            "private_key": agent_key,
            "master_private_key": main_key,
        }

    async def close_sockets(self) -> None:
        """Cut every socket."""
        self._feeds.kill_all()

    # Routes.

    async def _serve_request(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        remote = request.remote or ""
        try:
            reply = await self._requests.submit(request.path.removeprefix(_PREFIX), body, remote)
        except ConnectionDropped:
            return cut(request)
        return self._response(reply, remote)

    async def _serve_query(self, request: web.Request) -> web.StreamResponse:
        path, remote = request.path.removeprefix(_PREFIX), request.remote or ""
        if request.body_exists:
            # The content network in front refuses a GET with a body.
            return web.Response(status=403, text="Forbidden")
        if not self._credits.take(remote, cost_of(path)):
            return self._response(answers.error(429, _REFUSALS[429]), remote)
        names = ("info", path)
        fault = await query_fault(
            request,
            self._faults,
            names,
            lambda status: self._response(answers.error(status, _REFUSALS[status]), remote),
        )
        if fault is not None:
            return fault
        try:
            answer = self._queries.paths[path](request.query)
        except BadQuery as error:
            return self._response(answers.error(400, str(error)), remote)
        except NothingThere as error:
            return self._response(answers.error(404, str(error)), remote)
        body = garbled(answers.envelope(answer.data, **answer.more), self._faults, names)
        return self._response(Reply(status=200, body=body), remote)

    async def _serve_socket(self, request: web.Request) -> web.StreamResponse:
        conversation = Conversation(
            ClientSocket(request, self._faults),
            exchange=self._exchange,
            feeds=self._feeds,
            requests=self._requests,
            credits=self._credits,
        )
        return await conversation.serve()

    def _response(self, reply: Reply, remote: str) -> web.Response:
        return web.Response(
            status=reply.status,
            body=reply.body,
            content_type=reply.content_type,
            headers=self._credits.headers(remote),
        )


def simulator(
    exchange: Exchange, faults: FaultPlan, environment: Mapping[str, str]
) -> PacificaSimulator:
    """Build the venue's wire over an exchange.

    Raises `ValueError` for a number of credits that is none.
    """
    told = environment.get(CREDITS_VARIABLE) or str(_CREDITS)
    if not told.isdigit() or not 1 <= int(told) <= 1_000_000:
        raise ValueError(f"{CREDITS_VARIABLE}: expected 1 to 1000000; found {told!r}")
    return PacificaSimulator(exchange, faults, credits=int(told))
