"""`GET /stream` of the simulated venue: one client's frames in, channels and answers out.

Frames leave through a bounded queue; a client that does not read is cut off, and so is one that
says nothing for two minutes.

Source: docs websocket-reference; lighter-sdk 1.1.8 `ws_client.py`; recorded on mainnet.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Collection
from typing import Any, Final

import msgspec
from aiohttp import WSMsgType, web

from venues.lighter.simulator_feeds import Feeds, NoSuchChannel
from venues.lighter.simulator_sequencer import Reply, Sequencer
from venues.simulation.commands import ConnectionDropped
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultKind, FaultPlan

Json = dict[str, Any]

_QUEUE_MAX: Final = 10_000
_CHANNELS_MAX: Final = 500
_UNDER_WAY_MAX: Final = 50
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
        sequencer: Sequencer,
    ) -> None:
        self._request = request
        self._exchange = exchange
        self._faults = faults
        self._feeds = feeds
        self._sequencer = sequencer
        self._socket = web.WebSocketResponse(autoping=True, max_msg_size=1 << 20)
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(_QUEUE_MAX)
        self._under_way: set[asyncio.Task[None]] = set()
        self.channels: set[str] = set()
        self.last_heard_s = asyncio.get_running_loop().time()

    async def serve(self) -> web.WebSocketResponse:
        """Talk to the client until one side ends the connection."""
        await self._socket.prepare(self._request)
        self._feeds.connect(self)
        writer = asyncio.create_task(self._write(), name="socket writer")
        self._send({"session_id": str(uuid.uuid4()), "type": "connected"})
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
        if channel in self.channels:
            self._error(30003, f"Already Subscribed to : {channel.replace('/', ':')}")
            return
        if len(self.channels) >= _CHANNELS_MAX:
            self._error(23001, "Too Many Subscriptions!")
            return
        try:
            self._feeds.check(channel, token)
        except NoSuchChannel as error:
            self._error(error.code, str(error))
            return
        self.channels.add(channel)
        self._feeds.begin(self, channel)

    def _unsubscribe(self, channel: str) -> None:
        if channel not in self.channels:
            self._error(30002, f"Not Subscribed to : {channel.replace('/', ':')}")
            return
        self.channels.discard(channel)
        self._feeds.end(self, channel)
        self._send({"type": "unsubscribed", "channel": channel.replace("/", ":")})

    # Trading.

    def _trade(self, kind: str, data: Any) -> None:
        if not isinstance(data, dict) or len(self._under_way) >= _UNDER_WAY_MAX:
            self._error(30010, "Too Many Inflight Messages!")
            return
        task = asyncio.create_task(self._answer(kind, data), name="socket trade")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

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
            self.kill()
            return
        self._send({"type": kind, "id": data.get("id"), **_content(reply)})

    def _error(self, code: int, text: str) -> None:
        self._send({"error": {"code": code, "message": text}})

    def _send(self, frame: Json) -> None:
        self.send_encoded(_ENCODER.encode(frame))


def _content(reply: Reply) -> Json:
    try:
        found: Json = json.loads(reply.body)
    except ValueError:
        return {"code": 29500, "message": "internal server error"}
    return found
