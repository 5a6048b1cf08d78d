"""The simulated Lighter: its routes over an exchange of ours, wire-faithful and local.

It imports nothing of the connector: it reads, hashes, verifies and writes with code of its own, so
that a mistake of ours does not cancel out. `simulator(...)` is what `venues.simulation` calls.

Routes below `/api/v1`: transactions by POST, questions by GET; `GET /` tells the time; `GET
/stream` is the socket. Not there: transfers, withdrawals, spot markets, pools, TWAP, registering
keys. `SIM_LIGHTER_TIER` is the tier that accounts are told to have, `SIM_LIGHTER_CHAIN_ID` the
chain that transactions are signed for.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Final

from aiohttp import web

from venues.lighter.simulator_feeds import Feeds
from venues.lighter.simulator_markets import FIRST_ORDER_INDEX, INSTRUMENTS
from venues.lighter.simulator_queries import BadQuery, NotAllowedToRead, Queries
from venues.lighter.simulator_sequencer import (
    Reply,
    Sequencer,
    encode,
    refusal,
)
from venues.lighter.simulator_signature import fresh_key, register
from venues.lighter.simulator_socket import Conversation
from venues.lighter.simulator_views import status_word
from venues.simulation.commands import ConnectionDropped
from venues.simulation.exchange import Exchange, ExchangeStopped
from venues.simulation.faults import FaultKind, FaultPlan
from venues.simulation.journal import JournalFailed
from venues.simulation.operations import pass_time
from venues.simulation.ownership import open_account
from venues.simulation.records import Order

__all__ = ("INSTRUMENTS", "LighterSimulator", "simulator")

TIER_VARIABLE: Final = "SIM_LIGHTER_TIER"
CHAIN_VARIABLE: Final = "SIM_LIGHTER_CHAIN_ID"
#: Keys of a paper account: one for settings, then pairs for orders and cancels of three workers.
KEY_INDEXES: Final = tuple(range(4, 11))
_CHAIN_ID: Final = 304
_PREFIX: Final = "/api/v1"
_TICK_S: Final = 0.1
_BODY_MAX: Final = 1 << 20
_FIRST_ACCOUNT: Final = 100_001
_log = logging.getLogger(__name__)


class LighterSimulator:
    """The venue's wire over one exchange."""

    def __init__(self, exchange: Exchange, faults: FaultPlan, *, tier: str, chain_id: int) -> None:
        self._exchange = exchange
        self._faults = faults
        tables = exchange.tables
        tables.next_order_id = max(tables.next_order_id, FIRST_ORDER_INDEX)
        self._sequencer = Sequencer(exchange, faults, chain_id)
        self._queries = Queries(exchange, self._sequencer, tier)
        self._feeds = Feeds(exchange, faults, self._sequencer)
        self.application = web.Application(
            client_max_size=_BODY_MAX, middlewares=[self._maintenance]
        )
        router = self.application.router
        router.add_get("/", self._serve_time)
        router.add_get("/stream", self._serve_socket)
        router.add_post(_PREFIX + "/sendTx", self._serve_transaction)
        router.add_post(_PREFIX + "/sendTxBatch", self._serve_batch)
        for path in (*self._queries.paths, *self._queries.private):
            router.add_get(_PREFIX + path, self._serve_query)
        self.application.cleanup_ctx.append(self._clockwork)
        self.application.on_shutdown.append(self._on_shutdown)

    # For the server that runs this.

    def venue_symbol(self, symbol: str) -> str:
        """Return the venue's name for our symbol (`BTC-PERP`) or its own (`BTC`)."""
        return symbol.removesuffix("-PERP")

    def order_reference(self, text: str) -> int | str:
        """Return an order's number, or a client order index. Raises `ValueError` otherwise."""
        number = int(text)
        return number if number >= FIRST_ORDER_INDEX else str(number)

    def order_status(self, order: Order) -> str:
        """Return the venue's word for the order's state."""
        return status_word(order)

    async def open_account(self, balance: Decimal, name: str) -> dict[str, str]:
        """Fund a fresh account and register keys for it; return them as a credential."""
        exchange = self._exchange
        index = _FIRST_ACCOUNT + len(exchange.tables.accounts)
        keys = {number: fresh_key(exchange.seed, index, number) for number in KEY_INDEXES}
        with exchange.action("open_account") as receipt:
            open_account(exchange.tables, str(index), balance, name=name)
            for number, (_, public) in keys.items():
                register(exchange.tables, index, number, public)
        await exchange.durable(receipt)
        private = {str(number): key for number, (key, _) in keys.items()}
        credential = {"account_index": index, "api_private_keys": private}
        return {"address": str(index), "private_key": json.dumps(credential)}

    async def close_sockets(self) -> None:
        """Cut every socket."""
        self._feeds.kill_all()

    # Routes.

    @web.middleware
    async def _maintenance(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        if self._faults.take(FaultKind.MAINTENANCE):
            return web.Response(status=503, text="Service Unavailable")
        return await handler(request)

    async def _serve_time(self, request: web.Request) -> web.StreamResponse:
        now_s = self._exchange.now_ms() // 1000
        return _response(
            Reply(status=200, body=encode({"status": 200, "network_id": 1, "timestamp": now_s}))
        )

    async def _serve_transaction(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        kind, info = form.get("tx_type"), form.get("tx_info")
        if not isinstance(kind, str) or not kind.isdigit() or not isinstance(info, str):
            return _response(refusal(20001, "invalid param: tx_type, tx_info"))
        try:
            return _response(await self._sequencer.submit(int(kind), info))
        except ConnectionDropped:
            return _cut(request)

    async def _serve_batch(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        kinds, infos = str(form.get("tx_types", "")), str(form.get("tx_infos", ""))
        try:
            return _response(await self._sequencer.submit_batch(kinds, infos))
        except ConnectionDropped:
            return _cut(request)

    async def _serve_query(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix(_PREFIX)
        fault = await self._query_fault(request, path)
        if fault is not None:
            return fault
        token = request.headers.get("authorization") or request.query.get("auth")
        try:
            body = encode(self._queries.answer(path, request.query, token))
        except BadQuery as error:
            return _response(refusal(error.code, str(error)))
        except NotAllowedToRead as error:
            return _response(refusal(20013, str(error), 401))
        if self._faults.take(FaultKind.GARBLE, ("info", path), is_query=True):
            body = body[: len(body) // 2]
        return _response(Reply(status=200, body=body))

    async def _query_fault(self, request: web.Request, path: str) -> web.StreamResponse | None:
        """Apply faults that name this path (or `info`); dropped before or after is the same."""
        faults, names = self._faults, ("info", path)
        for kind in (FaultKind.DELAY, FaultKind.DELAY_ANSWER):
            delay = faults.take(kind, names, is_query=True)
            if delay is not None:
                await asyncio.sleep(delay.delay_ms / 1_000)
        if faults.take(FaultKind.RATE_LIMIT, names, is_query=True):
            return _response(refusal(23000, "Too Many Requests!", 429))
        for kind in (FaultKind.ERROR_BEFORE_APPLY, FaultKind.ERROR_AFTER_APPLY):
            if faults.take(kind, names, is_query=True):
                return _response(refusal(29500, "internal server error", 500))
        for kind in (FaultKind.DROP_BEFORE_APPLY, FaultKind.DROP_AFTER_APPLY):
            if faults.take(kind, names, is_query=True):
                return _cut(request)
        return None

    async def _serve_socket(self, request: web.Request) -> web.StreamResponse:
        client = Conversation(
            request, faults=self._faults, feeds=self._feeds, sequencer=self._sequencer
        )
        return await client.serve()

    # Time.

    async def _clockwork(self, application: web.Application) -> AsyncIterator[None]:
        del application
        task = asyncio.create_task(self._tick(), name="simulator clock")
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self._sequencer.close()

    async def _tick(self) -> None:
        while self._exchange.failure is None:
            try:
                pass_time(self._exchange)
            except (ExchangeStopped, JournalFailed) as error:
                _log.error("the simulated exchange stands still: %s", error)
                return
            self._feeds.pass_time()
            await asyncio.sleep(_TICK_S)

    async def _on_shutdown(self, application: web.Application) -> None:
        del application
        self._feeds.kill_all()


def simulator(
    exchange: Exchange, faults: FaultPlan, environment: Mapping[str, str]
) -> LighterSimulator:
    """Build the venue's wire over an exchange. Raises `ValueError` for a chain that is none."""
    chain = environment.get(CHAIN_VARIABLE) or str(_CHAIN_ID)
    if not chain.isdigit() or not 1 <= int(chain) < 1 << 32:
        raise ValueError(f"{CHAIN_VARIABLE}: expected a number; found {chain!r}")
    tier = environment.get(TIER_VARIABLE) or "builder"
    return LighterSimulator(exchange, faults, tier=tier, chain_id=int(chain))


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body, content_type=reply.content_type)


def _cut(request: web.Request) -> web.Response:
    """Cut the connection; what is returned is never written."""
    transport = request.transport
    if transport is not None:
        transport.abort()
    return web.Response(status=500)
