"""`GET /ws` of the simulated venue: one client's frames in, answers, trading and channels out.

A client that says nothing for a minute is cut off. A subscription to what does not exist is
answered by nothing.

Source: docs.pacifica.fi api/websocket, api/websocket/trading-operations.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
from aiohttp import web

from venues.pacifica.simulator_bodies import OPERATIONS, PATH_OF
from venues.pacifica.simulator_credits import Credits
from venues.pacifica.simulator_exchange import Reply, SignedRequests
from venues.pacifica.simulator_feeds import (
    Client,
    Feeds,
    NoSuchChannel,
    SilentlyIgnored,
)
from venues.simulation.commands import ConnectionDropped
from venues.simulation.exchange import Exchange

Json = dict[str, Any]

_ENCODER: Final = msgspec.json.Encoder()
_ENGINE_ERROR: Final = 420
_TRADING: Final = frozenset(
    {
        "create_order",
        "create_market_order",
        "edit_order",
        "cancel_order",
        "cancel_all_orders",
        "batch_orders",
    }
)


class Conversation:
    """What one connected client asks for, and what it is answered."""

    def __init__(
        self,
        socket: Client,
        *,
        exchange: Exchange,
        feeds: Feeds,
        requests: SignedRequests,
        credits: Credits,
    ) -> None:
        self._socket = socket
        self._exchange = exchange
        self._feeds = feeds
        self._requests = requests
        self._credits = credits

    async def serve(self) -> web.WebSocketResponse:
        """Talk to the client until one side ends the connection."""
        self._feeds.connect(self._socket)
        try:
            return await self._socket.serve(self._receive)
        finally:
            self._feeds.disconnect(self._socket)

    def _receive(self, text: str) -> None:
        try:
            frame = json.loads(text)
        except ValueError:
            frame = None
        if not isinstance(frame, dict):
            self._send({"code": 400, "err": "Invalid message", "t": self._exchange.now_ms()})
            return
        method, parameters = frame.get("method"), frame.get("params")
        if method == "ping":
            self._socket.send_encoded(b'{"channel":"pong"}')
        elif method in ("subscribe", "unsubscribe") and isinstance(parameters, dict):
            self._subscription(str(method), parameters)
        elif isinstance(frame.get("id"), str) and isinstance(parameters, dict):
            self._trade(frame["id"], parameters)
        else:
            self._send({"code": 400, "err": "Invalid message", "t": self._exchange.now_ms()})

    def _send(self, frame: Json) -> None:
        self._socket.send_encoded(_ENCODER.encode(frame))

    def _subscription(self, method: str, wanted: Json) -> None:
        try:
            subscription = self._feeds.read(wanted)
        except SilentlyIgnored:
            return
        except NoSuchChannel as error:
            self._send({"code": 400, "err": str(error), "t": self._exchange.now_ms()})
            return
        if method == "unsubscribe":
            self._feeds.end(self._socket, subscription)
            self._send({"channel": "unsubscribe", "data": subscription.echo})
            return
        is_present = subscription.key in self._socket.subscriptions
        if not is_present and self._feeds.is_one_too_many(self._socket, subscription):
            text = f"Too many subscriptions of {subscription.source}"
            self._send({"code": 429, "err": text, "t": self._exchange.now_ms()})
            return
        self._send({"channel": "subscribe", "data": subscription.echo})
        self._feeds.begin(self._socket, subscription)

    # Trading.

    def _trade(self, request_id: str, parameters: Json) -> None:
        names = [name for name in parameters if name in _TRADING]
        if len(names) != 1 or self._socket.is_busy:
            self._send({"id": request_id, "code": 400, "err": "Invalid message"})
            return
        body = _ENCODER.encode(parameters[names[0]])
        self._socket.start(self._answer(request_id, names[0], body))

    async def _answer(self, request_id: str, kind: str, body: bytes) -> None:
        remote = self._socket.remote
        path = "/orders/batch" if kind == "batch_orders" else PATH_OF[kind]
        try:
            reply = await self._requests.submit(path, body, remote)
        except ConnectionDropped:
            self._socket.kill()
            return
        shared = {"id": request_id, "type": kind, "t": self._exchange.now_ms()}
        told = self._credits.told(remote)
        if reply.status == 200:
            self._send({**shared, "code": 200, "data": _acknowledged(path, reply), "rl": told})
        else:
            code = _ENGINE_ERROR if reply.status == 422 else reply.status
            self._send({**shared, "code": code, "err": _error_of(reply), "rl": told})


def _acknowledged(path: str, reply: Reply) -> Any:
    """Write what an acknowledgement says: `i` is null for what was named by its client id."""
    taken = reply.taken
    if taken is None or taken.order is None:
        return json.loads(reply.body)["data"]
    is_cancel = OPERATIONS[path][0] == "cancel_order"
    return {
        "I": taken.order.client_order_id,
        "i": None if is_cancel and taken.order.client_order_id else taken.order.venue_order_id,
        "s": taken.order.symbol,
    }


def _error_of(reply: Reply) -> str:
    try:
        return str(json.loads(reply.body)["error"])
    except (ValueError, KeyError, TypeError):
        return reply.body.decode()
