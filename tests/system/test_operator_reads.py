"""The operator can read: the web UI shows an order in words, though its payloads are encrypted."""

from __future__ import annotations

import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.system.conftest import Stack

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

PATIENCE_MS = 60_000


def test_the_web_ui_shows_an_order_in_words(stack: Stack) -> None:
    order = stack.json("trade", "buy", "BTC-PERP", "0.001", "--price", "20000")
    api = stack.json("status")["api_url"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        try:
            page = browser.new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.goto(stack.command("ui", "--print").strip())
            page.goto(f"{api}/temporal/namespaces/default/workflows/{order['workflow_id']}")
            expect(page.get_by_text('"BTC-PERP"').first).to_be_visible(timeout=PATIENCE_MS)
            page.get_by_role("link", name="User Metadata").click()
            summary = page.get_by_text("BUY 0.001 BTC-PERP @ 20000 GTC").first
            expect(summary).to_be_visible(timeout=PATIENCE_MS)
        finally:
            browser.close()
