"""Sockets of the simulated venue: one stream a connection (v1), or many by JSON-RPC (v2).

Frames leave through a bounded queue; a client that does not read is cut off. Of a market that does
not exist the first kind says nothing at all, and a wrong depth gets no answer from the second.

Source: api.docs.extended.exchange; recorded on mainnet 2026-09 by public projects.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, Final

import msgspec
from aiohttp import web

from venues.extended.simulator_feeds import Feeds, Told, Topic
from venues.extended.simulator_views import INTERVALS
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultPlan
from venues.simulation.socket import ClientSocket

Json = dict[str, Any]

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


class Numbered:
    """Frames of one connection, numbered as they are sent: what is lost on the way has a number."""

    def __init__(
        self, request: web.Request, exchange: Exchange, faults: FaultPlan, first: int
    ) -> None:
        self._exchange = exchange
        self._seq = first
        self.socket: ClientSocket[Topic, str] = ClientSocket(
            request, faults, ping_every_s=_PING_EVERY_S
        )

    def send(self, content: Json, names: Collection[str]) -> None:
        """Send a frame with its time and number."""
        frame = {**content, "ts": self._exchange.now_ms(), "seq": self._seq}
        self._seq += 1
        self.socket.send_encoded(_ENCODER.encode(frame), names)


class StreamSocket:
    """The first kind: one topic, chosen by the path; its frames are numbered from 1."""

    def __init__(
        self,
        request: web.Request,
        exchange: Exchange,
        faults: FaultPlan,
        feeds: Feeds,
        topic: Topic | None,
    ) -> None:
        self._feeds = feeds
        self._topic = topic
        self._frames = Numbered(request, exchange, faults, 1)

    async def serve(self) -> web.WebSocketResponse:
        """Follow the topic until one side ends the connection; of none there is nothing to say."""
        self._feeds.connect(self)
        try:
            if self._topic is not None:
                self._feeds.begin(self, self._topic)
            return await self._frames.socket.serve(lambda text: None)
        finally:
            self._feeds.disconnect(self)

    def tell(self, told: Told, names: Collection[str] = ()) -> None:
        """Send a frame in this kind's way."""
        word = _WORDS.get(told.word, (told.word, ""))[0]
        content = {"data": told.data} if word is None else {"type": word, "data": told.data}
        self._frames.send(content, names)

    def kill(self) -> None:
        """Cut the connection."""
        self._frames.socket.kill()


class RpcSocket:
    """The second kind: many topics by JSON-RPC; frames of all are numbered together from 0."""

    def __init__(
        self, request: web.Request, exchange: Exchange, faults: FaultPlan, feeds: Feeds
    ) -> None:
        self._exchange = exchange
        self._feeds = feeds
        self._frames = Numbered(request, exchange, faults, 0)
        self._names = self._frames.socket.subscriptions

    async def serve(self) -> web.WebSocketResponse:
        """Talk to the client until one side ends the connection."""
        self._feeds.connect(self)
        try:
            return await self._frames.socket.serve(self._receive)
        finally:
            self._feeds.disconnect(self)

    def tell(self, told: Told, names: Collection[str] = ()) -> None:
        """Send a frame in this kind's way; what is followed no longer is not told."""
        name = self._names.get(told.topic)
        if name is not None:
            content = {"type": _WORDS[told.word][1], "data": told.data, "subscription": name}
            self._frames.send(content, names)

    def kill(self) -> None:
        """Cut the connection."""
        self._frames.socket.kill()

    def _receive(self, text: str) -> None:
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
        self._frames.socket.send_encoded(
            _ENCODER.encode({"id": call_id, "result": result, "jsonrpc": "2.0"})
        )

    def _fail(self, call_id: Any, code: int, text: str) -> None:
        error = {"code": code, "message": text}
        self._frames.socket.send_encoded(
            _ENCODER.encode({"id": call_id, "error": error, "jsonrpc": "2.0"})
        )


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
