"""The simulated seventh venue: its routes and its socket over an exchange of ours.

It imports nothing of the connector: it reads, verifies and writes with code of its own.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final

import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.seventh.venue import simulator_views as views
from tests.seventh.venue import wire
from tests.seventh.venue.simulator_commands import Business, Refused
from venues.simulation.commands import CommandFaults, ConnectionDropped
from venues.simulation.events import (
    AccountChanged,
    Event,
    Filled,
    MarketMoved,
    OrderChanged,
    Traded,
)
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultKind, FaultPlan
from venues.simulation.instruments import Instrument
from venues.simulation.listeners import Listeners
from venues.simulation.ownership import open_account
from venues.simulation.records import Agent, Order
from venues.simulation.routes import cut, garbled, query_fault, venue_application
from venues.simulation.socket import ClientSocket

_ENCODER: Final = msgspec.json.Encoder()
_FOR_EVER_MS: Final = 4_000_000_000_000
_PRICES_EVERY_S: Final = 1.0
_ACCOUNT: Final = "account"

Client = ClientSocket[str, None]


def _market(symbol: str, price: str, *, tick: int, lot: int, leverage: int) -> Instrument:
    return Instrument(
        symbol=symbol,
        size_decimals=lot,
        price_decimals=tick,
        significant_figures=30,
        max_leverage=leverage,
        start_price=Decimal(price),
    )


INSTRUMENTS: Final = (
    _market("btc-usd", "65000", tick=0, lot=5, leverage=50),
    _market("eth-usd", "2500", tick=2, lot=3, leverage=25),
    _market("1000pepe-usd", "0.01", tick=6, lot=0, leverage=10),
)


class SeventhSimulator:
    """The venue's wire over one exchange."""

    def __init__(self, exchange: Exchange, faults: FaultPlan) -> None:
        self._exchange = exchange
        self._faults = faults
        self._commands = CommandFaults(exchange, faults)
        self._business = Business(exchange)
        self._listeners: Listeners[str, None] = Listeners()
        exchange.listeners.append(self._publish)
        self.application = venue_application(exchange, faults, self)
        router = self.application.router
        router.add_post("/v1/do", self._serve_command)
        router.add_post("/v1/whoami", self._serve_command)
        router.add_get("/v1/{question}", self._serve_query)
        router.add_get("/ws", self._serve_socket)

    def venue_symbol(self, symbol: str) -> str:
        """Return the exchange's symbol for ours or its own."""
        return symbol.removesuffix("-PERP").removesuffix("-usd").lower() + "-usd"

    def order_reference(self, text: str) -> int | str:
        """Return the order id or tag that `text` spells: a tag has 32 digits."""
        return int(text) if len(text) < 19 else text

    def order_status(self, order: Order) -> str:
        """Return the venue's word for the order's state."""
        return views.order(order).status

    async def open_account(self, balance: Decimal, name: str) -> dict[str, str]:
        """Fund a fresh account with a key that trades and one that withdraws as well."""
        address = f"acc{secrets.token_hex(6)}"
        keys = {rights: Ed25519PrivateKey.generate() for rights in ("trade", "trade,withdraw")}
        with self._exchange.action("open_account") as receipt:
            open_account(self._exchange.tables, address, balance, name=name)
            for rights, key in keys.items():
                agent = Agent(
                    address=_public(key), account=address, valid_until_ms=_FOR_EVER_MS, name=rights
                )
                self._exchange.tables.record(agent)
        await self._exchange.durable(receipt)
        return {
            "address": address,
            "key": _public(keys["trade"]),
            "private_key": keys["trade"].private_bytes_raw().hex(),
            "strong_key": keys["trade,withdraw"].private_bytes_raw().hex(),
        }

    async def close_sockets(self) -> None:
        """Cut every socket."""
        self.kill_all()

    # HTTP.

    async def _serve_command(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        names = _names(body)
        try:
            fault = await self._commands.before(names)
            if fault is not None:
                return _gateway(429 if fault is FaultKind.RATE_LIMIT else 500)
            with self._exchange.action(names[0]) as receipt:
                response = self._said(lambda: self._business.do(body, request.headers))
            await self._exchange.durable(receipt)
            fault = await self._commands.after(names)
        except ConnectionDropped:
            return cut(request)
        if fault is FaultKind.ERROR_AFTER_APPLY:
            return _gateway(504)
        if fault is FaultKind.GARBLE:
            assert isinstance(response.body, bytes)
            response.body = response.body[: len(response.body) // 2]
        return response

    async def _serve_query(self, request: web.Request) -> web.StreamResponse:
        question = request.match_info["question"]
        names = ("query", question)
        fault = await query_fault(request, self._faults, names, _gateway)
        if fault is not None:
            return fault
        response = self._said(lambda: views.answer(self._exchange, question, request.query))
        assert isinstance(response.body, bytes)
        response.body = garbled(response.body, self._faults, names)
        return response

    def _said(self, ask: Callable[[], object]) -> web.Response:
        """Write an answer around what `ask` returns, or around its refusal."""
        now_ms = self._exchange.now_ms()
        try:
            answer = wire.Answer(ok=True, time=now_ms, data=msgspec.Raw(_ENCODER.encode(ask())))
        except (Refused, views.NoAnswer) as refused:
            error = wire.Refused(code=refused.code, text=str(refused))
            answer = wire.Answer(ok=False, time=now_ms, error=error)
        return web.Response(
            status=200 if answer.ok else 422,
            body=_ENCODER.encode(answer),
            content_type="application/json",
        )

    # The socket.

    async def _serve_socket(self, request: web.Request) -> web.StreamResponse:
        client: Client = ClientSocket(request, self._faults)
        self._listeners.connect(client)
        try:
            return await client.serve(lambda text: self._receive(client, text))
        finally:
            self._listeners.disconnect(client)

    def _receive(self, client: Client, text: str) -> None:
        asked = json.loads(text)
        op, topic = asked["op"], asked.get("topic", "pong")
        if op == "leave":
            self._listeners.leave(client, topic)
        elif op == "follow":
            kind, _, of = topic.partition(":")
            known: Any = self._exchange.tables.accounts
            if kind != _ACCOUNT:
                of, known = of.partition(":")[0], self._exchange.tables.instruments
            if of not in known:
                client.send_encoded(_frame(topic, error="nothing of that name"))
                return
            self._listeners.follow(client, topic, None)
        client.send_encoded(_frame(topic, ok=True))
        if op == "follow" and not topic.startswith("trades"):
            client.send_encoded(self._present(topic))

    def _present(self, topic: str) -> bytes:
        """Write the present state of a topic."""
        kind, _, of = topic.partition(":")
        if kind == _ACCOUNT:
            account = views.account(self._exchange, of)
            return _frame(topic, data=wire.News(orders=[], fills=[], account=account))
        market, _, span = of.partition(":")
        match kind:
            case "book":
                return _frame(topic, data=views.book(self._exchange, market))
            case "candles":
                return _frame(topic, data=views.candles(self._exchange, market, span, {})[-1])
            case _:
                return _frame(topic, data=views.price(self._exchange, market))

    def _publish(self, events: Sequence[Event]) -> None:
        """Send what one action did: to each account in one frame, to each market's topics."""
        names = (self._exchange.published_action,)
        orders: dict[str, list[wire.Order]] = {}
        fills: dict[str, list[wire.Fill]] = {}
        traded: dict[str, list[wire.Trade]] = {}
        accounts, moved = dict[str, None](), dict[str, None]()
        for event in events:
            match event:
                case OrderChanged():
                    orders.setdefault(event.order.account, []).append(views.order(event.order))
                case Filled():
                    fills.setdefault(event.fill.account, []).append(views.fill(event.fill))
                case Traded():
                    trade = event.trade
                    traded.setdefault(trade.symbol, []).append(views.trade(trade))
                case AccountChanged():
                    accounts[event.address] = None
                case MarketMoved():
                    moved[event.symbol] = None
                case _:
                    pass
        for of in {**accounts, **orders, **fills}:
            news = (orders.get(of, []), fills.get(of, []))
            self._listeners.send(f"{_ACCOUNT}:{of}", partial(self._news, of, *news), names)
        for symbol, rows in traded.items():
            topic = f"trades:{symbol}"
            self._listeners.send(topic, partial(_frame, topic, data=rows), names)
        for topic in self._listeners.wanted():
            kind, _, of = topic.partition(":")
            if kind in ("book", "candles") and of.partition(":")[0] in {**moved, **traded}:
                self._listeners.send(topic, partial(self._present, topic), names)

    def _news(self, of: str, orders: list[wire.Order], fills: list[wire.Fill]) -> bytes:
        account = views.account(self._exchange, of)
        data = wire.News(orders=orders, fills=fills, account=account)
        return _frame(f"{_ACCOUNT}:{of}", data=data)

    def pass_time(self) -> None:
        """Send prices and books that are due, and cut clients that say nothing."""
        if self._listeners.is_due("prices", _PRICES_EVERY_S):
            for topic in self._listeners.wanted():
                if topic.startswith(("price:", "book:")):
                    self._listeners.send(topic, partial(self._present, topic), (topic,))
        self._listeners.cut_silent(self._exchange.switches.socket_silence_ms / 1_000)

    def kill_all(self) -> None:
        """Cut every socket."""
        self._listeners.kill_all()


def _names(body: bytes) -> tuple[str, ...]:
    """Return what faults know a command by: what it says that it does."""
    try:
        read = json.loads(body)
        return (str(read["do"]),)
    except (ValueError, KeyError, TypeError):
        return ("nothing",)


def _gateway(status: int) -> web.Response:
    return web.Response(status=status, text="Gateway")


def _frame(topic: str, *, ok: bool = False, data: object = None, error: str | None = None) -> bytes:
    raw = msgspec.Raw(_ENCODER.encode(data))
    return _ENCODER.encode(wire.Frame(topic=topic, ok=ok, data=raw, error=error))


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


def simulator(
    exchange: Exchange, faults: FaultPlan, environment: Mapping[str, str]
) -> SeventhSimulator:
    """Build the venue's wire over an exchange."""
    return SeventhSimulator(exchange, faults)
