"""`perp-dex sim` and paper accounts against a real simulated exchange."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typer

from cli.connection import StackNotRunning
from cli.exit_codes import ExitCode
from cli.simulator import PaperAccount, control_url
from stack.state import Durability, Phase, StackStatus
from tests.api.serving import Api
from tests.cli.conftest import Terminal


async def test_an_account_is_made_funded_and_listed(terminal: Terminal, simulator: str) -> None:
    made = await terminal("sim", "account", "hyperliquid", "--new", "--balance", "5000", "--json")
    assert made.code == ExitCode.DONE, made.err
    account = json.loads(made.out)
    assert account["endpoint"].startswith("http://127.0.0.1")
    assert account["address"].startswith("0x")
    assert len(account["private_key"]) == 66
    listed = json.loads((await terminal("sim", "account", "hyperliquid", "--json")).out)
    assert account["address"] in [each["account"] for each in listed["accounts"]]
    assert account["address"] in (await terminal("sim", "account", "hyperliquid")).out
    assert (
        await terminal("sim", "account", "hyperliquid", "--new", "--balance", "x")
    ).code == ExitCode.USAGE


async def test_prices_books_and_the_ledger(terminal: Terminal, simulator: str) -> None:
    moved = await terminal("sim", "price", "hyperliquid", "BTC-PERP", "44000", "--json")
    assert moved.code == ExitCode.DONE, moved.err
    assert json.loads(moved.out)["price"] == "44000"
    book = json.loads((await terminal("sim", "book", "hyperliquid", "BTC-PERP", "--json")).out)
    assert book["mark_price"] == "44000"
    assert "mark price" in (await terminal("sim", "book", "hyperliquid", "BTC-PERP")).out
    ledger = json.loads((await terminal("sim", "ledger", "hyperliquid", "--json")).out)
    assert {"orders", "fills", "positions"} <= set(ledger)
    assert "orders" in (await terminal("sim", "ledger", "hyperliquid")).out
    one = await terminal("sim", "ledger", "hyperliquid", "--account", "0xab", "--json")
    assert json.loads(one.out)["orders"] == []
    assert "44000" in (await terminal("sim", "price", "hyperliquid", "BTC-PERP", "44000")).out


async def test_faults_are_set_listed_and_cleared(terminal: Terminal, simulator: str) -> None:
    fault = ("sim", "fault", "hyperliquid")
    made = await terminal(*fault, "drop-after-apply", "--count", "2", "--json")
    assert json.loads(made.out)["kind"] == "drop-after-apply"
    delayed = await terminal(*fault, "delay", "--delay-ms", "50", "--action", "order")
    assert delayed.code == ExitCode.DONE
    listed = json.loads((await terminal(*fault, "--json")).out)["faults"]
    assert [each["count"] for each in listed] == [2, 1]
    assert "drop-after-apply" in (await terminal(*fault)).out
    assert (await terminal(*fault, "--clear")).code == ExitCode.DONE
    assert json.loads((await terminal(*fault, "--json")).out)["faults"] == []
    for wrong in (("nonsense",), ("delay",), ("drop-after-apply", "--count", "-1")):
        assert (await terminal(*fault, *wrong)).code == ExitCode.USAGE
    assert (await terminal(*fault, "delay", "--clear")).code == ExitCode.USAGE


async def test_what_makes_no_sense_is_refused(terminal: Terminal, simulator: str) -> None:
    fill = ("sim", "fill", "hyperliquid")
    for order in ("12345", "0x" + "ab" * 16):
        refused = await terminal(*fill, order, "--quantity", "0.1", "--price", "1")
        assert refused.code == ExitCode.REFUSED, refused.err
    assert (await terminal(*fill)).code == ExitCode.USAGE
    assert (await terminal(*fill, "1", "--symbol", "BTC-PERP")).code == ExitCode.USAGE
    assert (await terminal(*fill, "--symbol", "NOPE-PERP")).code == ExitCode.USAGE
    assert (await terminal("sim", "ledger", "lighter")).code == ExitCode.USAGE
    assert (await terminal("sim", "price", "hyperliquid", "BTC-PERP", "0")).code == ExitCode.USAGE


async def test_an_order_that_the_api_does_not_know_is_not_filled(
    desk: Terminal, simulator: str
) -> None:
    stranger = "99999999-9999-4999-8999-999999999999"
    refused = await desk("sim", "fill", "hyperliquid", stranger)
    assert refused.code == ExitCode.NOT_FOUND, refused.err


async def test_without_a_simulator_it_says_how_to_start_one(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = await terminal("sim", "ledger", "hyperliquid", "--json")
    assert result.code == ExitCode.UNREACHABLE
    assert "perp-dex up" in json.loads(result.err)["detail"]
    monkeypatch.setenv("PERP_DEX_SIM_CONTROL_URL", "http://127.0.0.1:1")
    assert (await terminal("sim", "ledger", "hyperliquid")).code == ExitCode.UNREACHABLE


def test_each_venues_simulator_has_controls_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = {"hyperliquid": "http://127.0.0.1:1", "pacifica": "http://127.0.0.1:2/"}
    running = StackStatus(
        home="/home/of/it",
        phase=Phase.READY,
        supervisor_pid=1,
        durability=Durability.POWER,
        processes=(),
        ports={},
        sim_control_urls=urls,
    )
    monkeypatch.delenv("PERP_DEX_SIM_CONTROL_URL", raising=False)
    monkeypatch.setattr("stack.lifecycle.status", lambda: running)
    assert control_url("pacifica") == "http://127.0.0.1:2"
    with pytest.raises(typer.BadParameter, match="expected one of hyperliquid, pacifica; found"):
        control_url("nasdaq")
    monkeypatch.setattr("stack.lifecycle.status", lambda: running.stopped())
    with pytest.raises(StackNotRunning, match="/home/of/it"):
        control_url("pacifica")


async def test_something_else_at_that_address_is_told(
    terminal: Terminal, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERP_DEX_SIM_CONTROL_URL", api.url)
    result = await terminal("sim", "ledger", "hyperliquid")
    assert result.code == ExitCode.UNREACHABLE
    assert "no simulator" in result.err


async def test_a_paper_account_is_made_and_registered(
    desk: Terminal, api: Api, simulator: str
) -> None:
    result = await desk(
        "account", "add", "--dex", "hyperliquid", "--paper", "--label", "p2", "--json"
    )
    assert result.code == ExitCode.DONE, result.err
    account: dict[str, Any] = json.loads(result.out)
    assert (account["network"], account["state"]) == ("paper", "ACTIVE")
    [key] = api.sealed.keys
    assert key[2:] not in result.out + result.err


def test_a_paper_account_hides_its_key() -> None:
    account = PaperAccount(endpoint="", address="0xab", private_key="secret", document={})
    assert "secret" not in repr(account)
