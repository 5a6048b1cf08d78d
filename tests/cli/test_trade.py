"""`perp-dex trade`: what is sent, printed and concluded."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from decimal import Decimal
from typing import Any

import pytest

from cli.exit_codes import ExitCode
from domain.identifiers import order_id_for
from storage.opening import Storage
from tests.api.desk import ScriptedDesk
from tests.api.serving import TOKEN, Api, serving
from tests.cli.conftest import Terminal

BUY = ("trade", "buy", "BTC-PERP", "0.1", "--price", "45000")
MISSING = "99999999-9999-4999-8999-999999999999"


async def placed(desk: Terminal, *more: str) -> dict[str, Any]:
    result = await desk(*BUY, "--json", *more)
    assert result.code == 0, result.err
    order: dict[str, Any] = json.loads(result.out)
    return order


async def test_buy_prints_one_order_and_its_id_first(desk: Terminal) -> None:
    result = await desk(*BUY, "--key", "mine")
    assert result.code == ExitCode.DONE
    order_id = order_id_for("local", "mine")
    assert result.err == f"order {order_id}\n"
    assert order_id in result.out
    assert "BUY 0.1 BTC-PERP @ 45000" in result.out
    assert "ACCEPTED" in result.out
    assert "\x1b" not in result.out


async def test_json_is_one_object_with_decimals_as_strings(desk: Terminal) -> None:
    order = await placed(desk, "--post-only", "--account", "paper", "--dex", "hyperliquid")
    for name in (
        "order_id",
        "client_order_id",
        "venue_order_id",
        "account",
        "account_id",
        "venue",
        "symbol",
        "side",
        "order_type",
        "time_in_force",
        "quantity",
        "filled_quantity",
        "remaining_quantity",
        "average_price",
        "price",
        "status",
        "outcome",
        "reason",
        "created_at",
        "updated_at",
        "place_by",
        "workflow_id",
        "revision",
        "is_terminal",
    ):
        assert name in order
    assert order["quantity"] == "0.1"
    assert order["filled_quantity"] == "0"
    assert order["post_only"] is True
    assert order["created_at"].endswith("Z")


async def test_the_same_key_is_the_same_order(desk: Terminal, api: Api) -> None:
    first = await placed(desk, "--key", "k")
    assert await placed(desk, "--key", "k") == first
    other = await desk("trade", "buy", "BTC-PERP", "0.2", "--price", "45000", "--key", "k")
    assert other.code == ExitCode.USAGE
    assert "another request before (order)" in other.err
    assert len(api.desk.starts) == 1


@pytest.mark.parametrize(
    ("script", "code", "status"),
    [("fill", 0, "FILLED"), ("ioc_miss", 5, "CANCELED"), ("unknown", 6, "UNKNOWN")],
)
async def test_wait_fill_concludes(
    desk: Terminal, api: Api, script: Any, code: int, status: str
) -> None:
    api.desk.script = script
    result = await desk(*BUY, "--wait-fill", "--timeout", "1", "--json")
    assert result.code == code, result.err
    assert json.loads(result.out)["status"] == status


async def test_wait_fill_waits_for_the_fill(desk: Terminal, api: Api) -> None:
    waiting = asyncio.create_task(desk(*BUY, "--wait-fill", "--json", "--key", "k"))
    order_id = order_id_for("local", "k")
    async with asyncio.timeout(10):
        while await api.storage.orders.get(order_id) is None:
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.5)
    assert not waiting.done()
    await api.desk.fill(order_id)
    result = await waiting
    assert result.code == ExitCode.DONE
    assert json.loads(result.out)["status"] == "FILLED"
    assert "Ctrl-C leaves the order working" in result.err


async def test_wait_fill_tells_what_is_still_live_or_partly_done(desk: Terminal, api: Api) -> None:
    result = await desk(*BUY, "--wait-fill", "--timeout", "0.2", "--json", "--key", "k")
    assert result.code == ExitCode.STILL_LIVE
    order_id = json.loads(result.out)["order_id"]
    await api.desk.fill(order_id, quantity=Decimal("0.04"))
    await api.http.delete(f"/api/v1/orders/{order_id}")
    again = await desk("trade", "show", order_id, "--wait-fill", "--json")
    assert again.code == ExitCode.PARTLY_DONE
    assert json.loads(again.out)["filled_quantity"] == "0.04"


async def test_a_rejection_is_told_and_cannot_steer_the_terminal(desk: Terminal, api: Api) -> None:
    api.desk.script = "reject"
    result = await desk(*BUY)
    assert result.code == ExitCode.REFUSED
    assert "insufficient margin" in result.err
    assert "\x1b" not in result.err
    assert "\\x1b]0;pwn" in result.err
    as_json = await desk(*BUY, "--json")
    problem = json.loads(as_json.err.splitlines()[-1])
    assert problem["code"] == "venue_rejected"
    assert problem["order"]["status"] == "REJECTED"
    shown = await desk("trade", "orders", "--status", "all")
    assert "\x1b" not in shown.out
    assert "[bold]" in shown.out


async def test_what_is_not_known_is_exit_6_with_the_way_to_find_out(
    desk: Terminal, api: Api
) -> None:
    api.desk.script = "hang"
    result = await desk(*BUY, "--key", "k")
    assert result.code == ExitCode.UNKNOWN
    assert f"perp-dex trade show {order_id_for('local', 'k')}" in result.err
    api.desk.script = "silent"
    result = await desk(*BUY, "--key", "other")
    assert result.code == ExitCode.UNKNOWN
    assert f"perp-dex trade show {order_id_for('local', 'other')}" in result.err


async def test_wait_fill_survives_a_restart_of_the_api(
    storage: Storage, terminal: Terminal, token_file: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted = ScriptedDesk(storage)
    monkeypatch.setenv("PERP_DEX_API_TOKEN_FILE", str(token_file))
    async with serving(storage, desk=scripted) as api:
        monkeypatch.setenv("PERP_DEX_API_URL", api.url)
        port = int(api.url.rsplit(":", 1)[1])
        waiting = asyncio.create_task(terminal(*BUY, "--wait-fill", "--json", "--timeout", "40"))
        async with asyncio.timeout(10):
            while not scripted.starts:
                await asyncio.sleep(0.02)
    assert not waiting.done()
    await scripted.fill(scripted.starts[0])
    async with serving(storage, desk=scripted, port=port):
        result = await waiting
    assert result.code == ExitCode.DONE, result.err
    assert scripted.starts == [json.loads(result.out)["order_id"]]


async def test_without_an_api_nothing_is_sent(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, token_file: Any
) -> None:
    result = await terminal(*BUY)
    assert result.code == ExitCode.UNREACHABLE
    assert "perp-dex up" in result.err
    monkeypatch.setenv("PERP_DEX_API_URL", "http://127.0.0.1:1")
    result = await terminal(*BUY)
    assert result.code == ExitCode.USAGE
    assert "PERP_DEX_API_TOKEN_FILE" in result.err
    monkeypatch.setenv("PERP_DEX_API_TOKEN_FILE", str(token_file))
    monkeypatch.setattr("cli.waiting.RETRY_WITHIN_S", 0.1)
    result = await terminal(*BUY, "--json")
    assert result.code == ExitCode.UNREACHABLE
    assert json.loads(result.err.splitlines()[-1])["outcome"] == "not_sent"
    monkeypatch.setenv("PERP_DEX_API_TOKEN_FILE", str(token_file) + "x")
    result = await terminal(*BUY)
    assert result.code == ExitCode.NOT_AUTHORIZED


async def test_a_wrong_token_is_exit_3(desk: Terminal, token_file: Any) -> None:
    token_file.write_text("x" * len(TOKEN))
    result = await desk("trade", "orders")
    assert result.code == ExitCode.NOT_AUTHORIZED


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("BTC-PERP", "0.1"), "either"),
        (("BTC-PERP", "0.1"), "--price or --market"),
        (("BTC-PERP", "0.1", "--price", "1", "--market"), "found both"),
        (("BTC-PERP", "0.1", "--stop"), "--trigger-price"),
        (("BTC-PERP", "0.1", "--price", "1", "--trigger-price", "1"), "--trigger-price"),
        (("BTC-PERP", "0.1", "--stop", "--target", "--trigger-price", "1"), "found both"),
        (("BTC-PERP", "NaN", "--market"), "QUANTITY"),
        (("BTC-PERP", "0", "--market"), "above zero"),
        (("BTC-PERP", "１", "--market"), "decimal number"),
        (("BTC-PERP", "1" * 1_000_000, "--market"), "at most 40 characters"),
        (("BTC-PERP", "-0.1", "--market"), "begins with '-'"),
        (("BTC-PERP", "--market", "--", "-0.1"), "above zero"),
        (("BTC-PERP", "0.1", "--price", "-5"), "above zero"),
        (("BTC-PERP", "0.1", "--price", "1e400"), "within"),
        (("BTC-PERP", "0.1", "--price", "1", "--tif", "DAY"), "GTC, IOC, FOK"),
        (("BTC-PERP", "0.1", "--market", "--max-slippage", "5"), "0.01% to 50%"),
        (("BTC-PERP", "0.1", "--market", "--max-slippage", "51%"), "0.01% to 50%"),
        (("BTC-PERP", "0.1", "--market", "--max-slippage", "0.001%"), "0.01% to 50%"),
        (("BTC-PERP", "0.1", "--prise", "5"), "--price"),
        (("BTC-PERP",), "QUANTITY"),
        (("BTC-PERP", "0.1", "--price", "1", "--timeout", "-1"), "timeout"),
        (("BTC-PERP", "0.1", "--price", "1", "--private-key", "0x" + "7e" * 32), "No such option"),
        (("BTC-PERP", "0.1", "0x" + "7e" * 32, "--price", "1"), "unexpected"),
    ],
    ids=lambda value: str(value)[:50],
)
async def test_what_cannot_be_meant_is_exit_2_and_sends_nothing(
    desk: Terminal, api: Api, arguments: tuple[str, ...], words: str
) -> None:
    if words == "either":
        words = "found neither"
    result = await desk("trade", "buy", *arguments)
    assert result.code == ExitCode.USAGE, result.err
    assert words in result.err
    assert "7e" * 32 not in result.err
    assert len(result.err) < 3_000
    assert result.out == ""
    assert api.desk.starts == []


async def test_usage_errors_are_json_with_json(desk: Terminal) -> None:
    result = await desk("trade", "buy", "BTC-PERP", "0", "--market", "--json")
    assert json.loads(result.err)["code"] == "usage"
    result = await desk("trade", "buy", "BTC-PERP", "0.1", "--price", "45000.5", "--json")
    assert result.code == ExitCode.USAGE
    assert json.loads(result.err.splitlines()[-1])["errors"][0]["pointer"] == "/price"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--market", "--max-slippage", "0.5%"), {"order_type": "MARKET", "max_slippage_bps": 50}),
        (("--market", "--max-slippage", "25bps"), {"max_slippage_bps": 25}),
        (("--price", "45000", "--tif", "ioc"), {"time_in_force": "IOC"}),
        (
            ("--stop", "--trigger-price", "44000"),
            {"order_type": "STOP_MARKET", "trigger_price": "44000"},
        ),
        (
            ("--target", "--trigger-price", "46000", "--price", "46000", "--reduce-only"),
            {"order_type": "TAKE_PROFIT_LIMIT", "reduce_only": True},
        ),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_options_become_the_order(
    desk: Terminal, arguments: tuple[str, ...], expected: dict[str, Any]
) -> None:
    result = await desk("trade", "sell", "BTC-PERP", "0.1", *arguments, "--json")
    assert result.code == 0, result.err
    order = json.loads(result.out)
    assert order["side"] == "SELL"
    assert {name: order[name] for name in expected} == expected


async def test_dry_run_shows_and_sends_nothing(desk: Terminal, api: Api) -> None:
    result = await desk(*BUY, "--dry-run")
    assert result.code == ExitCode.DONE
    assert "4500" in result.out
    wrong = await desk("trade", "buy", "BTC-PERP", "0.123456", "--price", "45000.5", "-n", "--json")
    assert wrong.code == ExitCode.USAGE
    dry = json.loads(wrong.out)
    assert dry["dry_run"] is True
    assert dry["action"]["quantity"] == "0.12345"
    people = await desk("trade", "buy", "BTC-PERP", "0.123456", "--price", "45000.5", "-n")
    assert "nearest" in people.out
    assert api.desk.starts == []


async def test_cancel_and_modify(desk: Terminal, api: Api) -> None:
    order_id = (await placed(desk))["order_id"]
    changed = await desk("trade", "modify", order_id, "--price", "45100", "--json")
    assert json.loads(changed.out)["price"] == "45100"
    assert (await desk("trade", "modify", order_id)).code == ExitCode.USAGE
    canceled = await desk("trade", "cancel", order_id)
    assert canceled.code == ExitCode.DONE
    assert "CANCELED" in canceled.out
    again = await desk("trade", "cancel", order_id)
    assert again.code == ExitCode.REFUSED
    assert "has ended" in again.err
    assert (await desk("trade", "cancel", MISSING)).code == ExitCode.NOT_FOUND
    other = (await placed(desk))["order_id"]
    api.desk.request_script = "hang"
    changing = await desk("trade", "modify", other, "--price", "45200", "--json")
    assert changing.code == ExitCode.UNKNOWN, "not done is not done, whatever the order's status"
    assert (json.loads(changing.out)["price"], "not done yet" in changing.err) == ("45000", True)
    late = await desk("trade", "cancel", other, "--wait", "--timeout", "0.2")
    assert late.code == ExitCode.STILL_LIVE
    api.desk.request_script = "away"
    away = await desk("trade", "cancel", other)
    assert away.code == ExitCode.UNKNOWN


async def test_orders_are_listed(desk: Terminal, api: Api) -> None:
    live = (await placed(desk))["order_id"]
    api.desk.script = "fill"
    filled = (await placed(desk))["order_id"]
    every = json.loads((await desk("trade", "orders", "--status", "all", "--json")).out)
    assert [order["order_id"] for order in every["orders"]] == [filled, live]
    table = await desk("trade", "orders")
    assert live in table.out
    assert filled not in table.out
    assert "\x1b" not in table.out
    await desk("account", "group", "set", "majors", "paper")
    grouped = await desk("trade", "orders", "--group", "majors", "--json")
    assert [order["order_id"] for order in json.loads(grouped.out)["orders"]] == [live]
    assert (await desk("trade", "history", "--group", "no-such")).code == ExitCode.NOT_FOUND
    assert (await desk("trade", "orders", "--status", "HAPPY")).code == ExitCode.USAGE
    assert (await desk("trade", "orders", "--limit", "-1")).code == ExitCode.USAGE
    only = await desk("trade", "orders", "--status", "filled", "--symbol", "BTC-PERP", "--json")
    assert len(json.loads(only.out)["orders"]) == 1


async def test_history_is_a_table_csv_or_json(desk: Terminal, api: Api) -> None:
    api.desk.script = "fill"
    order_id = (await placed(desk, "--key", "=HYPERLINK(evil)"))["order_id"]
    text = (await desk("trade", "history", "--days", "2", "--format", "csv")).out
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows[0]["order_id"] == order_id
    assert rows[0]["filled_quantity"] == "0.1"
    assert rows[0]["reason"] == ""
    table = await desk("trade", "history")
    assert order_id in table.out
    for form in (("--json",), ("--format", "json")):
        listed = json.loads((await desk("trade", "history", *form)).out)
        assert listed["orders"][0]["order_id"] == order_id
    assert (await desk("trade", "history", "--format", "xml")).code == ExitCode.USAGE
    assert (await desk("trade", "history", "--days", "0")).code == ExitCode.USAGE


async def test_show_has_the_timeline_and_says_who_answered(desk: Terminal, api: Api) -> None:
    order_id = (await placed(desk))["order_id"]
    shown = await desk("trade", "show", order_id)
    assert "in Temporal" in shown.out
    assert "created" in shown.out
    plain = json.loads((await desk("trade", "show", order_id, "--json")).out)
    assert plain["order_id"] == order_id
    full = json.loads((await desk("trade", "show", order_id, "--json", "--history")).out)
    assert full["order"]["order_id"] == order_id
    assert full["events"]
    live = await desk("trade", "show", order_id, "--live")
    assert live.code == ExitCode.DONE
    assert live.err == ""
    api.desk.answering = False
    fallen = await desk("trade", "show", order_id, "--live", "--json")
    assert "database" in fallen.err
    assert (await desk("trade", "show", "nonsense")).code == ExitCode.NOT_FOUND


async def test_an_operator_resolves(desk: Terminal, api: Api) -> None:
    api.desk.script = "unknown"
    result = await desk(*BUY, "--json")
    assert result.code == ExitCode.UNKNOWN
    order_id = json.loads(result.out)["order_id"]
    word = ("order", "resolve", order_id, "--reason", "seen at the venue")
    assert (await desk(*word, "--as", "perhaps")).code == ExitCode.USAGE
    resolved = await desk(*word, "--as", "absent", "--json")
    assert resolved.code == ExitCode.DONE
    assert json.loads(resolved.out)["is_terminal"] is True
    again = await desk(*word, "--as", "absent")
    assert again.code == ExitCode.REFUSED
