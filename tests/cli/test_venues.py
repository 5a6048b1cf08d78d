"""`perp-dex venue`: what exchanges can do and what proves a command there, for all to see."""

from __future__ import annotations

import json
from dataclasses import replace

from cli.exit_codes import ExitCode
from domain.errors import Unavailable
from tests.api.serving import Api
from tests.cli.conftest import Terminal


async def test_venues_are_listed(api: Api, desk: Terminal) -> None:
    shown = await desk("venue", "list")
    assert shown.code == ExitCode.DONE
    assert "hyperliquid" in shown.out and "nonce burn, admission expiry" in shown.out
    (found,) = json.loads((await desk("venue", "list", "--json")).out)["venues"]
    assert (found["venue"], found["served"]) == ("hyperliquid", True)


async def test_a_venue_is_shown_whole(api: Api, desk: Terminal) -> None:
    shown = await desk("venue", "info", "hyperliquid")
    assert shown.code == ExitCode.DONE
    for said in (
        "mainnet, testnet, paper",
        "TAKE_PROFIT_LIMIT",
        "cancel and place",
        "stops and targets that protect positions",
        "executed once",
        "noop with the command's nonce",
        "not verified",
    ):
        assert said in shown.out, said
    found = json.loads((await desk("venue", "info", "hyperliquid", "--json")).out)
    assert found["proofs"]["fill_key"] == ["venue_order_id", "trade_id", "event_time"]


async def test_how_far_a_venue_is_to_be_trusted_is_said_wherever_it_is_met(
    api: Api, desk: Terminal
) -> None:
    assert "supported, not verified live" in (await desk("venue", "list")).out
    served = api.venues.said["hyperliquid"]
    sheet = replace(
        served.sheet, experimental=True, caution="it may be gone tomorrow", lists_fills=False
    )
    api.venues.said["hyperliquid"] = replace(served, sheet=sheet)
    assert "experimental, not verified live" in (await desk("venue", "list")).out
    assert "hyperliquid (paper, experimental)" in (await desk("market", "list")).out
    shown = (await desk("venue", "info", "hyperliquid")).out
    for said in ("experimental, not verified live", "it may be gone", "derived from orders"):
        assert said in shown, said
    found = json.loads((await desk("venue", "info", "hyperliquid", "--json")).out)
    assert (found["experimental"], found["live_verified"]) == (True, False)
    assert found["caution"] == "it may be gone tomorrow"
    assert found["capabilities"]["lists_fills"] is False


async def test_a_venue_without_a_testnet_or_a_fence_is_plainly_said_to_be_so(
    api: Api, desk: Terminal
) -> None:
    assert "no testnet" not in (await desk("venue", "info", "hyperliquid")).out
    served = api.venues.said["hyperliquid"]
    sheet = replace(served.sheet, networks=("mainnet", "paper"), fences=())
    api.venues.said["hyperliquid"] = replace(served, sheet=sheet)
    shown = (await desk("venue", "info", "hyperliquid")).out
    assert "mainnet, paper; it has no testnet" in shown
    assert "none: what is unknown stays so" in shown
    header, row = (await desk("venue", "list")).out.splitlines()[:2]
    assert row[header.index("fences") :].startswith("none")


async def test_what_nobody_serves_is_said_to_be_so(api: Api, desk: Terminal) -> None:
    served = api.venues.said["hyperliquid"]
    api.venues.said["hyperliquid"] = replace(served, opening_refused=("paper",))
    shown = await desk("venue", "info", "hyperliquid")
    assert "new risk refused    paper" in shown.out
    api.venues.said.clear()
    shown = await desk("venue", "info", "hyperliquid")
    assert shown.code == ExitCode.DONE
    assert "no worker has told of hyperliquid" in shown.err
    assert "–" in (await desk("venue", "list")).out


async def test_unknown_and_unreachable(api: Api, desk: Terminal) -> None:
    assert (await desk("venue", "info", "ftx")).code == ExitCode.NOT_FOUND
    api.venues.error = Unavailable("Valkey does not answer")
    assert (await desk("venue", "list")).code == ExitCode.UNREACHABLE
