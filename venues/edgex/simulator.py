"""The simulated EdgeX (V2): its routes over an exchange of ours, wire-faithful and local.

It imports nothing of the connector: it reads, verifies and writes with code of its own, so that a
mistake of ours does not cancel out. `simulator(...)` is what `venues.simulation` calls.

Routes below `/api/v2`, and both sockets below `/api/v1`. Not there: transfers, withdrawals,
FILL_OR_KILL, exits attached to an order, tickers of all markets, an order's own expiry.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from aiohttp import web

from venues.edgex import simulator_auth as auth
from venues.edgex.simulator_exchange import (
    PREFIX,
    Limits,
    Reply,
    SignedRequests,
    bare,
    envelope,
)
from venues.edgex.simulator_feeds import Feeds
from venues.edgex.simulator_markets import INSTRUMENTS as INSTRUMENTS
from venues.edgex.simulator_queries import BadQuery, Queries
from venues.edgex.simulator_socket import PRIVATE_PATH, PUBLIC_PATH, Sockets
from venues.edgex.simulator_views import status_word
from venues.simulation.commands import ConnectionDropped
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultPlan
from venues.simulation.ownership import open_account
from venues.simulation.records import Agent, Order
from venues.simulation.routes import cut, garbled, query_fault, venue_application
from venues.simulation.tables import Tables

_CLIENT_ID: Final = re.compile(r"\S{1,64}\Z")
_FOR_EVER_MS: Final = 4_102_444_800_000


class EdgexSimulator:
    """The venue's wire over one exchange."""

    def __init__(self, exchange: Exchange, faults: FaultPlan) -> None:
        self._exchange = exchange
        self._faults = faults
        self._limits = Limits(exchange)
        self._requests = SignedRequests(exchange, faults)
        self._queries = Queries(exchange)
        self._feeds = Feeds(exchange, faults)
        sockets = Sockets(exchange, faults, self._feeds)
        self.application = venue_application(exchange, faults, self._feeds)
        router = self.application.router
        for path in self._requests.paths:
            router.add_post(PREFIX + path, self._serve_request)
        for path in (*self._queries.public, *self._queries.private):
            router.add_get(PREFIX + path, self._serve_query)
        router.add_get(PUBLIC_PATH, sockets.serve_public)
        router.add_get(PRIVATE_PATH, sockets.serve_private)

    # For the server that runs this.

    def venue_symbol(self, symbol: str) -> str:
        """Return the exchange's symbol for ours (`BTC-PERP`) or its own (`BTC`)."""
        return symbol.removesuffix("-PERP")

    def order_reference(self, text: str) -> int | str:
        """Return an order id for digits, else a client id. Raises `ValueError` for neither."""
        if text.isdigit() and len(text) <= 20:
            return int(text)
        if not _CLIENT_ID.match(text):
            raise ValueError("expected an order id or a client order id")
        return text

    def order_status(self, order: Order) -> str:
        """Return the venue's word for the order's state."""
        return status_word(order)

    async def open_account(self, balance: Decimal, name: str) -> dict[str, str]:
        """Fund a fresh account with an API key, a signer and a wallet; return all keys.

        `private_key` is the whole credential as JSON, with the venue's names for its parts;
        `master_private_key` the same with the wallet's own key in the signer's place.
        """
        account = str(5 * 10**17 + secrets.randbelow(10**17))
        api_key = secrets.token_hex(16)
        (signer, signer_key), (wallet, wallet_key) = auth.fresh_signer(), auth.fresh_signer()
        exchange = self._exchange
        with exchange.action("open_account") as receipt:
            tables = exchange.tables
            if auth.SECRET_SETTING not in tables.settings:
                exchange.setting(auth.SECRET_SETTING, secrets.randbits(60))
            open_account(tables, account, balance, name=name)
            for address, kind in ((api_key, auth.API_KEY), (signer, auth.SIGNER)):
                _record(tables, address, account, kind)
            _record(tables, wallet, account, auth.WALLET, revoked=True)
        await exchange.durable(receipt)
        keys = auth.keys_of(exchange.tables, api_key)
        return {
            "address": account,
            "agent_address": signer,
            "private_key": _credential(account, keys, signer_key),
            "master_private_key": _credential(account, keys, wallet_key),
        }

    async def close_sockets(self) -> None:
        """Cut every socket."""
        self._feeds.kill_all()

    def lose_depth(self) -> None:
        """Lose one change of every book that is followed, so that its chain breaks."""
        self._feeds.lose_depth()

    # Routes.

    async def _serve_request(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if not self._limits.lets(request.remote or ""):
            return _response(bare(429, "Too Many Requests"))
        path = request.path.removeprefix(PREFIX)
        try:
            reply = await self._requests.submit(path, body, request.headers)
        except ConnectionDropped:
            return cut(request)
        return _response(reply)

    async def _serve_query(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix(PREFIX)
        if not self._limits.lets(request.remote or ""):
            return _response(bare(429, "Too Many Requests"))
        names = ("info", path.rpartition("/")[2])
        fault = await query_fault(
            request, self._faults, names, lambda status: _response(bare(status, "Error"))
        )
        if fault is not None:
            return fault
        reply = self._answer(path, request)
        body = garbled(reply.body, self._faults, names)
        return _response(Reply(status=reply.status, body=body))

    def _answer(self, path: str, request: web.Request) -> Reply:
        tables = self._exchange.tables
        now_ms = tables.now_ms = self._exchange.now_ms()
        query: Mapping[str, str] = request.query
        try:
            found: Any
            if path in self._queries.public:
                found = self._queries.public[path](query)
            else:
                text = auth.text_of_query(list(request.query.items()))
                account = auth.authenticate(tables, request.headers, "GET", request.path, text)
                if query.get("accountId") != account:
                    raise auth.NotLetIn("ACCOUNT_NOT_FOUND", "account is not of this apiKey", 403)
                found = self._queries.private[path](query, account)
        except BadQuery as refused:
            return envelope(None, now_ms, code=refused.code, msg=str(refused), status=400)
        except auth.NotLetIn as refused:
            return envelope(None, now_ms, code=refused.code, msg=refused.message,
                            status=refused.status, params=refused.params)  # fmt: skip
        return envelope(found, now_ms)


def simulator(
    exchange: Exchange, faults: FaultPlan, environment: Mapping[str, str]
) -> EdgexSimulator:
    """Build the venue's wire over an exchange."""
    del environment
    return EdgexSimulator(exchange, faults)


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body, content_type=reply.content_type)


def _record(
    tables: Tables, address: str, account: str, kind: str, *, revoked: bool = False
) -> None:
    tables.record(
        Agent(
            address=address,
            account=account,
            valid_until_ms=_FOR_EVER_MS,
            name=kind,
            revoked=revoked,
        )
    )


def _credential(account: str, keys: auth.Keys, signer_key: str) -> str:
    return (
        f'{{"account_id":"{account}","api_key":"{keys.api_key}",'
        f'"api_passphrase":"{keys.api_passphrase}","api_secret":"{keys.api_secret}",'
        f'"trading_private_key":"{signer_key}"}}'
    )
