"""A whole account compared with its venue: 1,000 orders and 10,000 fills, beside reading them bare.

Once with nothing to repair, once with every fill deleted behind our back. The second waits for the
venue's visibility delay besides, before what moved is compared; the floor never waits.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
import uuid
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import aiohttp

from benchmarks.figures import Latencies
from benchmarks.running import Stack

ORDERS = 1_000
FILLS_OF_ORDER = 10
LOT = Decimal("0.001")
ROUNDS = 5
PAGE = 2_000
_BATCH = 50
_PRICE = "30000"
_CASH = "5000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """Reading the pages bare, comparing with nothing to repair, and booking every fill again."""

    floor: Latencies
    equal: Latencies
    repaired: Latencies
    orders: int
    fills: int


async def reconciling(
    stack: Stack,
    *,
    orders: int = ORDERS,
    fills_of_order: int = FILLS_OF_ORDER,
    rounds: int = ROUNDS,
) -> Reconciled:
    """Make orders and fills, then reconcile them; half of the orders rest on."""
    headers = {"Authorization": f"Bearer {stack.token}"}
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        url = f"{stack.api_url}/api/v1/accounts/{stack.account}"
        async with session.get(url) as response:
            address = (await response.json())["address"]
        await stack.control(session, "POST", "/deposit", {"address": address, "amount": _CASH})
        await _trade(stack, session, orders, fills_of_order)
        pages = [await _timed(_read_bare(stack, address)) for _ in range(rounds)]
        done = await _reconcile(stack, session)
        equal = [await _timed(_reconcile(stack, session)) for _ in range(rounds)]
        repaired: list[float] = []
        for _ in range(rounds):
            _forget_fills(stack)
            repaired.append(await _timed(_reconcile(stack, session)))
    return Reconciled(
        floor=_latencies(pages),
        equal=_latencies(equal),
        repaired=_latencies(repaired),
        orders=done["counts"]["orders_seen"],
        fills=done["counts"]["fills_seen"],
    )


async def _trade(
    stack: Stack, session: aiohttp.ClientSession, orders: int, fills_of_order: int
) -> None:
    """Place orders and have the venue fill each in parts; every other one keeps a rest."""
    for start in range(0, orders, _BATCH):
        count = min(_BATCH, orders - start)
        batch = [_order(stack, start + n, fills_of_order) for n in range(count)]
        url = f"{stack.api_url}/api/v1/orders/batch"
        headers = {"Idempotency-Key": str(uuid.uuid4()), "Prefer": "wait=30"}
        async with session.post(url, json={"orders": batch}, headers=headers) as response:
            placed = (await response.json())["results"]
        for result in placed:
            assert result["status"] == 201, result
            body = {
                "client_order_id": result["order"]["client_order_id"],
                "quantity": str(LOT),
            }
            for _ in range(fills_of_order):
                await stack.control(session, "POST", "/fill", body)


def _order(stack: Stack, number: int, fills_of_order: int) -> dict[str, str]:
    rest = 1 if number % 2 else 0
    return {
        "account": stack.account,
        "symbol": "BTC-PERP",
        "side": "BUY",
        "quantity": str(LOT * (fills_of_order + rest)),
        "price": _PRICE,
        "client_key": str(uuid.uuid4()),
    }


async def _read_bare(stack: Stack, address: str) -> None:
    """Ask what a reconciliation asks and look no further into the answers than paging needs."""
    async with aiohttp.ClientSession() as session:
        for kind in ("clearinghouseState", "frontendOpenOrders", "historicalOrders"):
            await _ask(session, stack, {"type": kind, "user": address, "dex": ""})
        start_ms, size = 0, PAGE
        while size >= PAGE:
            rows = await _ask(
                session,
                stack,
                {
                    "type": "userFillsByTime",
                    "user": address,
                    "startTime": start_ms,
                    "endTime": None,
                    "aggregateByTime": False,
                },
            )
            size = len(rows)
            newest = max((row["time"] for row in rows), default=start_ms)
            start_ms = newest if newest > start_ms else start_ms + 1


async def _ask(session: aiohttp.ClientSession, stack: Stack, body: dict[str, Any]) -> Any:
    async with session.post(f"{stack.venue_url}/info", json=body) as response:
        response.raise_for_status()
        return json.loads(await response.read())


async def _reconcile(stack: Stack, session: aiohttp.ClientSession) -> dict[str, Any]:
    url = f"{stack.api_url}/api/v1/accounts/{stack.account}/reconciliations?full=true"
    key = str(uuid.uuid4())
    while True:
        headers = {"Idempotency-Key": key, "Prefer": "wait=30"}
        async with session.post(url, headers=headers) as response:
            done: dict[str, Any] = await response.json()
        if response.status == 200:
            assert done["status"] == "PASSED", done
            return done
        assert response.status == 202, done


def _forget_fills(stack: Stack) -> None:
    with closing(sqlite3.connect(stack.home / "perp-dex.db", timeout=30)) as connection:
        connection.execute("DELETE FROM fills")
        connection.commit()


async def _timed(work: Any) -> float:
    began = time.perf_counter()
    await asyncio.ensure_future(work)
    return time.perf_counter() - began


def _latencies(seconds: list[float]) -> Latencies:
    return Latencies(seconds=tuple(seconds), wall_s=sum(seconds))
