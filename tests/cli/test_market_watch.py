"""`perp-dex market watch` and `monitor market`: from a simulated exchange over the real sockets."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bus.connection import Bus
from cli.exit_codes import ExitCode
from storage.opening import Storage
from streaming.app import StreamingApp, StreamingParts
from streaming.handshake import LOOPBACK_HOSTS
from streaming.tokens import FileToken
from tests.api.serving import TOKEN, Api, serving
from tests.cli.conftest import Terminal
from tests.cli.test_monitor import following, is_type
from tests.streaming.test_app import Crossings
from tests.streaming.test_bridge import Workflows
from venues import registry
from venues.simulation.server import RunningSimulator, running_simulator


class Streaming:
    """The streaming app over a port that stays the same."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[StreamingApp]:
        storage = self._storage
        bus = Bus("redis://127.0.0.1:1/0")
        app = StreamingApp(
            StreamingParts(
                orders=storage.orders,
                accounts=storage.accounts,
                positions=storage.positions,
                load=registry.load,
                sink=Workflows(),
                conditions=storage.conditions,
                crossings=Crossings(),
                bus=bus,
                authenticator=FileToken(lambda: TOKEN),
                hosts=LOOPBACK_HOSTS,
            )
        )
        await app.start("127.0.0.1", self.port)
        task = asyncio.create_task(app.run())
        try:
            yield app
        finally:
            await app.drain()
            task.cancel()
            await asyncio.wait([task])
            await app.close()
            await bus.close()


@pytest.fixture
async def exchange(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningSimulator]:
    async with running_simulator() as running:
        monkeypatch.setenv("HYPERLIQUID_PAPER_URL", running.url)
        monkeypatch.setenv("PERP_DEX_SIM_CONTROL_URL", running.control_url)
        yield running


@pytest.fixture
def streaming(exchange: RunningSimulator, storage: Storage) -> Streaming:
    return Streaming(storage)


@pytest.fixture
async def api(storage: Storage, streaming: Streaming) -> AsyncIterator[Api]:
    async with serving(storage, streaming=f"ws://127.0.0.1:{streaming.port}") as running:
        yield running


async def test_prices_of_a_market_as_lines_and_as_json(
    desk: Terminal, streaming: Streaming
) -> None:
    async with streaming.running():
        lines = await desk("market", "watch", "BTC-PERP", "BTC-PERP", "--count", "4")
        assert lines.code == ExitCode.DONE, lines.err
        assert "BTC-PERP hyperliquid bid " in lines.out
        as_json = await desk("market", "watch", "BTC-PERP", "--count", "4", "--json")
    messages = [json.loads(line) for line in as_json.out.splitlines()]
    assert messages[0]["type"] == "connection"
    of_market = messages[1:]
    assert {(m["venue"], m["network"], m["symbol"]) for m in of_market} == {
        ("hyperliquid", "paper", "BTC-PERP")
    }
    assert {m["channel"] for m in of_market} == {"top", "ticker"}
    tops = [m for m in of_market if m["channel"] == "top" and m["type"] != "status"]
    assert tops[0].keys() == {
        *("type", "channel", "venue", "network", "symbol", "source", "seq"),
        *("event_time", "received_time", "bid", "ask", "received_at"),
    }


async def test_the_best_of_all_venues(desk: Terminal, streaming: Streaming) -> None:
    async with streaming.running():
        result = await desk("market", "watch", "BTC-PERP", "--best", "--count", "2", "--json")
    assert result.code == ExitCode.DONE, result.err
    shared = [json.loads(line) for line in result.out.splitlines()[1:]]
    top = next(message for message in shared if message["type"] == "snapshot")
    assert top["venue"] is None
    [(venue, quantity)] = top["bid"][2]
    assert (venue, quantity) == ("hyperliquid", top["bid"][1])
    assert top["venues"][0]["included"] is True


async def test_one_market_with_book_and_trades_through_a_restart(
    desk: Terminal, streaming: Streaming
) -> None:
    async with following("monitor", "market", "BTC-PERP") as seen:
        async with streaming.running():
            book = await seen.until(lambda m: m.get("channel") == "book" and "bids" in m)
            await price(desk, "51000")
            await seen.until(lambda m: "ticker" in m and m["ticker"]["mark_price"] == "51000")
        lost = await seen.until(is_type("connection"))
        assert lost["connected"] is False
        async with streaming.running():
            back = await seen.until(is_type("connection"))
            assert back["connected"] is True
            again = await seen.until(lambda m: m.get("channel") == "book" and "bids" in m)
            assert again["type"] == "snapshot"
            assert again["seq"] > book["seq"]
            assert await seen.interrupt() == ExitCode.INTERRUPTED
    assert len(book["bids"]) > 1
    assert float(book["bids"][0][0]) < float(book["asks"][0][0])


async def test_a_venue_that_goes_away_makes_it_stale(desk: Terminal, streaming: Streaming) -> None:
    async with streaming.running(), following("market", "watch", "BTC-PERP") as seen:
        await seen.until(lambda m: m.get("stale") is False)
        assert (await desk("sim", "fault", "hyperliquid", "maintenance")).code == ExitCode.DONE
        stale = await seen.until(lambda m: m.get("stale") is True)
        assert stale["reason"]


async def test_what_does_not_exist_or_fit_is_refused(desk: Terminal, api: Api) -> None:
    assert (await desk("market", "watch", "NO-PERP")).code == ExitCode.NOT_FOUND
    assert (await desk("market", "watch")).code == ExitCode.USAGE
    both = await desk("market", "watch", "BTC-PERP", "--best", "--venue", "hyperliquid")
    assert both.code == ExitCode.USAGE
    assert (await desk("monitor", "market", "BTC-PERP", "--depth", "0")).code == ExitCode.USAGE


async def price(desk: Terminal, at: str) -> None:
    done = await desk("sim", "price", "hyperliquid", "BTC-PERP", at)
    assert done.code == ExitCode.DONE, done.err
