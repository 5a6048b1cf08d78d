"""`perp-dex position watch`: what is set, followed, changed and canceled, and what is refused."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from cli import position_watch
from cli.exit_codes import ExitCode
from domain.identifiers import order_id_for
from perp_dex_client.conditions import Condition, ConditionsApi
from tests.api.serving import Api
from tests.cli.conftest import Terminal

WATCH = ("position", "watch", "paper:BTC-PERP")
MISSING = "99999999-9999-4999-8999-999999999999"


async def a_condition(desk: Terminal, *options: str) -> dict[str, Any]:
    result = await desk(*WATCH, *(options or ("--close-at-profit", "10%")), "--json")
    assert result.code == ExitCode.DONE, result.err
    condition: dict[str, Any] = json.loads(result.out)
    return condition


async def test_it_prints_its_id_first_and_how_it_stands(desk: Terminal, api: Api) -> None:
    result = await desk(*WATCH, "--close-at-profit", "10%", "--percent", "50", "--key", "mine")

    assert result.code == ExitCode.DONE, result.err
    assert result.err.splitlines()[0] == f"condition {order_id_for('local', 'mine')}"
    assert "WATCHING" in result.out
    assert "profit 10 %" in result.out
    assert "nobody; it is polled" in result.out
    assert "profit: above 49500, +10 % away" in result.err
    (plan,) = api.conditions.begun
    assert plan.percent == 50


async def test_all_of_them_are_passed_on(desk: Terminal) -> None:
    found = await a_condition(
        desk,
        *("--close-at-loss", "5", "--close-at-price", "49000", "--direction", "above"),
        *("--trail", "1%", "--close-at", "2099-01-31T12:00:00Z", "--of", "margin"),
        *("--max-slippage", "50"),
    )

    assert found["loss_percent"] == "5"
    assert found["trail_percent"] == "1"
    assert found["price"] == "49000"
    assert found["of"] == "margin"
    assert found["at"] == "2099-01-31T12:00:00Z"
    assert found["max_slippage_bps"] == 50
    assert found["is_terminal"] is False


async def test_an_absolute_trail_and_the_venues_orders(desk: Terminal) -> None:
    assert (await a_condition(desk, "--trail", "100"))["trail_amount"] == "100"
    assert (await a_condition(desk, "--close-at-loss", "5%", "--native"))["native"] is True


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--close-at-profit", "0%"),
        ("--close-at-profit", "NaN"),
        ("--close-at-profit", "10%", "--close-at-profit", "11%"),
        ("--close-at-loss", "-5%"),
        ("--close-at-price", "x"),
        ("--trail", "100%"),
        ("--close-at", "yesterday"),
        ("--close-at", "2020-01-01T00:00Z"),
        ("--close-at", "2099-01-01T00:00Z", "--close-at", "2098-01-01T00:00Z"),
        ("--close-at-profit", "1%", "--percent", "101"),
        ("--close-at-profit", "1%", "--percent", "0"),
        ("--close-at-profit", "1%", "--of", "luck"),
        ("--close-at-profit", "1%", "--direction", "above"),
        ("--close-at-price", "1", "--direction", "sideways"),
        ("--close-at-profit", "1%", "--max-slippage", "nothing"),
    ],
)
def test_what_cannot_be_meant(terminal: Terminal, options: tuple[str, ...]) -> None:
    result = terminal.run(*WATCH, *options)

    assert result.code == ExitCode.USAGE, result.err
    assert result.out == ""


def test_no_position_no_watch(terminal: Terminal) -> None:
    assert terminal.run("position", "watch", "--close-at-profit", "1%").code == ExitCode.USAGE


async def test_what_is_true_already_is_refused(desk: Terminal, api: Api) -> None:
    result = await desk(*WATCH, "--close-at-price", "45000")

    assert result.code == ExitCode.REFUSED
    assert "true already" in result.err


async def test_no_worker_has_taken_it_up(desk: Terminal, api: Api) -> None:
    api.conditions.script = "silent"

    result = await desk(*WATCH, "--close-at-profit", "10%")

    assert result.code == ExitCode.UNKNOWN
    assert "will be watched" in result.err


async def test_it_is_listed_shown_and_canceled(desk: Terminal, api: Api) -> None:
    found = await a_condition(desk)
    condition_id = found["condition_id"]

    for options in ((), ("paper:BTC-PERP",), ("--status", "open", "--symbol", "BTC-PERP")):
        listed = await desk("position", "conditions", *options, "--json")
        assert [each["condition_id"] for each in json.loads(listed.out)] == [condition_id]
    table = await desk("position", "conditions")
    assert condition_id in table.out
    shown = await desk("position", "condition-show", condition_id)
    assert "paper:BTC-PERP" in shown.out
    api.conditions.request_script = "hang"
    assert (await desk("position", "unwatch", condition_id)).code == ExitCode.STILL_LIVE
    api.conditions.request_script = "done"
    ended = await desk("position", "unwatch", condition_id)
    assert ended.code == ExitCode.DONE
    assert "CANCELED" in ended.out
    assert (await desk("position", "unwatch", condition_id)).code == ExitCode.REFUSED
    assert (await desk("position", "condition-show", MISSING)).code == ExitCode.NOT_FOUND


async def test_it_is_changed(desk: Terminal, api: Api) -> None:
    condition_id = (await a_condition(desk))["condition_id"]

    changed = await desk(
        "position", "watch", "--change", condition_id, "--close-at-loss", "5%", "--json"
    )
    refused = await desk("position", "watch", "--change", condition_id, "--close-at-price", "45000")
    api.conditions.request_script = "hang"
    asked = await desk("position", "watch", "--change", condition_id, "--close-at-loss", "6%")

    assert asked.code == ExitCode.UNKNOWN, "watched, but not so yet"
    assert "not taken yet" in asked.err
    assert json.loads(changed.out)["conditions"] == "loss 5 %"
    assert json.loads(changed.out)["version"] == 2
    assert refused.code == ExitCode.REFUSED
    assert "true already" in refused.err


async def test_it_is_followed_until_it_has_closed(
    desk: Terminal, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, look = threading.Event(), ConditionsApi.get

    async def get(client: ConditionsApi, condition_id: str) -> Condition:
        found = await look(client, condition_id)
        looked.set()
        return found

    monkeypatch.setattr(ConditionsApi, "get", get)
    condition_id = (await a_condition(desk))["condition_id"]
    following = asyncio.create_task(desk("position", "watch", "--attach", condition_id, "--json"))
    assert await asyncio.to_thread(looked.wait, 30)
    await api.conditions.end_elsewhere(condition_id)

    result = await following

    assert result.code == ExitCode.DONE, result.err
    assert json.loads(result.out)["status"] == "CLOSED"
    assert "WATCHING · paper:BTC-PERP · mark 45000 · profit 49500 (+10 %) · polled" in result.err
    assert "CLOSED" in result.err


async def test_it_is_set_and_followed_at_once(desk: Terminal, api: Api) -> None:
    key = ("--key", "attached")
    following = asyncio.create_task(desk(*WATCH, "--close-at-loss", "5%", "--attach", *key))
    condition_id = order_id_for("local", "attached")
    async with asyncio.timeout(10):
        while await api.storage.conditions.get(condition_id) is None or not api.conditions.begun:
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)
    await api.conditions.cancel(condition_id, "elsewhere", wait_s=1)

    assert (await following).code == ExitCode.PARTLY_DONE


async def test_ctrl_c_only_stops_looking(desk: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    condition_id = (await a_condition(desk))["condition_id"]

    async def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(position_watch, "_followed", interrupted)
    result = await desk("position", "watch", "--attach", condition_id)

    assert result.code == ExitCode.INTERRUPTED
    assert f"position watch --attach {condition_id}" in result.err


def test_in_a_terminal_one_line_changes(capsys: pytest.CaptureFixture[str]) -> None:
    from datetime import UTC, datetime
    from decimal import Decimal

    from perp_dex_client import Condition

    at = datetime(2026, 1, 1, tzinfo=UTC)
    condition = Condition(
        condition_id=MISSING,
        position_id="a:BTC-PERP",
        account_id="a",
        account="main\x1b[31m",
        venue="hyperliquid",
        symbol="BTC-PERP",
        status="WATCHING",
        conditions="at",
        percent=Decimal(100),
        created_at=at,
        at=at,
        excursions=1,
    )
    follower = position_watch._Follower(True)
    follower.seen(condition)
    follower.seen(condition)
    follower.end()

    err = capsys.readouterr().err
    assert err.count("WATCHING") == 1
    assert "\\x1b[31m" in err
    assert "1 not confirmed" in err
