"""Clients that know our documents and nothing of our code: a web page, and a few lines by hand.

Both are killed while an order is in flight, at a whole stack, and come again: what they asked is
found by its own key, what they missed comes by their last sequence, and a fill is seen once.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import os
import re
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
import pytest_asyncio
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page, async_playwright, expect
from websockets.asyncio.client import connect

from tests.architecture.tree import ROOT
from tests.crash.rig import Rig, eventually
from tests.crash.trader import Trader
from tests.streaming.contract import assert_documented
from tests.system.test_operator_view import ARGUMENTS, CHROMIUM

pytestmark = [
    pytest.mark.system,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]

PATIENCE_MS = 60_000
PAGE = Path(__file__).with_name("trading_page.html")
SERVED = {
    "/": (PAGE, "text/html"),
    "/asyncapi.json": (ROOT / "docs" / "asyncapi.json", "application/json"),
}


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Serve the page and the document of the sockets; give their origin."""

    class Files(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, kind = SERVED.get(self.path, (None, ""))
            self.send_response(404 if path is None else 200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(b"" if path is None else path.read_bytes())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass(frozen=True)
class Desk:
    """A stack that lets the page in, and an account."""

    rig: Rig
    trader: Trader
    site: str

    @property
    def where(self) -> dict[str, str]:
        """What a person would type into the page."""
        token = (self.rig.home / "api-token").read_text().strip()
        streaming = f"ws://127.0.0.1:{self.rig.ports.streaming}"
        account = self.trader.account_id
        return {"api": self.rig.api_url, "token": token, "account": account, "streaming": streaming}

    async def venue_orders(self, price: str = "20020") -> list[dict[str, Any]]:
        """Return what the exchange itself has of the order at a price."""
        orders = (await self.rig.ledger())["orders"]
        return [one for one in orders if Decimal(one["price"]) == Decimal(price)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(site: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    with pytest.MonkeyPatch.context() as changes:
        changes.setenv("ALLOWED_ORIGINS", site)
        rig = Rig(tmp_path_factory.mktemp("browser") / "home")
    async with rig:
        trader = Trader(rig.api_url, rig.home / "api-token")
        await trader.open_account(await rig.control("POST", "/accounts", {}), "page")
        yield Desk(rig, trader, site)


@asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[Page]:
    """A browser that keeps its storage in `profile`; it may be killed meanwhile."""
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            str(profile), executable_path=CHROMIUM, args=list(ARGUMENTS)
        )
        context.set_default_timeout(PATIENCE_MS)
        yield context.pages[0]
        # One that was killed cannot be closed any more.
        with contextlib.suppress(PlaywrightError):
            await context.close()


def kill(profile: Path) -> None:
    """Kill the browser of a profile, all its processes, as a crash would."""
    mine = [
        process
        for process in psutil.Process().children(recursive=True)
        if any(str(profile) in word for word in process.cmdline())
    ]
    assert mine
    for process in mine:
        os.kill(process.pid, signal.SIGKILL)
    psutil.wait_procs(mine, timeout=20)


async def opened(page: Page, desk: Desk) -> None:
    await page.goto(desk.site)
    await expect(page.locator("body")).to_have_attribute("data-ready", "yes", timeout=PATIENCE_MS)
    for link in ("#orders-link", "#markets-link"):
        await expect(page.locator(link)).to_have_text("live", timeout=PATIENCE_MS)


async def heard(page: Page) -> list[dict[str, Any]]:
    """Return what the page was told since it was opened, every message as documented."""
    found: list[dict[str, Any]] = await page.evaluate("window.heard")
    for message in found:
        assert_documented(message)
    return found


async def test_a_page_killed_in_flight_finds_its_order_and_shows_the_fill_once(
    desk: Desk, tmp_path: Path
) -> None:
    profile = tmp_path / "profile"
    async with browser(profile) as page:
        await page.goto(f"{desk.site}/asyncapi.json")
        await page.evaluate("(w) => localStorage.setItem('where', JSON.stringify(w))", desk.where)
        await opened(page, desk)
        await expect(page.locator("#bid")).to_have_text(NUMBER, timeout=PATIENCE_MS)
        await expect(page.locator("#market-state")).to_have_text("stream", timeout=PATIENCE_MS)

        # Nobody decides while the worker is frozen: the request stays in flight.
        desk.rig.freeze("worker")
        await page.locator("#place").click()
        await expect(page.locator("#intent")).to_contain_text("asked", timeout=PATIENCE_MS)
        key = (await page.locator("#intent").inner_text()).split()[-1]
        await eventually(
            lambda: on_disk(profile, key), within_s=30, what="the browser to write its storage"
        )
        await asyncio.to_thread(kill, profile)
    desk.rig.resume("worker")
    [venue] = await eventually(desk.venue_orders, within_s=40, what="the order at the exchange")
    await desk.rig.control("POST", "/fill", {"venue_order_id": venue["venue_order_id"]})

    async with browser(profile) as page:
        await opened(page, desk)
        await expect(page.locator("#intent")).to_contain_text("201", timeout=PATIENCE_MS)
        order_id = (await page.locator("#intent").inner_text()).split()[-1]
        row = page.locator("#orders li", has_text=order_id)
        await expect(row).to_have_text(f"{order_id} FILLED 0.02", timeout=PATIENCE_MS)
        await expect(page.locator("#fills li")).to_have_count(1)
        told = await heard(page)
        # It went on where it was: no snapshot, every change since, each once.
        of_orders = [one for one in told if one.get("channel") == "orders"]
        assert "snapshot" not in {one["type"] for one in of_orders}
        updates = [one["seq"] for one in of_orders if one["type"] == "update"]
        assert updates == list(range(updates[0], updates[0] + len(updates)))
        await page.reload()
        await opened(page, desk)
        await expect(row).to_have_text(f"{order_id} FILLED 0.02", timeout=PATIENCE_MS)
        await expect(page.locator("#fills li")).to_have_count(1)
    assert len(await desk.venue_orders()) == 1


async def test_a_page_of_another_origin_gets_nothing(desk: Desk, tmp_path: Path) -> None:
    elsewhere = desk.site.replace("127.0.0.1", "localhost")
    async with browser(tmp_path / "profile") as page:
        await page.goto(f"{elsewhere}/asyncapi.json")
        said = await page.evaluate(TRY, desk.where)
    assert said["rest"] == "TypeError"
    assert said["socket"] == 4003


def on_disk(profile: Path, key: str) -> Awaitable[bool]:
    """Tell whether the browser has written a text of its storage to disk."""

    def look() -> bool:
        files = (profile / "Default" / "Local Storage" / "leveldb").glob("*")
        return any(key.encode() in path.read_bytes() for path in files if path.is_file())

    return asyncio.to_thread(look)


class ByHand:
    """The protocol of docs/asyncapi.json over the `websockets` library, a fill counted once."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.seq: int | None = None
        self.told: list[dict[str, Any]] = []
        self.market: dict[str, Any] = {}

    @property
    def fills(self) -> list[str]:
        """The fills that were told, in words."""
        events = [message["event"] for message in self.told if message["type"] == "update"]
        return [event["text"] for event in events if event["kind"] == "fill"]

    async def follow(self, until: Callable[[], bool]) -> None:
        """Follow orders and a market over one new connection until what was heard will do."""
        where = self._desk.where
        account = where["account"]
        orders: dict[str, Any] = {"op": "subscribe", "channel": "orders", "account_id": account}
        if self.seq is not None:
            orders["from_seq"] = self.seq
        market = {"channel": "top", "venue": "hyperliquid", "network": "paper"}
        async with asyncio.timeout(60), connect(f"{where['streaming']}/ws/v1/stream") as socket:
            assert json.loads(await socket.recv())["type"] == "hello"
            for message in (
                {"op": "auth", "token": where["token"], "id": 1},
                {**orders, "id": 2},
                {"op": "subscribe", **market, "symbol": "BTC-PERP", "id": 3},
            ):
                assert_documented(message, "op")
                await socket.send(json.dumps(message))
            while not until():
                self._take(json.loads(await socket.recv()))
            # Gone without a word, as a process that is killed.
            socket.transport.abort()

    def _take(self, message: dict[str, Any]) -> None:
        assert_documented(message)
        assert message["type"] != "error", message
        if message.get("channel") == "top" and message["type"] in ("snapshot", "update"):
            self.market = message
        if message.get("channel") == "orders" and message["type"] in ("snapshot", "update"):
            if message["type"] == "update":
                assert message["prev_seq"] == self.seq
            self.seq = message["seq"]
            self.told.append(message)


async def test_by_hand_with_another_library(desk: Desk) -> None:
    client = ByHand(desk)
    await client.follow(lambda: client.seq is not None and bool(client.market))
    assert Decimal(client.market["bid"][0]) < Decimal(client.market["ask"][0])
    where, key = desk.where, "by-hand-1"
    headers = {"Authorization": f"Bearer {where['token']}", "Idempotency-Key": key}
    body = {"account": where["account"], "symbol": "BTC-PERP", "side": "BUY"}
    body |= {"quantity": "0.02", "price": "20021"}

    async with httpx2.AsyncClient(base_url=where["api"], headers=headers) as http:
        desk.rig.freeze("worker")
        in_flight = asyncio.create_task(
            http.post("/api/v1/orders", json={**body, "place_within_s": 60}, timeout=60)
        )
        # Cut while nobody decides: whether it arrived, this client cannot know.
        await asyncio.wait([in_flight], timeout=1)
        in_flight.cancel()
        desk.rig.resume("worker")
        answer = await http.post(
            "/api/v1/orders",
            json={**body, "place_within_s": 60},
            headers={"Prefer": "wait=30"},
            timeout=60,
        )
    assert answer.status_code in (200, 201), answer.text
    order_id = answer.json()["order_id"]
    [venue] = await desk.venue_orders("20021")
    await desk.rig.control("POST", "/fill", {"venue_order_id": venue["venue_order_id"]})

    await client.follow(lambda: bool(client.fills))
    # Once more from the last sequence: what is told before the market's snapshot is all there is.
    client.market = {}
    await client.follow(lambda: bool(client.market))
    assert [message["type"] for message in client.told].count("snapshot") == 1
    assert len(client.fills) == 1
    last = client.told[-1]["order"]
    assert (last["order_id"], last["status"]) == (order_id, "FILLED")
    assert len(await desk.venue_orders("20021")) == 1


NUMBER = re.compile(r"^\d+(\.\d+)?$")
TRY = """async (where) => {
    const headers = { Authorization: `Bearer ${where.token}` };
    const endpoints = `${where.api}/api/v1/endpoints`;
    const rest = await fetch(endpoints, { headers }).then((a) => a.status, (e) => e.name);
    const socket = await new Promise((done) => {
        const tried = new WebSocket(where.streaming + "/ws/v1/orders");
        tried.onclose = (event) => done(event.code);
    });
    return { rest, socket };
}"""
