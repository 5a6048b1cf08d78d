"""One of our processes is down: the worker, the API, the streaming process."""

from __future__ import annotations

import asyncio
import subprocess
from decimal import Decimal

import httpx2
import pytest

from cli.exit_codes import ExitCode
from stack.table import own_command
from tests.down.rows import row
from tests.down.stage import QUANTITY, SYMBOL, Stage, all_of

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(300)]


@row("worker")
async def test_the_worker_is_down(stage: Stage) -> None:
    canceled, filled = await stage.resting("21001"), await stage.resting("21002")
    changed = await stage.resting("21007", place_within_s=120)
    unchanged = await stage.resting("21008", place_within_s=1)
    swept = await stage.others_order("21003")
    await stage.bought("worker", "ETH-PERP")
    await stage.bought("worker-guarded")
    condition_id = await stage.guard("worker")
    async with stage.socket() as socket:
        await socket.status(stale=False)
        stage.rig.kill("worker")
        await stage.let_the_price_fall()
        await stage.fill(filled)
        typing = asyncio.create_task(
            stage.cli("trade", "buy", SYMBOL, QUANTITY, "--price", "21006", "--key", "w-typed")
        )
        placed, change, late_change, late, cancel, close, halted, read, history = await all_of(
            stage.place("worker-placed", side="BUY", price="21004", place_within_s=120),
            stage.change(changed, "21009"),
            stage.change(unchanged, "21010"),
            stage.place("worker-late", side="BUY", price="21005", place_within_s=1),
            stage.cancel(canceled, wait_s=1),
            stage.close("worker-close", "ETH-PERP", wait_s=1),
            stage.halt(),
            stage.request("GET", f"/orders/{canceled['order_id']}?live=true"),
            stage.request("GET", f"/orders/{canceled['order_id']}/history"),
        )
        typed = await typing
        typed_cancel = await stage.cli("trade", "cancel", swept["order_id"])
        typed_change = await stage.cli("trade", "modify", changed["order_id"], "--price", "21011")
        await socket.of_order(filled["order_id"], "FILLED")
        await stage.prices_are_shown()
        held = await stage.held()
        at_venue = [await stage.on_the_venue(p) for p in ("21001", "21004", "21005", "21006")]

    assert (placed.status_code, placed.json()["outcome"]) == (202, "pending")
    for answer in (cancel, close, halted, change, late_change):
        assert answer.status_code == 202, answer.text
    assert halted.json()["started"]
    assert (read.status_code, read.json()["source"], history.status_code) == (200, "database", 200)
    assert (typed.code, typed_cancel.code) == (ExitCode.UNKNOWN, ExitCode.STILL_LIVE)
    assert typed_change.code == ExitCode.UNKNOWN
    assert at_venue == [["open"], [], [], []]
    # Two positions and what was filled: neither the close nor the condition could act.
    assert held == 3 * Decimal(QUANTITY)

    # It outlives who answered, and the server that was told of it.
    stage.rig.kill("api")
    stage.rig.kill("temporal")
    await stage.rig.start("temporal", "worker", "api")
    await stage.until_halted(halted)
    for price, state in (("21001", "canceled"), ("21003", "canceled"), ("21004", "open")):
        await stage.until_on_the_venue(price, state)
    ended = await stage.trader.until(
        late.json()["order_id"], lambda order: order["status"] == "EXPIRED", within_s=30
    )
    assert (ended["outcome"], ended["reason"]) == ("not_sent", "not_sent")
    for price, state in (("21009", "canceled"), ("21011", "open"), ("21008", "open")):
        await stage.until_on_the_venue(price, state)
    assert await stage.on_the_venue("21010") == []
    told = [await stage.told_of_changes(order) for order in (changed, unchanged)]
    assert len({line for line in told[0] if line.endswith(": done")}) == 2, told
    # A worker that is held up in the middle of telling tells it again.
    assert {"refused: it was not begun in its time" in line for line in told[1]} == {True}, told
    await stage.until_flat()
    assert (await stage.condition(condition_id))["status"] in ("CLOSING", "CLOSED")


@row("API")
async def test_the_api_is_down(stage: Stage) -> None:
    filled, swept = await stage.resting("21101"), await stage.others_order("21102")
    await stage.bought("api")
    await stage.guard("api")
    before = await stage.closing_orders()
    async with stage.socket() as socket:
        await socket.status(stale=False)
        stage.rig.kill("api")
        await stage.fill(filled)
        await socket.of_order(filled["order_id"], "FILLED")
        with pytest.raises(httpx2.ConnectError):
            await stage.place("api-placed", side="BUY", price="21103")
        await stage.let_the_price_fall()
        typed, emergency = await asyncio.gather(
            stage.cli("trade", "buy", SYMBOL, QUANTITY, "--price", "21104"),
            emergency_cancel(stage),
        )
        await stage.until_flat()
        # A second client is let in without the API too.
        async with stage.socket("positions") as another:
            await another.status(stale=False)
        await stage.prices_are_shown()

    assert (typed.code, typed.problem["outcome"]) == (ExitCode.UNREACHABLE, "not_sent")
    assert emergency.returncode == 0, emergency.stdout + emergency.stderr
    assert await stage.on_the_venue("21102") == ["canceled"], swept
    assert await stage.closing_orders() == before + 1
    await stage.rig.start("api")
    assert [await stage.on_the_venue(price) for price in ("21103", "21104")] == [[], []]


@row("streaming")
async def test_the_streaming_process_is_down(stage: Stage) -> None:
    canceled, filled = await stage.resting("21201"), await stage.resting("21202")
    await stage.others_order("21203")
    await stage.bought("streaming")
    async with stage.socket() as socket:
        await socket.status(stale=False)
        stage.rig.kill("streaming")
        typing = asyncio.create_task(stage.cli("market", "orderbook", SYMBOL))
        placed, cancel, book, halted = await all_of(
            stage.place("streaming-placed", side="BUY", price="21204", wait_s=10),
            stage.cancel(canceled),
            stage.request("GET", f"/markets/{SYMBOL}/orderbook"),
            stage.halt(),
        )
        typed = await typing
        condition_id = await stage.guard("streaming")
        await socket.until_closed()
        with pytest.raises(OSError):
            async with stage.socket():
                pass
    assert (placed.status_code, placed.json()["status"]) == (201, "ACCEPTED")
    assert (cancel.status_code, cancel.json()["status"]) == (200, "CANCELED")
    assert (book.status_code, book.json()["code"]) == (503, "unavailable")
    assert "check that the streaming process runs" in book.json()["detail"]
    assert typed.code == ExitCode.UNREACHABLE
    assert socket.closed_with == 1006
    await stage.until_halted(halted)

    watched = (await stage.condition(condition_id))["watched"]
    assert watched is None or not watched["is_fresh"]
    await stage.let_the_price_fall()
    # What the exchange does meanwhile is not known; what the workflows do is.
    await stage.fill(filled)
    await stage.until_flat()
    assert (await stage.trader.get(filled["order_id"]))["status"] == "ACCEPTED"

    await stage.rig.start("streaming")
    await stage.trader.until(
        filled["order_id"], lambda order: order["status"] == "FILLED", within_s=30
    )


async def emergency_cancel(stage: Stage) -> subprocess.CompletedProcess[str]:
    """Cancel all of the other account by what needs neither the API nor Temporal."""
    return await asyncio.to_thread(
        subprocess.run,
        own_command("worker", "emergency", "cancel-all", "--account", "other", "--yes"),
        env=dict(stage.rig.environment),
        capture_output=True,
        text=True,
        timeout=120,
    )
