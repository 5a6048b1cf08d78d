"""The operator's port of a simulator: an independent witness, and the hand that breaks things.

Not the venue's wire and not our API: JSON over HTTP on the loopback interface, no authentication.
Symbols are ours (`BTC-PERP`) or the venue's (`BTC`), numbers are strings, wrong input answers 400
and what makes no sense now 409, both `{"error": text}`.

| request | body or query | answer |
|---|---|---|
| GET /healthz | | `{"status","venue","endpoint","ws_endpoint"}` |
| POST /price | `{"symbol","price","oracle_price"?}` | `{"symbol","price","previous_price"}` |
| POST /walk | `{"symbol","steps","step_bps","interval_ms"?,"seed"?}` | `{"symbol","price"}` |
| DELETE /walk | | `{"stopped": n}`: ends walks that run with an interval |
| POST /fill | `{"venue_order_id" or "client_order_id" or "symbol", "account"?, | the order |
| | "quantity"?, "price"?}`; a symbol: its oldest resting order; no quantity: all of it | |
| GET, POST, DELETE /faults | `{"kind","count"?,"action"?,"delay_ms"?}`; count 0: until cleared | |
| DELETE /faults/{id} | | `{"cleared": n}` |
| POST /maintenance | `{"on": bool}` | the same; sockets are cut |
| GET /book | `?symbol=` | `{"symbol","mark_price","bids":[[price,quantity]],"asks"}` |
| GET /ledger | `?account=` | `{"orders","fills","positions","balances"}`, the whole truth |
| GET, POST /accounts | `{"balance"?,"name"?}` | a funded account with its keys |
| POST /deposit | `{"address","amount"}`; negative takes out | `{"address","cash"}` |
| GET, POST /clock | `{"offset_ms"}` or `{"advance_ms"}` | `{"now_ms","offset_ms"}` |
| POST /funding | `{"symbol","rate"?}` | `{"symbol","rate"}` |
| GET, POST /switches | any of `venues.simulation.switches` | all of them |
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec
from aiohttp import web

from venues.simulation import operations
from venues.simulation.exchange import Exchange
from venues.simulation.faults import Fault, FaultKind, FaultPlan, UnknownFault, fault_kind
from venues.simulation.ledger import balances, ledger
from venues.simulation.lifecycle import is_in_book
from venues.simulation.ownership import move_cash
from venues.simulation.records import Order
from venues.simulation.trading import live_order
from venues.simulation.venue import VenueSimulator

Json = dict[str, Any]

_DEFAULT_BALANCE: Final = Decimal(100_000)
_BOOK_DEPTH: Final = 50
_STEPS_MAX: Final = 10_000
_ENCODER: Final = msgspec.json.Encoder()


class BadInput(ValueError):
    """The request's body or query is not what the operation needs."""


class ControlPort:
    """The control application over one exchange and its venue's wire."""

    def __init__(
        self, exchange: Exchange, faults: FaultPlan, simulator: VenueSimulator, venue: str
    ) -> None:
        self._exchange = exchange
        self._faults = faults
        self._simulator = simulator
        self._venue = venue
        self._maintenance: Fault | None = None
        self._walks: set[asyncio.Task[None]] = set()
        #: Set by the server once its port is known.
        self.endpoint = ""
        self.application = web.Application(middlewares=[self._errors])
        self.application.on_cleanup.append(self._on_cleanup)
        self._add_routes()

    def _add_routes(self) -> None:
        routes: list[tuple[str, str, Callable[[web.Request], Awaitable[web.Response]]]] = [
            ("GET", "/healthz", self._health),
            ("POST", "/price", self._price),
            ("POST", "/walk", self._walk),
            ("DELETE", "/walk", self._stop_walks),
            ("POST", "/fill", self._fill),
            ("GET", "/faults", self._list_faults),
            ("POST", "/faults", self._add_fault),
            ("DELETE", "/faults", self._clear_faults),
            ("DELETE", r"/faults/{fault_id:\d+}", self._clear_faults),
            ("POST", "/maintenance", self._set_maintenance),
            ("GET", "/book", self._book),
            ("GET", "/ledger", self._ledger),
            ("GET", "/accounts", self._list_accounts),
            ("POST", "/accounts", self._open_account),
            ("POST", "/deposit", self._deposit),
            ("GET", "/clock", self._read_clock),
            ("POST", "/clock", self._set_clock),
            ("POST", "/funding", self._funding),
            ("GET", "/switches", self._read_switches),
            ("POST", "/switches", self._set_switches),
        ]
        for method, path, handler in routes:
            self.application.router.add_route(method, path, handler)

    @web.middleware
    async def _errors(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except (BadInput, UnknownFault) as error:
            return _json({"error": str(error)}, status=400)
        except operations.CannotDo as error:
            return _json({"error": str(error)}, status=409)

    async def _on_cleanup(self, application: web.Application) -> None:
        del application
        await self._cancel_walks()

    @property
    def _ws_endpoint(self) -> str:
        return "ws" + self.endpoint.removeprefix("http") + "/ws"

    async def _health(self, request: web.Request) -> web.Response:
        del request
        return _json(
            {
                "status": "ok",
                "venue": self._venue,
                "endpoint": self.endpoint,
                "ws_endpoint": self._ws_endpoint,
            }
        )

    # Prices and executions.

    async def _price(self, request: web.Request) -> web.Response:
        body = await _body(request)
        symbol = self._symbol(body)
        previous = self._exchange.tables.markets[symbol].mark_price
        oracle = _decimal(body, "oracle_price") if "oracle_price" in body else None
        price = _decimal(body, "price")
        receipt = operations.set_price(self._exchange, symbol, price, oracle_price=oracle)
        await self._exchange.durable(receipt)
        return _json({"symbol": symbol, "price": str(price), "previous_price": str(previous)})

    async def _walk(self, request: web.Request) -> web.Response:
        body = await _body(request)
        symbol = self._symbol(body)
        steps, step_bps = _integer(body, "steps", 1), _integer(body, "step_bps", 10)
        interval_ms, seed = _integer(body, "interval_ms", 0), body.get("seed")
        if not 0 < steps <= _STEPS_MAX or step_bps <= 0:
            raise BadInput(f"steps: expected 1 to {_STEPS_MAX}, and step_bps above 0")
        source = random.Random(f"{self._exchange.seed if seed is None else seed}/walk/{symbol}")
        if interval_ms > 0:
            walk = self._walk_slowly(symbol, source, steps, step_bps, interval_ms)
            task = asyncio.create_task(walk, name=f"walk {symbol}")
            self._walks.add(task)
            task.add_done_callback(self._walks.discard)
        else:
            for _ in range(steps):
                receipt = operations.step_price(self._exchange, symbol, source, step_bps)
                await self._exchange.durable(receipt)
        price = self._exchange.tables.markets[symbol].mark_price
        return _json({"symbol": symbol, "price": str(price)})

    async def _walk_slowly(
        self, symbol: str, source: random.Random, steps: int, step_bps: int, interval_ms: int
    ) -> None:
        for _ in range(steps):
            operations.step_price(self._exchange, symbol, source, step_bps)
            await asyncio.sleep(interval_ms / 1_000)

    async def _stop_walks(self, request: web.Request) -> web.Response:
        del request
        return _json({"stopped": await self._cancel_walks()})

    async def _cancel_walks(self) -> int:
        walks = tuple(self._walks)
        for task in walks:
            task.cancel()
        await asyncio.gather(*walks, return_exceptions=True)
        return len(walks)

    async def _fill(self, request: web.Request) -> web.Response:
        body = await _body(request)
        order = self._find_order(body)
        quantity = _decimal(body, "quantity") if body.get("quantity") is not None else None
        price = _decimal(body, "price") if body.get("price") is not None else None
        receipt = operations.fill_order(self._exchange, order, quantity, price)
        await self._exchange.durable(receipt)
        return _json(
            {
                "venue_order_id": str(order.venue_order_id),
                "client_order_id": order.client_order_id,
                "filled_quantity": str(order.filled),
                "status": self._simulator.order_status(order),
            }
        )

    def _find_order(self, body: Json) -> Order:
        """Find the order that a fill names: by id, or the oldest resting one of a symbol."""
        tables = self._exchange.tables
        account = body.get("account")
        reference = body.get("venue_order_id") or body.get("client_order_id")
        if reference is None:
            symbol = self._symbol(body)
            for orders in tables.live_orders.values():
                for order in orders.values():
                    fits = order.symbol == symbol and account in (None, order.account)
                    if fits and is_in_book(order):
                        return order
            raise operations.CannotDo(f"symbol: expected a resting order of {symbol}; found none")
        try:
            wanted = self._simulator.order_reference(str(reference))
        except ValueError as error:
            raise BadInput(f"order: {error}") from error
        if isinstance(wanted, int):
            order_by_id = tables.orders.get(wanted)
            if order_by_id is not None:
                return order_by_id
        else:
            for owner in tables.accounts:
                found = live_order(tables, owner, wanted)
                if found is not None and account in (None, owner):
                    return found
        raise operations.CannotDo(f"order: expected an order {reference!r}; found none live")

    async def _funding(self, request: web.Request) -> web.Response:
        body = await _body(request)
        symbol = self._symbol(body)
        rate = _decimal(body, "rate") if body.get("rate") is not None else None
        await self._exchange.durable(operations.pay_funding(self._exchange, symbol, rate))
        rate = self._exchange.tables.markets[symbol].funding_rate
        return _json({"symbol": symbol, "rate": str(rate)})

    # Faults.

    async def _list_faults(self, request: web.Request) -> web.Response:
        del request
        return _json({"faults": [_fault(one) for one in self._faults.listed()]})

    async def _add_fault(self, request: web.Request) -> web.Response:
        body = await _body(request)
        kind = fault_kind(str(body.get("kind")))
        lasting = kind in (FaultKind.STALL, FaultKind.MAINTENANCE, FaultKind.UPGRADE_GATE)
        count = _integer(body, "count", 0 if lasting else 1)
        delay_ms = _integer(body, "delay_ms", 0)
        if kind in (FaultKind.DELAY, FaultKind.DELAY_ANSWER) and delay_ms <= 0:
            raise BadInput(f"delay_ms: expected milliseconds above 0; found {delay_ms}")
        if count < 0:
            raise BadInput(f"count: expected 0 (until cleared) or more; found {count}")
        action = body.get("action")
        if action is not None and not isinstance(action, str):
            raise BadInput(f"action: expected the name of an action; found {action!r}")
        fault = self._faults.add(kind, count=count or None, action=action, delay_ms=delay_ms)
        if kind is FaultKind.MAINTENANCE:
            await self._simulator.close_sockets()
        return _json(_fault(fault))

    async def _clear_faults(self, request: web.Request) -> web.Response:
        text = request.match_info.get("fault_id")
        return _json({"cleared": self._faults.clear(int(text) if text else None)})

    async def _set_maintenance(self, request: web.Request) -> web.Response:
        body = await _body(request)
        on = body.get("on")
        if not isinstance(on, bool):
            raise BadInput(f"on: expected true or false; found {on!r}")
        if self._maintenance is not None:
            self._faults.clear(self._maintenance.fault_id)
            self._maintenance = None
        if on:
            self._maintenance = self._faults.add(FaultKind.MAINTENANCE, count=None)
            await self._simulator.close_sockets()
        return _json({"on": on})

    # What is true.

    async def _book(self, request: web.Request) -> web.Response:
        symbol = self._symbol({"symbol": request.query.get("symbol")})
        book = self._exchange.tables.books[symbol]
        sides = {
            name: [[str(one.price), str(one.quantity)] for one in ladder.levels(_BOOK_DEPTH)]
            for name, ladder in (("bids", book.bids), ("asks", book.asks))
        }
        mark = self._exchange.tables.markets[symbol].mark_price
        return _json({"symbol": symbol, "mark_price": str(mark), **sides})

    async def _ledger(self, request: web.Request) -> web.Response:
        account = request.query.get("account")
        wanted = self._address(account) if account else None
        return _json(ledger(self._exchange.tables, self._simulator.order_status, wanted))

    async def _list_accounts(self, request: web.Request) -> web.Response:
        del request
        return _json({"accounts": balances(self._exchange.tables, None)})

    async def _open_account(self, request: web.Request) -> web.Response:
        body = await _body(request)
        balance = _DEFAULT_BALANCE
        if body.get("balance") is not None:
            balance = _decimal(body, "balance")
        if balance < 0:
            raise BadInput(f"balance: expected 0 or more; found {balance}")
        account = await self._simulator.open_account(balance, str(body.get("name") or ""))
        return _json({"endpoint": self.endpoint, "ws_endpoint": self._ws_endpoint, **account})

    async def _deposit(self, request: web.Request) -> web.Response:
        body = await _body(request)
        address, amount = self._address(str(body.get("address"))), _decimal(body, "amount")
        account = self._exchange.tables.accounts.get(address)
        if account is None:
            raise operations.CannotDo(f"address: expected an account; found none at {address!r}")
        with self._exchange.action("deposit") as receipt:
            kind = "deposit" if amount >= 0 else "withdraw"
            move_cash(self._exchange.tables, account, amount, kind)
        await self._exchange.durable(receipt)
        return _json({"address": address, "cash": str(account.cash)})

    # Clock and switches.

    async def _read_clock(self, request: web.Request) -> web.Response:
        del request
        clock = self._exchange.clock
        return _json({"now_ms": clock.now_ms(), "offset_ms": clock.offset_ms})

    async def _set_clock(self, request: web.Request) -> web.Response:
        body = await _body(request)
        clock = self._exchange.clock
        if "offset_ms" in body:
            offset_ms = _integer(body, "offset_ms", 0)
        elif "advance_ms" in body:
            offset_ms = clock.offset_ms + _integer(body, "advance_ms", 0)
        else:
            raise BadInput("expected offset_ms or advance_ms")
        await self._exchange.durable(self._exchange.shift_clock(offset_ms))
        return await self._read_clock(request)

    async def _read_switches(self, request: web.Request) -> web.Response:
        del request
        return _json(msgspec.to_builtins(self._exchange.switches))

    async def _set_switches(self, request: web.Request) -> web.Response:
        present = msgspec.to_builtins(self._exchange.switches)
        try:
            wanted = {**present, **await _body(request)}
            self._exchange.switches = msgspec.convert(wanted, type(self._exchange.switches))
        except msgspec.ValidationError as error:
            raise BadInput(f"switches: {error}") from error
        return await self._read_switches(request)

    def _address(self, text: str) -> str:
        """Return an address as the exchange has it: hexadecimal ones in any case, others as is."""
        return text if text in self._exchange.tables.accounts else text.lower()

    def _symbol(self, body: Json) -> str:
        wanted = body.get("symbol")
        symbol = self._simulator.venue_symbol(wanted) if isinstance(wanted, str) else ""
        if symbol not in self._exchange.tables.instruments:
            known = ", ".join(self._exchange.tables.instruments)
            raise BadInput(f"symbol: expected one of {known}; found {wanted!r}")
        return symbol


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=_ENCODER.encode(value), content_type="application/json")


async def _body(request: web.Request) -> Json:
    content = await request.read()
    try:
        value = msgspec.json.decode(content or b"{}")
    except msgspec.DecodeError as error:
        raise BadInput(f"expected a JSON object; {error}") from error
    if not isinstance(value, dict):
        raise BadInput(f"expected a JSON object; found {type(value).__name__}")
    return value


def _decimal(body: Json, name: str) -> Decimal:
    value = body.get(name)
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or isinstance(value, bool):
        raise BadInput(f"{name}: expected a number; found {value!r}")
    return number


def _integer(body: Json, name: str, default: int) -> int:
    value = body.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadInput(f"{name}: expected an integer; found {value!r}")
    return value


def _fault(fault: Fault) -> Json:
    return {
        "id": fault.fault_id,
        "kind": fault.kind.value,
        "count": fault.remaining,
        "action": fault.action,
        "delay_ms": fault.delay_ms,
        "applied": fault.applied,
    }
