"""`GET /ws` of the simulated venue: one client's frames in, its answers and subscriptions out.

A wrong coin or book parameter kills the socket without a word, as on the venue (close 1006).
https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/websocket
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
from aiohttp import web

from venues.hyperliquid.simulator_actions import WrongShape
from venues.hyperliquid.simulator_exchange import ExchangeEndpoint
from venues.hyperliquid.simulator_feeds import Client, Feeds, Subscription, SubscriptionKills
from venues.hyperliquid.simulator_info import BadQuery, InfoEndpoint
from venues.simulation.commands import ConnectionDropped

Json = dict[str, Any]

_ENCODER: Final = msgspec.json.Encoder()


class Conversation:
    """What one connected client asks for, and what it is answered."""

    def __init__(
        self,
        socket: Client,
        *,
        feeds: Feeds,
        endpoint: ExchangeEndpoint,
        info: InfoEndpoint,
    ) -> None:
        self._socket = socket
        self._feeds = feeds
        self._endpoint = endpoint
        self._info = info

    async def serve(self) -> web.WebSocketResponse:
        """Talk to the client until one side ends the connection."""
        self._feeds.connect(self._socket)
        try:
            return await self._socket.serve(self._receive)
        finally:
            self._feeds.disconnect(self._socket)

    def _send(self, channel: str, data: Any) -> None:
        self._socket.send_encoded(_ENCODER.encode({"channel": channel, "data": data}))

    def _receive(self, text: str) -> None:
        try:
            frame = json.loads(text)
        except ValueError:
            frame = None
        method = frame.get("method") if isinstance(frame, dict) else None
        if method == "ping":
            self._socket.send_encoded(b'{"channel":"pong"}')
        elif method in ("subscribe", "unsubscribe") and isinstance(frame.get("subscription"), dict):
            self._subscription(text, str(method), frame["subscription"])
        elif method == "post" and isinstance(frame.get("id"), int):
            self._post(text, frame)
        else:
            self._bad_frame(text)

    def _bad_frame(self, text: str) -> None:
        self._send("error", f"Error parsing JSON into valid websocket request: {text}")

    def _subscription(self, text: str, method: str, wanted: Json) -> None:
        try:
            subscription = self._feeds.read(wanted)
        except SubscriptionKills:
            self._socket.kill()
            return
        except WrongShape:
            self._bad_frame(text)
            return
        listed = json.dumps(subscription.echo, separators=(",", ":"))
        is_present = subscription.key in self._socket.subscriptions
        if method == "subscribe":
            if is_present:
                self._send("error", f"Already subscribed: {listed}")
                return
            if self._feeds.has_too_many_users(self._socket, subscription):
                self._send("error", "Cannot track more than 15 total users.")
                return
            self._socket.subscriptions[subscription.key] = subscription
            self._acknowledge(method, subscription)
            self._feeds.begin(self._socket, subscription)
        elif not is_present:
            self._send("error", f"Already unsubscribed: {listed}")
        else:
            del self._socket.subscriptions[subscription.key]
            self._feeds.end(self._socket, subscription)
            self._acknowledge(method, subscription)

    def _acknowledge(self, method: str, subscription: Subscription) -> None:
        data = {"method": method, "subscription": subscription.echo}
        self._send("subscriptionResponse", data)

    def _post(self, text: str, frame: Json) -> None:
        request = frame.get("request")
        if not isinstance(request, dict) or request.get("type") not in ("info", "action"):
            self._bad_frame(text)
            return
        if self._socket.is_busy:
            self._send("error", f"too many pending post requests id={frame['id']}")
            return
        self._socket.start(self._answer_post(frame["id"], request))

    async def _answer_post(self, post_id: int, request: Json) -> None:
        kind = request["type"]
        if kind == "info":
            response = self._answer_query(request.get("payload"))
        else:
            try:
                body = _ENCODER.encode(request.get("payload"))
                reply = await self._endpoint.submit(body, self._socket.remote)
            except ConnectionDropped:
                self._socket.kill()
                return
            if reply.status == 200:
                response = {"type": "action", "payload": msgspec.Raw(reply.body)}
            else:
                text = f"{reply.status} {reply.body.decode()}"
                response = {"type": "error", "payload": text}
        self._send("post", {"id": post_id, "response": response})

    def _answer_query(self, payload: Any) -> Json:
        name = payload.get("type") if isinstance(payload, dict) else None
        try:
            data = self._info.answer(payload)
        except BadQuery:
            data = None
        except WrongShape as error:
            return {"type": "error", "payload": f"422 {error}"}
        return {"type": "info", "payload": {"type": name, "data": data}}
