"""Both sockets of the simulated venue: who may open the private one, and what clients may say.

The private one tells everything of its account unasked; its four headers may come as a
subprotocol, which is echoed then. Pings are JSON, from either side.

Source: edgeX gitbook api/websocket-api; edgex-python-sdk 2.0.1 `ws/client.py`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from venues.edgex.simulator_auth import NotLetIn, authenticate, text_of_query
from venues.edgex.simulator_exchange import envelope
from venues.edgex.simulator_feeds import Client, Feeds, NoSuchChannel
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultPlan

Json = dict[str, Any]

PUBLIC_PATH: Final = "/api/v1/public/ws"
PRIVATE_PATH: Final = "/api/v1/private/ws"
_ENCODER: Final = msgspec.json.Encoder()
_SUBSCRIPTIONS_MAX: Final = 100
_SID: Final = "a5c1c82e-8cdf-eeb1-66c6-2b9c4d2e935a"


class Sockets:
    """Opens sockets and listens to what clients say."""

    def __init__(self, exchange: Exchange, faults: FaultPlan, feeds: Feeds) -> None:
        self._exchange = exchange
        self._faults = faults
        self._feeds = feeds

    async def serve_public(self, request: web.Request) -> web.StreamResponse:
        """Talk to whoever connects."""
        client = Client(request, self._faults)
        _send(client, {"sid": _SID, "type": "connected"})
        self._feeds.connect(client)
        try:
            return await client.serve(lambda text: self._hear_public(client, text))
        finally:
            self._feeds.disconnect(client)

    async def serve_private(self, request: web.Request) -> web.StreamResponse:
        """Talk to an account's owner."""
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        headers: Mapping[str, str] = request.headers
        if "X-edgeX-Signature" not in headers and offered:
            headers = _in_subprotocol(offered)
        tables = self._exchange.tables
        tables.now_ms = self._exchange.now_ms()
        text = text_of_query(list(request.query.items()))
        try:
            account = authenticate(tables, headers, "GET", PRIVATE_PATH, text)
            if request.query.get("accountId") != account:
                raise NotLetIn("ACCOUNT_NOT_FOUND", "account is not of this apiKey", 403)
        except NotLetIn as refused:
            reply = envelope(None, tables.now_ms, code=refused.code, status=refused.status,
                             msg=refused.message)  # fmt: skip
            return web.Response(
                status=reply.status, body=reply.body, content_type=reply.content_type
            )
        client = Client(request, self._faults, protocols=[offered] if offered else ())
        now_ms = str(self._exchange.now_ms())
        _send(client, {"sid": _SID, "type": "connected", "time": now_ms})
        self._feeds.connect(client, account)
        try:
            return await client.serve(lambda text: _hear_ping(client, _frame(text)))
        finally:
            self._feeds.disconnect(client, account)

    def _hear_public(self, client: Client, text: str) -> None:
        frame = _frame(text)
        kind, channel = frame.get("type"), frame.get("channel")
        if kind not in ("subscribe", "unsubscribe") or not isinstance(channel, str):
            _hear_ping(client, frame)
            return
        if kind == "unsubscribe":
            if client.subscriptions.pop(channel, None) is not None:
                self._feeds.end(client, channel)
            _send(client, {"type": "unsubscribed", "channel": channel, "request": text})
            return
        try:
            self._feeds.check(channel)
            if channel not in client.subscriptions and len(client.subscriptions) >= (
                _SUBSCRIPTIONS_MAX
            ):
                raise NoSuchChannel("RATE_LIMIT_EXCEEDED", "too many subscriptions")
        except NoSuchChannel as error:
            content = {"code": error.code, "msg": str(error)}
            _send(client, {"type": "error", "request": text, "content": content})
            return
        client.subscriptions[channel] = channel
        _send(client, {"type": "subscribed", "channel": channel, "request": text})
        self._feeds.begin(client, channel)


def _frame(text: str) -> Json:
    try:
        frame = json.loads(text)
    except ValueError:
        return {}
    return frame if isinstance(frame, dict) else {}


def _hear_ping(client: Client, frame: Json) -> None:
    if frame.get("type") == "ping":
        _send(client, {"type": "pong", "time": str(frame.get("time", ""))})
    elif frame.get("type") == "pong":
        client.pings = 0
    else:
        content = {"code": "UNRECOGNIZED_MESSAGE", "msg": "unrecognized message"}
        _send(client, {"type": "error", "request": json.dumps(frame), "content": content})


def _send(client: Client, frame: Json) -> None:
    client.send_encoded(_ENCODER.encode(frame))


def _in_subprotocol(offered: str) -> Mapping[str, str]:
    """Read the headers that a subprotocol carries: base64 of their JSON, without padding."""
    try:
        read = json.loads(base64.b64decode(offered + "=" * (-len(offered) % 4)))
    except (ValueError, binascii.Error):
        return {}
    return read if isinstance(read, dict) else {}
