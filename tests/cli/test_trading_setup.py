"""`perp-dex account leverage|rotate` and `position` listings: what is asked, printed, concluded."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from cli.exit_codes import ExitCode
from domain.accounts import MarginMode
from domain.errors import VenueUnavailable
from domain.instruments import OrderSide
from tests.api.serving import PAPER, Api
from tests.api.test_positions import a_fill, say, second_account
from tests.cli.conftest import Terminal

KEY = "0x" + "7e" * 32


async def test_leverage_is_set(desk: Terminal, api: Api) -> None:
    result = await desk("account", "leverage", "paper", "BTC-PERP", "5", "--margin", "isolated")
    assert result.code == ExitCode.DONE, result.err
    assert "5x" in result.out
    assert api.leverages.asked == [(PAPER, "BTC-PERP", 5, MarginMode.ISOLATED)]
    api.leverages.refusal = "max_leverage is 3"
    refused = await desk("account", "leverage", "paper", "BTC-PERP", "5", "--json")
    assert refused.code == ExitCode.REFUSED
    api.leverages.refusal, api.leverages.in_time = None, False
    waiting = await desk("account", "leverage", "paper", "BTC-PERP", "5", "--json")
    assert waiting.code == ExitCode.STILL_LIVE
    assert json.loads(waiting.out)["decided"] is False


@pytest.mark.parametrize(
    "typed", [("0",), ("five",), ("5", "--margin", "both"), ("1001",), ("-3",)]
)
async def test_leverage_that_cannot_be_typed(
    desk: Terminal, api: Api, typed: tuple[str, ...]
) -> None:
    result = await desk("account", "leverage", "paper", "BTC-PERP", *typed)
    assert result.code == ExitCode.USAGE
    assert api.leverages.asked == []


async def test_a_key_is_changed_and_never_printed(desk: Terminal, api: Api, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    result = await desk("account", "rotate", "paper", "--key-file", str(file))
    assert result.code == ExitCode.DONE, result.err
    assert "0xnew" in result.out
    assert KEY not in result.out + result.err
    assert api.sealed.keys == [KEY]
    api.rotations.in_time = False
    waiting = await desk("account", "rotate", "paper", "--key-file", str(file), "--json")
    assert waiting.code == ExitCode.STILL_LIVE
    api.rotations.in_time, api.rotations.refusal = True, "not an agent of this account"
    refused = await desk("account", "rotate", "paper", "--key-file", str(file))
    assert refused.code == ExitCode.REFUSED
    assert "not an agent" in refused.err
    assert KEY not in refused.err


async def test_positions_are_listed_and_shown(desk: Terminal, api: Api) -> None:
    empty = await desk("position", "info", "BTC-PERP")
    assert empty.code == ExitCode.DONE
    assert "no open position" in empty.err
    await second_account(api)
    await say(api, PAPER, "0.5", ago_s=120)
    await say(api, "44444444-4444-4444-8444-444444444444", "-0.2")
    listed = await desk("position", "list", "--dex", "hyperliquid")
    assert listed.code == ExitCode.DONE, listed.err
    assert "paper:BTC-PERP" in listed.out
    assert "second:BTC-PERP" in listed.out
    assert "over 60 s ago on: paper" in listed.err
    one = await desk("position", "info", "paper:BTC-PERP")
    assert "liquidation price" in one.out
    assert "nobody" in one.out
    both = await desk("position", "info", "BTC-PERP")
    assert both.out.count("position id") == 2
    assert "total" in both.out
    document = json.loads((await desk("position", "list", "--json")).out)
    assert document["total"]["net"] == "13800"
    risk = await desk("position", "risk")
    assert "71.4%" in risk.out
    assert "by symbol" in risk.out
    assert json.loads((await desk("position", "risk", "--json")).out)["total"]["gross"] == "32200"


async def test_an_exchange_that_does_not_answer_is_named(desk: Terminal, api: Api) -> None:
    await say(api, PAPER, "0.5")
    api.reader.error = VenueUnavailable("away")
    result = await desk("position", "list", "--live")
    assert result.code == ExitCode.DONE
    assert "account paper could not be asked just now" in result.err


async def test_profit_and_loss(desk: Terminal, api: Api) -> None:
    at = datetime.now(UTC)
    await api.storage.orders.book(
        [
            a_fill(PAPER, "t1", OrderSide.BUY, "1", event_time=at),
            a_fill(PAPER, "t2", OrderSide.SELL, "0.5", event_time=at, realized_pnl=Decimal(7)),
        ]
    )
    result = await desk("position", "pnl", "--days", "7")
    assert result.code == ExitCode.DONE, result.err
    assert "unrealized now" in result.out
    assert json.loads((await desk("position", "pnl", "--json")).out)["realized_pnl"] == "7"
    open_now = await desk("position", "pnl", "--unrealized")
    assert "total" in open_now.out
    document = json.loads((await desk("position", "pnl", "--unrealized", "--json")).out)
    assert len(document["positions"]) == 1
    wrong = await desk("position", "pnl", "--unrealized", "--days", "7")
    assert wrong.code == ExitCode.USAGE
