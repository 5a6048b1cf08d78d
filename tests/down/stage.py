"""The stack of this room: real processes over a real PostgreSQL, and the ways to look from outside.

What is asserted is what a user sees: REST, the command line, the sockets, and the exchange's own
ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.crash.rig import ORDER_OF_START, Rig, eventually
from tests.crash.trader import Trader
from tests.down.venue_door import VenueDoor
from tests.storage.postgres import RunningPostgres

T = TypeVar("T")

QUANTITY = "0.01"
SYMBOL = "BTC-PERP"
#: The exchange's price as each test begins, what conditions wait for, and a price beyond that.
PRICE, TRIGGER, CROSSED = "65000", "64000", "63900"
OURS = ("worker", "api", "streaming")
#: All is back within so long of the cause being mended, on a busy machine.
BACK_WITHIN_S = 40.0


class DownRig(Rig):
    """A rig whose processes reach the exchange through a door."""

    def __init__(self, home: Path, door: VenueDoor) -> None:
        super().__init__(home)
        door.target_port = self.ports.simulators["sim"]
        address = {"HYPERLIQUID_PAPER_URL": f"http://127.0.0.1:{door.port}"}
        for name in OURS:
            spec = self._specs[name]
            self._specs[name] = replace(spec, environment={**spec.environment, **address})

    @property
    def streaming_url(self) -> str:
        """Where the sockets are."""
        return f"ws://127.0.0.1:{self.ports.streaming}"


@dataclass(frozen=True)
class Result:
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def problem(self) -> dict[str, Any]:
        """The problem document that a failed command printed."""
        found: dict[str, Any] = json.loads(self.err.splitlines()[-1])
        return found


class Socket:
    """One subscribed client and everything it was told."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.heard: list[dict[str, Any]] = []
        self.closed_with: int | None = None

    async def listen(self) -> None:
        """Take down what is said until the connection ends."""
        try:
            async for text in self.connection:
                self.heard.append(json.loads(text))
        except ConnectionClosed:
            pass
        self.closed_with = self.connection.close_code

    async def until(
        self, is_it: Callable[[dict[str, Any]], bool], what: str, *, within_s: float = 20.0
    ) -> dict[str, Any]:
        """Return the first message, from the first one on, of which `is_it` holds."""

        async def look() -> list[dict[str, Any]]:
            return [message for message in self.heard if is_it(message)]

        return (await eventually(look, within_s=within_s, what=what))[0]

    async def until_closed(self, *, within_s: float = 10.0) -> None:
        """Wait until the connection has ended; `closed_with` says how."""

        async def look() -> int | None:
            return self.closed_with

        await eventually(look, within_s=within_s, what="the socket to be closed")

    async def status(self, *, stale: bool, within_s: float = 20.0) -> dict[str, Any]:
        """Return the status once the newest one says so."""

        async def look() -> dict[str, Any]:
            told = [message for message in self.heard if message["type"] == "status"]
            return told[-1] if told and told[-1]["stale"] is stale else {}

        return await eventually(look, within_s=within_s, what=f"a status with stale={stale}")

    async def of_order(self, order_id: str, status: str, *, within_s: float = 20.0) -> None:
        """Wait until the order was shown in a state, in a snapshot or an update."""

        def shows(message: dict[str, Any]) -> bool:
            shown = message.get("orders") or [message.get("order") or {}]
            return any((o.get("order_id"), o.get("status")) == (order_id, status) for o in shown)

        await self.until(shows, f"order {order_id} as {status}", within_s=within_s)


@dataclass(frozen=True)
class Stage:
    """A stack with an account, and what tests do to it."""

    rig: DownRig
    door: VenueDoor
    trader: Trader
    #: Trades with another account, the one that kill switches are tried on.
    other: Trader
    postgres: RunningPostgres
    database: str
    one_command_line: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def account(self) -> str:
        return self.trader.account_id

    # Asking

    async def request(
        self, method: str, path: str, *, key: str | None = None, wait_s: float = 2, **request: Any
    ) -> httpx2.Response:
        """Ask the API once, whatever it answers."""
        headers = {"Prefer": f"wait={wait_s:g}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        return await self.trader._once(method, f"/api/v1{path}", headers=headers, **request)

    async def ready(self) -> httpx2.Response:
        """Ask the API whether it can do its work."""
        async with httpx2.AsyncClient(base_url=self.rig.api_url, timeout=10) as client:
            return await client.get("/readyz")

    async def place(self, key: str, *, wait_s: float = 2, **order: Any) -> httpx2.Response:
        """Try once to place an order."""
        body = {"account": self.account, "symbol": SYMBOL, "quantity": QUANTITY, **order}
        return await self.request("POST", "/orders", key=key, wait_s=wait_s, json=body)

    async def resting(self, price: str, **more: Any) -> dict[str, Any]:
        """Place an order that rests, at a price of its own."""
        order = await self.trader.place(
            f"resting-{price}", symbol=SYMBOL, side="BUY", quantity=QUANTITY, price=price, **more
        )
        assert order["status"] == "ACCEPTED", order
        return order

    async def bought(self, key: str, symbol: str = SYMBOL) -> dict[str, Any]:
        """Open a position by a market order."""
        market: dict[str, Any] = {"order_type": "MARKET", "time_in_force": "IOC"}
        order = await self.trader.place(key, symbol=symbol, side="BUY", quantity=QUANTITY, **market)
        assert order["status"] == "FILLED", order
        return order

    async def guard(self, key: str) -> str:
        """Have the position closed when the price falls; return the condition's id."""
        path = f"/positions/{self.account}:{SYMBOL}/conditions"
        body = {"price": TRIGGER, "direction": "below"}
        set_ = await self.request("POST", path, key=f"guard-{key}", wait_s=20, json=body)
        assert (set_.status_code, set_.json()["status"]) == (201, "WATCHING"), set_.text
        return str(set_.json()["condition_id"])

    async def condition(self, condition_id: str) -> dict[str, Any]:
        """Return a condition as the API shows it."""
        answer = await self.request("GET", f"/conditions/{condition_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def let_the_price_fall(self) -> None:
        """Have the exchange's price cross what `guard` waits for."""
        await self.rig.control("POST", "/price", {"symbol": SYMBOL, "price": CROSSED})

    async def others_order(self, price: str) -> dict[str, Any]:
        """Place an order that rests, on the other account."""
        order = await self.other.place(
            f"other-{price}", symbol=SYMBOL, side="BUY", quantity=QUANTITY, price=price
        )
        assert order["status"] == "ACCEPTED", order
        return order

    async def halt(self) -> httpx2.Response:
        """Press the kill switch of the other account."""
        body = {"scope": "account", "account": self.other.account_id, "reason": "a test"}
        return await self.request("POST", "/halt", json={**body, "flatten": False})

    async def until_halted(self, pressed: httpx2.Response) -> None:
        """Wait until a kill switch says that the exchange showed nothing open."""
        path = f"/halt/{pressed.json()['kill_switch']['kill_switch_id']}"

        async def stage() -> str:
            return str((await self.request("GET", path)).json()["stage"])

        await eventually(
            stage, within_s=BACK_WITHIN_S, what="HALTED", until=lambda found: found == "HALTED"
        )

    async def cancel(self, order: dict[str, Any], *, wait_s: float = 5) -> httpx2.Response:
        """Try once to cancel an order."""
        path = f"/orders/{order['order_id']}"
        return await self.request("DELETE", path, key=f"cancel-{order['order_id']}", wait_s=wait_s)

    async def change(self, order: dict[str, Any], price: str) -> httpx2.Response:
        """Try once to change an order's price."""
        path, key = f"/orders/{order['order_id']}", f"change-{price}"
        return await self.request("PATCH", path, key=key, wait_s=1, json={"price": price})

    async def told_of_changes(self, order: dict[str, Any]) -> list[str]:
        """Return what an order's history tells became of changes."""
        answer = await self.request("GET", f"/orders/{order['order_id']}/history")
        texts = [event["text"] for event in answer.json()["events"]]
        ends = (": done", ": refused: ")
        return [t for t in texts if t.startswith("modify ") and any(end in t for end in ends)]

    async def close(self, key: str, symbol: str = SYMBOL, *, wait_s: float = 10) -> httpx2.Response:
        """Try once to close the position."""
        path = f"/positions/{self.account}:{symbol}/close"
        return await self.request("POST", path, key=key, wait_s=wait_s, json={"market": True})

    async def cli(self, *arguments: str) -> Result:
        """Run a command line against this stack."""
        # What it prints is caught for the whole process.
        async with self.one_command_line:
            return await asyncio.to_thread(_command_line, arguments)

    @asynccontextmanager
    async def socket(self, path: str = "orders", **wanted: str) -> AsyncIterator[Socket]:
        """Subscribe at a path: to the account, or to what is wanted."""
        token = (self.rig.home / "api-token").read_text().strip()
        async with connect(f"{self.rig.streaming_url}/ws/v1/{path}") as connection:
            for message in (
                {"op": "auth", "token": token},
                {"op": "subscribe", **(wanted or {"account_id": self.account})},
            ):
                await connection.send(json.dumps(message))
            socket = Socket(connection)
            listening = asyncio.create_task(socket.listen())
            try:
                yield socket
            finally:
                listening.cancel()
                await asyncio.wait([listening])

    def prices(self) -> AbstractAsyncContextManager[Socket]:
        """Follow the market's ticker."""
        ticker = {"channel": "ticker", "venue": "hyperliquid", "network": "paper"}
        return self.socket("markets", **ticker, symbol=SYMBOL)

    async def prices_are_shown(self) -> None:
        """See that a client that comes now is shown prices, and fresh ones."""
        async with self.prices() as socket:
            await socket.until(lambda message: message["type"] == "snapshot", "a price")
            await socket.status(stale=False)

    # The exchange's side

    async def on_the_venue(self, price: str) -> list[str]:
        """Return the states of all orders that the exchange ever took at a price."""
        orders = (await self.rig.ledger())["orders"]
        return [order["status"] for order in orders if Decimal(order["price"]) == Decimal(price)]

    async def fill(self, order: dict[str, Any]) -> None:
        """Have somebody at the exchange trade with an order, whole."""
        await self.rig.control("POST", "/fill", {"venue_order_id": order["venue_order_id"]})

    async def held(self) -> Decimal:
        """Return what the exchange says is held."""
        positions = (await self.rig.ledger())["positions"]
        return sum((Decimal(row["quantity"]) for row in positions), Decimal(0))

    async def closing_orders(self) -> int:
        """Return how many reduce-only orders the exchange ever took."""
        return sum(order["reduce_only"] for order in (await self.rig.ledger())["orders"])

    async def until_flat(self) -> None:
        """Wait until the exchange says that nothing is held."""
        await eventually(
            self.held, within_s=BACK_WITHIN_S, what="no position", until=lambda held: held == 0
        )

    async def until_on_the_venue(self, price: str, state: str) -> None:
        """Wait until the exchange has exactly one order of this price, in this state."""

        async def look() -> list[str]:
            return await self.on_the_venue(price)

        await eventually(
            look,
            within_s=BACK_WITHIN_S,
            what=f"one order at {price}, {state}",
            until=lambda found: found == [state],
        )

    # Afterwards

    async def until_all_is_back(self) -> None:
        """Start what does not run, wait until it works, and judge by the exchange's ledger."""
        await self.door.open()
        await self.rig.start(*ORDER_OF_START)
        await self.rig.control("DELETE", "/faults")

        async def ready() -> int:
            with contextlib.suppress(httpx2.TransportError):
                return (await self.ready()).status_code
            return 0

        await eventually(
            ready, within_s=BACK_WITHIN_S, what="a ready API", until=lambda code: code == 200
        )
        await eventually(
            self.wrong,
            within_s=BACK_WITHIN_S,
            what="our orders, fills and positions to be the exchange's",
            until=lambda wrong: not wrong,
        )
        await self.rig.control("POST", "/price", {"symbol": SYMBOL, "price": PRICE})
        lifted = {"scope": "account", "account": self.other.account_id, "reason": "test over"}
        resumed = await self.request("POST", "/resume", json={**lifted, "force": True})
        assert resumed.status_code == 200 or resumed.json()["code"] == "not_halted", resumed.text
        for number, held in enumerate((await self.rig.ledger())["positions"]):
            if Decimal(held["quantity"]):
                key = f"left of {held['symbol']}, {time.monotonic()} {number}"
                closed = await self.close(key, f"{held['symbol']}-PERP", wait_s=20)
                assert closed.status_code == 201, closed.text
        async with self.socket() as socket:
            await socket.status(stale=False, within_s=BACK_WITHIN_S)

    def replaced(self) -> set[str]:
        """Return the names at the exchange of what a change of ours took back."""
        rows = self.postgres.execute(
            "SELECT older.client_order_id FROM client_order_ids older JOIN client_order_ids newer "
            "ON newer.order_id = older.order_id AND newer.revision > older.revision",
            database=self.database,
        )
        return {str(row[0]) for row in rows}

    async def wrong(self) -> list[str]:
        """Compare what we show with what the exchange has; return what differs."""
        theirs = await self.rig.ledger()
        answer = await self.request("GET", "/orders?status=all&limit=500")
        assert answer.status_code == 200, answer.text
        ours = {each["client_order_id"]: each for each in answer.json()["orders"]}
        seen = [order["client_order_id"] for order in theirs["orders"]]
        replaced = self.replaced()
        wrong = [f"{each} is there more than once" for each in set(seen) if seen.count(each) > 1]
        for order in theirs["orders"]:
            mine = ours.pop(order["client_order_id"], None)
            if order["client_order_id"] in replaced and order["status"] == "canceled":
                continue
            if mine is None:
                wrong.append(f"of ours nobody knows {order}")
            elif _differs(mine, order):
                wrong.append(f"we say {mine['status']} {mine['filled_quantity']}, they {order}")
        # What never was at the exchange says so.
        never = ("DENIED", "EXPIRED")
        wrong += [f"not there: {o}" for o in ours.values() if o["status"] not in never]
        answer = await self.request("GET", f"/positions?account={self.account}")
        held = [Decimal(each["quantity"]) for each in answer.json()["positions"]]
        if sum(held) != await self.held():
            wrong.append(f"we hold {held}, they say {await self.held()}")
        return wrong


async def all_of(*asked: Awaitable[T]) -> list[T]:
    """Ask all at once, and return the answers in the order of the questions."""
    return list(await asyncio.gather(*asked))


def _differs(mine: dict[str, Any], theirs: dict[str, Any]) -> bool:
    states = {"open": "ACCEPTED", "filled": "FILLED", "canceled": "CANCELED"}
    state = states.get(theirs["status"], theirs["status"])
    same = Decimal(mine["filled_quantity"]) == Decimal(theirs["filled_quantity"])
    return not same or mine["status"] != state


def _command_line(arguments: tuple[str, ...]) -> Result:
    from cli.main import run

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([*arguments, "--json"])
    return Result(int(code), out.getvalue(), err.getvalue())
