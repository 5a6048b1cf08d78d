"""The socket of the simulated venue: one client's requests in, answers and channels out.

Frames leave through a bounded queue; a client that does not read is cut off.

Source: the official v2 API page, WebSocket; its close codes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from typing import Any, Final

import msgspec
from aiohttp import WSMsgType, web

from venues.simulation.faults import FaultKind, FaultPlan
from venues.vest.simulator_accounts import Accounts, ListenKey
from venues.vest.simulator_business import Quirks
from venues.vest.simulator_feeds import PRIVATE, Feeds

Json = dict[str, Any]

_QUEUE_MAX: Final = 10_000
_ENCODER: Final = msgspec.json.Encoder()
_VERSION: Final = "1.0"
_GROUP: Final = "restserver"


class SocketClient:
    """One connected client."""

    def __init__(
        self,
        request: web.Request,
        *,
        accounts: Accounts,
        faults: FaultPlan,
        feeds: Feeds,
        quirks: Quirks,
    ) -> None:
        self._request = request
        self._accounts = accounts
        self._faults = faults
        self._feeds = feeds
        self._quirks = quirks
        self._socket = web.WebSocketResponse(autoping=True, max_msg_size=1 << 20)
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(_QUEUE_MAX)
        self._listen_key: ListenKey | None = None
        self.channels: set[str] = set()
        self.address: str | None = None
        self.last_heard_s = asyncio.get_running_loop().time()

    async def serve(self) -> web.WebSocketResponse:
        """Talk to the client until one side ends the connection."""
        await self._socket.prepare(self._request)
        refusal = self._refusal()
        if refusal is not None:
            await self._socket.close(code=refusal)
            return self._socket
        self._feeds.connect(self)
        writer = asyncio.create_task(self._write(), name="socket writer")
        try:
            async for message in self._socket:
                self.last_heard_s = asyncio.get_running_loop().time()
                if message.type is WSMsgType.TEXT:
                    code = self._receive(message.data)
                    if code is not None:
                        await self._socket.close(code=code)
        finally:
            self._feeds.disconnect(self)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
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
        if PRIVATE in names and self._listen_key and self._accounts.is_expired(self._listen_key):
            self.kill()
            return
        try:
            self._outgoing.put_nowait(frame)
            if self._faults.take(FaultKind.DUPLICATE, names):
                self._outgoing.put_nowait(frame)
        except asyncio.QueueFull:
            self.kill()

    def _refusal(self) -> int | None:
        """Return the close code for how the client came, or None."""
        query = self._request.query
        if query.get("version") != _VERSION:
            return 4000
        group = query.get("xwebsocketserver", query.get("websocketserver", ""))
        number = group.removeprefix(_GROUP)
        if not group.startswith(_GROUP) or not number.isdigit():
            return 4002
        if not self._accounts.has_group(int(number)):
            return 4001
        if "listenKey" not in query:
            return None
        known = self._accounts.listener(query["listenKey"])
        if known is None:
            return 4004
        if self._accounts.is_expired(known):
            return 4005
        if self._accounts.group_of(known.address) != int(number):
            return 4002
        self._listen_key, self.address = known, known.address
        return None

    async def _write(self) -> None:
        while True:
            frame = await self._outgoing.get()
            try:
                if self._quirks.binary_frames:
                    await self._socket.send_bytes(frame)
                else:
                    await self._socket.send_str(frame.decode())
            except (ConnectionError, RuntimeError):
                return

    def _receive(self, text: str) -> int | None:
        """Answer a request; return the code to close with where it may not be asked."""
        try:
            frame = json.loads(text)
        except ValueError:
            frame = None
        if not isinstance(frame, dict):
            self._send({"code": 1130, "msg": "INVALID_PARAMETER"})
            return None
        method, params, number = frame.get("method"), frame.get("params"), frame.get("id")
        if method == "PING":
            self._send({"data": "PONG"})
            return None
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE") or not isinstance(params, list):
            self._send({"code": 1130, "msg": "INVALID_PARAMETER", "id": number})
            return None
        if any(not self._feeds.is_channel(name) for name in params):
            self._send({"code": 1121, "msg": "BAD_SYMBOL", "id": number})
            return None
        if PRIVATE in params and self.address is None:
            return 4003
        self._send({"result": None, "id": number})
        if method == "UNSUBSCRIBE":
            self.channels.difference_update(params)
            return None
        for name in params:
            self.channels.add(name)
            self._feeds.begin(self, name)
        return None

    def _send(self, frame: Json) -> None:
        self.send_encoded(_ENCODER.encode(frame))
