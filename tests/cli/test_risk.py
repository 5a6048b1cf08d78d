"""`perp-dex risk`: showing limits, setting them, and what a refusal shows."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from cli.exit_codes import ExitCode
from domain.risk_limits import RiskLimits
from domain.violations import ALL_ACCOUNTS
from tests.api.serving import PAPER, Api
from tests.cli.conftest import Terminal

D = Decimal


async def test_limits_are_set_shown_and_lifted(api: Api, desk: Terminal) -> None:
    set_ = await desk(
        "risk",
        "set",
        "--account",
        "paper",
        "--max-order-notional",
        "5000",
        "--max-open-orders",
        "3",
    )
    assert set_.code == ExitCode.DONE
    limits = (await api.storage.risk.limits(PAPER)).limits
    assert limits == RiskLimits(max_order_notional=D(5000), max_open_orders=3)
    await desk("risk", "set", "--max-daily-loss", "1e3")

    shown = await desk("risk", "show")
    lines = [line.split() for line in shown.out.splitlines()]
    assert ["all", "accounts", "max-daily-loss", "1000", "0"] in [line[:5] for line in lines]
    assert ["paper", "max-order-notional", "5000", "–"] in [line[:4] for line in lines]
    assert ["paper", "max-open-orders", "3", "0"] in [line[:4] for line in lines]

    lifted = await desk("risk", "set", "--account", PAPER, "--none", "max-open-orders")
    assert lifted.code == ExitCode.DONE
    limits = (await api.storage.risk.limits(PAPER)).limits
    assert limits == RiskLimits(max_order_notional=D(5000))
    other = await desk(
        "risk", "set", "--account", "paper", "--max-leverage", "2.5", "--none", "ALL", "--json"
    )
    document = json.loads(other.out)
    assert {name: v for name, v in document["limits"].items() if v} == {"max_leverage": "2.5"}
    assert document["version"] == 3
    assert (await api.storage.risk.limits(ALL_ACCOUNTS)).limits == RiskLimits(
        max_daily_loss=D(1000)
    )


async def test_all_of_it_is_one_json_document(api: Api, desk: Terminal) -> None:
    await api.storage.halts.halt(PAPER, reason="drill \x1b[31m", by="local")
    shown = await desk("risk", "show", "--account", "paper", "--json")
    document = json.loads(shown.out)
    assert [scope["account"] for scope in document["accounts"]] == ["paper"]
    assert document["halts"][0]["level"] == "account"
    told = await desk("risk", "show", "--account", "paper")
    assert f"account {PAPER} is halted: drill \\x1b[31m (by local)" in told.err
    assert "all accounts" not in told.out


async def test_a_limit_below_what_is_used_is_said_plainly(api: Api, desk: Terminal) -> None:
    for _ in range(2):
        assert (await api.place()).status_code == 201
    answer = await desk("risk", "set", "--max-open-orders", "1")
    assert answer.code == ExitCode.DONE
    assert "max_open_orders is 1, and 2 is used already" in answer.err
    assert "only reducing passes" in answer.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "expected a limit to set, or --none NAME, found neither"),
        (["--max-order-notional", "0"], "above zero, found '0'"),
        (["--max-daily-loss", "NaN"], "expected a decimal number"),
        (["--max-total-notional=-5"], "above zero"),
        (["--max-open-orders", "0"], "greater than or equal to 1"),
        (["--max-open-orders", "1.5"], "valid integer"),
        (["--none", "max-size"], "--none: expected all or one of max-order-notional"),
        (["--none", "max-leverage", "--max-leverage", "2"], "found both"),
    ],
)
async def test_what_cannot_be_meant_is_a_usage_error(
    desk: Terminal, api: Api, arguments: list[str], words: str
) -> None:
    answer = await desk("risk", "set", *arguments)
    assert answer.code == ExitCode.USAGE
    assert words in answer.err
    assert (await api.storage.risk.limits(ALL_ACCOUNTS)).version == 0


async def test_an_unknown_account_is_not_found(desk: Terminal, api: Api) -> None:
    for arguments in (["show"], ["set", "--max-leverage", "2"]):
        answer = await desk("risk", *arguments, "--account", "nobody")
        assert answer.code == ExitCode.NOT_FOUND


async def test_a_refused_order_shows_limit_and_value(api: Api, desk: Terminal) -> None:
    await desk("risk", "set", "--account", "paper", "--max-order-notional", "4000")
    buy = ("trade", "buy", "BTC-PERP", "0.1", "--price", "45000")
    refused = await desk(*buy)
    assert refused.code == ExitCode.REFUSED
    assert "max_order_notional of this account: expected at most 4000, found 4500" in refused.err
    assert "see `perp-dex risk show`" in refused.err
    document = json.loads((await desk(*buy, "--json")).err.splitlines()[-1])
    assert (document["code"], document["limit"], document["limit_value"], document["value"]) == (
        "risk_limit",
        "max_order_notional",
        "4000",
        "4500",
    )
    assert api.desk.starts == []
    dry = await desk(*buy, "--dry-run")
    assert dry.code == ExitCode.USAGE
    assert "max_order_notional  max_order_notional of this account: expected at most" in dry.out
