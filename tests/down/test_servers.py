"""A server that everything stands on is down: Temporal, the SQL database, Valkey."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from cli.exit_codes import ExitCode
from tests.crash.rig import eventually
from tests.down.rows import row
from tests.down.stage import QUANTITY, SYMBOL, Stage, all_of

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(300)]


@row("Temporal")
async def test_temporal_is_down(stage: Stage) -> None:
    canceled, filled = await stage.resting("22001"), await stage.resting("22002")
    await stage.others_order("22003")
    await stage.bought("temporal", "ETH-PERP")
    await stage.bought("temporal-guarded")
    await stage.guard("temporal")
    async with stage.socket() as socket:
        await socket.status(stale=False)
        stage.rig.kill("temporal")
        await stage.let_the_price_fall()
        await stage.fill(filled)
        typing = asyncio.create_task(
            stage.cli("trade", "buy", SYMBOL, QUANTITY, "--price", "22005", "--key", "t-typed")
        )
        placed, cancel, close, halted, history, ready = await all_of(
            stage.place("temporal-placed", side="BUY", price="22004", wait_s=1),
            stage.cancel(canceled, wait_s=1),
            stage.close("temporal-close", "ETH-PERP", wait_s=1),
            stage.halt(),
            stage.request("GET", f"/orders/{canceled['order_id']}/history"),
            stage.ready(),
        )
        typed = await typing
        typed_cancel = await stage.cli("trade", "cancel", canceled["order_id"])
        await socket.of_order(filled["order_id"], "FILLED")
        await stage.prices_are_shown()
        denied = await stage.on_the_venue("22004") + await stage.on_the_venue("22005")

    # It depends on when the lost connection is noticed; nothing is called done, or failed.
    for unclear in (placed, close):
        said = unclear.json()["code"], unclear.json()["outcome"]
        assert unclear.status_code == 503
        assert said in (("start_unclear", "unknown"), ("unavailable", "not_sent"))
    assert cancel.status_code == 202 or cancel.json()["outcome"] == "unknown", cancel.text
    assert history.status_code == 200
    assert (halted.status_code, halted.json()["started"]) == (202, False)
    assert "emergency cancel-all" in halted.json()["note"]
    assert (ready.status_code, ready.json()["checks"]["storage"]) == (503, "ok")
    assert typed.code in (ExitCode.UNKNOWN, ExitCode.UNREACHABLE)
    assert typed_cancel.code in (ExitCode.STILL_LIVE, ExitCode.UNKNOWN)
    assert (denied, await stage.on_the_venue("22003")) == ([], ["open"])

    await stage.rig.start("temporal")
    again = await stage.place("temporal-placed", side="BUY", price="22004", wait_s=20)
    assert (again.status_code, again.json()["status"]) in ((201, "ACCEPTED"), (200, "ACCEPTED"))
    closed = await stage.close("temporal-close", "ETH-PERP", wait_s=20)
    assert closed.status_code in (200, 201), closed.text
    await stage.until_halted(halted)
    for price, state in (("22003", "canceled"), ("22004", "open")):
        await stage.until_on_the_venue(price, state)
    await stage.until_flat()
    # Whether the cancel had arrived was not known; asked again it is done.
    assert (await stage.cancel(canceled, wait_s=20)).json()["status"] == "CANCELED"


@row("SQL database")
async def test_the_database_is_down(stage: Stage) -> None:
    canceled, filled = await stage.resting("22101"), await stage.resting("22102")
    typed_away = await stage.resting("22103")
    await stage.others_order("22104")
    await stage.bought("database")
    await stage.guard("database")
    async with stage.socket() as socket:
        await socket.status(stale=False)
        await asyncio.to_thread(stage.postgres.kill)
        try:
            await stage.let_the_price_fall()
            await stage.fill(filled)
            refused = await all_of(
                stage.place("database-placed", side="BUY", price="22105"),
                stage.close("database-close"),
                stage.halt(),
                stage.request("GET", f"/orders/{canceled['order_id']}"),
                stage.request("GET", "/positions"),
                stage.ready(),
            )
            cancel = await stage.cancel(canceled, wait_s=15)
            typed = await stage.cli("trade", "cancel", typed_away["order_id"])
            typed_buy = await stage.cli("trade", "buy", SYMBOL, QUANTITY, "--price", "22106")
            async with stage.socket() as another:
                error = await another.until(lambda m: m["type"] == "error", "a refusal")
            await stage.prices_are_shown()
            at_venue = [await stage.on_the_venue(p) for p in ("22101", "22103", "22104", "22105")]
            held = await stage.held()
        finally:
            await asyncio.to_thread(stage.postgres.start_again)
        await socket.of_order(filled["order_id"], "FILLED", within_s=30)
    for answer in refused:
        assert answer.status_code == 503, answer.text
    assert [each.json()["outcome"] for each in refused[:3]] == ["not_sent"] * 3
    assert "emergency flatten" in refused[1].json()["detail"]
    assert "emergency cancel-all" in refused[2].json()["detail"]
    assert (cancel.status_code, cancel.json()["status"]) == (200, "CANCELED")
    assert (typed.code, typed_buy.code) == (ExitCode.DONE, ExitCode.UNREACHABLE)
    assert error["code"] == "unavailable"
    # What was bought and what was filled: a condition does not close while it cannot be written.
    assert (at_venue, held) == ([["canceled"], ["canceled"], ["open"], []], 2 * Decimal(QUANTITY))

    placed = await stage.place("database-placed", side="BUY", price="22105", wait_s=20)
    assert placed.status_code == 201, placed.text
    await stage.until_flat()


@row("Valkey")
async def test_valkey_is_down(stage: Stage) -> None:
    canceled, filled = await stage.resting("22201"), await stage.resting("22202")
    await stage.others_order("22203")
    await stage.bought("valkey")
    await stage.guard("valkey")
    before = await stage.closing_orders()
    async with stage.socket() as socket:
        await socket.status(stale=False)
        stage.rig.kill("valkey")
        await stage.fill(filled)
        typing = asyncio.create_task(stage.cli("market", "orderbook", SYMBOL))
        placed, cancel, halted, book, ready = await all_of(
            stage.place("valkey-placed", side="BUY", price="22204", wait_s=10),
            stage.cancel(canceled),
            stage.halt(),
            stage.request("GET", f"/markets/{SYMBOL}/orderbook"),
            stage.ready(),
        )
        typed = await typing
        await socket.of_order(filled["order_id"], "FILLED")
        await socket.of_order(canceled["order_id"], "CANCELED")
        await stage.prices_are_shown()
        await stage.let_the_price_fall()
        await stage.until_flat()
        await stage.until_halted(halted)
    assert (placed.status_code, placed.json()["status"]) == (201, "ACCEPTED")
    assert (cancel.status_code, cancel.json()["status"]) == (200, "CANCELED")
    assert (book.status_code, book.json()["code"]) == (503, "unavailable")
    assert "REDIS_URL" in book.json()["detail"]
    assert (ready.status_code, typed.code) == (200, ExitCode.UNREACHABLE)
    assert await stage.closing_orders() == before + 1
    await stage.rig.start("valkey")

    async def book_is_back() -> int:
        return (await stage.request("GET", f"/markets/{SYMBOL}/orderbook")).status_code

    await eventually(book_is_back, within_s=20, what="a book", until=lambda code: code == 200)
