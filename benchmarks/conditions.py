"""From the mark frame that crosses a condition to the close order at the venue.

The clock starts when the same frame reaches a socket of ours at the venue. Beside it a bare signal
to a workflow that runs one activity: the least that any durable decision takes here.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import aiohttp
from temporalio.client import Client
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.figures import Latencies
from benchmarks.floor_worker import QUEUE, BareGuard
from benchmarks.running import Stack, running_program

CROSSINGS = 40
SIGNALS = 150
SYMBOL, COIN = "ETH-PERP", "ETH"
START = Decimal(2500)
#: Under what a mark has to say twice, so that one frame decides.
STEP = Decimal("1.01")
PROFIT_PERCENT = "0.5"
WITHIN_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossings:
    """What a bare signal and what we took."""

    floor: Latencies
    ours: Latencies


async def condition_crossings(
    stack: Stack, *, crossings: int = CROSSINGS, signals: int = SIGNALS
) -> Crossings:
    """Measure both, in the same run on the same stack."""
    return Crossings(floor=await _floor(stack, signals), ours=await _ours(stack, crossings))


async def _floor(stack: Stack, count: int) -> Latencies:
    client = await Client.connect(stack.temporal_address)
    seconds: list[float] = []
    began = time.perf_counter()
    async with running_program("benchmarks.floor_worker", stack.temporal_address):
        for _ in range(count):
            handle = await client.start_workflow(
                BareGuard.run, id=f"floor-{uuid.uuid4()}", task_queue=QUEUE
            )
            await handle.query(BareGuard.is_ready)
            sent = time.time()
            await handle.signal(BareGuard.crossed)
            seconds.append(await handle.result() - sent)
    return Latencies(seconds=tuple(seconds), wall_s=time.perf_counter() - began)


async def _ours(stack: Stack, count: int) -> Latencies:
    headers = {"Authorization": f"Bearer {stack.token}"}
    seconds: list[float] = []
    began = time.perf_counter()
    async with aiohttp.ClientSession(headers=headers) as session:
        trader = _Trader(stack, session)
        venue = stack.venue_url.replace("http", "ws", 1) + "/ws"
        async with connect(venue) as marks:
            subscription = {"type": "activeAssetCtx", "coin": COIN}
            await marks.send(json.dumps({"method": "subscribe", "subscription": subscription}))
            seen = _Marks(marks)
            reading = asyncio.create_task(seen.run())
            for _ in range(count):
                seconds.append(await trader.crossing(seen))
            reading.cancel()
    return Latencies(seconds=tuple(seconds), wall_s=time.perf_counter() - began)


class _Trader:
    """Opens a position, guards it, and moves the market."""

    def __init__(self, stack: Stack, session: aiohttp.ClientSession) -> None:
        self._stack = stack
        self._session = session
        self._closed = 0

    async def crossing(self, marks: _Marks) -> float:
        """Return the seconds from one crossing frame to its close order."""
        await self._move(START)
        await self._call("orders", side="BUY", symbol=SYMBOL, order_type="MARKET", quantity="0.1")
        position = f"positions/{self._stack.account}:{SYMBOL}/conditions"
        condition = await self._call(position, profit_percent=PROFIT_PERCENT)
        path = f"conditions/{condition['condition_id']}"
        await self._until(path, lambda seen: (seen["watched"] or {}).get("is_fresh"))
        marks.forget()
        moved = await self._move(START * STEP)
        began = await marks.arrival(moved)
        ended = await self._until(path, lambda seen: seen["is_terminal"])
        assert ended["status"] == "CLOSED", ended
        return await self._placed_at() - began

    async def _placed_at(self) -> float:
        """Return when the exchange took the newest closing order."""
        ledger = await self._stack.control(self._session, "GET", "/ledger")
        closing = [o for o in ledger["orders"] if o["symbol"] == COIN and o["reduce_only"]]
        self._closed += 1
        assert len(closing) == self._closed, "expected one close for each crossing"
        return max(int(order["created_ms"]) for order in closing) / 1000

    async def _move(self, price: Decimal) -> Decimal:
        body = {"symbol": COIN, "price": str(price)}
        await self._stack.control(self._session, "POST", "/price", body)
        return price

    async def _call(self, path: str, **body: str) -> Any:
        headers = {"Idempotency-Key": str(uuid.uuid4()), "Prefer": "wait=20"}
        if path == "orders":
            body["account"] = self._stack.account
        url = f"{self._stack.api_url}/api/v1/{path}"
        async with self._session.post(url, json=body, headers=headers) as response:
            answer = await response.json()
        assert response.status == 201, answer
        return answer

    async def _until(self, path: str, wanted: Any) -> Any:
        async with asyncio.timeout(WITHIN_S):
            while True:
                async with self._session.get(f"{self._stack.api_url}/api/v1/{path}") as response:
                    seen = await response.json()
                if wanted(seen):
                    return seen
                await asyncio.sleep(0.1)


class _Marks:
    """Reads a socket of the venue all the time, so that every frame is stamped as it comes."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._came: dict[Decimal, float] = {}
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Read until cancelled."""
        async for frame in self._socket:
            at = time.time()
            message = json.loads(frame)
            if message.get("channel") == "activeAssetCtx":
                self._came.setdefault(Decimal(message["data"]["ctx"]["markPx"]), at)
                self._news.set()

    def forget(self) -> None:
        """Forget what came until now."""
        self._came.clear()

    async def arrival(self, price: Decimal) -> float:
        """Return when the first frame with a mark came since `forget`."""
        async with asyncio.timeout(WITHIN_S):
            while price not in self._came:
                self._news.clear()
                await self._news.wait()
        return self._came[price]
