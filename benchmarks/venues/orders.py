"""Signing, and signed and acknowledged orders, beside unsigned posts to the same bare server.

One order goes to the simulated exchange; its answer is what the bare server then says to every
order, and the same row is sent every time. Queries still go to the simulated exchange.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import pytest

from benchmarks.figures import Latencies, measure
from benchmarks.running import running_program
from benchmarks.venues.staging import a_row
from domain.accounts import TradingAccess
from domain.ledger import CommandRow
from tests.conformance.stage import Stage
from venues.transport import PostResult, Reply, Transport

CONCURRENCY: Final = 50
WARMING: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRates:
    """What a connector does in a second, and the floor of the same run."""

    signed_per_s: float
    acknowledged: Latencies
    unsigned: Latencies


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exchanged:
    """One command and its answer."""

    path: str
    body: bytes
    reply: Reply


async def order_rates(stage: Stage, *, count: int) -> OrderRates:
    """Measure a venue's connector with so many orders each time."""
    row, access = await a_row(stage), await stage.trading()
    sample = await _sample(stage, row, access)
    signed_per_s = await _signing(stage, row, access, sample, count)
    answer = sample.reply
    arguments = (str(answer.status), answer.headers.get("content-type", "application/json"))
    async with (
        running_program("benchmarks.venues.bare", *arguments, answer.body.hex()) as (port, _),
        _redirected(stage, f"http://127.0.0.1:{port}"),
    ):
        unsigned = await _unsigned(f"http://127.0.0.1:{port}", sample, count)
        acknowledged = await _acknowledged(stage, row, access, count)
    return OrderRates(signed_per_s=signed_per_s, acknowledged=acknowledged, unsigned=unsigned)


def _is_command(stage: Stage, path: str) -> bool:
    return urlsplit(path).path in stage.rig.command_paths


async def _sample(stage: Stage, row: CommandRow, access: TradingAccess) -> _Exchanged:
    """Send the order to the simulated exchange, and return what went and what came."""
    seen: list[_Exchanged] = []
    post = Transport.post

    async def noting(self: Transport, path: str, body: bytes, **how: Any) -> PostResult:
        result = await post(self, path, body, **how)
        if _is_command(stage, path) and isinstance(result, Reply):
            seen.append(_Exchanged(path=path, body=body, reply=result))
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transport, "post", noting)
        await _send(stage, row, access)
    return seen[-1]


async def _send(stage: Stage, row: CommandRow, access: TradingAccess) -> None:
    result = await stage.connector.send(row, access)
    if result.outcome.kind not in ("accepted", "acknowledged"):
        raise AssertionError(f"expected {row.venue} to take the order, found {result.outcome}")


async def _signing(
    stage: Stage, row: CommandRow, access: TradingAccess, sample: _Exchanged, count: int
) -> float:
    """Send with a wire that answers at once: what is left is writing, signing and reading."""
    post = Transport.post

    async def answered(self: Transport, path: str, body: bytes, **how: Any) -> PostResult:
        if _is_command(stage, path):
            return sample.reply
        return await post(self, path, body, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transport, "post", answered)
        for _ in range(WARMING):
            await _send(stage, row, access)
        began = time.perf_counter()
        for _ in range(count):
            await _send(stage, row, access)
        return count / (time.perf_counter() - began)


@asynccontextmanager
async def _redirected(stage: Stage, url: str) -> AsyncIterator[None]:
    """Have commands go to another server, over a session of their own."""
    post, other = Transport.post, Transport(url)

    async def elsewhere(self: Transport, path: str, body: bytes, **how: Any) -> PostResult:
        return await post(other if _is_command(stage, path) else self, path, body, **how)

    await other.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transport, "post", elsewhere)
        try:
            yield
        finally:
            await other.close()


async def _unsigned(url: str, sample: _Exchanged, count: int) -> Latencies:
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONCURRENCY),
        headers={"Content-Type": "application/json"},
    ) as session:

        async def post(_: int) -> float:
            began = time.perf_counter()
            async with session.post(url + sample.path, data=sample.body) as response:
                await response.read()
            return time.perf_counter() - began

        await measure(post, count=WARMING, concurrency=CONCURRENCY)
        return await measure(post, count=count, concurrency=CONCURRENCY)


async def _acknowledged(
    stage: Stage, row: CommandRow, access: TradingAccess, count: int
) -> Latencies:
    async def send(_: int) -> float:
        began = time.perf_counter()
        await _send(stage, row, access)
        return time.perf_counter() - began

    await measure(send, count=WARMING, concurrency=CONCURRENCY)
    return await measure(send, count=count, concurrency=CONCURRENCY)
