"""A lane: one account in one market, traded by us, by hand at the venue, and by the venue itself.

Rounds of a lane follow each other; lanes run beside each other.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from typing import Any, Final

import httpx2

from domain.identifiers import order_id_for
from domain.numbers import plain
from tests.crash.rig import Rig
from tests.crash.trader import Trader
from tests.venues.hyperliquid.simulator_client import SimulatorClient, order_action, order_wire

ENDS_WITHIN_S: Final = 90.0
CASH: Final = "50000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """A market of the exchange as the races use it."""

    symbol: str
    venue_symbol: str
    asset: int
    lot: Decimal


MARKETS: Final = (
    Market(symbol="BTC-PERP", venue_symbol="BTC", asset=0, lot=Decimal("0.00001")),
    Market(symbol="ETH-PERP", venue_symbol="ETH", asset=1, lot=Decimal("0.0001")),
    Market(symbol="SOL-PERP", venue_symbol="SOL", asset=5, lot=Decimal("0.01")),
    Market(symbol="AVAX-PERP", venue_symbol="AVAX", asset=6, lot=Decimal("0.01")),
)


@dataclass(slots=True, kw_only=True)
class Story:
    """What happened in one round, for whoever has to understand it."""

    name: str
    plan: dict[str, Any] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    close: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


class Lane:
    """One account in one market."""

    def __init__(
        self, rig: Rig, trader: Trader, hand: SimulatorClient, market: Market, name: str
    ) -> None:
        self.rig = rig
        self.trader = trader
        self.hand = hand
        self.market = market
        self.name = name
        self.stories: list[Story] = []

    # By hand, at the venue.

    async def price(self) -> Decimal:
        mids = await self.hand.info({"type": "allMids"})
        return Decimal(mids[self.market.venue_symbol])

    async def held(self) -> Decimal:
        state = await self.hand.info({"type": "clearinghouseState", "user": self.hand.address})
        for row in state["assetPositions"]:
            if row["position"]["coin"] == self.market.venue_symbol:
                return Decimal(row["position"]["szi"])
        return Decimal(0)

    def lots(self, quantity: Decimal) -> Decimal:
        return quantity.quantize(self.market.lot, rounding=ROUND_DOWN)

    async def take(self, quantity: Decimal, *, reduce_only: bool = False) -> Any:
        """Trade a signed quantity at once, with the account's own key."""
        size = self.lots(abs(quantity))
        if not size:
            return "nothing"
        bound = await self.price() * (Decimal("1.04") if quantity > 0 else Decimal("0.96"))
        wire = order_wire(
            asset=self.market.asset,
            buy=quantity > 0,
            price=five_figures(bound),
            size=plain(size),
            reduce_only=reduce_only,
            tif="Ioc",
        )
        answer = await self.hand.act(order_action(wire), key=self.hand.master)
        return answer["response"]["data"]["statuses"][0] if answer["status"] == "ok" else answer

    async def live_order(self) -> dict[str, Any] | None:
        """Return our resting order, as the venue shows it."""
        orders = await self.hand.info({"type": "frontendOpenOrders", "user": self.hand.address})
        mine = [o for o in orders if o["coin"] == self.market.venue_symbol and o.get("cloid")]
        return dict(mine[0]) if mine else None

    # Closes, through our API.

    async def ask(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """Ask until something answers that is not a server's failure."""
        deadline = asyncio.get_running_loop().time() + ENDS_WITHIN_S
        while True:
            try:
                response = await self.trader._once(method, path, **request)
                if response.status_code < 500:
                    return response
                failure = response.text
            except httpx2.TransportError as error:
                failure = repr(error)
            assert asyncio.get_running_loop().time() < deadline, f"{method} {path}: {failure}"
            await asyncio.sleep(0.2)

    async def begin(self, plan: dict[str, Any], key: str) -> httpx2.Response:
        return await self.ask(
            "POST",
            f"/api/v1/positions/{self.trader.account_id}:{self.market.symbol}/close",
            json=plan,
            headers={"Idempotency-Key": key, "Prefer": "wait=1"},
        )

    async def ended(self, close_id: str) -> dict[str, Any]:
        deadline = asyncio.get_running_loop().time() + ENDS_WITHIN_S
        while True:
            response = await self.ask("GET", f"/api/v1/closes/{close_id}")
            close: dict[str, Any] = response.json()
            if close.get("is_terminal"):
                return close
            assert asyncio.get_running_loop().time() < deadline, f"has not ended: {close}"
            await asyncio.sleep(0.2)

    async def round(self, number: int, source: random.Random) -> Story:
        """Open a position by hand, close it, and let everything happen meanwhile."""
        story = Story(name=f"{self.name}/{number}")
        self.stories.append(story)
        await self._open(story, source)
        story.plan = a_plan(source, await self.price())
        if story.plan.get("limit_price") == "far":
            factor = Decimal("1.2") if await self.held() > 0 else Decimal("0.8")
            story.plan["limit_price"] = five_figures(await self.price() * factor)
        key = f"race-{self.name}-{number}"
        events = asyncio.create_task(self._events(story, source, key))
        response = await self.begin(story.plan, key)
        answer = response.json()
        if response.status_code == 409:
            await events
            # Refused, or somebody else's close of this position runs: that one's end counts.
            running = answer.get("running_close_id")
            story.close = answer["close"] if running is None else await self.ended(running)
            return story
        assert response.status_code in (201, 202), (response.status_code, answer)
        close_id = answer["close_id"]
        await events
        if "escalation" not in story.plan and "limit_price" in story.plan:
            await self.ask("DELETE", f"/api/v1/closes/{close_id}")
        story.close = await self.ended(close_id)
        await self._end_second(key)
        return story

    async def _end_second(self, key: str) -> None:
        """Wait for the end of the other close that was asked for meanwhile, if it began."""
        second = order_id_for("local", f"{key}-second")
        if (await self.ask("GET", f"/api/v1/closes/{second}")).status_code == 200:
            await self.ended(second)

    async def _open(self, story: Story, source: random.Random) -> None:
        price = await self.price()
        worth = Decimal(source.choice((60, 300, 3000)) + source.randint(0, 999))
        wanted = self.lots(worth / price) * source.choice((1, -1))
        for _ in range(3):
            held = await self.held()
            opened = await self.take(wanted - held)
            story.events.append(f"held {held}, opened {wanted}: {opened}")
            if "filled" in opened:
                return
            # A liquidation has taken the account's money.
            body = {"address": self.hand.address, "amount": CASH}
            await self.rig.control("POST", "/deposit", body)

    async def _events(self, story: Story, source: random.Random, key: str) -> None:
        if source.random() < 0.8:
            await self._begun(key)
        for number in range(source.randint(1, 4)):
            await asyncio.sleep(source.uniform(0.0, 0.8))
            name = source.choice(EVENTS)
            try:
                said = await self._event(name, source, key)
            except (httpx2.HTTPError, OSError) as error:
                said = repr(error)
            story.events.append(f"{number} {name}: {said}")

    async def _begun(self, key: str) -> None:
        """Wait until the close has looked a first time, so that it does not find nothing."""
        close_id = order_id_for("local", key)
        for _ in range(100):
            answer = await self.ask("GET", f"/api/v1/closes/{close_id}")
            if answer.status_code == 200 and answer.json()["status"] != "REQUESTED":
                return
            await asyncio.sleep(0.05)

    async def _event(self, name: str, source: random.Random, key: str) -> Any:
        held = await self.held()
        part = held * Decimal(source.randint(5, 95)) / 100
        match name:
            case "reduce":
                return await self.take(-part)
            case "grow":
                return await self.take(part)
            case "turn":
                return await self.take(-held - part)
            case "flatten":
                return await self.take(-held, reduce_only=True)
            case "fill":
                return await self._fill(source)
            case "cancel at the venue":
                return await self._cancel_at_venue()
            case "cancel the order":
                return await self._cancel_order()
            case "liquidate":
                return await self._liquidate()
            case "move the price":
                factor = 1 + Decimal(source.randint(-50, 50)) / 10_000
                price = five_figures(await self.price() * factor)
                body = {"symbol": self.market.symbol, "price": price}
                await self.rig.control("POST", "/price", body)
                return price
            case "stop":
                return (await self._stop(key)).status_code
            case _:
                again = await self.begin({"percent": "42"}, f"{key}-second")
                return again.status_code, again.json().get("code")

    async def _fill(self, source: random.Random) -> Any:
        order = await self.live_order()
        if order is None:
            return "nothing rests"
        quantity = self.lots(Decimal(order["sz"]) * Decimal(source.randint(10, 100)) / 100)
        if not quantity:
            return "too small"
        body = {"client_order_id": order["cloid"], "quantity": plain(quantity)}
        try:
            await self.rig.control("POST", "/fill", body)
        except httpx2.HTTPStatusError as error:
            return error.response.text
        return quantity

    async def _cancel_at_venue(self) -> Any:
        order = await self.live_order()
        if order is None:
            return "nothing rests"
        action = {
            "type": "cancel",
            "cancels": [{"a": self.market.asset, "o": order["oid"]}],
        }
        return await self.hand.act(action, key=self.hand.master)

    async def _cancel_order(self) -> Any:
        listed = await self.ask(
            "GET",
            "/api/v1/orders",
            params={
                "status": "open",
                "account": self.trader.account_id,
                "symbol": self.market.symbol,
            },
        )
        orders = listed.json()["orders"]
        if not orders:
            return "nothing rests"
        answer = await self.ask("DELETE", f"/api/v1/orders/{orders[0]['order_id']}")
        return answer.status_code

    async def _liquidate(self) -> Any:
        """Take the account's money away, so that the venue liquidates; then bring other money."""
        ledger = await self.rig.control("GET", f"/ledger?account={self.hand.address}")
        value = Decimal(ledger["balances"][0]["account_value"])
        body = {"address": self.hand.address, "amount": str(-value.quantize(Decimal("0.01")))}
        await self.rig.control("POST", "/deposit", body)
        price = five_figures(await self.price())
        await self.rig.control("POST", "/price", {"symbol": self.market.symbol, "price": price})
        held = await self.held()
        body["amount"] = CASH
        await self.rig.control("POST", "/deposit", body)
        return f"left {held}"

    async def _stop(self, key: str) -> httpx2.Response:
        return await self.ask("DELETE", f"/api/v1/closes/{order_id_for('local', key)}")


EVENTS: Final = (
    "reduce",
    "reduce",
    "grow",
    "turn",
    "flatten",
    "fill",
    "fill",
    "cancel at the venue",
    "cancel the order",
    "liquidate",
    "move the price",
    "stop",
    "another close",
)


def a_plan(source: random.Random, price: Decimal) -> dict[str, Any]:
    """Return a close as somebody might ask for it."""
    plan: dict[str, Any] = {"percent": source.choice(("100", "100", "75", "50", "33.3", "10"))}
    match source.choice(("market", "limit", "escalating", "escalating", "passive")):
        case "market":
            plan["max_slippage_bps"] = source.choice((50, 500))
        case "limit":
            plan["limit_price"] = "far"
        case "escalating":
            plan["limit_price"] = "far"
            plan["escalation"] = _timetable(source)
        case "passive":
            plan["escalation"] = _timetable(source)
    return plan


def _timetable(source: random.Random) -> dict[str, Any]:
    return {
        "reprice_every_s": 1,
        "reprices": source.randint(0, 2),
        "then": source.choice(("market", "market", "stop")),
    }


def five_figures(price: Decimal) -> str:
    """Return a price in the venue's steps."""
    step = Decimal(1).scaleb(max(price.adjusted() - 4, -4))
    return plain(price.quantize(step))
