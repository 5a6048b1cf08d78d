"""What happens at a venue meanwhile: orders of ours placed, filled in parts, crossed, canceled;
prices moved, funding paid, and trades of the same accounts that we know nothing of beforehand.

Every choice is drawn from a seed. Nothing here goes through a proxy.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from coincurve import PrivateKey

from domain.instruments import OrderSide
from domain.orders import TimeInForce
from tests.streaming.floor import Floor
from tests.venues.hyperliquid.simulator_client import SimulatorClient, order_action, order_wire

_WEIGHTS = {
    "rest": 5,
    "part": 8,
    "cross": 3,
    "take": 3,
    "stranger": 2,
    "cancel": 1,
    "price": 2,
    "funding": 1,
}
#: Orders that rest at once: beyond it older ones are filled before new ones come.
RESTING_MAX = 20
_COIN = "BTC"
_OPPOSITE = {OrderSide.BUY: OrderSide.SELL, OrderSide.SELL: OrderSide.BUY}


@dataclass(slots=True)
class _Resting:
    number: int
    account_id: str
    client_order_id: str
    left: Decimal


class Traffic:
    """The traffic of one venue's accounts."""

    def __init__(
        self, floor: Floor, accounts: Sequence[str], numbers: itertools.count[int], seed: int
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._floor = floor
        self._accounts = tuple(accounts)
        self._numbers = numbers
        self._source = random.Random(f"{seed}/traffic/{floor.network}")
        self._resting: list[_Resting] = []
        self._hand = SimulatorClient(floor.http, floor.sim.url, floor.sim.control_url)

    async def run(self, per_s: float, ended: asyncio.Event) -> None:
        """Act at about so many actions a second until `ended`; no action is left half done."""
        while not ended.is_set():
            await self.step()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._source.expovariate(per_s)):
                    await ended.wait()

    async def step(self) -> None:
        """Do one drawn thing."""
        action = self._source.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        if action in ("part", "cancel") and not self._resting:
            action = "rest"
        if action == "rest" and len(self._resting) >= RESTING_MAX:
            action = "part"
        await getattr(self, f"_{action}")()
        self.counts[action] += 1

    async def _rest(self) -> None:
        side = self._source.choice(list(OrderSide))
        away = Decimal(self._source.randint(10, 80)) / 1_000
        mark = Decimal((await self._book())["mark_price"])
        price = (mark * (1 - away if side is OrderSide.BUY else 1 + away)).quantize(Decimal(1))
        await self._place(self._account(), side, price, self._quantity(), TimeInForce.GTC)

    async def _part(self) -> None:
        """Have somebody trade with a part of an order, and at times with all of it."""
        resting = self._source.choice(self._resting)
        part = (resting.left / self._source.randint(1, 4)).quantize(Decimal("0.00001"))
        await self._fill(resting, min(max(part, Decimal("0.00001")), resting.left))

    async def _fill(self, resting: _Resting, quantity: Decimal) -> None:
        body = {"client_order_id": resting.client_order_id, "quantity": str(quantity)}
        if await self._control("/fill", body) is None:
            # A price reached it, or it was canceled for want of margin.
            self._resting.remove(resting)
            return
        resting.left -= quantity
        if not resting.left:
            self._resting.remove(resting)

    async def _cross(self) -> None:
        """Have two of our accounts trade with each other, inside the spread of the house."""
        book = await self._book()
        bid, ask = (Decimal(book[side][0][0]) for side in ("bids", "asks"))
        if ask - bid < 2 or len(self._accounts) < 2:
            await self._take()
            return
        maker, taker = self._source.sample(self._accounts, 2)
        side = self._source.choice(list(OrderSide))
        price, quantity = (bid + 1).quantize(Decimal(1)), self._quantity()
        await self._place(maker, side, price, quantity, TimeInForce.GTC)
        await self._place(taker, _OPPOSITE[side], price, quantity, TimeInForce.IOC)

    async def _take(self) -> None:
        side = self._source.choice(list(OrderSide))
        price = await self._through(side)
        await self._place(self._account(), side, price, self._quantity(), TimeInForce.IOC)

    async def _stranger(self) -> None:
        """Trade with an account of ours past us, by its owner's own key."""
        if self._floor.venue != "hyperliquid":
            await self._take()
            return
        keys = self._floor.keys[self._account()]
        is_buy = self._source.random() < 0.5
        price = await self._through(OrderSide.BUY if is_buy else OrderSide.SELL)
        wire = order_wire(buy=is_buy, price=str(price), size=str(self._quantity()), tif="Ioc")
        key = PrivateKey(bytes.fromhex(keys["master_private_key"][2:]))
        await self._hand.act(order_action(wire), key=key)

    async def _cancel(self) -> None:
        resting = self._resting.pop(self._source.randrange(len(self._resting)))
        await self._floor.cancel(resting.number, account_id=resting.account_id)

    async def _price(self) -> None:
        mark = Decimal((await self._book())["mark_price"])
        moved = (mark * (1 + Decimal(self._source.randint(-40, 40)) / 10_000)).quantize(Decimal(1))
        await self._control("/price", {"symbol": _COIN, "price": str(moved)})

    async def _funding(self) -> None:
        rate = Decimal(self._source.randint(-100, 100)) / 1_000_000
        await self._control("/funding", {"symbol": _COIN, "rate": str(rate)})

    async def _place(
        self,
        account_id: str,
        side: OrderSide,
        price: Decimal,
        quantity: Decimal,
        time_in_force: TimeInForce,
    ) -> None:
        number = next(self._numbers)
        await self._floor.send(
            number,
            account_id=account_id,
            side=side,
            price=price,
            quantity=str(quantity),
            time_in_force=time_in_force,
        )
        if time_in_force is TimeInForce.GTC:
            current = (await self._floor.stage.order(number)).current
            assert current is not None
            self._resting.append(_Resting(number, account_id, current.client_order_id, quantity))

    async def _through(self, side: OrderSide) -> Decimal:
        """Return a price at which an order of that side certainly trades with the house."""
        mark = Decimal((await self._book())["mark_price"])
        return (mark * Decimal("1.01" if side is OrderSide.BUY else "0.99")).quantize(Decimal(1))

    async def _book(self) -> dict[str, Any]:
        url = self._floor.sim.control_url + "/book"
        async with self._floor.http.get(url, params={"symbol": _COIN}) as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def _control(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Ask the control port; None where that makes no sense now."""
        async with self._floor.http.post(self._floor.sim.control_url + path, json=body) as answer:
            if answer.status == 409:
                return None
            assert answer.status == 200, await answer.text()
            found: dict[str, Any] = await answer.json()
            return found

    def _account(self) -> str:
        return self._source.choice(self._accounts)

    def _quantity(self) -> Decimal:
        return Decimal(self._source.randint(10, 500)) / 1_000
