"""The weather itself: what the proxy does to frames and connections, and that HTTP passes."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.bus.waiting import eventually
from tests.stream_chaos.frames import FrameCutter, text_frame
from tests.stream_chaos.proxy import FaultProxy
from tests.stream_chaos.weather import CALM, ROUGH, STORM, Cut, Fate, Weather


@asynccontextmanager
async def lined(seed: int = 1) -> AsyncIterator[tuple[FaultProxy, str]]:
    """Run a server that answers `n` with n numbered messages, and a proxy before it."""

    async def count(socket: ServerConnection) -> None:
        async for asked in socket:
            for number in range(int(asked)):
                await socket.send(json.dumps(number))

    async with serve(count, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        proxy = FaultProxy("line", server.sockets[0].getsockname()[1], seed)
        port = await proxy.start()
        try:
            yield proxy, f"ws://127.0.0.1:{port}"
        finally:
            await proxy.stop()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[ClientConnection]:
    async with connect(url, compression=None, ping_interval=None, close_timeout=0.2) as client:
        yield client


async def heard(client: ClientConnection, asked: int, expected: int) -> list[str]:
    await client.send(str(asked))
    async with asyncio.timeout(5):
        return [str(await client.recv()) for _ in range(expected)]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_are_cut_where_they_end(size: int) -> None:
    data = text_frame(b"x" * size) + b"\x89\x80abcd" + text_frame(b"last")
    for step in (1, 3, 4_096, len(data)):
        cutter = FrameCutter()
        found = [
            frame
            for start in range(0, len(data), step)
            for frame in cutter.feed(data[start : start + step])
        ]
        assert b"".join(frame.data for frame in found) == data
        assert [len(frame.payload) for frame in found] == [size, 0, 4]
        assert [(frame.opcode, frame.masked) for frame in found] == [(1, 0), (9, 1), (1, 0)]
        if len(data) > 10_000 and step == 3:
            break


def test_only_whole_text_messages_are_tampered_with() -> None:
    (whole, part, binary) = FrameCutter().feed(b"\x81\x00" + b"\x01\x00" + b"\x82\x00")
    assert [whole.is_message, part.is_message, binary.is_message] == [True, False, False]


@pytest.mark.parametrize("weather", [CALM, STORM, ROUGH])
def test_fates_come_in_their_shares(weather: Weather) -> None:
    drawn = Counter(weather.fate(random.Random(f"seed/{n}")) for n in range(20_000))
    for fate in (Fate.DROP, Fate.DUPLICATE, Fate.SWAP, Fate.STALL, Fate.GARBLE):
        assert drawn[fate] / 20_000 == pytest.approx(getattr(weather, fate.value), abs=0.01)
    assert sum(drawn.values()) == 20_000
    assert weather.alters == (weather is not CALM)


async def test_calm_changes_nothing() -> None:
    async with lined() as (_, url), connected(url) as client:
        assert await heard(client, 100, 100) == [str(n) for n in range(100)]


@pytest.mark.parametrize(
    ("weather", "expected"),
    [
        (Weather(duplicate=1.0), ["0", "0", "1", "1", "2", "2"]),
        (Weather(swap=1.0), ["1", "0", "3", "2"]),
        (Weather(stall=1.0, stall_s=0.05), ["0", "1", "2", "3"]),
    ],
)
async def test_messages_meet_their_fate(weather: Weather, expected: list[str]) -> None:
    async with lined() as (proxy, url), connected(url) as client, calm_up(proxy, weather):
        assert await heard(client, 4, len(expected)) == expected


async def test_what_is_dropped_is_gone_and_what_is_garbled_is_cut_short() -> None:
    async with lined() as (proxy, url), connected(url) as client:
        async with calm_up(proxy, Weather(drop=1.0)):
            await client.send("3")
            await eventually(lambda: proxy.counts["drop"] == 3)
        async with calm_up(proxy, Weather(garble=1.0)):
            assert await heard(client, 3, 3) == ["", "", ""]


@asynccontextmanager
async def calm_up(proxy: FaultProxy, weather: Weather) -> AsyncIterator[None]:
    """Make weather for what servers say only."""
    proxy.weather = weather
    proxy.spare_up = True
    try:
        yield
    finally:
        proxy.weather, proxy.spare_up = CALM, False


async def test_http_passes_untouched() -> None:
    body = bytes(range(256)) * 4_000

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=await request.read() or body)

    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/any", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    proxy = FaultProxy("line", runner.addresses[0][1], 1)
    proxy.weather = Weather(drop=1.0)
    port = await proxy.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            for sent in (None, body, None):
                async with session.post("/any", data=sent) as got:
                    assert await got.read() == body
    finally:
        await proxy.stop()
        await runner.cleanup()
    assert proxy.counts == Counter()


@pytest.mark.parametrize("how", [Cut.ABORT, Cut.CLOSE, Cut.HALF_CLOSE])
async def test_a_cut_ends_the_connection_for_both(how: Cut) -> None:
    async with lined() as (proxy, url), connected(url) as client:
        assert await heard(client, 1, 1) == ["0"]
        proxy.cut_all(how)
        with pytest.raises(ConnectionClosed):
            await heard(client, 1, 1)
        await eventually(lambda: proxy.open_sockets == 0)
    assert proxy.counts[how.value] == 1


async def test_a_mute_connection_stands_until_the_next_cut() -> None:
    async with lined() as (proxy, url), connected(url) as client:
        proxy.cut_all(Cut.MUTE)
        await client.send("1")
        await eventually(lambda: proxy.counts["muted"] > 0)
        assert proxy.open_sockets == 1
        proxy.cut_all()
        with pytest.raises(ConnectionClosed):
            await client.recv()
    assert proxy.counts["abort"] == 1


async def test_cuts_come_regularly_and_end_with_the_weather() -> None:
    async with lined() as (proxy, url):
        proxy.weather = Weather(cut_every_s=0.05)
        async with asyncio.timeout(10):
            while sum(proxy.counts[cut.value] for cut in Cut) < 5:
                try:
                    async with connected(url) as client:
                        await client.recv()
                except (ConnectionClosed, OSError):
                    continue
        proxy.weather = CALM
        proxy.cut_all(Cut.ABORT)
        async with connected(url) as client:
            assert await heard(client, 50, 50) == [str(n) for n in range(50)]
