"""Everybody who follows: strict clients on every line, and the client that we ship."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from perp_dex_client.watching import OrderEvent, watch_orders
from tests.stream_chaos.follower import Follower
from tests.stream_chaos.proxy import FaultProxy
from tests.stream_chaos.rig import ACCOUNTS, OTHER, Rig, until
from tests.streaming.floor import SYMBOL

MARKET_CHANNELS = ("book", "top", "trades", "ticker")


@dataclass
class Shipped:
    """`perp_dex_client` following an account over a line that is cut, and what it yielded."""

    name: str
    url: str
    token: str
    account_id: str
    events: list[OrderEvent] = field(default_factory=list)

    async def run(self) -> None:
        """Follow until cancelled."""
        async for event in watch_orders(self.url, self.token, account_id=self.account_id):
            if event.kind != "status":
                self.events.append(event)

    def wrong(self, newest: int) -> list[str]:
        """Each change comes once and in order, after a first snapshot, up to the newest."""
        numbers = [event.seq or 0 for event in self.events]
        first = numbers[0] if numbers else None
        expected = [] if first is None else list(range(first, newest + 1))
        if numbers != expected or not self.events or self.events[0].kind != "snapshot":
            return [
                f"{self.name}: yielded {len(numbers)} ({numbers[:3]} … {numbers[-3:]}), "
                f"expected {len(expected)} up to {newest}"
            ]
        return []


class Crowd:
    """All clients of a run, at work."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._venue = rig.venue.venue
        self._tasks: list[asyncio.Task[None]] = []
        sound, shaky, rough = rig.url, _url(rig.shaky_line), _url(rig.rough_line)
        self.orders = [
            *(self._follower("sound", sound, "orders", one) for one in (*ACCOUNTS, OTHER)),
            *(self._follower("shaky", shaky, "orders", one) for one in ACCOUNTS),
            *(self._follower("rough", rough, "orders", one) for one in ACCOUNTS),
            self._follower("shaky", shaky, "orders", ACCOUNTS[1], path="stream"),
            self._follower("rough", rough, "orders", ACCOUNTS[1], path="stream"),
        ]
        self.positions = [
            *(self._follower("sound", sound, "positions", one) for one in (*ACCOUNTS, OTHER)),
            self._follower("shaky", shaky, "positions", ACCOUNTS[0]),
            self._follower("rough", rough, "positions", ACCOUNTS[1]),
        ]
        self.money = [
            *(self._follower("sound", sound, "account", one) for one in (*ACCOUNTS, OTHER)),
            self._follower("rough", rough, "account", ACCOUNTS[2]),
        ]
        self.markets = [
            *(self._of_market("sound", sound, one, "paper") for one in MARKET_CHANNELS),
            *(self._of_market("shaky", shaky, one, "paper") for one in ("book", "trades")),
            *(self._of_market("rough", rough, one, "paper") for one in ("book", "top")),
            self._of_market("sound", sound, "book", "testnet", "hyperliquid"),
            self._of_market("sound", sound, "book", "paper", None),
        ]
        self.shipped = Shipped("shipped/orders/acc-1", shaky, rig.token, ACCOUNTS[0])

    @property
    def followers(self) -> Sequence[Follower]:
        """Every strict client."""
        return (*self.orders, *self.positions, *self.money, *self.markets)

    @property
    def of_other(self) -> Follower:
        """Who follows the orders at the venue that must not feel the storm."""
        return next(f for f in self.orders if f.subject["account_id"] == OTHER)

    @property
    def of_other_market(self) -> Follower:
        """Who follows a book there."""
        return next(f for f in self.markets if f.subject["network"] == "testnet")

    async def start(self, within_s: float = 20.0) -> None:
        """Let all begin, and wait until each has its first snapshot."""
        self._tasks = [asyncio.create_task(f.run(), name=f.name) for f in self.followers]
        self._tasks.append(asyncio.create_task(self.shipped.run(), name=self.shipped.name))

        async def all_began() -> bool:
            self.check()
            return not self._not_begun()

        await until(all_began, within_s, lambda: f"begun: {', '.join(self._not_begun())}")

    def _not_begun(self) -> list[str]:
        # Of trades there is nothing to tell before the first.
        late = [f.name for f in self.followers if not (f.heard or f.channel == "trades")]
        return late if self.shipped.events else [*late, self.shipped.name]

    def check(self) -> None:
        """Raise what ended a client: none of them ends by itself."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()
                raise AssertionError(f"{task.get_name()} ended by itself")

    async def stop(self) -> None:
        """Have all go."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _follower(
        self, line: str, url: str, channel: str, account_id: str, path: str | None = None
    ) -> Follower:
        name = "/".join(filter(None, (line, path, channel, account_id)))
        subject, token = {"account_id": account_id}, self._rig.token
        return Follower(name, url, channel, subject, token, sound=line != "rough", path=path)

    def _of_market(
        self, line: str, url: str, channel: str, network: str, venue: str | None = ""
    ) -> Follower:
        """Follow a market of the venue in the storm, of another, or (None) of all together."""
        named = self._venue if venue == "" else venue
        name = f"{line}/{channel}/{named or 'all'}/{network}"
        subject = {"venue": named, "network": network, "symbol": SYMBOL}
        return Follower(name, url, channel, subject, self._rig.token, sound=line != "rough")


def _url(line: FaultProxy) -> str:
    return f"ws://127.0.0.1:{line.port}"
