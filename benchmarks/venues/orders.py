"""Signing, and signed and acknowledged orders, beside unsigned posts to the same bare server.

One order goes to the simulated exchange; its answer is what the bare server then says to every
order. Which rows are sent is said in `rows`. Queries still go to the simulated exchange.
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
from benchmarks.venues.rows import Rows, rows_of
from domain.accounts import TradingAccess
from domain.ledger import CommandRow
from tests.conformance.stage import Stage
from venues.transport import PostResult, Reply, Transport

WARMING: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRates:
    """What a connector does in a second, and the floor of the same run, so many `at_once`."""

    at_once: int
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
    access = await stage.trading()
    rows = await rows_of(stage, access)
    sending = _Sending(stage, access, rows)
    try:
        sample = await _sample(sending)
        signed_per_s = await _signing(sending, sample, count)
        answer = sample.reply
        arguments = (str(answer.status), answer.headers.get("content-type", "application/json"))
        async with (
            running_program("benchmarks.venues.bare", *arguments, answer.body.hex()) as (port, _),
            _redirected(sending, f"http://127.0.0.1:{port}"),
        ):
            unsigned = await _unsigned(f"http://127.0.0.1:{port}", sample, count, rows.at_once)
            acknowledged = await _acknowledged(sending, count)
    finally:
        rows.close()
    return OrderRates(
        at_once=rows.at_once,
        signed_per_s=signed_per_s,
        acknowledged=acknowledged,
        unsigned=unsigned,
    )


@dataclass(frozen=True, slots=True)
class _Sending:
    """Who sends what."""

    stage: Stage
    access: TradingAccess
    rows: Rows

    async def send(self, row: CommandRow) -> None:
        """Send a row that has to be taken."""
        result = await self.stage.connector.send(row, self.access)
        if result.outcome.kind not in ("accepted", "acknowledged"):
            raise AssertionError(f"expected {row.venue} to take the order, found {result.outcome}")

    def is_command(self, path: str) -> bool:
        """Tell whether a path bears signed commands."""
        return urlsplit(path).path in self.stage.rig.command_paths


async def _sample(sending: _Sending) -> _Exchanged:
    """Send the first order to the simulated exchange, and return what went and what came."""
    seen: list[_Exchanged] = []
    post = Transport.post

    async def noting(self: Transport, path: str, body: bytes, **how: Any) -> PostResult:
        result = await post(self, path, body, **how)
        if sending.is_command(path) and isinstance(result, Reply):
            seen.append(_Exchanged(path=path, body=body, reply=result))
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transport, "post", noting)
        await sending.send(sending.rows.first)
    return seen[-1]


async def _signing(sending: _Sending, sample: _Exchanged, count: int) -> float:
    """Send with a wire that answers at once: what is left is writing, signing and reading.

    A question is asked once, while it warms: its answer is then there at once, too.
    """
    post, get = Transport.post, Transport.get
    known: dict[str, PostResult] = {}

    async def answered(self: Transport, path: str, body: bytes, **how: Any) -> PostResult:
        if sending.is_command(path):
            return sending.rows.as_answer(sample.reply)
        return await post(self, path, body, **how)

    async def told(self: Transport, path: str, **how: Any) -> PostResult:
        if path not in known:
            known[path] = await get(self, path, **how)
        return known[path]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transport, "post", answered)
        patch.setattr(Transport, "get", told)
        for _ in range(WARMING):
            await sending.send(sending.rows.following())
        began = time.perf_counter()
        for _ in range(count):
            await sending.send(sending.rows.following())
        return count / (time.perf_counter() - began)


@asynccontextmanager
async def _redirected(sending: _Sending, url: str) -> AsyncIterator[None]:
    """Have commands go to another server, over a session of their own."""
    post, other = Transport.post, Transport(url)

    async def elsewhere(self: Transport, path: str, body: bytes, **how: Any) -> PostResult:
        if not sending.is_command(path):
            return await post(self, path, body, **how)
        result = await post(other, path, body, **how)
        return sending.rows.as_answer(result) if isinstance(result, Reply) else result

    await other.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transport, "post", elsewhere)
        try:
            yield
        finally:
            await other.close()


async def _unsigned(url: str, sample: _Exchanged, count: int, at_once: int) -> Latencies:
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=at_once),
        headers={"Content-Type": "application/json"},
    ) as session:

        async def post(_: int) -> float:
            began = time.perf_counter()
            async with session.post(url + sample.path, data=sample.body) as response:
                await response.read()
            return time.perf_counter() - began

        await measure(post, count=WARMING, concurrency=at_once)
        return await measure(post, count=count, concurrency=at_once)


async def _acknowledged(sending: _Sending, count: int) -> Latencies:
    async def send(_: int) -> float:
        began = time.perf_counter()
        await sending.send(sending.rows.following())
        return time.perf_counter() - began

    at_once = sending.rows.at_once
    await measure(send, count=WARMING, concurrency=at_once)
    return await measure(send, count=count, concurrency=at_once)
