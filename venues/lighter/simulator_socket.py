"""`GET /stream` of the simulated venue: one client's frames in, channels and answers out.

A client that says nothing for two minutes is cut off.

Source: docs websocket-reference; lighter-sdk 1.1.8 `ws_client.py`; recorded on mainnet.
"""

from __future__ import annotations

import json
import uuid
from typing import Any, Final

import msgspec
from aiohttp import web

from venues.lighter.simulator_feeds import Client, Feeds, NoSuchChannel
from venues.lighter.simulator_sequencer import Reply, Sequencer
from venues.simulation.commands import ConnectionDropped
from venues.simulation.faults import FaultPlan
from venues.simulation.socket import ClientSocket

Json = dict[str, Any]

_CHANNELS_MAX: Final = 500
_REQUESTS_MAX: Final = 50
_ENCODER: Final = msgspec.json.Encoder()


class Conversation:
    """What one connected client asks for, and what it is answered."""

    def __init__(
        self, request: web.Request, *, faults: FaultPlan, feeds: Feeds, sequencer: Sequencer
    ) -> None:
        self._socket: Client = ClientSocket(request, faults, requests_max=_REQUESTS_MAX)
        self._feeds = feeds
        self._sequencer = sequencer

    async def serve(self) -> web.WebSocketResponse:
        """Talk to the client until one side ends the connection."""
        self._feeds.connect(self._socket)
        self._send({"session_id": str(uuid.uuid4()), "type": "connected"})
        try:
            return await self._socket.serve(self._receive)
        finally:
            self._feeds.disconnect(self._socket)

    def _receive(self, text: str) -> None:
        try:
            frame = json.loads(text)
            kind = frame["type"]
        except (ValueError, KeyError, TypeError):
            self._error(30000, "Invalid JSON")
            return
        match kind:
            case "ping":
                self._send({"type": "pong"})
            case "pong":
                return
            case "subscribe" | "unsubscribe":
                channel, token = frame.get("channel"), frame.get("auth")
                if not isinstance(channel, str):
                    self._error(30005, "Invalid Channel:  ()")
                elif kind == "subscribe":
                    self._subscribe(channel, token if isinstance(token, str) else None)
                else:
                    self._unsubscribe(channel)
            case "jsonapi/sendtx" | "jsonapi/sendtxbatch":
                self._trade(kind, frame.get("data"))
            case _:
                self._error(30001, f"Invalid Type: {kind}")

    def _subscribe(self, channel: str, token: str | None) -> None:
        if channel in self._socket.subscriptions:
            self._error(30003, f"Already Subscribed to : {channel.replace('/', ':')}")
            return
        if len(self._socket.subscriptions) >= _CHANNELS_MAX:
            self._error(23001, "Too Many Subscriptions!")
            return
        try:
            self._feeds.check(channel, token)
        except NoSuchChannel as error:
            self._error(error.code, str(error))
            return
        self._socket.subscriptions[channel] = None
        self._feeds.begin(self._socket, channel)

    def _unsubscribe(self, channel: str) -> None:
        if channel not in self._socket.subscriptions:
            self._error(30002, f"Not Subscribed to : {channel.replace('/', ':')}")
            return
        del self._socket.subscriptions[channel]
        self._feeds.end(self._socket, channel)
        self._send({"type": "unsubscribed", "channel": channel.replace("/", ":")})

    # Trading.

    def _trade(self, kind: str, data: Any) -> None:
        if not isinstance(data, dict) or self._socket.is_busy:
            self._error(30010, "Too Many Inflight Messages!")
            return
        self._socket.start(self._answer(kind, data))

    async def _answer(self, kind: str, data: Json) -> None:
        try:
            if kind == "jsonapi/sendtx":
                info = data.get("tx_info")
                text = info if isinstance(info, str) else json.dumps(info)
                reply = await self._sequencer.submit(int(data.get("tx_type", 0)), text)
            else:
                reply = await self._sequencer.submit_batch(
                    str(data.get("tx_types")), str(data.get("tx_infos"))
                )
        except ConnectionDropped:
            self._socket.kill()
            return
        self._send({"type": kind, "id": data.get("id"), **_content(reply)})

    def _error(self, code: int, text: str) -> None:
        self._send({"error": {"code": code, "message": text}})

    def _send(self, frame: Json) -> None:
        self._socket.send_encoded(_ENCODER.encode(frame))


def _content(reply: Reply) -> Json:
    try:
        found: Json = json.loads(reply.body)
    except ValueError:
        return {"code": 29500, "message": "internal server error"}
    return found
