"""What an operator sees in Temporal's web UI, in a real browser against a whole stack.

With the cookie of `perp-dex ui` an order is readable and can be found and canceled; without it the
same pages show ciphertext. Screenshots are left in pytest's directory of the run (`--basetemp`).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect
from temporalio.client import Client

from tests.crash.rig import Rig
from tests.crash.trader import Trader

pytestmark = [
    pytest.mark.system,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: The first page compiles two megabytes of script; a busy machine takes its time.
SHOWN_WITHIN_MS = 90_000
PRICE = "20010"
SUMMARY = f"BUY 0.01 BTC-PERP @ {PRICE} GTC · hyperliquid/operator"
DECODE = "/api/v1/codec/decode"


@dataclass(frozen=True)
class Stage:
    """A stack with one resting order, and a browser."""

    rig: Rig
    trader: Trader
    order: dict[str, Any]
    browser: Browser
    shots: Path

    @property
    def raw_ui(self) -> str:
        return f"http://127.0.0.1:{self.rig.ports.temporal_ui}"

    @property
    def workflow_path(self) -> str:
        return f"/temporal/namespaces/default/workflows/order-{self.order['order_id']}"

    def perp_dex(self, *arguments: str, **environment: str) -> str:
        """Run the command line against this stack and return what it prints."""
        command = [str(Path(sys.executable).with_name("perp-dex")), *arguments]
        ours = {
            "PERP_DEX_API_URL": self.rig.api_url,
            "PERP_DEX_API_TOKEN_FILE": str(self.rig.home / "api-token"),
        }
        done = subprocess.run(
            command,
            env={**os.environ, **ours, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout.strip()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    shots = tmp_path_factory.mktemp("operator")
    async with Rig(shots / "home") as rig, async_playwright() as playwright:
        trader = Trader(rig.api_url, rig.home / "api-token")
        await trader.open_account(await rig.control("POST", "/accounts", {}), "operator")
        order = await trader.place(
            "operator-view", symbol="BTC-PERP", side="BUY", quantity="0.01", price=PRICE
        )
        assert order["status"] == "ACCEPTED", order
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield Stage(rig, trader, order, browser, shots)
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def operator(stage: Stage) -> AsyncIterator[Page]:
    """A page of a browser that opened the address of `perp-dex ui --print`."""
    async with browsing(stage) as context:
        page = await context.new_page()
        await page.goto(await asyncio.to_thread(stage.perp_dex, "ui", "--print"))
        yield page


@contextlib.asynccontextmanager
async def browsing(stage: Stage) -> AsyncIterator[BrowserContext]:
    context = await stage.browser.new_context(viewport={"width": 1400, "height": 1100})
    context.set_default_timeout(SHOWN_WITHIN_MS)
    try:
        yield context
    finally:
        await context.close()


async def test_an_order_is_readable(stage: Stage, operator: Page) -> None:
    complaints: list[str] = []
    operator.on("console", lambda message: complaints.append(message.text))
    await operator.goto(f"{stage.rig.api_url}{stage.workflow_path}")

    shown = operator.locator("body")
    await expect(shown).to_contain_text('"symbol": "BTC-PERP"', timeout=SHOWN_WITHIN_MS)
    await expect(shown).to_contain_text(f'"price": "{PRICE}"')
    await operator.screenshot(path=stage.shots / "workflow.png")

    await operator.get_by_role("tab", name="User Metadata").click()
    frames = operator.frame_locator("iframe")
    await expect(frames.first.locator("main")).to_have_text(SUMMARY, timeout=SHOWN_WITHIN_MS)
    details = frames.nth(1).locator("main")
    await expect(details.locator("strong")).to_have_text("ACCEPTED", timeout=SHOWN_WITHIN_MS)
    await expect(details.locator("li").first).to_have_text("filled 0 of 0.01")
    await expect(details).to_contain_text(stage.order["venue_order_id"])
    await expect(details).to_contain_text("waiting for fills, a cancel or a modify")
    await operator.screenshot(path=stage.shots / "metadata.png")

    await operator.get_by_role("tab", name="Event History").click()
    await expect(shown).to_contain_text("place_order", timeout=SHOWN_WITHIN_MS)
    await expect(shown).not_to_contain_text("encrypted+perp-dex")
    assert not [text for text in complaints if "Content Security Policy" in text]


async def test_a_filter_on_venue_and_status_finds_the_order(stage: Stage, operator: Page) -> None:
    await find(stage, operator, 'Venue="hyperliquid" AND OrderStatus="ACCEPTED"')
    link = operator.get_by_role("link", name=f"order-{stage.order['order_id']}").first
    await expect(link).to_be_visible(timeout=SHOWN_WITHIN_MS)
    await operator.screenshot(path=stage.shots / "list.png")

    await find(stage, operator, 'Venue="hyperliquid" AND OrderStatus="REJECTED"')
    nothing = operator.get_by_text("No Workflows Found")
    await expect(nothing).to_be_visible(timeout=SHOWN_WITHIN_MS)


async def test_an_address_works_once(stage: Stage) -> None:
    url = await asyncio.to_thread(stage.perp_dex, "ui", "--print")
    async with browsing(stage) as context, browsing(stage) as other:
        first = await (await context.new_page()).goto(url)
        assert first is not None
        assert first.status == 200
        second = await (await other.new_page()).goto(url)
        assert second is not None
        assert second.status == 401


async def test_the_command_opens_a_browser(stage: Stage, tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    await asyncio.to_thread(stage.perp_dex, "ui", BROWSER=f"{browser} %s")
    url = opened.read_text().strip()
    assert url.startswith(f"{stage.rig.api_url}/api/v1/operator/session?ticket=")
    async with browsing(stage) as context:
        answer = await (await context.new_page()).goto(url)
        assert answer is not None
        assert answer.status == 200


async def test_without_the_cookie_there_is_ciphertext(stage: Stage) -> None:
    async with browsing(stage) as context:
        page = await context.new_page()
        await page.goto(f"{stage.raw_ui}{stage.workflow_path}")
        shown = page.locator("body")
        ciphertext = base64.b64encode(await stored_input(stage)).decode()
        await expect(shown).to_contain_text(ciphertext[:200], timeout=SHOWN_WITHIN_MS)
        await page.screenshot(path=stage.shots / "ciphertext.png")
        await page.get_by_role("tab", name="User Metadata").click()
        await expect(shown).to_contain_text("Current Details", timeout=SHOWN_WITHIN_MS)
        await page.screenshot(path=stage.shots / "ciphertext-metadata.png")
        for frame in page.frames:
            text = await frame.inner_text("body")
            assert "BTC-PERP" not in text
            assert PRICE not in text

        refused = await page.goto(f"{stage.rig.api_url}{stage.workflow_path}")
        assert refused is not None
        assert refused.status == 401
        assert "perp-dex ui" in await page.inner_text("body")
    async with httpx2.AsyncClient(base_url=stage.rig.api_url) as anyone:
        payloads: dict[str, list[object]] = {"payloads": []}
        for headers in ({}, {"Origin": stage.rig.api_url}):
            answer = await anyone.post(DECODE, json=payloads, headers=headers)
            assert answer.status_code == 401


async def test_another_page_in_the_operators_browser_gets_nothing(
    stage: Stage, operator: Page
) -> None:
    with some_site() as elsewhere:
        for origin in (elsewhere, elsewhere.replace("127.0.0.1", "localhost"), stage.raw_ui):
            page = await operator.context.new_page()
            await page.goto(f"{origin}/healthz")
            for path, method in ((DECODE, "POST"), (stage.workflow_path, "GET")):
                refused = await page.evaluate(FETCH, [f"{stage.rig.api_url}{path}", method])
                assert refused == "TypeError", (origin, path, refused)
            await page.evaluate(FRAME, f"{stage.rig.api_url}{stage.workflow_path}")
            for frame in page.frames[1:]:
                assert "svelte" not in await frame.content()


async def test_a_cancellation_requested_on_the_page_cancels_the_order(
    stage: Stage, operator: Page
) -> None:
    order = await stage.trader.place(
        "cancel-by-page", symbol="BTC-PERP", side="BUY", quantity="0.01", price="20011"
    )
    path = f"/temporal/namespaces/default/workflows/order-{order['order_id']}"
    await operator.goto(f"{stage.rig.api_url}{path}")
    await operator.get_by_role("button", name="Request Cancellation").click()
    dialog = operator.get_by_role("dialog").filter(has_text="cancel")
    await dialog.get_by_role("button", name="Confirm").click()

    ended = await stage.trader.until(
        order["order_id"], lambda seen: seen["status"] == "CANCELED", within_s=30
    )
    assert ended["filled_quantity"] == "0"
    ledger = (await stage.rig.ledger())["orders"]
    [venue] = [each for each in ledger if Decimal(each["price"]) == Decimal("20011")]
    assert venue["status"] == "canceled"


async def stored_input(stage: Stage) -> bytes:
    """Return the order's input as Temporal stores it."""
    client = await Client.connect(stage.rig.temporal_address)
    history = await client.get_workflow_handle(f"order-{stage.order['order_id']}").fetch_history()
    started = history.events[0].workflow_execution_started_event_attributes
    return started.input.payloads[0].data


async def find(stage: Stage, page: Page, query: str) -> None:
    """Open the list of workflows with a query, as the address bar or a bookmark would."""
    base = f"{stage.rig.api_url}/temporal/namespaces/default/workflows"
    await page.goto(f"{base}?query={quote(query)}")


FETCH = """async ([url, method]) => {
    try {
        const answer = await fetch(url, {
            method, credentials: "include", body: method === "POST" ? '{"payloads": []}' : null,
            headers: method === "POST" ? {"Content-Type": "application/json"} : {},
        });
        return `${answer.status} ${await answer.text()}`;
    } catch (error) {
        return error.name;
    }
}"""
FRAME = """(url) => new Promise((resolve) => {
    const frame = document.createElement("iframe");
    frame.onload = resolve;
    frame.src = url;
    document.body.append(frame);
})"""


@contextlib.contextmanager
def some_site() -> Iterator[str]:
    """Serve an empty page from another port: another origin, though the same site."""

    class Empty(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<p>elsewhere")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
