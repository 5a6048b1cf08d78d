"""Sockets of the simulated venue: one stream a connection (v1), or many by JSON-RPC (v2).

Frames leave through a bounded queue; a client that does not read is cut off. Of a market that does
not exist the first kind says nothing at all, and a wrong depth gets no answer from the second.

Source: api.docs.extended.exchange; recorded on mainnet 2026-09 by public projects.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from typing import Any, Final

import msgspec
from aiohttp import WSMsgType, web

from venues.extended.simulator_feeds import Feeds, Told, Topic
from venues.extended.simulator_views import INTERVALS
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultKind, FaultPlan

Json = dict[str, Any]

_QUEUE_MAX: Final = 10_000
_PING_EVERY_S: Final = 15.0
_ENCODER: Final = msgspec.json.Encoder()
_CANDLES: Final = {"trades": "last", "mark-prices": "mark", "index-prices": "index"}
#: What a frame's type is called: in the first kind of socket, and in the second.
_WORDS: Final[dict[str, tuple[str | None, str]]] = {
    "SNAPSHOT": ("SNAPSHOT", "ORDERBOOKS.SNAPSHOT"),
    "DELTA": ("DELTA", "ORDERBOOKS.DELTA"),
    "TRADES": (None, "TRADES"),
    "MP": ("MP", "PRICES.MP"),
    "IP": ("IP", "PRICES.IP"),
    "FUNDING": (None, "FUNDING_RATES"),
    "CANDLE": (None, "CANDLE"),
}


class WrongParameters(ValueError):
    """A subscription of no known shape (-32602)."""


class NoAnswer(ValueError):
    """A subscription that the venue says nothing of."""


class Socket:
    """One connection: the queue, and what both kinds have in common. `first` is its first `seq`."""

    def __init__(
        self, request: web.Request, exchange: Exchange, faults: FaultPlan, feeds: Feeds, first: int
    ) -> None:
        self._request = request
        self._exchange = exchange
        self._faults = faults
        self._feeds = feeds
        self._seq = first
        self._socket = web.WebSocketResponse(heartbeat=_PING_EVERY_S, max_msg_size=1 << 20)
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(_QUEUE_MAX)

    async def serve(self) -> web.WebSocketResponse:
        """Talk to the client until one side ends the connection."""
        await self._socket.prepare(self._request)
        self._feeds.connect(self)
        writer = asyncio.create_task(self._write(), name="socket writer")
        try:
            self.begin()
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    self.receive(message.data)
        finally:
            self._feeds.disconnect(self)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return self._socket

    def begin(self) -> None:
        """Start what the connection is for."""

    def receive(self, text: str) -> None:
        """Hear a message."""

    def frame(self, told: Told) -> Json | None:
        """Write a frame but for its number and time; None for what is not followed."""
        raise NotImplementedError

    def kill(self) -> None:
        """Cut the connection without a closing frame."""
        transport = self._request.transport
        if transport is not None:
            transport.abort()

    def tell(self, told: Told, names: Collection[str] = ()) -> None:
        """Send a frame; one that is lost on the way has its number all the same."""
        content = self.frame(told)
        if content is None:
            return
        numbered = {**content, "ts": self._exchange.now_ms(), "seq": self._seq}
        self._seq += 1
        if self._faults.take(FaultKind.STALL, names):
            return
        encoded = _ENCODER.encode(numbered)
        self.put(encoded)
        if self._faults.take(FaultKind.DUPLICATE, names):
            self.put(encoded)

    def put(self, encoded: bytes) -> None:
        """Queue what is ready to be sent."""
        try:
            self._outgoing.put_nowait(encoded)
        except asyncio.QueueFull:
            self.kill()

    async def _write(self) -> None:
        while True:
            frame = await self._outgoing.get()
            try:
                await self._socket.send_str(frame.decode())
            except (ConnectionError, RuntimeError):
                return


class StreamSocket(Socket):
    """The first kind: one topic, chosen by the path; its frames are numbered from 1."""

    def __init__(
        self,
        request: web.Request,
        exchange: Exchange,
        faults: FaultPlan,
        feeds: Feeds,
        topic: Topic | None,
    ) -> None:
        super().__init__(request, exchange, faults, feeds, 1)
        self._topic = topic

    def begin(self) -> None:
        """Follow the topic; of none there is nothing to say."""
        if self._topic is not None:
            self._feeds.begin(self, self._topic)

    def frame(self, told: Told) -> Json:
        """Write a frame in this kind's way."""
        word = _WORDS.get(told.word, (told.word, ""))[0]
        return {"data": told.data} if word is None else {"type": word, "data": told.data}


class RpcSocket(Socket):
    """The second kind: many topics by JSON-RPC; frames of all are numbered together from 0."""

    def __init__(
        self, request: web.Request, exchange: Exchange, faults: FaultPlan, feeds: Feeds
    ) -> None:
        super().__init__(request, exchange, faults, feeds, 0)
        self._names: dict[Topic, str] = {}

    def frame(self, told: Told) -> Json | None:
        """Write a frame in this kind's way."""
        name = self._names.get(told.topic)
        if name is None:
            return None
        return {"type": _WORDS[told.word][1], "data": told.data, "subscription": name}

    def receive(self, text: str) -> None:
        """Answer a call."""
        try:
            call = json.loads(text)
        except ValueError:
            self._fail(None, -32700, "Parse error")
            return
        if not isinstance(call, dict) or not isinstance(call.get("method"), str):
            self._fail(None, -32600, "Invalid request")
            return
        call_id, method = call.get("id"), call["method"]
        try:
            self._answer(call_id, method, call.get("params"))
        except WrongParameters as wrong:
            self._fail(call_id, -32602, str(wrong))
        except NoAnswer:
            return

    def _answer(self, call_id: Any, method: str, parameters: Any) -> None:
        if method == "ping":
            self._succeed(call_id, method)
        elif method == "list-subscriptions":
            self._succeed(call_id, method, subscriptions=sorted(self._names.values()))
        elif method in ("subscribe", "unsubscribe"):
            topic, name = self._topic_of(parameters)
            if method == "unsubscribe":
                self._names.pop(topic, None)
                self._feeds.end(self, topic)
                self._succeed(call_id, method, subscription=name)
                return
            self._names[topic] = name
            self._succeed(call_id, method, subscription=name)
            self._feeds.begin(self, topic)
        else:
            self._fail(call_id, -32601, "Method not found")

    def _topic_of(self, parameters: Any) -> tuple[Topic, str]:
        """Return the topic that a subscription names, and what the venue calls it."""
        if not isinstance(parameters, dict) or not isinstance(parameters.get("selector"), dict):
            raise WrongParameters("expected scope and selector")
        scope, selector = parameters.get("scope"), parameters["selector"]
        market = selector.get("market")
        if market not in self._exchange.tables.instruments:
            raise WrongParameters(f"unknown market {market!r}")
        match scope:
            case "orderbooks":
                depth = selector.get("depth", "full")
                if depth not in ("full", "1"):
                    raise NoAnswer(str(depth))
                if depth == "1":
                    return Topic("top", market), f"orderbooks.1.{market}"
                return Topic("book", market), f"orderbooks.{market}"
            case "trades":
                return Topic("trades", market), f"trades.{market}"
            case "funding-rates":
                return Topic("funding", market), f"funding-rates.{market}"
            case "prices" if selector.get("type") in ("mark", "index"):
                kind = str(selector["type"])
                return Topic(kind, market), f"prices.{kind}.{market}"
            case "candles" if selector.get("interval") in INTERVALS:
                kind, interval = selector.get("type"), selector["interval"]
                if kind in _CANDLES.values():
                    name = f"candles.{kind}.{market}.{interval}"
                    return Topic("candles", market, interval), name
        raise WrongParameters(f"unknown scope {scope!r}")

    def _succeed(self, call_id: Any, method: str, **more: Any) -> None:
        result = {"method": method, "status": "OK", **more}
        self.put(_ENCODER.encode({"id": call_id, "result": result, "jsonrpc": "2.0"}))

    def _fail(self, call_id: Any, code: int, text: str) -> None:
        error = {"code": code, "message": text}
        self.put(_ENCODER.encode({"id": call_id, "error": error, "jsonrpc": "2.0"}))


def stream_topic(
    exchange: Exchange, kind: str, market: str, query: dict[str, str], price: str | None
) -> Topic | None:
    """Return the topic that a path of the first kind names; None for what does not exist."""
    if market not in exchange.tables.instruments:
        return None
    match kind:
        case "orderbooks":
            return Topic("top" if query.get("depth") == "1" else "book", market)
        case "publicTrades":
            return Topic("trades", market)
        case "funding":
            return Topic("funding", market)
        case "prices" if price in ("mark", "index"):
            return Topic(str(price), market)
        case "candles" if price in _CANDLES and query.get("interval") in INTERVALS:
            return Topic("candles", market, query["interval"])
    return None
