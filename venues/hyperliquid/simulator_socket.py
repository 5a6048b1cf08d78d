"""`GET /ws` of the simulated venue: one client's frames in, its answers and subscriptions out.

Frames leave through a bounded queue; a client that does not read is cut off. A wrong coin or book
parameter kills the socket without a word, as on the venue (close 1006).
https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/websocket
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from typing import Any, Final

import msgspec
from aiohttp import WSMsgType, web

from venues.hyperliquid.simulator_actions import WrongShape
from venues.hyperliquid.simulator_exchange import ConnectionDropped, ExchangeEndpoint
from venues.hyperliquid.simulator_feeds import Feeds, Subscription, SubscriptionKills
from venues.hyperliquid.simulator_info import BadQuery, InfoEndpoint
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultKind, FaultPlan

Json = dict[str, Any]

_QUEUE_MAX: Final = 10_000
_POSTS_MAX: Final = 100
_ENCODER: Final = msgspec.json.Encoder()


class SocketClient:
    """One connected client."""

    def __init__(
        self,
        request: web.Request,
        *,
        exchange: Exchange,
        faults: FaultPlan,
        feeds: Feeds,
        endpoint: ExchangeEndpoint,
        info: InfoEndpoint,
    ) -> None:
        self._request = request
        self._exchange = exchange
        self._faults = faults
        self._feeds = feeds
        self._endpoint = endpoint
        self._info = info
        self._socket = web.WebSocketResponse(autoping=True, max_msg_size=1 << 20)
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(_QUEUE_MAX)
        self._posts: set[asyncio.Task[None]] = set()
        self.subscriptions: dict[str, Subscription] = {}
        self.last_sent_s = asyncio.get_running_loop().time()

    async def serve(self) -> web.WebSocketResponse:
        """Talk to the client until one side ends the connection."""
        await self._socket.prepare(self._request)
        self._feeds.connect(self)
        writer = asyncio.create_task(self._write(), name="socket writer")
        try:
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    self._receive(message.data)
        finally:
            self._feeds.disconnect(self)
            for task in (writer, *self._posts):
                task.cancel()
            await asyncio.gather(writer, *self._posts, return_exceptions=True)
        return self._socket

    def kill(self) -> None:
        """Cut the connection without a closing frame."""
        transport = self._request.transport
        if transport is not None:
            transport.abort()

    def send(self, channel: str, data: Any) -> None:
        """Queue a frame; under a stall fault it is lost."""
        self.send_encoded(_ENCODER.encode({"channel": channel, "data": data}))

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
            self.last_sent_s = asyncio.get_running_loop().time()

    def _receive(self, text: str) -> None:
        try:
            frame = json.loads(text)
        except ValueError:
            frame = None
        method = frame.get("method") if isinstance(frame, dict) else None
        if method == "ping":
            self.send_encoded(b'{"channel":"pong"}')
        elif method in ("subscribe", "unsubscribe") and isinstance(frame.get("subscription"), dict):
            self._subscription(text, str(method), frame["subscription"])
        elif method == "post" and isinstance(frame.get("id"), int):
            self._post(text, frame)
        else:
            self._bad_frame(text)

    def _bad_frame(self, text: str) -> None:
        self.send("error", f"Error parsing JSON into valid websocket request: {text}")

    def _subscription(self, text: str, method: str, wanted: Json) -> None:
        try:
            subscription = self._feeds.read(wanted)
        except SubscriptionKills:
            self.kill()
            return
        except WrongShape:
            self._bad_frame(text)
            return
        listed = json.dumps(subscription.echo, separators=(",", ":"))
        is_present = subscription.key in self.subscriptions
        if method == "subscribe":
            if is_present:
                self.send("error", f"Already subscribed: {listed}")
                return
            if self._feeds.has_too_many_users(self, subscription):
                self.send("error", "Cannot track more than 15 total users.")
                return
            self.subscriptions[subscription.key] = subscription
            self._acknowledge(method, subscription)
            self._feeds.begin(self, subscription)
        elif not is_present:
            self.send("error", f"Already unsubscribed: {listed}")
        else:
            del self.subscriptions[subscription.key]
            self._feeds.end(self, subscription)
            self._acknowledge(method, subscription)

    def _acknowledge(self, method: str, subscription: Subscription) -> None:
        data = {"method": method, "subscription": subscription.echo}
        self.send("subscriptionResponse", data)

    def _post(self, text: str, frame: Json) -> None:
        request = frame.get("request")
        if not isinstance(request, dict) or request.get("type") not in ("info", "action"):
            self._bad_frame(text)
            return
        if len(self._posts) >= _POSTS_MAX:
            self.send("error", f"too many pending post requests id={frame['id']}")
            return
        task = asyncio.create_task(self._answer_post(frame["id"], request), name="socket post")
        self._posts.add(task)
        task.add_done_callback(self._posts.discard)

    async def _answer_post(self, post_id: int, request: Json) -> None:
        kind = request["type"]
        if kind == "info":
            response = self._answer_query(request.get("payload"))
        else:
            try:
                body = _ENCODER.encode(request.get("payload"))
                reply = await self._endpoint.submit(body, self._request.remote or "")
            except ConnectionDropped:
                self.kill()
                return
            if reply.status == 200:
                response = {"type": "action", "payload": msgspec.Raw(reply.body)}
            else:
                text = f"{reply.status} {reply.body.decode()}"
                response = {"type": "error", "payload": text}
        self.send("post", {"id": post_id, "response": response})

    def _answer_query(self, payload: Any) -> Json:
        name = payload.get("type") if isinstance(payload, dict) else None
        try:
            data = self._info.answer(payload)
        except BadQuery:
            data = None
        except WrongShape as error:
            return {"type": "error", "payload": f"422 {error}"}
        return {"type": "info", "payload": {"type": name, "data": data}}
