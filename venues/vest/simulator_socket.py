"""The socket of the simulated venue: what one client asks for, and what it is answered.

Source: the official v2 API page, WebSocket; its close codes.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, Final

import msgspec
from aiohttp import web

from venues.simulation.socket import ClientSocket
from venues.vest.simulator_accounts import Accounts, ListenKey
from venues.vest.simulator_feeds import PRIVATE, Feeds

Json = dict[str, Any]

_ENCODER: Final = msgspec.json.Encoder()
_VERSION: Final = "1.0"
_GROUP: Final = "restserver"


class Conversation:
    """One connected client; `address` is whose private channel it may hear."""

    def __init__(
        self,
        request: web.Request,
        socket: ClientSocket[str, None],
        *,
        accounts: Accounts,
        feeds: Feeds,
    ) -> None:
        self._query = request.query
        self._socket = socket
        self._accounts = accounts
        self._feeds = feeds
        self._listen_key: ListenKey | None = None
        self.address: str | None = None

    @property
    def channels(self) -> Collection[str]:
        """The channels that the client hears."""
        return self._socket.subscriptions

    @property
    def last_heard_s(self) -> float:
        """When the client last said something."""
        return self._socket.last_heard_s

    async def serve(self) -> web.WebSocketResponse:
        """Talk to the client until one side ends the connection."""
        refusal = self._refusal()
        if refusal is not None:
            return await self._socket.refuse(refusal)
        self._feeds.connect(self)
        try:
            return await self._socket.serve(self._receive)
        finally:
            self._feeds.disconnect(self)

    def kill(self) -> None:
        """Cut the connection."""
        self._socket.kill()

    def send_encoded(self, frame: bytes, names: Collection[str] = ()) -> None:
        """Queue a frame; who listens with an expired key is closed instead."""
        if PRIVATE in names and self._listen_key and self._accounts.is_expired(self._listen_key):
            self._socket.close(4005)
            return
        self._socket.send_encoded(frame, names)

    def _refusal(self) -> int | None:
        """Return the close code for how the client came, or None."""
        query = self._query
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

    def _receive(self, text: str) -> None:
        try:
            frame = json.loads(text)
        except ValueError:
            frame = None
        if not isinstance(frame, dict):
            self._send({"code": 1130, "msg": "INVALID_PARAMETER"})
            return
        method, params, number = frame.get("method"), frame.get("params"), frame.get("id")
        if method == "PING":
            self._send({"data": "PONG"})
        elif method not in ("SUBSCRIBE", "UNSUBSCRIBE") or not isinstance(params, list):
            self._send({"code": 1130, "msg": "INVALID_PARAMETER", "id": number})
        elif any(not self._feeds.is_channel(name) for name in params):
            self._send({"code": 1121, "msg": "BAD_SYMBOL", "id": number})
        elif PRIVATE in params and self.address is None:
            self._socket.close(4003)
        else:
            self._send({"result": None, "id": number})
            self._change(params, wanted=method == "SUBSCRIBE")

    def _change(self, names: list[str], *, wanted: bool) -> None:
        for name in names:
            if wanted:
                self._socket.subscriptions[name] = None
                self._feeds.begin(self, name)
            else:
                self._socket.subscriptions.pop(name, None)

    def _send(self, frame: Json) -> None:
        self._socket.send_encoded(_ENCODER.encode(frame))
