"""A venue is down: its REST API, its sockets, all of it; or only its prices stand still."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from cli.exit_codes import ExitCode
from tests.down.rows import row
from tests.down.stage import BACK_WITHIN_S, CROSSED, PRICE, QUANTITY, SYMBOL, Stage, all_of
from tests.down.venue_door import Half

#: Hyperliquid's tickers come each second; after so long without one they are stale.
SILENT_MS = 10_000

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(300)]


def is_price(price: str, source: str) -> Callable[[dict[str, Any]], bool]:
    """Return a test of messages: an update of the ticker to this price, which came this way."""
    told = ("update", price, source)
    return lambda m: (m["type"], m.get("ticker", {}).get("mark_price"), m.get("source")) == told


@row("venue: REST")
async def test_the_venues_rest_is_down(stage: Stage) -> None:
    canceled, filled = await stage.resting("23001"), await stage.resting("23002")
    await stage.others_order("23003")
    await stage.bought("rest", "ETH-PERP")
    await stage.bought("rest-guarded")
    await stage.guard("rest")
    async with stage.socket() as socket, stage.prices() as prices:
        await socket.status(stale=False)
        await prices.status(stale=False)
        stage.door.shut(Half.REST)
        await stage.let_the_price_fall()
        await stage.fill(filled)
        typing = asyncio.create_task(
            stage.cli("trade", "buy", SYMBOL, QUANTITY, "--price", "23005", "--key", "r-typed")
        )
        placed, cancel, close, halted, book, ready = await all_of(
            stage.place("rest-placed", side="BUY", price="23004", wait_s=3, place_within_s=120),
            stage.cancel(canceled, wait_s=1),
            stage.close("rest-close", "ETH-PERP", wait_s=1),
            stage.halt(),
            stage.request("GET", f"/markets/{SYMBOL}/orderbook"),
            stage.ready(),
        )
        typed = await typing
        # Its sockets tell of what happens there.
        await socket.of_order(filled["order_id"], "FILLED")
        await prices.until(is_price(CROSSED, "stream"), "the new price")
        at_venue = [await stage.on_the_venue(p) for p in ("23001", "23003", "23004", "23005")]
        held = await stage.held()
        said = [message for message in socket.heard if message["type"] == "status"]
    assert (placed.status_code, placed.json()["status"]) == (202, "UNKNOWN")
    assert [cancel.status_code, close.status_code, halted.status_code] == [202, 202, 202]
    assert (book.status_code, book.json()["code"]) == (503, "venue_unavailable"), book.text
    assert (ready.status_code, typed.code) == (200, ExitCode.UNKNOWN)
    # Nothing reached it, and neither the close nor the condition could act.
    assert (at_venue, held) == ([["open"], ["open"], [], []], 3 * Decimal(QUANTITY))
    assert not said[-1]["stale"]
    await stage.door.open()
    await stage.until_halted(halted)
    for price, state in (("23001", "canceled"), ("23003", "canceled"), ("23004", "open")):
        await stage.until_on_the_venue(price, state)
    await stage.until_flat()


@row("venue: sockets")
async def test_the_venues_sockets_are_down(stage: Stage) -> None:
    canceled, filled = await stage.resting("23101"), await stage.resting("23102")
    await stage.others_order("23103")
    await stage.bought("sockets")
    async with stage.socket() as socket, stage.prices() as prices:
        await socket.status(stale=False)
        await prices.status(stale=False)
        stage.door.shut(Half.SOCKETS)
        stale = await socket.status(stale=True)
        await prices.status(stale=True)
        await stage.fill(filled)
        condition_id = await stage.guard("sockets")
        placed, cancel, halted, book, balance = await all_of(
            stage.place("sockets-placed", side="BUY", price="23104", wait_s=10),
            stage.cancel(canceled),
            stage.halt(),
            stage.request("GET", f"/markets/{SYMBOL}/orderbook"),
            stage.request("GET", f"/accounts/{stage.account}/balance"),
        )
        await stage.let_the_price_fall()
        await stage.until_halted(halted)
        # Where nobody hears the exchange it is asked; the account is read again meanwhile.
        await prices.until(is_price(CROSSED, "poll"), "the new price, asked for")
        await stage.until_flat()
        await socket.of_order(filled["order_id"], "FILLED", within_s=40)
        await stage.door.open()
        await socket.status(stale=False, within_s=40)
    assert (stale["age_ms"], stale["reason"]) == (0, "the venue closed the connection")
    closed = await stage.condition(condition_id)
    assert closed["reason"].endswith("(poll)"), closed
    assert (placed.status_code, placed.json()["status"]) == (201, "ACCEPTED")
    assert (cancel.status_code, cancel.json()["status"]) == (200, "CANCELED")
    assert (book.status_code, balance.status_code) == (200, 200)
    assert balance.json()["source"] == "asked"


@row("venue: all")
async def test_the_venue_is_down(stage: Stage) -> None:
    canceled = await stage.resting("23201")
    await stage.others_order("23202")
    await stage.bought("venue", "ETH-PERP")
    async with stage.socket() as socket:
        await socket.status(stale=False)
        stage.rig.kill("sim-hyperliquid")
        stage.door.wall_up()
        await socket.status(stale=True)
        typing = asyncio.create_task(stage.cli("market", "orderbook", SYMBOL))
        placed, late, cancel, close, halted, book, shown = await all_of(
            stage.place("venue-placed", side="BUY", price="23203", wait_s=2, place_within_s=120),
            stage.place("venue-late", side="BUY", price="23204", wait_s=6, place_within_s=2),
            stage.cancel(canceled, wait_s=1),
            stage.close("venue-close", "ETH-PERP", wait_s=1),
            stage.halt(),
            stage.request("GET", f"/markets/{SYMBOL}/orderbook"),
            stage.request("GET", f"/positions?account={stage.account}&live=true"),
        )
        typed = await typing
    assert [cancel.status_code, close.status_code, halted.status_code] == [202, 202, 202]
    assert (placed.status_code, placed.json()["outcome"]) == (202, "pending")
    assert (late.status_code, late.json()["code"]) == (422, "not_sent")
    assert (book.json()["code"], typed.code) == ("venue_unavailable", ExitCode.UNREACHABLE)
    assert [position["symbol"] for position in shown.json()["positions"]] == ["ETH-PERP"]
    await stage.rig.start("sim-hyperliquid")
    await stage.door.open()
    await stage.until_halted(halted)
    for price, state in (("23201", "canceled"), ("23202", "canceled"), ("23203", "open")):
        await stage.until_on_the_venue(price, state)
    assert await stage.on_the_venue("23204") == []
    await stage.until_flat()


@row("price source")
async def test_a_price_source_stands_still(stage: Stage) -> None:
    await stage.bought("price")
    async with stage.prices() as prices, stage.socket() as orders:
        await prices.status(stale=False)
        await stage.rig.control("POST", "/faults", {"kind": "stall", "action": "activeAssetCtx"})
        condition_id = await stage.guard("price")
        filled = await stage.resting("23301")
        await stage.let_the_price_fall()
        await stage.fill(filled)
        # Everything else of the same venue goes on over the same way.
        await orders.of_order(filled["order_id"], "FILLED")
        # What the stream does not say any more is asked for, and says that it was.
        await prices.until(is_price(CROSSED, "poll"), "the new price, asked for")
        await stage.until_flat()
        meanwhile = list(prices.heard)
        await stage.rig.control("DELETE", "/faults")
        # Silent for too long it is connected anew, after a pause of up to half a minute.
        streamed = is_price(CROSSED, "stream")
        await prices.until(streamed, "the new price from the stream", within_s=BACK_WITHIN_S)
        await prices.status(stale=False)
    # Not once was the old price shown as new: what stood still said nothing, and was called stale
    # as soon as it was silent for too long, unless the price came another way by then.
    updates = [m for m in meanwhile if m["type"] == "update"]
    assert {m["ticker"]["mark_price"] for m in updates if m["source"] == "stream"} <= {PRICE}
    assert {m["venue"] for m in updates} == {"hyperliquid"}
    fresh = [m for m in meanwhile if m["type"] == "status" and not m["stale"]]
    assert all(m["age_ms"] <= SILENT_MS for m in fresh if m["source"] == "stream"), fresh
    closed = await stage.condition(condition_id)
    assert closed["status"] in ("CLOSING", "CLOSED"), closed
    assert closed["reason"].endswith("(poll)"), closed
