"""`perp-dex venue verify`: refusals, and what is told when a step fails. The rest is on a stack."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from cli.exit_codes import ExitCode
from perp_dex_client.models import Market
from perp_dex_client.verification import (
    VenueTrial,
    Verification,
    VerifiedStep,
    least_quantity,
    price_below,
)
from tests.api.serving import Api
from tests.cli.conftest import Terminal

PAPER = ("venue", "verify", "hyperliquid", "--network", "paper")


def market(**changes: Any) -> Market:
    fields: dict[str, Any] = {
        "venue": "hyperliquid",
        "symbol": "BTC-PERP",
        "venue_symbol": "BTC",
        "network": "paper",
        "state": "OPEN",
        "lot_size": Decimal("0.00001"),
        "min_notional": Decimal(10),
        "max_leverage": 10,
        "price_significant_figures": 5,
        "price_max_decimals": 1,
    }
    return Market(**{**fields, **changes})


async def test_mainnet_is_refused_whatever_else_is_said(desk: Terminal) -> None:
    shown = await desk("venue", "verify", "hyperliquid", "--network", "mainnet", "--yes")
    assert shown.code == ExitCode.USAGE
    assert "never with real money" in shown.err
    assert (await desk("venue", "verify", "hyperliquid", "--network", "x")).code == ExitCode.USAGE


async def test_a_venue_without_testnet_says_so(api: Api, desk: Terminal) -> None:
    served = api.venues.said["hyperliquid"]
    sheet = replace(served.sheet, networks=("mainnet", "paper"))
    api.venues.said["hyperliquid"] = replace(served, sheet=sheet)
    shown = await desk("venue", "verify", "hyperliquid", "--yes")
    assert shown.code == ExitCode.REFUSED
    assert "hyperliquid has no testnet: nothing was tried" in shown.err


async def test_without_an_account_there_nothing_is_tried(api: Api, desk: Terminal) -> None:
    shown = await desk("venue", "verify", "hyperliquid", "--yes")
    assert shown.code == ExitCode.REFUSED
    assert "perp-dex account add --dex hyperliquid --network testnet" in shown.err


async def test_nothing_is_sent_unasked(api: Api, desk: Terminal) -> None:
    shown = await desk(*PAPER)
    assert shown.code == ExitCode.REFUSED
    assert "--yes" in shown.err


@pytest.mark.parametrize(
    ("passed", "left_open", "code"),
    [
        (True, False, ExitCode.DONE),
        (False, False, ExitCode.PARTLY_DONE),
        (False, True, ExitCode.UNKNOWN),
    ],
)
async def test_the_exit_code_tells_what_came_of_it(
    api: Api,
    desk: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    passed: bool,
    left_open: bool,
    code: ExitCode,
) -> None:
    async def run(self: VenueTrial) -> Verification:
        step = VerifiedStep(
            name="place", passed=passed, seconds=0.1, evidence={"status": "\x1b[31mACCEPTED"}
        )
        return Verification(
            venue="hyperliquid",
            network="paper",
            account="paper",
            symbol="BTC-PERP",
            passed=passed,
            left_open=left_open,
            steps=(step,),
            order_id="1",
        )

    monkeypatch.setattr(VenueTrial, "run", run)
    shown = await desk(*PAPER, "--yes")
    assert shown.code == code
    assert "\x1b" not in shown.out
    assert ("not seen to end" in shown.err) is left_open
    as_json = await desk(*PAPER, "--yes", "--json")
    assert json.loads(as_json.out)["steps"][0]["name"] == "place"


async def test_a_step_that_fails_ends_the_trial(api: Api, desk: Terminal) -> None:
    served = api.venues.said["hyperliquid"]
    api.venues.said.clear()
    shown = await desk(*PAPER, "--yes", "--json")
    assert shown.code == ExitCode.PARTLY_DONE, shown.err
    (step,) = json.loads(shown.out)["steps"]
    assert (step["name"], step["passed"]) == ("venue", False)
    assert "a worker that serves" in step["evidence"]["expected"]
    api.venues.said["hyperliquid"] = served


def test_prices_and_quantities_fit_the_market() -> None:
    assert price_below(market(), Decimal("51234.56")) == Decimal(51234)
    assert price_below(market(tick_size=Decimal("0.5")), Decimal("51234.7")) == Decimal("51234.5")
    assert price_below(market(price_max_decimals=6), Decimal("0.0123456")) == Decimal("0.012345")
    assert least_quantity(market(), Decimal(50_000)) == Decimal("0.00030")
    assert least_quantity(market(lot_size=Decimal(1)), Decimal(50_000)) == Decimal(1)
