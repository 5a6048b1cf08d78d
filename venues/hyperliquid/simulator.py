"""The simulated Hyperliquid: its routes over an exchange of ours, wire-faithful and local.

It imports nothing of the connector: it reads, verifies and writes with code of its own, so that a
mistake of ours does not cancel out. `simulator(...)` is what `venues.simulation` calls.

Routes: `POST /info`, `POST /exchange`, `GET /ws`. Like the venue it accepts signatures of one
network only: Testnet (source "b"), which is what the official SDK signs against any other host
than mainnet's; `SIM_HYPERLIQUID_NETWORK=mainnet` changes that.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec
from aiohttp import web
from coincurve import PrivateKey

from venues.hyperliquid import simulator_exchange as answers
from venues.hyperliquid.simulator_actions import (
    NotJson,
    WrongShape,
    first_json_value,
    normal_client_id,
)
from venues.hyperliquid.simulator_exchange import ExchangeEndpoint, Reply
from venues.hyperliquid.simulator_feeds import Feeds
from venues.hyperliquid.simulator_info import BadQuery, InfoEndpoint
from venues.hyperliquid.simulator_limits import Limits
from venues.hyperliquid.simulator_signature import address_of_key
from venues.hyperliquid.simulator_socket import Conversation
from venues.hyperliquid.simulator_views import status_word
from venues.simulation.commands import ConnectionDropped
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultPlan
from venues.simulation.ownership import approve_agent, open_account
from venues.simulation.records import Order
from venues.simulation.routes import cut, garbled, query_fault, venue_application
from venues.simulation.socket import ClientSocket
from venues.simulation.venue import lettered

NETWORK_VARIABLE: Final = "SIM_HYPERLIQUID_NETWORK"
_AGENT_NAME: Final = "perp-dex"
_AGENT_VALID_MS: Final = 180 * 86_400_000
_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder()


class HyperliquidSimulator:
    """The venue's wire over one exchange."""

    def __init__(self, exchange: Exchange, faults: FaultPlan, *, is_mainnet: bool = False) -> None:
        self._exchange = exchange
        self._faults = faults
        self._limits = Limits(exchange)
        self._endpoint = ExchangeEndpoint(exchange, faults, self._limits, is_mainnet=is_mainnet)
        self._info = InfoEndpoint(exchange, self._limits)
        self._feeds = Feeds(exchange, faults)
        self.application = venue_application(exchange, faults, self._feeds)
        self.application.router.add_post("/info", self._serve_info)
        self.application.router.add_post("/exchange", self._serve_exchange)
        self.application.router.add_get("/ws", self._serve_socket)

    # For the server that runs this.

    def venue_symbol(self, symbol: str) -> str:
        """Return the coin for our symbol (`BTC-PERP`) or the venue's (`BTC`)."""
        return lettered(symbol.removesuffix("-PERP"))

    def order_reference(self, text: str) -> int | str:
        """Return an oid for digits, a cloid for hex. Raises `ValueError` for anything else."""
        return int(text) if text.isdigit() else normal_client_id(text)

    def order_status(self, order: Order) -> str:
        """Return the venue's word for the order's state."""
        return status_word(order)

    async def open_account(self, balance: Decimal, name: str) -> dict[str, str]:
        """Fund a fresh address and approve a fresh agent for it; return all keys."""
        master, agent = PrivateKey(secrets.token_bytes(32)), PrivateKey(secrets.token_bytes(32))
        address, agent_address = address_of_key(master.public_key), address_of_key(agent.public_key)
        exchange = self._exchange
        with exchange.action("open_account") as receipt:
            open_account(exchange.tables, address, balance, name=name)
            until_ms = exchange.tables.now_ms + _AGENT_VALID_MS
            approve_agent(exchange.tables, address, agent_address, _AGENT_NAME, until_ms)
        await exchange.durable(receipt)
        return {
            "address": address,
            "agent_address": agent_address,
            "private_key": "0x" + agent.to_hex().rjust(64, "0"),
            "master_private_key": "0x" + master.to_hex().rjust(64, "0"),
        }

    async def close_sockets(self) -> None:
        """Cut every socket."""
        self._feeds.kill_all()

    # Routes.

    async def _serve_exchange(self, request: web.Request) -> web.StreamResponse:
        if request.content_type != "application/json":
            return _response(answers.BAD_CONTENT_TYPE)
        body = await request.read()
        try:
            return _response(await self._endpoint.submit(body, request.remote or ""))
        except ConnectionDropped:
            return cut(request)

    async def _serve_info(self, request: web.Request) -> web.StreamResponse:
        if request.content_type != "application/json":
            return _response(answers.BAD_CONTENT_TYPE)
        content = await request.read()
        try:
            try:
                body = _DECODER.decode(content)
            except msgspec.DecodeError:
                body = first_json_value(content)
            name = str(body.get("type")) if isinstance(body, dict) else ""
            remote = request.remote or ""
            if not self._limits.take_ip_weight(remote, self._limits.query_weight(name)):
                return _response(Reply(status=429, body=answers.NULL))
            names = ("info", name)
            fault = await query_fault(request, self._faults, names, _refused)
            if fault is not None:
                return fault
            answer = self._info.answer(body)
        except NotJson:
            return _response(answers.BAD_JSON)
        except WrongShape:
            return _response(answers.BAD_SHAPE)
        except BadQuery:
            return _response(Reply(status=500, body=answers.NULL))
        self._limits.add_ip_weight(remote, self._limits.rows_weight(name, answer))
        encoded = garbled(_ENCODER.encode(answer), self._faults, names)
        return _response(Reply(status=200, body=encoded))

    async def _serve_socket(self, request: web.Request) -> web.StreamResponse:
        conversation = Conversation(
            ClientSocket(request, self._faults),
            feeds=self._feeds,
            endpoint=self._endpoint,
            info=self._info,
        )
        return await conversation.serve()


def simulator(
    exchange: Exchange, faults: FaultPlan, environment: Mapping[str, str]
) -> HyperliquidSimulator:
    """Build the venue's wire over an exchange; the network is read from the environment.

    Raises `ValueError` for a network that does not exist.
    """
    network = environment.get(NETWORK_VARIABLE) or "testnet"
    if network not in ("testnet", "mainnet"):
        raise ValueError(f"{NETWORK_VARIABLE}: expected testnet or mainnet; found {network!r}")
    return HyperliquidSimulator(exchange, faults, is_mainnet=network == "mainnet")


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body, content_type=reply.content_type)


def _refused(status: int) -> web.Response:
    return _response(Reply(status=status, body=answers.NULL))
