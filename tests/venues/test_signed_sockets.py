"""Sockets whose every handshake is signed anew: by address, by headers, and not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import pytest
from aiohttp import web

from domain.errors import VenueRefused, VenueUnavailable
from venues.connections import ConnectionBudget
from venues.stream import Backoff, EventQueue, Follower, Handshake
from venues.stream_core import Step


class Telling:
    """A core that tells what came, and why a connection ended."""

    def connected(self, now: float, at: datetime) -> Step[str]:
        return Step(events=("connected",))

    def received(self, payload: bytes, now: float, at: datetime) -> Step[str]:
        return Step(events=(payload.decode(),))

    def tick(self, now: float, at: datetime) -> Step[str]:
        return Step()

    def disconnected(self, reason: str, at: datetime) -> tuple[str, ...]:
        return (reason,)


@asynccontextmanager
async def venue() -> AsyncIterator[tuple[str, list[tuple[str, str | None]]]]:
    """A venue that notes how each socket was opened, says one word and hangs up."""
    opened: list[tuple[str, str | None]] = []

    async def handle(request: web.Request) -> web.WebSocketResponse:
        opened.append((request.path_qs, request.headers.get("X-Signature")))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("hello")
        await socket.close()
        return socket

    application = web.Application()
    application.router.add_get("/private", handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/private", opened
    finally:
        await runner.cleanup()


async def test_each_connection_has_a_handshake_of_its_own() -> None:
    async with venue() as (url, opened):
        signed = iter(range(1, 10))

        async def handshake() -> Handshake:
            number = next(signed)
            return Handshake(url=f"{url}?n={number}", headers={"X-Signature": f"s{number}"})

        queue: EventQueue[str] = EventQueue()
        follower = Follower(
            handshake, Telling(), queue, ConnectionBudget(), backoff=Backoff(first_s=0.01)
        )
        task = asyncio.create_task(follower.run())
        async with asyncio.timeout(10):
            while len(opened) < 2:
                await asyncio.sleep(0.01)
        task.cancel()
        assert opened[:2] == [("/private?n=1", "s1"), ("/private?n=2", "s2")]
        queue.close()
        assert [event async for event in queue][:2] == ["connected", "hello"]


@pytest.mark.parametrize("error", [VenueRefused("no key"), VenueUnavailable("no answer")])
async def test_without_a_handshake_the_feed_says_why_and_goes_on_trying(error: Exception) -> None:
    tried = asyncio.Event()

    async def handshake() -> Handshake:
        if tried.is_set():
            raise AssertionError("expected some patience")
        tried.set()
        raise error

    queue: EventQueue[str] = EventQueue()
    follower = Follower(handshake, Telling(), queue, ConnectionBudget(), backoff=Backoff())
    task = asyncio.create_task(follower.run())
    async with asyncio.timeout(10):
        async for event in queue:
            assert str(error) in event
            break
    task.cancel()


def test_a_handshake_shows_nothing_of_itself() -> None:
    assert repr(Handshake(url="wss://x?token=t", headers={"k": "v"})) == "Handshake()"
