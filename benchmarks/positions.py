"""From the venue's fill frame to a client's socket: a position that moved, beside a bare relay.

The clock starts when the same frame reaches a socket of ours at the venue, so that what the venue
takes is in neither figure.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.figures import Latencies
from benchmarks.running import Stack, running_program

FILLS = 200
LOT = "0.001"
PAUSE_S = 0.02
WITHIN_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Updates:
    """What the relay and what we took from the same frames."""

    floor: Latencies
    ours: Latencies


@dataclass
class _Arrivals:
    """When the n-th fill arrived somewhere."""

    at: list[float] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def arrived(self) -> None:
        self.at.append(time.perf_counter())
        self.changed.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(WITHIN_S):
            while len(self.at) < count:
                self.changed.clear()
                await self.changed.wait()


async def position_updates(stack: Stack, *, fills: int = FILLS) -> Updates:
    """Fill an order in parts and time how each part arrives."""
    headers = {"Authorization": f"Bearer {stack.token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        address = (await _get(session, f"{stack.api_url}/api/v1/accounts/{stack.account}"))[
            "address"
        ]
        endpoints = await _get(session, f"{stack.api_url}/api/v1/endpoints")
        order = await _place(stack, session, fills)
        venue = stack.venue_url.replace("http", "ws", 1) + "/ws"
        at_venue, at_relay, at_us = _Arrivals(), _Arrivals(), _Arrivals()
        async with (
            running_program("benchmarks.bare_relay", venue, address) as (port, _),
            connect(venue) as direct,
            connect(f"ws://127.0.0.1:{port}") as relay,
            connect(f"{endpoints['streaming']}/ws/v1/positions") as positions,
        ):
            await _follow_venue(direct, address)
            await _follow_us(positions, stack)
            readers = [
                asyncio.create_task(_read_fills(direct, at_venue)),
                asyncio.create_task(_read_fills(relay, at_relay)),
                asyncio.create_task(_read_positions(positions, at_us)),
            ]
            try:
                for number in range(fills):
                    body = {"client_order_id": order["client_order_id"], "quantity": LOT}
                    await stack.control(session, "POST", "/fill", body)
                    for arrivals in (at_venue, at_relay, at_us):
                        await arrivals.until(number + 1)
                    await asyncio.sleep(PAUSE_S)
            finally:
                for reader in readers:
                    reader.cancel()
        await _cancel(stack, session, order["order_id"])
    return Updates(floor=_since(at_venue, at_relay), ours=_since(at_venue, at_us))


async def _get(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url) as response:
        response.raise_for_status()
        return await response.json()


async def _place(stack: Stack, session: aiohttp.ClientSession, fills: int) -> Any:
    body = {
        "account": stack.account,
        "symbol": "BTC-PERP",
        "side": "BUY",
        "quantity": str(fills * 0.001 + 0.1)[:6],
        "price": "30000",
    }
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    url = f"{stack.api_url}/api/v1/orders"
    async with session.post(url, json=body, headers=headers) as response:
        order = await response.json()
    assert response.status == 201, order
    return order


async def _cancel(stack: Stack, session: aiohttp.ClientSession, order_id: str) -> None:
    """End what is left of the order: what is measured next waits until nothing runs."""
    headers = {"Idempotency-Key": str(uuid.uuid4()), "Prefer": "wait=20"}
    url = f"{stack.api_url}/api/v1/orders/{order_id}"
    async with session.delete(url, headers=headers) as response:
        assert response.status == 200, await response.text()


async def _follow_venue(client: ClientConnection, address: str) -> None:
    subscription = {"type": "userFills", "user": address, "aggregateByTime": False}
    await client.send(json.dumps({"method": "subscribe", "subscription": subscription}))
    while '"isSnapshot":true' not in str(await client.recv()):
        pass


async def _follow_us(client: ClientConnection, stack: Stack) -> None:
    await client.send(json.dumps({"op": "auth", "token": stack.token}))
    await client.send(json.dumps({"op": "subscribe", "account_id": stack.account}))
    while json.loads(await client.recv())["type"] != "snapshot":
        pass


async def _read_fills(client: ClientConnection, arrivals: _Arrivals) -> None:
    async for frame in client:
        if b'"userFills"' in _bytes(frame) and b'"isSnapshot":true' not in _bytes(frame):
            arrivals.arrived()


async def _read_positions(client: ClientConnection, arrivals: _Arrivals) -> None:
    """Count an arrival for every quantity that was not there before."""
    last: str | None = None
    async for frame in client:
        message = json.loads(frame)
        for position in message.get("positions") or ():
            if message["type"] == "update" and position["quantity"] != last:
                last = position["quantity"]
                arrivals.arrived()


def _bytes(frame: str | bytes) -> bytes:
    return frame if isinstance(frame, bytes) else frame.encode()


def _since(start: _Arrivals, end: _Arrivals) -> Latencies:
    # A socket of ours may be read later than the other: that is no negative time.
    pairs = zip(start.at, end.at, strict=True)
    seconds = tuple(max(later - earlier, 0.0) for earlier, later in pairs)
    return Latencies(seconds=seconds, wall_s=end.at[-1] - start.at[0])
