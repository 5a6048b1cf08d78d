"""`GET /ws` of the simulated venue: one client's frames in, answers, trading and channels out.

Frames leave through a bounded queue; a client that does not read is cut off, and so is one that
says nothing for a minute. A subscription to what does not exist is answered by nothing.

Source: docs.pacifica.fi api/websocket, api/websocket/trading-operations.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from typing import Any, Final

import msgspec
from aiohttp import WSMsgType, web

from venues.pacifica.simulator_bodies import OPERATIONS, PATH_OF
from venues.pacifica.simulator_credits import Credits
from venues.pacifica.simulator_exchange import ConnectionDropped, Reply, SignedRequests
from venues.pacifica.simulator_feeds import Feeds, NoSuchChannel, SilentlyIgnored, Subscription
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultKind, FaultPlan

Json = dict[str, Any]

_QUEUE_MAX: Final = 10_000
_REQUESTS_MAX: Final = 100
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


class SocketClient:
    """One connected client."""

    def __init__(
        self,
        request: web.Request,
        *,
        exchange: Exchange,
        faults: FaultPlan,
        feeds: Feeds,
        requests: SignedRequests,
        credits: Credits,
    ) -> None:
        self._request = request
        self._exchange = exchange
        self._faults = faults
        self._feeds = feeds
        self._requests = requests
        self._credits = credits
        self._socket = web.WebSocketResponse(autoping=True, max_msg_size=1 << 20)
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(_QUEUE_MAX)
        self._under_way: set[asyncio.Task[None]] = set()
        self.subscriptions: dict[tuple[str, str, str | None], Subscription] = {}
        self.last_heard_s = asyncio.get_running_loop().time()

    async def serve(self) -> web.WebSocketResponse:
        """Talk to the client until one side ends the connection."""
        await self._socket.prepare(self._request)
        self._feeds.connect(self)
        writer = asyncio.create_task(self._write(), name="socket writer")
        try:
            async for message in self._socket:
                self.last_heard_s = asyncio.get_running_loop().time()
                if message.type is WSMsgType.TEXT:
                    self._receive(message.data)
        finally:
            self._feeds.disconnect(self)
            for task in (writer, *self._under_way):
                task.cancel()
            await asyncio.gather(writer, *self._under_way, return_exceptions=True)
        return self._socket

    def kill(self) -> None:
        """Cut the connection without a closing frame."""
        transport = self._request.transport
        if transport is not None:
            transport.abort()

    def send_encoded(self, frame: bytes, names: Collection[str] = ()) -> None:
        """Queue a frame; `names` (channel, action) are what faults are filtered by."""
        if self._faults.take(FaultKind.STALL, names):
            return
        try:
            self._outgoing.put_nowait(frame)
            if self._faults.take(FaultKind.DUPLICATE, names):
                self._outgoing.put_nowait(frame)
        except asyncio.QueueFull:
            self.kill()

    async def _write(self) -> None:
        while True:
            frame = await self._outgoing.get()
            try:
                await self._socket.send_str(frame.decode())
            except (ConnectionError, RuntimeError):
                return

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
            self.send_encoded(b'{"channel":"pong"}')
        elif method in ("subscribe", "unsubscribe") and isinstance(parameters, dict):
            self._subscription(str(method), parameters)
        elif isinstance(frame.get("id"), str) and isinstance(parameters, dict):
            self._trade(frame["id"], parameters)
        else:
            self._send({"code": 400, "err": "Invalid message", "t": self._exchange.now_ms()})

    def _send(self, frame: Json) -> None:
        self.send_encoded(_ENCODER.encode(frame))

    def _subscription(self, method: str, wanted: Json) -> None:
        try:
            subscription = self._feeds.read(wanted)
        except SilentlyIgnored:
            return
        except NoSuchChannel as error:
            self._send({"code": 400, "err": str(error), "t": self._exchange.now_ms()})
            return
        is_present = subscription.key in self.subscriptions
        if method == "unsubscribe":
            if self.subscriptions.pop(subscription.key, None) is not None:
                self._feeds.end(self, subscription)
            self._send({"channel": "unsubscribe", "data": subscription.echo})
            return
        if not is_present and self._feeds.is_one_too_many(self, subscription):
            text = f"Too many subscriptions of {subscription.source}"
            self._send({"code": 429, "err": text, "t": self._exchange.now_ms()})
            return
        self.subscriptions[subscription.key] = subscription
        self._send({"channel": "subscribe", "data": subscription.echo})
        self._feeds.begin(self, subscription)

    # Trading.

    def _trade(self, request_id: str, parameters: Json) -> None:
        names = [name for name in parameters if name in _TRADING]
        if len(names) != 1 or len(self._under_way) >= _REQUESTS_MAX:
            self._send({"id": request_id, "code": 400, "err": "Invalid message"})
            return
        body = _ENCODER.encode(parameters[names[0]])
        task = asyncio.create_task(self._answer(request_id, names[0], body), name="socket trade")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _answer(self, request_id: str, kind: str, body: bytes) -> None:
        remote = self._request.remote or ""
        path = "/orders/batch" if kind == "batch_orders" else PATH_OF[kind]
        try:
            reply = await self._requests.submit(path, body, remote)
        except ConnectionDropped:
            self.kill()
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
